//go:build !linux

package transports

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
)

// loop is what systems without epoll do not have: there are none, and nothing below is called.
type loop struct{}

func newLoops(*Server, int) ([]*loop, error) { return nil, nil }

func (l *loop) run()                                                    {}
func (l *loop) stop(*Turn)                                              {}
func (l *loop) post(func(t *Turn)) bool                                 { return false }
func (l *loop) setDeadline(*Conn, int64)                                {}
func (l *loop) rearmLocked(*Conn)                                       {}
func (l *loop) flushLocked(*Turn, *Conn)                                {}
func (l *loop) finish(*Turn, *Conn)                                     {}
func (l *loop) each(func(t *Turn, c *Conn))                             {}
func (l *loop) flushed(context.Context) bool                            { return true }
func (c *Conn) socketPeer() netip.AddrPort                              { return netip.AddrPort{} }
func (s *Server) acceptOnLoop(*Listener) error                          { return errors.ErrUnsupported }
func (s *Server) stopAccepting(*Listener)                               {}
func (s *Server) placeSocket(net.Conn, *Listener, *extra, []byte) error { return errors.ErrUnsupported }

// listenControl has nothing to set: package net sets the options of accepted sockets.
func listenControl(ListenerConfig) func(network, address string, rc syscall.RawConn) error {
	return nil
}
