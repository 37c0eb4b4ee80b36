package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"
)

// endpoint is where a server listens.
type endpoint struct {
	network string // tcp, tls, ws, wss or unix
	address string // host:port; the path of a socket for unix
	path    string // ws and wss only: HTTP path and query
}

// webSocketPath is used where a ws:// or wss:// URL has no path.
const webSocketPath = "/mqtt"

// schemes maps URL schemes to networks and their default ports.
var schemes = map[string]struct {
	network string
	port    string
}{
	"mqtt":  {"tcp", "1883"},
	"tcp":   {"tcp", "1883"},
	"mqtts": {"tls", "8883"},
	"tls":   {"tls", "8883"},
	"ssl":   {"tls", "8883"},
	"ws":    {"ws", "80"},
	"wss":   {"wss", "443"},
	"unix":  {"unix", ""},
}

// target is a parsed URL.
type target struct {
	endpoint           endpoint
	username, password string
	hasPassword        bool
	topic              string // tcp and tls only; as written, so that # and + need no escaping
}

// parseTarget reads scheme://[user[:password]@]host[:port][/rest].
func parseTarget(raw string) (target, error) {
	name, rest, ok := strings.Cut(raw, "://")
	scheme, known := schemes[strings.ToLower(name)]
	if !ok || !known {
		return target{}, usagef("--url %q: want mqtt://, mqtts://, tcp://, tls://, ws://, wss:// or unix://", hidePassword(raw))
	}
	if scheme.network == "unix" {
		return target{endpoint: endpoint{network: "unix", address: rest}}, nil
	}
	authority, path, _ := strings.Cut(rest, "/")
	u, err := url.Parse(name + "://" + authority)
	if err != nil || u.Hostname() == "" {
		return target{}, usagef("--url %q: want scheme://[user[:password]@]host[:port]/topic", hidePassword(raw))
	}
	port := u.Port()
	if port == "" {
		port = scheme.port
	}
	t := target{endpoint: endpoint{network: scheme.network, address: net.JoinHostPort(u.Hostname(), port)}, username: u.User.Username()}
	t.password, t.hasPassword = u.User.Password()
	switch {
	case scheme.network == "tcp" || scheme.network == "tls":
		t.topic = path
	case path == "":
		t.endpoint.path = webSocketPath
	default:
		t.endpoint.path = "/" + path
	}
	return t, nil
}

// hidePassword keeps a password out of an error message.
func hidePassword(raw string) string {
	at := strings.LastIndex(raw, "@")
	if at < 0 {
		return raw
	}
	return "..." + raw[at:]
}

// secured is the same place by TLS.
func (e endpoint) secured() endpoint {
	switch e.network {
	case "tcp":
		e.network = "tls"
	case "ws":
		e.network = "wss"
	}
	return e
}

func (e endpoint) String() string { return e.network + "://" + e.address + e.path }

// dial opens the network connection; for ws and wss it makes the WebSocket handshake as well.
func (e endpoint) dial(ctx context.Context, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	switch e.network {
	case "tls":
		return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", e.address)
	case "ws", "wss":
		return e.dialWebSocket(ctx, dialer, config)
	}
	return dialer.DialContext(ctx, e.network, e.address)
}

func (e endpoint) dialWebSocket(ctx context.Context, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	d := websocket.Dialer{
		NetDialContext:  dialer.DialContext,
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: config,
		Subprotocols:    []string{"mqtt"}, // [v5 MQTT-6.0.0-3] [v3.1.1 MQTT-6.0.0-3]
	}
	conn, response, err := d.DialContext(ctx, e.String(), nil)
	if errors.Is(err, websocket.ErrBadHandshake) && response != nil {
		return nil, fmt.Errorf("the server answered the WebSocket handshake with %s", response.Status)
	}
	if err != nil {
		return nil, err
	}
	return &webSocketConn{Conn: conn}, nil
}

// parsePort reads a port and names the flag if it is none.
func parsePort(port int) (string, error) {
	if port < 1 || port > 65535 {
		return "", usagef("-p %d: a port is 1 to 65535", port)
	}
	return strconv.Itoa(port), nil
}
