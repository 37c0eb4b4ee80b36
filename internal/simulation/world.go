package simulation

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/internal/simnet"
	"nightjar/packets"
	"nightjar/store"
	"nightjar/transports"
)

// The numbers of the actors; connections count on from actorLinks.
const (
	actorWorld   = 0
	actorDisk    = 1
	actorClients = 10
	actorLinks   = 100
)

// Faults puts a fault between broker and store, to see whether it is found; nil: none.
type Faults func(d *simnet.Disk) broker.Store

// Result is what came of a run.
type Result struct {
	Err      error
	Hash     uint64
	Steps    int
	Messages int
	Crashes  int
	Elapsed  time.Duration
}

// world is one run.
type world struct {
	*simnet.Scheduler
	rand   *rand.Rand
	faults Faults
	model  *model

	auth     *auth.Auth
	cfg      broker.Config
	network  simnet.Conditions
	ackDelay int           // microseconds
	calm     bool          // connections are left alone
	sharing  bool          // there is a shared subscription, and lasting sessions never end
	pace     time.Duration // how much longer everything takes that clients do

	broker  *broker.Broker
	server  *transports.Server
	disk    *simnet.Disk
	up      bool // the broker runs
	broken  bool // its store has failed
	crashes int

	clients  []*client
	links    []*simnet.Link
	dialed   int
	messages int
	kept     map[string][]kept // what was published with RETAIN, by topic

	healing bool // no more faults
	err     error
}

// kept is a message that was published with RETAIN.
type kept struct {
	m     *message
	clear bool // its payload is empty
}

func (k kept) String() string { return fmt.Sprintf("%v, cleared %t", k.m, k.clear) }

// Run runs the world of a seed. trace, where it is not nil, gets a line for each thing that happens.
func Run(seed uint64, faults Faults, trace func(string)) Result {
	w := &world{Scheduler: simnet.NewScheduler(seed), faults: faults, model: newModel(), kept: map[string][]kept{}}
	w.Trace = trace
	w.rand = w.Rand(actorWorld)
	w.configure()
	w.start(store.NewMemory())
	for _, c := range w.clients {
		c.reconnectLater()
		w.After(time.Duration(w.rand.IntN(50))*time.Millisecond, c.actor(), c.act)
	}
	w.tick()
	w.trouble()
	w.runFor(time.Duration(1000+w.rand.IntN(4000)) * time.Millisecond * w.pace)
	w.heal()
	w.settle()
	w.finish()
	return Result{w.err, w.Hash(), w.Steps(), w.messages, w.crashes, w.Elapsed()}
}

// configure draws what this world is like.
func (w *world) configure() {
	a, err := auth.Open(auth.DefaultConfig())
	w.must(err)
	w.auth = a
	w.cfg = broker.DefaultConfig()
	w.cfg.SysInterval = 0
	lim := &w.cfg.Limits
	lim.InFlight = 1 + w.rand.IntN(20)
	lim.ReceiveMaximum = 1 + w.rand.IntN(20)
	lim.TopicAliases = w.rand.IntN(5)
	lim.OutboxBytes = 4096
	w.network = simnet.Conditions{
		Delay:    time.Duration(1+w.rand.IntN(30_000)) * time.Microsecond,
		Capacity: 64 << w.rand.IntN(8),
		Chunk:    1 << w.rand.IntN(12),
	}
	w.ackDelay = 1 + w.rand.IntN(100_000)
	w.calm = w.chance(w.rand, 5)
	w.sharing = w.chance(w.rand, 4)
	w.pace = 1
	if w.chance(w.rand, 10) {
		w.pace = 10 // for Keep Alive and slow readers; the network is not to be one
		w.network.Chunk, w.network.Capacity = 4<<10, 8<<10
		w.cfg.Limits.SlowTimeout = time.Second
	}
	for i := range 2 + w.rand.IntN(5) {
		c := &client{w: w, number: i, id: fmt.Sprint("c", i), version: packets.V311, durable: !w.chance(w.rand, 4)}
		c.rand = w.Rand(c.actor())
		c.keepAlive = uint16(w.rand.IntN(4) * 5)
		if w.chance(w.rand, 2) {
			c.version = packets.V5
			c.aliasMaximum = uint16(w.rand.IntN(4))
		}
		w.clients = append(w.clients, c)
	}
}

