//go:build linux

package transports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acceptsMax bounds the connections accepted from one listener in one turn.
const acceptsMax = 64

func newLoops(s *Server, n int) ([]*loop, error) {
	loops := make([]*loop, 0, n)
	for i := range n {
		l, err := newLoop(s, i)
		if err != nil {
			return nil, err
		}
		loops = append(loops, l)
	}
	return loops, nil
}

// acceptOnLoop has the first loop accept from ln; it hands connections to the loop with the fewest.
func (s *Server) acceptOnLoop(ln *Listener) error {
	fd, err := dupDescriptor(ln.ln)
	if err != nil {
		return fmt.Errorf("listener %q: %w", ln.Config.Name, err)
	}
	ln.fd = fd
	l := s.loops[0]
	l.post(func(*Turn) {
		ln.index = len(l.listeners)
		l.listeners = append(l.listeners, ln)
		l.listen(ln)
	})
	return nil
}

// listen puts a listener into epoll.
func (l *loop) listen(ln *Listener) {
	if ln.closed.Load() {
		return
	}
	if err := l.control(unix.EPOLL_CTL_ADD, ln.fd, unix.EPOLLIN, slotListener+uint32(ln.index), 0); err != nil {
		l.server.log.Error("listener stopped", "listener", ln.Config.Name, "error", err)
	}
}

// accept takes new connections. Without free descriptors it rests until the next tick: the
// backlog keeps the peers, and nothing spins.
func (l *loop) accept(t *Turn, ln *Listener) {
	for range acceptsMax {
		if ln.closed.Load() {
			return
		}
		fd, _, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			l.server.conns.Add(1)
			l.server.place(t, l, fd, ln, nil, nil)
		case errors.Is(err, unix.EAGAIN):
			return
		case errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR):
		default:
			l.server.log.Warn("accept rests", "listener", ln.Config.Name, "error", err, "rest_ms", tickMillis)
			_ = l.control(unix.EPOLL_CTL_DEL, ln.fd, 0, 0, 0)
			l.resting = append(l.resting, ln)
			return
		}
	}
}

// place gives a new socket to the loop with the fewest connections. here is the loop whose turn
// t is, or nil outside of any.
func (s *Server) place(t *Turn, here *loop, fd int, ln *Listener, ex *extra, in []byte) {
	to := here
	for _, l := range s.loops {
		if to == nil || l.count.Load() < to.count.Load() {
			to = l
		}
	}
	to.count.Add(1)
	if to == here {
		to.adopt(t, fd, ln, ex, in)
		return
	}
	if !to.post(func(t *Turn) { to.adopt(t, fd, ln, ex, in) }) {
		unix.Close(fd)
		s.closed()
	}
}

// placeSocket moves the socket of nc, from which in was already read, to a loop. nc is closed.
func (s *Server) placeSocket(nc net.Conn, ln *Listener, ex *extra, in []byte) error {
	defer nc.Close()
	fd, err := dupDescriptor(nc)
	if err != nil {
		return err
	}
	s.place(nil, nil, fd, ln, ex, in)
	return nil
}

// dupDescriptor returns a descriptor of its own for a listener or connection of package net.
func dupDescriptor(x any) (int, error) {
	sc, ok := x.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("%T has no descriptor", x)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	dup, dupErr := -1, error(nil)
	if err := raw.Control(func(fd uintptr) {
		dup, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return dup, dupErr
}

// stopAccepting has the first loop forget ln.
func (s *Server) stopAccepting(ln *Listener) {
	s.loops[0].post(func(*Turn) { unix.Close(ln.fd) })
}

// each posts fn for every connection of the loop.
func (l *loop) each(fn func(t *Turn, c *Conn)) {
	l.post(func(t *Turn) {
		for _, c := range l.conns {
			if c != nil && c.state == stateOpen {
				fn(t, c)
			}
		}
	})
}

// flushed asks the loop whether all its outboxes are empty.
func (l *loop) flushed(ctx context.Context) bool {
	answer := make(chan bool, 1)
	posted := l.post(func(*Turn) {
		for _, c := range l.conns {
			if c != nil && c.Buffered() > 0 {
				answer <- false
				return
			}
		}
		answer <- true
	})
	if !posted {
		return true
	}
	select {
	case ok := <-answer:
		return ok
	case <-ctx.Done():
		return false
	}
}
