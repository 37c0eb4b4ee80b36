package faultlab_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"nightjar/internal/faultlab"
	"nightjar/packets"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random choices; 0: another one each time")
	killsFlag = flag.Int("kills", 50, "how often TestKill9 kills the broker")
)

func TestMain(m *testing.M) {
	code := m.Run()
	faultlab.RemoveBinary()
	os.Exit(code)
}

// run is one run of TestKill9.
type run struct {
	test        *testing.T
	seed        uint64
	address     string
	data        string
	journal     *faultlab.Journal
	publishers  []*faultlab.Client
	subscribers []*faultlab.Client // some publishers are among them
	broker      *faultlab.Broker
	slowest     time.Duration // start of the broker
}

const (
	publishersCount  = 8
	subscribersCount = 8
	publishEvery     = 2 * time.Millisecond // for each publisher: at most that often
	cycleMax         = 350 * time.Millisecond
	drainTimeout     = 20 * time.Second
)

// TestKill9 kills the broker at random instants under QoS 1 and 2 traffic and starts it again on the same
// folder, over and over. Clients keep their sessions and send again what was not acknowledged. In the end everything
// that was acknowledged must have been received, QoS 2 once, in order, and by those too that were offline.
func TestKill9(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d: go test ./internal/faultlab -run TestKill9 -seed %d", seed, seed)
	r := newRun(t, seed)
	r.start()
	ctx, cancel := context.WithCancel(t.Context())
	var traffic sync.WaitGroup
	for i, c := range r.publishers {
		traffic.Go(func() { r.publish(ctx, c, r.random(i)) })
	}
	for i, c := range r.subscribers {
		if i%2 == 1 {
			traffic.Go(func() { r.comeAndGo(ctx, c, r.random(100+i)) })
		} else {
			c.Online()
		}
	}
	random := r.random(1000)
	for range *killsFlag {
		select {
		case <-time.After(time.Duration(random.Int64N(int64(cycleMax)))):
		case <-r.broker.Exited():
			t.Fatalf("the broker ended by itself\n%s", r.broker.Log())
		}
		r.must(r.broker.Kill())
		r.start()
	}
	cancel()
	traffic.Wait()
	r.drain()
	report := faultlab.Check(r.journal.Events())
	t.Logf("%d kills, slowest start %v, %v", *killsFlag, r.slowest.Round(time.Millisecond), report)
	if report.Faults() > 0 {
		t.Errorf("%d faults; the broker's log of its last life:\n%s", report.Faults(), r.broker.Log())
	}
	if report.AckedCount < *killsFlag*10 {
		t.Errorf("only %d messages were acknowledged: this proves nothing", report.AckedCount)
	}
}

func newRun(t *testing.T, seed uint64) *run {
	t.Helper()
	// On a slow machine a subscriber that stalls falls far behind.
	t.Setenv("NIGHTJAR_LIMITS__QUEUE_MESSAGES", "1000000")
	t.Setenv("NIGHTJAR_LIMITS__QUEUE_BYTES", "1GiB")
	r := &run{test: t, seed: seed, data: t.TempDir(), journal: &faultlab.Journal{}}
	var err error
	r.address, err = faultlab.FreeAddress()
	r.must(err)
	versions := []packets.Version{packets.V311, packets.V5}
	for i := range publishersCount {
		subscribes := i < 2
		c := faultlab.NewClient(fmt.Sprintf("pub-%d", i), versions[i/2%2], r.address, r.journal, subscribes)
		r.publishers = append(r.publishers, c)
	}
	r.subscribers = append(r.subscribers, r.publishers[0])
	for i := range subscribersCount - 1 {
		c := faultlab.NewClient(fmt.Sprintf("sub-%d", i), versions[i/2%2], r.address, r.journal, true)
		r.subscribers = append(r.subscribers, c)
	}
	t.Cleanup(func() {
		for _, c := range append(r.publishers, r.subscribers...) {
			c.Offline(false)
		}
		if r.broker != nil {
			_ = r.broker.Kill()
		}
	})
	return r
}

func (r *run) must(err error) {
	r.test.Helper()
	if err != nil {
		r.test.Fatal(err)
	}
}

// random is the generator of one actor.
func (r *run) random(actor int) *rand.Rand { return rand.New(rand.NewPCG(r.seed, uint64(actor))) }

func (r *run) start() {
	r.test.Helper()
	begin := time.Now()
	var err error
	r.broker, err = faultlab.Start("--listen", "tcp://"+r.address, "--admin", "off", "--data", r.data)
	r.must(err)
	r.slowest = max(r.slowest, time.Since(begin))
}

// publish sends messages at both QoS, mixed, as fast as the broker acknowledges but with a breath between them.
func (r *run) publish(ctx context.Context, c *faultlab.Client, random *rand.Rand) {
	if c != r.publishers[0] { // that one is a subscriber too
		c.Online()
	}
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		c.Publish(packets.QoS(1 + random.IntN(2)))
		<-tick.C
	}
}

// comeAndGo has a subscriber offline and online by turns, and now and then it stops reading before it leaves. It
// subscribes when it first comes.
func (r *run) comeAndGo(ctx context.Context, c *faultlab.Client, random *rand.Rand) {
	pause := func() {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(5+random.IntN(250)) * time.Millisecond):
		}
	}
	for ctx.Err() == nil {
		pause()
		c.Online()
		pause()
		if random.IntN(2) == 0 {
			c.Stall()
			pause()
		}
		c.Offline(random.IntN(2) == 0)
	}
}

// drain brings everybody online, and waits until all that is owed has come and nothing more is on its way.
func (r *run) drain() {
	ctx, cancel := context.WithTimeout(r.test.Context(), drainTimeout)
	defer cancel()
	everybody := append(r.publishers, r.subscribers[1:]...)
	for i, c := range r.subscribers {
		if i%2 == 1 {
			c.Online()
		}
	}
	for !r.drained(everybody) {
		select {
		case <-ctx.Done():
			r.test.Errorf("not all has come in %v", drainTimeout)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, c := range everybody {
		r.must(c.Ping(ctx))
	}
}

func (r *run) drained(everybody []*faultlab.Client) bool {
	for _, c := range everybody {
		if !c.Idle() {
			return false
		}
	}
	return len(faultlab.Check(r.journal.Events()).Lost) == 0
}
