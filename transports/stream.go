package transports

import (
	"crypto/tls"
	"errors"
	"net"
)

// errNoMoreWrites tells the writing goroutine that the reading one has said the last word.
var errNoMoreWrites = errors.New("stream is closed for writing")

// plainStream is the bytes of a socket, after what was read from it for a PROXY header.
type plainStream struct {
	net.Conn
	left []byte
}

func (s *plainStream) Read(b []byte) (int, error) {
	if len(s.left) > 0 {
		n := copy(b, s.left)
		s.left = s.left[n:]
		return n, nil
	}
	s.left = nil
	return s.Conn.Read(b)
}

func (s *plainStream) closeWrite(error) {
	if c, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// tlsStream is the bytes in TLS over a socket.
type tlsStream struct {
	*tls.Conn
	under *plainStream
}

func (s *tlsStream) closeWrite(why error) {
	_ = s.Conn.CloseWrite() // close_notify
	s.under.closeWrite(why)
}

// handshakeConn is the socket below TLS. While the handshake runs it holds a token of those that
// may compute at the same time, and gives it back while it waits for the peer: slow peers keep
// nobody out.
type handshakeConn struct {
	net.Conn
	tokens chan struct{} // nil once the handshake is over; of the reading goroutine
}

func (h *handshakeConn) Read(b []byte) (int, error) {
	if h.tokens == nil {
		return h.Conn.Read(b)
	}
	<-h.tokens
	n, err := h.Conn.Read(b)
	h.tokens <- struct{}{}
	return n, err
}

// handshakeTLS runs the handshake and returns the connection.
func handshakeTLS(under *plainStream, cfg *tls.Config, tokens chan struct{}) (*tls.Conn, error) {
	h := &handshakeConn{Conn: under, tokens: tokens}
	c := tls.Server(h, cfg)
	tokens <- struct{}{}
	err := c.Handshake()
	<-tokens
	h.tokens = nil
	return c, err
}
