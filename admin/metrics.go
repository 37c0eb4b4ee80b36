package admin

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nightjar/broker"
	"nightjar/store"
)

// scrapesMax is how many requests for metrics are answered at a time.
const scrapesMax = 4

// metrics serves the numbers of the broker, its store, the process and the Go runtime.
func metrics(b Broker, stats func() store.Stats, log *slog.Logger) http.Handler {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{b, stats},
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesMax,
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.HTTPErrorOnError,
	})
}

// collector reads the counters that the broker keeps anyway, when it is asked.
type collector struct {
	broker Broker
	store  func() store.Stats // nil: nothing is stored
}

// metric is one number of T.
type metric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(s *T) float64
}

func counter[T any](name, help string, of func(s *T) float64) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, of}
}

func gauge[T any](name, help string, of func(s *T) float64) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, of}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- infoDesc
	ch <- readyDesc
	ch <- droppedDesc
	for _, m := range brokerMetrics {
		ch <- m.desc
	}
	if c.store != nil {
		for _, m := range storeMetrics {
			ch <- m.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.broker.Stats()
	ch <- prometheus.MustNewConstMetric(infoDesc, prometheus.GaugeValue, 1, s.Version, s.Durability)
	ready := 1.0
	if c.broker.Ready() != nil {
		ready = 0
	}
	ch <- prometheus.MustNewConstMetric(readyDesc, prometheus.GaugeValue, ready)
	for reason, n := range s.Dropped {
		ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), reason)
	}
	send(ch, brokerMetrics, &s)
	if c.store != nil {
		s := c.store()
		send(ch, storeMetrics, &s)
	}
}

func send[T any](ch chan<- prometheus.Metric, list []metric[T], s *T) {
	for _, m := range list {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
}

// With labels, all of which are few and our own.
var (
	infoDesc = prometheus.NewDesc("nightjar_info", "Always 1; the labels say which version runs, and what an acknowledgement survives.",
		[]string{"version", "durability"}, nil)
	readyDesc   = prometheus.NewDesc("nightjar_ready", "1 while clients are served, 0 while the broker ends or after its store has failed.", nil, nil)
	droppedDesc = prometheus.NewDesc("nightjar_messages_dropped_total", "Messages that did not reach somebody, by reason.", []string{"reason"}, nil)
)

type brokerStats = broker.Stats