// chance is true one time in n.
func (w *world) chance(r *rand.Rand, n int) bool { return r.IntN(n) == 0 }

// start starts a broker with what the store has.
func (w *world) start(m *store.Memory) {
	w.disk = simnet.NewDisk(w.Scheduler, actorDisk+2*w.crashes, m)
	w.disk.Latency = time.Duration(1+w.rand.IntN(20_000)) * time.Microsecond
	var st broker.Store = w.disk
	if w.faults != nil {
		st = w.faults(w.disk)
	}
	log := slog.New(slog.DiscardHandler)
	listeners := map[string]broker.Listener{"tcp": {AllowAnonymous: true, CertificateUser: "none"}}
	var err error
	w.broker, err = broker.New(w.cfg, w.auth, st, listeners, w.Clock, log)
	w.must(err)
	w.must(w.disk.Load(w.broker.Restore(w.disk.LastSession())))
	w.server, err = transports.New(transports.Config{Loops: -1, Clock: w.Clock, Log: log}, w.broker)
	w.must(err)
	w.broker.Attach(w.server)
	w.disk.Start(w.broker.Gate(), w.broker.Durable)
	w.up, w.broken = true, false
}

// dial opens a connection for a client.
func (w *world) dial(c *client) *simnet.Link {
	most := w.cfg.Limits.InFlight
	if c.receiveMaximum > 0 {
		most = min(most, int(c.receiveMaximum))
	}
	return w.open(c, newInspector(w, c, most))
}

func (w *world) open(peer simnet.Peer, watch simnet.Watcher) *simnet.Link {
	w.dialed++
	l := simnet.NewLink(w.Scheduler, w.server, actorLinks+w.dialed, w.network, peer, watch)
	l.Faulty = w.broken
	w.links = append(w.links, l)
	return l
}

// crash ends the broker, and all that is not durable with it, and starts one again after a while.
func (w *world) crash() {
	if !w.up {
		return
	}
	w.Note(actorWorld, "crash", nil)
	w.up = false
	w.crashes++
	for _, l := range w.links {
		l.Crash()
	}
	w.links = w.links[:0]
	m := w.disk.Crash()
	w.checkStored(m)
	w.After(time.Duration(w.rand.IntN(300))*time.Millisecond, actorWorld, func() {
		w.Note(actorWorld, "restart", nil)
		w.start(m)
	})
}

// trouble has the broker and its store get into trouble now and then.
func (w *world) trouble() {
	if w.healing {
		return
	}
	w.After(time.Duration(w.rand.IntN(1500))*time.Millisecond*w.pace, actorWorld, w.trouble)
	if !w.up || w.broken {
		return
	}
	disk := w.disk
	switch n := w.rand.IntN(10); {
	case n < 3:
		w.crash()
	case n < 4:
		w.broken = true
		w.disk.Break()
		for _, l := range w.links {
			l.Faulty = true
		}
		w.After(time.Duration(w.rand.IntN(500))*time.Millisecond, actorWorld, w.crash)
	case n < 7:
		disk.Stalled = true
		w.After(time.Duration(w.rand.IntN(400))*time.Millisecond, actorWorld, func() { disk.Stalled = false })
	}
}

// tick is what the broker's timers do.
func (w *world) tick() {
	w.After(500*time.Millisecond, actorWorld, w.tick)
	if !w.up {
		return
	}
	live := w.links[:0]
	for _, l := range w.links {
		l.Expire()
		if !l.Over() {
			live = append(live, l)
		}
	}
	clear(w.links[len(live):])
	w.links = live
	w.broker.RunTimers()
	w.disk.Kick(0)
}

// runFor lets so much virtual time pass.
func (w *world) runFor(d time.Duration) {
	end := w.Elapsed() + d
	over := false
	w.After(d, actorWorld, func() { over = true })
	for !over && w.err == nil && w.Elapsed() <= end && w.Step() {
	}
}

func (w *world) must(err error) {
	if err != nil {
		w.fail(err)
	}
}

func (w *world) failf(format string, args ...any) { w.fail(fmt.Errorf(format, args...)) }

// fail ends the run.
func (w *world) fail(err error) {
	if w.err == nil {
		w.err = fmt.Errorf("after %d steps, at %v: %w", w.Steps(), w.Elapsed(), err)
		w.Note(actorWorld, "FAIL "+err.Error(), nil)
	}
}
