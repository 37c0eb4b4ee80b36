package simulation

import (
	"flag"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"nightjar/broker"
	"nightjar/internal/simnet"
	"nightjar/sessions"
)

var (
	seeds = flag.Int("seeds", 3000, "how many seeds to run")
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

// A seed is a run: all that happens, happens again at the same time, whatever the order of maps and the number of CPUs.
func TestSimulation_deterministic(t *testing.T) {
	for n := range uint64(30) {
		var lines []string
		a := Run(n, nil, func(line string) { // the broker serves whom it likes first within one turn
			if !strings.Contains(line, arrowOut) {
				lines = append(lines, line)
			}
		})
		procs := runtime.GOMAXPROCS(1 + int(n%3))
		i := 0
		b := Run(n, nil, func(line string) {
			if strings.Contains(line, arrowOut) {
				return
			}
			if i < len(lines) && lines[i] != line && !t.Failed() {
				t.Errorf("seed %d: line %d differs:\n%s\n%s", n, i, lines[i], line)
			}
			i++
		})
		runtime.GOMAXPROCS(procs)
		if a.Hash != b.Hash || a.Steps != b.Steps || i != len(lines) {
			t.Fatalf("seed %d: %d lines, %+v; then %d, %+v", n, len(lines), a, i, b)
		}
	}
}

// faulty is a store between the broker and the real one, which can change what passes.
type faulty struct {
	*simnet.Disk
	keep func(op *sessions.Op) bool
	lie  bool
}

func (f faulty) Append(op sessions.Op) uint64 {
	if f.keep != nil && !f.keep(&op) {
		return f.Disk.Durable() + 1
	}
	return f.Disk.Append(op)
}

func (f faulty) Durable() uint64 {
	if f.lie {
		return math.MaxUint64
	}
	return f.Disk.Durable()
}

// without makes a store that loses operations of these kinds.
func without(kinds ...sessions.Kind) Faults {
	return func(d *simnet.Disk) broker.Store {
		return faulty{Disk: d, keep: func(op *sessions.Op) bool { return !slices.Contains(kinds, op.Kind) }}
	}
}

// The simulation finds what it is there for.
func TestSimulation_findsFaults(t *testing.T) {
	for _, x := range []struct {
		name   string
		faults Faults
	}{
		{"durable is told before the commit", func(d *simnet.Disk) broker.Store { return faulty{Disk: d, lie: true} }},
		{"no message is stored", without(sessions.Publish)},
		{"acknowledged messages stay", without(sessions.Done)},
		{"no session is stored", without(sessions.PutSession)},
		{"ended sessions stay", without(sessions.DeleteSession)},
		{"no subscription is stored", without(sessions.PutSubscription)},
		{"identifiers in flight are not stored", without(sessions.Sent)},
		{"PUBREC is not stored", without(sessions.Released)},
		{"identifiers of QoS 2 messages are not stored", without(sessions.HoldPacketID)},
		{"identifiers of QoS 2 messages stay", without(sessions.FreePacketID)},
		{"wills are not stored", without(sessions.PutWill)},
		{"wills stay", without(sessions.DeleteWill)},
		{"retained messages are not stored", without(sessions.PutRetained)},
		{"cleared retained messages stay", without(sessions.DeleteRetained)},
	} {
		t.Run(x.name, func(t *testing.T) {
			for n := range uint64(300) {
				if r := Run(n, x.faults, nil); r.Err != nil {
					if again := Run(n, x.faults, nil); again.Hash != r.Hash || again.Err.Error() != r.Err.Error() {
						t.Errorf("seed %d: %v; then %v", n, r.Err, again.Err)
					}
					t.Logf("seed %d: %v", n, r.Err)
					return
				}
			}
			t.Error("not found")
		})
	}
}
