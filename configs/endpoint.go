package configs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Endpoint is what the URL of a listener says.
type Endpoint struct {
	Scheme string // tcp, tls, ws, wss or unix
	Host   string // empty: every address of the machine
	Port   int    // 0: any that is free
	Path   string // of a WebSocket as the URL has it; of a Unix socket
}

// schemes are those of listeners with their ports.
var schemes = map[string]int{"tcp": 1883, "tls": 8883, "ws": 8083, "wss": 8084, "unix": 0}

// ParseURL reads the URL of a listener. Where it has no port, it is the usual one of its scheme.
func ParseURL(text string) (Endpoint, error) {
	scheme, rest, found := strings.Cut(text, "://")
	port, known := schemes[scheme]
	switch {
	case !found:
		return Endpoint{}, fmt.Errorf("%q has no scheme; write tcp://%s, or tls://, ws://, wss://, unix:///path", text, text)
	case !known && (scheme == "mqtt" || scheme == "mqtts" || scheme == "ssl" || scheme == "http" || scheme == "https"):
		ours := map[string]string{"mqtt": "tcp", "mqtts": "tls", "ssl": "tls", "http": "ws", "https": "wss"}[scheme]
		return Endpoint{}, fmt.Errorf("%s:// is not a scheme here (did you mean \"%s://\"?)", scheme, ours)
	case !known:
		return Endpoint{}, fmt.Errorf("%s:// is not a scheme here; use tcp://, tls://, ws://, wss:// or unix:///path", scheme)
	case scheme == "unix":
		if !strings.HasPrefix(rest, "/") {
			return Endpoint{}, errors.New("a Unix socket needs its whole path: unix:///run/nightjar.sock")
		}
		return Endpoint{Scheme: scheme, Path: rest}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Endpoint{}, fmt.Errorf("is not a URL; write %s://host:%d", scheme, port)
	}
	e := Endpoint{Scheme: scheme, Host: u.Hostname(), Port: port, Path: u.Path}
	if p := u.Port(); p != "" {
		if e.Port, err = strconv.Atoi(p); err != nil || e.Port > 65_535 {
			return Endpoint{}, fmt.Errorf("port %s is not between 0 and 65535", p)
		}
	}
	switch {
	case u.User != nil:
		return Endpoint{}, errors.New("holds a user name or password; a listener has none: take it out, and see auth.password_file")
	case u.RawQuery != "" || u.Fragment != "":
		return Endpoint{}, errors.New("has a query or fragment; take it out")
	case !e.websocket() && strings.Trim(u.Path, "/") != "":
		return Endpoint{}, fmt.Errorf("has the path %q, which only ws:// and wss:// have; take it out", u.Path)
	}
	return e, nil
}

// Address is what to bind: host:port, or the path of a Unix socket.
func (e Endpoint) Address() string {
	if e.Scheme == "unix" {
		return e.Path
	}
	return net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
}

func (e Endpoint) websocket() bool { return e.Scheme == "ws" || e.Scheme == "wss" }

func (e Endpoint) tls() bool { return e.Scheme == "tls" || e.Scheme == "wss" }

// local tells whether only this machine can connect.
func (e Endpoint) local() bool { return e.Scheme == "unix" || loopback(e.Host) }

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// wildcard tells whether the host stands for every address of the machine.
func wildcard(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "" || err == nil && addr.IsUnspecified()
}

// collides tells whether two endpoints cannot both be bound.
func (e Endpoint) collides(other Endpoint) bool {
	if e.Scheme == "unix" || other.Scheme == "unix" {
		return e.Scheme == other.Scheme && e.Path == other.Path
	}
	return e.Port != 0 && e.Port == other.Port && (e.Host == other.Host || wildcard(e.Host) || wildcard(other.Host))
}
