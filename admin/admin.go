package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"nightjar/broker"
	"nightjar/store"
)

// Bounds of one request. The answers are small and the clients are few.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	headerBytesMax = 16 << 10
)

// Broker is what is shown.
type Broker interface {
	Stats() broker.Stats
	// Ready is nil, or why clients are not served.
	Ready() error
	// Err is why the store has failed, or nil.
	Err() error
}

// Config is how a Server works.
type Config struct {
	Address string // host:port
	Version string
	Log     *slog.Logger
}

// Server is the HTTP server.
type Server struct {
	cfg      Config
	broker   Broker
	listener net.Listener
	http     http.Server
	started  bool
	done     chan struct{} // closed when serving has ended
}

// Listen binds the address. stats is nil where nothing is stored. Close frees what it holds.
func Listen(cfg Config, b Broker, stats func() store.Stats) (*Server, error) {
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("admin server: %w", err)
	}
	s := &Server{cfg: cfg, broker: b, listener: ln, done: make(chan struct{})}
	s.http = http.Server{
		Handler:           s.routes(stats),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout,
		WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytesMax,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr is the address that it is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Start begins to serve.
func (s *Server) Start() {
	s.started = true
	s.goroutine(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			s.cfg.Log.Error("admin server ended", "error", err)
		}
	})
}

// Close ends it at once, and waits for it. It is called after Start, if that is called at all.
func (s *Server) Close() {
	if !s.started {
		_ = s.listener.Close()
		return
	}
	_ = s.http.Close() // and with it the listener
	<-s.done
}

// routes are all paths that there are; others are 404, and other methods than GET and HEAD 405.
func (s *Server) routes(stats func() store.Stats) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics(s.broker, stats, s.cfg.Log))
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}
