package simulation

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seeds = flag.Int("seeds", 2000, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first seed")
	seed  = flag.Uint64("seed", 0, "run this seed alone, with its trace")
)

// Nothing that was promised is broken, whatever the network and the store do.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		if r := Run(*seed, nil, func(line string) { t.Log(line) }); r.Err != nil {
			t.Fatalf("seed %d: %v", *seed, r.Err)
		}
		return
	}
	var next, failed atomic.Uint64
	var steps, messages, crashes, seconds atomic.Int64
	next.Store(*first)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for failed.Load() < 5 {
				n := next.Add(1) - 1
				if n >= *first+uint64(*seeds) {
					return
				}
				r := Run(n, nil, nil)
				steps.Add(int64(r.Steps))
				messages.Add(int64(r.Messages))
				crashes.Add(int64(r.Crashes))
				seconds.Add(int64(r.Elapsed.Seconds()))
				if r.Err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\n%s\nrun it again: go test ./internal/simulation -v -run TestSimulation -seed %d",
						n, r.Err, lastLines(n, nil), n)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds: %d steps, %d messages, %d crashes, %d s of virtual time",
		*seeds, steps.Load(), messages.Load(), crashes.Load(), seconds.Load())
}

// lastLines runs a seed again and returns the end of its trace.
func lastLines(n uint64, faults Faults) string {
	const most = 40
	var lines []string
	Run(n, faults, func(line string) {
		if lines = append(lines, line); len(lines) > 2*most {
			lines = append(lines[:0], lines[most:]...)
		}
	})
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}
