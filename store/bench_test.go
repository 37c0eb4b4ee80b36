package store

import (
	"fmt"
	"testing"
)

// BenchmarkCommit commits batches of so many messages of 200 bytes, each with one row in a queue (two rows of the
// database), and waits for each batch.
func BenchmarkCommit(b *testing.B) {
	for _, mode := range []Mode{Strict, Relaxed} {
		for _, messages := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("%v/%d", mode, messages), func(b *testing.B) {
				cfg := testConfig(b)
				cfg.Mode = mode
				s := mustOpen(b, cfg)
				durable := make(chan error, 1)
				s.Start(nil, func(_ uint64, err error) { durable <- err })
				seq := uint64(0)
				for b.Loop() {
					for range messages {
						seq++
						s.Append(message(1, seq, 200))
					}
					s.Kick(0)
					if err := <-durable; err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "messages/s")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
				mustClose(b, s)
			})
		}
	}
}

// BenchmarkAppend measures what the broker pays.
func BenchmarkAppend(b *testing.B) {
	s := mustOpen(b, testConfig(b))
	op := message(1, 1, 200)
	b.ReportAllocs()
	for b.Loop() {
		s.Append(op)
		if len(s.open) == 1000 {
			s.open = s.open[:0]
		}
	}
}
