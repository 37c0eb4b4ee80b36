package transports

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// upgrader turns HTTP requests into WebSocket connections. It reads the request itself, within
// limits and in the goroutine that will own the connection, instead of running a web server.
type upgrader struct {
	config WebSocketConfig
	ws     websocket.Upgrader
}

func newUpgrader(cfg *WebSocketConfig) *upgrader {
	u := &upgrader{config: *cfg}
	if u.config.HeaderBytes <= 0 {
		u.config.HeaderBytes = headerBytesDefault
	}
	u.ws = websocket.Upgrader{
		ReadBufferSize:  512, // larger reads go past it
		WriteBufferSize: bufferBytes,
		WriteBufferPool: &sync.Pool{},
		Subprotocols:    []string{"mqtt", "mqttv3.1"},
		CheckOrigin:     u.allowsOrigin,
		Error:           func(http.ResponseWriter, *http.Request, int, error) {}, // answered by upgrade
	}
	return u
}

// httpError is a refusal with the HTTP status that the peer gets.
type httpError struct {
	status int
	reason string
}

func (e *httpError) Error() string {
	return fmt.Sprintf("%s (HTTP status %d)", e.reason, e.status)
}

// upgrade answers the request of a new connection, and returns its stream if all is well.
func (u *upgrader) upgrade(n *netConn) (*wsStream, error) {
	under := n.stream
	nc := under.(net.Conn)
	ws, err := u.answer(nc)
	if err == nil {
		return newWSStream(ws, under), nil
	}
	refusal := &httpError{}
	if errors.As(err, &refusal) {
		_ = nc.SetWriteDeadline(time.Now().Add(controlTimeout)) // the other deadline may be over
		connection := "close"
		if refusal.status == http.StatusUpgradeRequired {
			connection = "close, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13"
		}
		_, _ = fmt.Fprintf(nc, "HTTP/1.1 %d %s\r\nConnection: %s\r\n"+
			"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s\n",
			refusal.status, http.StatusText(refusal.status), connection, len(refusal.reason)+1, refusal.reason)
	}
	return nil, err
}

func (u *upgrader) answer(nc net.Conn) (*websocket.Conn, error) {
	r, err := u.readRequest(nc)
	if err != nil {
		return nil, err
	}
	if err := u.check(r); err != nil {
		return nil, err
	}
	ws, err := u.ws.Upgrade(&hijacked{conn: nc}, r, nil)
	if _, bad := errors.AsType[websocket.HandshakeError](err); bad {
		return nil, &httpError{http.StatusBadRequest, err.Error()}
	}
	return ws, err
}

// readRequest reads one request without a body, and nothing after it: before the answer the peer
// has nothing to say [RFC 6455, 4.1].
func (u *upgrader) readRequest(nc net.Conn) (*http.Request, error) {
	head := make([]byte, 0, min(1024, u.config.HeaderBytes))
	for {
		if len(head) == u.config.HeaderBytes {
			return nil, &httpError{http.StatusRequestHeaderFieldsTooLarge, fmt.Sprintf("request is larger than %d bytes", len(head))}
		}
		if len(head) == cap(head) {
			head = slices.Grow(head, min(len(head), u.config.HeaderBytes-len(head)))
		}
		m, err := nc.Read(head[len(head):min(cap(head), u.config.HeaderBytes)])
		start := max(len(head)-3, 0)
		head = head[:len(head)+m]
		if end := bytes.Index(head[start:], []byte("\r\n\r\n")); end >= 0 {
			return parseRequest(head, start+end+4)
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, &httpError{http.StatusRequestTimeout, "request did not come in time"}
		case err != nil:
			return nil, err
		}
	}
}

func parseRequest(head []byte, end int) (*http.Request, error) {
	if bytes.Count(head, []byte("\n")) != bytes.Count(head, []byte("\r\n")) {
		return nil, &httpError{http.StatusBadRequest, "line of the request ends without CR"}
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	switch {
	case err != nil:
		return nil, &httpError{http.StatusBadRequest, err.Error()}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0 || r.Header["Content-Length"] != nil || end < len(head):
		return nil, &httpError{http.StatusBadRequest, "request has a body"}
	}
	return r, nil
}

// check holds what MQTT over WebSocket asks of the request; what every WebSocket asks is held by
// the library.
func (u *upgrader) check(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1 || r.ProtoMinor != 1:
		return &httpError{http.StatusBadRequest, "HTTP version is not 1.1"}
	case r.URL.Path != u.config.Path:
		return &httpError{http.StatusNotFound, "no WebSocket at this path"}
	case r.Host == "":
		return &httpError{http.StatusBadRequest, "request has no Host"}
	case r.Method != http.MethodGet:
		return &httpError{http.StatusBadRequest, "method is not GET"}
	case !websocket.IsWebSocketUpgrade(r):
		return &httpError{http.StatusUpgradeRequired, "this is for WebSocket only"}
	case !slices.Equal(r.Header["Sec-Websocket-Version"], []string{"13"}):
		return &httpError{http.StatusUpgradeRequired, "WebSocket version is not 13"}
	case !u.allowsOrigin(r):
		return &httpError{http.StatusForbidden, "origin is not allowed"}
	case !offersMQTT(r):
		return &httpError{http.StatusBadRequest, "WebSocket subprotocol mqtt is not offered"} // [v5 MQTT-6.0.0-3]
	}
	return nil
}

func offersMQTT(r *http.Request) bool {
	offered := websocket.Subprotocols(r)
	return slices.Contains(offered, "mqtt") || slices.Contains(offered, "mqttv3.1")
}

// allowsOrigin holds that no page of somebody else's uses a browser to get in. Other clients than
// browsers send no Origin.
func (u *upgrader) allowsOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 || slices.Contains(u.config.AllowedOrigins, "*") {
		return true
	}
	origin, err := url.Parse(origins[0])
	if len(origins) > 1 || err != nil || origin.Host == "" {
		return false
	}
	if host := (&url.URL{Host: r.Host}).Hostname(); strings.EqualFold(origin.Hostname(), host) {
		return true
	}
	return slices.ContainsFunc(u.config.AllowedOrigins, func(allowed string) bool {
		return strings.EqualFold(allowed, origin.Hostname()) || strings.EqualFold(allowed, origin.Host) ||
			strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin.Scheme+"://"+origin.Host)
	})
}

// hijacked is the http.ResponseWriter that the library takes the connection from.
type hijacked struct{ conn net.Conn }

func (h *hijacked) Header() http.Header       { return http.Header{} }
func (h *hijacked) WriteHeader(int)           {}
func (h *hijacked) Write([]byte) (int, error) { return 0, http.ErrHijacked }

// Hijack is the method of http.Hijacker.
func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReaderSize(h.conn, 16), bufio.NewWriterSize(h.conn, 512)), nil
}
