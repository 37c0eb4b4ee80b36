package transports

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// accept is the first goroutine of a connection. It shakes hands, and leaves the connection to a
// goroutine whose stack has not grown by that.
func (n *netConn) accept() {
	ln := n.conn.listener
	timeout := ln.Config.HandshakeTimeout
	if timeout <= 0 {
		timeout = handshakeMillis
	}
	_ = n.raw.SetDeadline(time.Now().Add(time.Duration(timeout) * time.Millisecond))
	under := &plainStream{Conn: n.raw}
	n.stream = under
	if err := n.handshake(under); err != nil {
		n.refuse(err)
		return
	}
	_ = n.raw.SetDeadline(time.Time{})
	if ln.Config.TLS == nil && ln.Config.WebSocket == nil && len(n.server.loops) > 0 {
		n.moveToLoop(under.left)
		return
	}
	n.open()
	if !n.server.tasks.start(n.read) {
		n.read()
	}
}

// handshake goes through what comes before MQTT.
func (n *netConn) handshake(under *plainStream) error {
	cfg := &n.conn.listener.Config
	if cfg.Proxy != nil {
		if err := n.readProxyHeader(under, cfg.Proxy); err != nil {
			return err
		}
	}
	if cfg.TLS != nil {
		c, err := handshakeTLS(under, cfg.TLS, n.server.handshakes)
		if err != nil {
			return fmt.Errorf("TLS handshake: %w", err)
		}
		n.extra.tls = c
		n.stream = &tlsStream{Conn: c, under: under}
	}
	if cfg.WebSocket != nil {
		ws, err := n.conn.listener.upgrader.upgrade(n)
		if err != nil {
			return fmt.Errorf("WebSocket handshake: %w", err)
		}
		n.stream = ws
	}
	return nil
}

// readProxyHeader takes the peer's address from the header, which comes before anything else.
func (n *netConn) readProxyHeader(under *plainStream, cfg *ProxyConfig) error {
	if !trusted(cfg.Trusted, n.extra.remote.Addr()) {
		return errors.New("PROXY protocol: peer is not a trusted proxy")
	}
	br := bufio.NewReaderSize(under, 256)
	header, err := proxyproto.Read(br)
	if err != nil {
		return fmt.Errorf("PROXY protocol: %w", err)
	}
	under.left, _ = br.Peek(br.Buffered())
	if header.Command.IsLocal() {
		return nil // the proxy speaks for itself
	}
	if source, _, ok := header.TCPAddrs(); ok {
		n.extra.remote = unmapped(source.AddrPort())
		return nil
	}
	if header.TransportProtocol.IsDatagram() {
		return errors.New("PROXY protocol: header is of a datagram protocol")
	}
	return nil
}

func trusted(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// moveToLoop gives a plain socket whose PROXY header is read to a loop.
func (n *netConn) moveToLoop(in []byte) {
	n.server.nets.remove(n)
	ex := &extra{remote: n.extra.remote}
	if err := n.server.placeSocket(n.raw, n.conn.listener, ex, in); err != nil {
		n.server.log.Error("connection dropped", "listener", n.conn.listener.Config.Name, "error", err)
		n.server.closed()
	}
}

// open makes the connection known to the handler. Reading then finds whether that refused it.
func (n *netConn) open() {
	c := &n.conn
	n.turn(func(t *Turn) {
		if n.cause != nil {
			return
		}
		switch r := n.server.handler.Opened(t, c); {
		case c.state != stateOpen: // finished already
		case r == nil:
			n.cutLocked(errors.New("connection refused"))
		default:
			c.receiver = r
		}
	})
}

// refuse ends a connection that did not get through its handshake. What was written last, an
// alert or an HTTP status, still reaches the peer.
func (n *netConn) refuse(err error) {
	ln := n.conn.listener
	ln.refused.Add(1)
	n.server.refused.Add(1)
	n.owner.Lock()
	cut := n.cause != nil
	n.owner.Unlock()
	if !cut && !errors.Is(err, io.EOF) && n.server.refusals.Allow() {
		n.server.log.Info("connection refused", "listener", ln.Config.Name, "remote", n.extra.remote.String(), "error", err)
	}
	n.end(err)
}
