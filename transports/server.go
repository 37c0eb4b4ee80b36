package transports

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// ErrServerClosed is the cause of Receiver.Closed when the server ends.
var ErrServerClosed = errors.New("server closed")

// Config is how a Server works.
type Config struct {
	// Loops is the number of event loops, 1 and up; 0 takes one for each CPU that Go may use.
	// Below 0, and on systems without epoll, a goroutine for each connection takes their place.
	Loops int
	// Clock returns the time in milliseconds. It must never go back.
	Clock func() int64
	Log   *slog.Logger
}

func (cfg *Config) cpus() int {
	if cfg.Loops < 1 {
		return runtime.GOMAXPROCS(0)
	}
	return cfg.Loops
}

// ListenerConfig describes one listener.
type ListenerConfig struct {
	Name      string
	Network   string           // "tcp" or "unix"
	Address   string           // host:port, or the path of the socket
	TLS       *tls.Config      // nil: no TLS
	WebSocket *WebSocketConfig // nil: MQTT directly
	Proxy     *ProxyConfig     // nil: no PROXY protocol
	// HandshakeTimeout in milliseconds bounds TLS, WebSocket and PROXY handshakes together;
	// 0 is 10,000.
	HandshakeTimeout int64
	// KeepAlive is the silence in seconds after which TCP asks an idle peer whether it is there;
	// 0 is 60, below 0 it never does. A peer that answers nothing for twice as long is gone, and
	// so is, on Linux, one that takes nothing of what is sent for twice as long.
	KeepAlive int
}

// WebSocketConfig is what a WebSocket listener accepts.
type WebSocketConfig struct {
	Path           string   // the one path that is served, "/mqtt"
	AllowedOrigins []string // hosts or scheme://host[:port]; the listener's own host is always allowed; "*": every origin
	HeaderBytes    int      // limit of the request with its headers in bytes; 0 is 8 KiB
}

// ProxyConfig is how a listener takes PROXY protocol headers (version 1 and 2).
type ProxyConfig struct {
	Trusted []netip.Prefix // peers that must send a header; others are refused
}

// Listener accepts connections.
type Listener struct {
	Config ListenerConfig

	ln     net.Listener
	fd     int // of a plain listener on the loops; -1 otherwise
	index  int // among the loops' listeners
	closed atomic.Bool

	refused  atomic.Uint64
	upgrader *upgrader // nil without WebSocket
}

// Refused counts the connections that did not get through their TLS, WebSocket or PROXY
// protocol handshake.
func (ln *Listener) Refused() uint64 { return ln.refused.Load() }

// Addr is the address that the listener is bound to.
func (ln *Listener) Addr() net.Addr { return ln.ln.Addr() }

// Server runs listeners, loops and connections.
type Server struct {
	handler Handler
	clock   func() int64
	base    int64 // the clock at the start, from which deadlines count
	log     *slog.Logger
	loops   []*loop
	turns   *turnPool
	tasks   goroutines
	conns   atomic.Int64
	nets    *netConns
	spare   chan []byte // empty outboxes

	refused    atomic.Uint64 // handshakes of all listeners, also of those that are closed
	handshakes chan struct{} // one token for each TLS handshake that computes
	refusals   *rate.Limiter // of log lines

	mu        sync.Mutex
	listeners []*Listener // guarded by mu
	started   bool        // guarded by mu
}

// New makes a Server. Nothing is accepted before Start. Close frees what it holds.
func New(cfg Config, h Handler) (*Server, error) {
	s := &Server{handler: h, clock: cfg.Clock, base: cfg.Clock(), log: cfg.Log}
	s.spare = make(chan []byte, buffersSpare)
	s.handshakes = make(chan struct{}, handshakesPerCPU*cfg.cpus())
	s.refusals = rate.NewLimiter(refusalsPerSecond, refusalsPerSecond)
	if cfg.Loops >= 0 {
		var err error
		if s.loops, err = newLoops(s, cfg.cpus()); err != nil {
			return nil, err
		}
	}
	s.turns = newTurnPool(s, len(s.loops), cfg.cpus())
	s.nets = newNetConns(s)
	return s, nil
}

// Turns is the number of Turns, and so of the values that Turn.ID takes.
func (s *Server) Turns() int { return len(s.loops) + s.turns.size }

// Connections is the number of open connections.
func (s *Server) Connections() int { return int(s.conns.Load()) }

// Refused counts the connections of all listeners that did not get through their handshake.
func (s *Server) Refused() uint64 { return s.refused.Load() }

// Listen binds a listener. Connections are accepted once the server is started.
func (s *Server) Listen(cfg ListenerConfig) (*Listener, error) {
	nl, err := bind(cfg)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", cfg.Name, err)
	}
	ln := &Listener{Config: cfg, ln: nl, fd: -1}
	if cfg.WebSocket != nil {
		ln.upgrader = newUpgrader(cfg.WebSocket)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, ln)
	if s.started {
		return ln, s.accept(ln)
	}
	return ln, nil
}

// Start begins to accept connections on every listener.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loops {
		s.tasks.start(l.run)
	}
	s.tasks.start(s.nets.watch)
	s.started = true
	for _, ln := range s.listeners {
		if err := s.accept(ln); err != nil {
			return err
		}
	}
	return nil
}

// accept starts accepting on ln: on the loops where they can, by a goroutine otherwise.
func (s *Server) accept(ln *Listener) error {
	if ln.Config.TLS == nil && ln.Config.WebSocket == nil && ln.Config.Proxy == nil && len(s.loops) > 0 {
		return s.acceptOnLoop(ln)
	}
	s.tasks.start(func() { s.acceptNet(ln) })
	return nil
}

// StopListening closes every listener; connections stay.
func (s *Server) StopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.listeners {
		if ln.closed.Swap(true) {
			continue
		}
		if ln.fd >= 0 {
			s.stopAccepting(ln)
		}
		_ = ln.ln.Close()
	}
	s.listeners = nil
}

// Each runs fn for every open connection, in turns of their owners, and returns at once.
func (s *Server) Each(fn func(t *Turn, c *Conn)) {
	for _, l := range s.loops {
		l.each(fn)
	}
	s.nets.each(fn)
}

// Flushed reports whether no connection has output that waits.
func (s *Server) Flushed(ctx context.Context) bool {
	for _, l := range s.loops {
		if !l.flushed(ctx) {
			return false
		}
	}
	return s.nets.flushed()
}

// Close ends everything at once: listeners, connections, loops. It waits for all goroutines.
func (s *Server) Close() {
	s.StopListening()
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	for _, l := range s.loops {
		if l.post(l.stop) && !started {
			l.run()
		}
	}
	s.nets.close()
	s.tasks.wait()
}

// endTurn lets the handler finish its batch and writes what the turn has put out.
func (s *Server) endTurn(t *Turn) {
	s.handler.EndTurn(t)
	t.flush()
}

// closed is told of each connection that has ended.
func (s *Server) closed() { s.conns.Add(-1) }
