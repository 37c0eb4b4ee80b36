package admin

import (
	"encoding/json"
	"net/http"
)

// health is the answer of /healthz.
type health struct {
	Status        string  `json:"status"` // ok, or failed
	Error         string  `json:"error,omitempty"`
	Durability    string  `json:"durability"`
	UptimeSeconds float64 `json:"uptime_seconds"`
	Version       string  `json:"version"`
	Connections   int     `json:"connections"`
}

// healthz tells whether the process is worth keeping: 503 says that only a restart helps.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	stats := s.broker.Stats()
	h := health{
		Status: "ok", Durability: stats.Durability, UptimeSeconds: stats.UptimeSeconds, Version: s.cfg.Version,
		Connections: stats.Connections,
	}
	status := http.StatusOK
	if err := s.broker.Err(); err != nil {
		h.Status, h.Error, status = "failed", err.Error(), http.StatusServiceUnavailable
	}
	answer(w, status, h)
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
}

// readyz tells whether clients should be sent here: 503 while the broker ends, or after its store has failed.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := s.broker.Ready(); err != nil {
		answer(w, http.StatusServiceUnavailable, readiness{Reason: err.Error()})
		return
	}
	answer(w, http.StatusOK, readiness{Ready: true})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the peer has gone
}
