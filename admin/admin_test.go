package admin

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"nightjar/broker"
	"nightjar/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a broker in any state.
type fake struct {
	stats      broker.Stats
	ready, err error
}

func (f *fake) Stats() broker.Stats { return f.stats }
func (f *fake) Ready() error        { return f.ready }
func (f *fake) Err() error          { return f.err }

// served serves a broker, and returns a function that asks for a path.
func served(t *testing.T, b Broker, stats func() store.Stats) func(method, path string) (int, string) {
	t.Helper()
	s, err := Listen(Config{Address: "127.0.0.1:0", Version: "v1", Log: slog.New(slog.DiscardHandler)}, b, stats)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	return func(method, path string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
}

func TestHealth(t *testing.T) {
	b := &fake{stats: broker.Stats{Durability: "strict", UptimeSeconds: 1.5, Connections: 2}}
	get := served(t, b, nil)
	want := func(path string, status int, body string) {
		t.Helper()
		if gotStatus, got := get("GET", path); gotStatus != status || strings.TrimSpace(got) != body {
			t.Errorf("%s: got %d %s", path, gotStatus, got)
		}
	}
	want("/healthz", 200, `{"status":"ok","durability":"strict","uptime_seconds":1.5,"version":"v1","connections":2}`)
	want("/readyz", 200, `{"ready":true}`)
	b.ready = errors.New("stopping")
	want("/healthz", 200, `{"status":"ok","durability":"strict","uptime_seconds":1.5,"version":"v1","connections":2}`)
	want("/readyz", 503, `{"ready":false,"reason":"stopping"}`)
	b.err = errors.New("disk")
	want("/healthz", 503, `{"status":"failed","error":"disk","durability":"strict","uptime_seconds":1.5,"version":"v1","connections":2}`)
}

func TestOnlyThesePaths(t *testing.T) {
	get := served(t, &fake{}, nil)
	for _, path := range []string{"/", "/metrics/", "/debug/pprof/", "/healthz/x", "/../metrics2"} {
		if status, _ := get("GET", path); status != 404 {
			t.Errorf("%s: got %d", path, status)
		}
	}
	if status, _ := get("POST", "/metrics"); status != 405 {
		t.Errorf("POST: got %d", status)
	}
	for _, want := range []string{"go_goroutines ", "process_start_time_seconds ", "nightjar_connections "} {
		if _, body := get("GET", "/metrics"); !strings.Contains(body, "\n"+want) {
			t.Errorf("no %q", want)
		}
	}
}

// TestMetrics proves that the numbers are the right ones, that all have help, and that names are as Prometheus wants them.
func TestMetrics(t *testing.T) {
	b := &fake{stats: broker.Stats{
		Version: "v1", Durability: "strict", Connections: 3, RetainedBytes: 9, MessagesSent: 5,
		Dropped: map[string]uint64{"expired": 2, "queue_full": 0},
	}}
	stats := func() store.Stats { return store.Stats{Commits: 4, TotalCommit: 1500 * time.Millisecond, Pending: 7} }
	_, body := served(t, b, stats)("GET", "/metrics")
	want := `
# HELP nightjar_connections Open network connections.
# TYPE nightjar_connections gauge
nightjar_connections 3
# HELP nightjar_info Always 1; the labels say which version runs, and what an acknowledgement survives.
# TYPE nightjar_info gauge
nightjar_info{durability="strict",version="v1"} 1
# HELP nightjar_messages_dropped_total Messages that did not reach somebody, by reason.
# TYPE nightjar_messages_dropped_total counter
nightjar_messages_dropped_total{reason="expired"} 2
nightjar_messages_dropped_total{reason="queue_full"} 0
# HELP nightjar_messages_sent_total Messages sent to subscribers, once for each.
# TYPE nightjar_messages_sent_total counter
nightjar_messages_sent_total 5
# HELP nightjar_ready 1 while clients are served, 0 while the broker ends or after its store has failed.
# TYPE nightjar_ready gauge
nightjar_ready 1
# HELP nightjar_store_commit_seconds_total Time that all transactions took together, with fsync where durability asks for it.
# TYPE nightjar_store_commit_seconds_total counter
nightjar_store_commit_seconds_total 1.5
# HELP nightjar_store_pending_operations Operations that are not durable yet; acknowledgements wait for them.
# TYPE nightjar_store_pending_operations gauge
nightjar_store_pending_operations 7
`
	for line := range strings.SplitSeq(strings.TrimSpace(want), "\n") {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("no %q", line)
		}
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(&collector{b, stats})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if want := len(brokerMetrics) + len(storeMetrics) + 3; len(families) != want {
		t.Errorf("got %d metrics, want %d", len(families), want)
	}
	for _, f := range families {
		isCounter := f.GetType().String() == "COUNTER"
		if !strings.HasPrefix(f.GetName(), "nightjar_") || f.GetHelp() == "" || isCounter != strings.HasSuffix(f.GetName(), "_total") {
			t.Errorf("%s %s %q", f.GetName(), f.GetType(), f.GetHelp())
		}
	}
}

// TestMetricsAreDocumented proves that docs/monitoring.md has every metric with its help.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/monitoring.md")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(&collector{&fake{}, func() store.Stats { return store.Stats{} }})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		name, help := "| `"+f.GetName(), " | "+f.GetHelp()+" |"
		if !strings.Contains(string(page), name) || !strings.Contains(string(page), help) {
			t.Errorf("docs/monitoring.md lacks %s`%s", name, help)
		}
	}
}
