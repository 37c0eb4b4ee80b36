package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
	"nightjar/transports"
)

// routesMax is how many topics a worker remembers the receivers of, routeBytesMax is the size of all their names, and
// routedMax is how many receivers in all.
const (
	routesMax     = 16 << 10
	routeBytesMax = 2 << 20
	routedMax     = 1 << 20
)

// worker is the broker's side of a Turn: what one goroutine at a time uses to handle packets,
// without locks. Where it says so, fields are for all.
type worker struct {
	b    *Broker
	id   int
	turn *transports.Turn
	now  packets.Instant

	entered    bool      // in a turn, and through the gate
	work       int       // deliveries in this turn
	subscribes uint64    // SUBSCRIBE packets handled
	kick       kick      // who waits for what the store was given in this turn
	early      []*client // publishers whose answer may leave before the store has committed
	routes     map[string]*route
	routed     int // receivers of all routes
	routeBytes int // of their Topic Names
	matches    topics.Matches[*session]
	merged     map[*session]int // where a session stands among the receivers of the route that is being made
	pub        publication
	publish    packets.Publish // of the packet at hand
	ackPacket  packets.Ack
	properties []byte             // scratch
	expired    []*packets.Message // scratch
	count      tally              // of this turn
	fresh      []*client          // began to wait for the store in this turn

	mu         sync.Mutex
	waiting    []*client // have output that waits for the store; guarded by mu
	hasWaiting atomic.Bool
}

func newWorker(b *Broker, id int) *worker {
	w := &worker{b: b, id: id, routes: map[string]*route{}, merged: map[*session]int{}}
	w.pub.w = w
	return w
}

func (w *worker) begin(t *transports.Turn) {
	w.turn, w.now = t, packets.Instant(t.Now)
	w.b.gate.RLock()
	w.entered, w.work = true, 0
}

// end hands the turn's changes to the store and its counts to the broker.
func (w *worker) end() {
	if !w.entered {
		return
	}
	for i, c := range w.early {
		c.release(w)
		w.early[i] = nil
	}
	w.early = w.early[:0]
	w.entered = false
	if len(w.fresh) > 0 {
		// Before the gate opens: from then on the batch may be safe at any moment, and that is told once.
		w.mu.Lock()
		w.waiting = append(w.waiting, w.fresh...)
		w.hasWaiting.Store(true)
		w.mu.Unlock()
		clear(w.fresh)
		w.fresh = w.fresh[:0]
	}
	w.b.gate.RUnlock()
	if w.kick != kickNobody {
		w.b.store.Kick(w.kick.within())
		w.kick = kickNobody
	}
	w.count[countBytesSent] += w.turn.Written
	w.turn.Written = 0
	w.b.counters.add(&w.count)
}

// put gives the store an operation that nobody waits for.
func (w *worker) put(op sessions.Op) uint64 {
	if w.b.store == nil {
		return 0
	}
	return w.b.store.Append(op)
}

// commit gives the store an operation that somebody waits for, and returns the ticket.
func (w *worker) commit(op sessions.Op) uint64 {
	if w.b.store == nil {
		return 0
	}
	w.kick = kickNow
	return w.b.store.Append(op)
}

// commitSoon is commit for what will probably be struck from the batch.
func (w *worker) commitSoon(op sessions.Op) uint64 {
	w.kick = max(w.kick, kickSoon)
	return w.b.store.Append(op)
}

// kick is how soon the store is asked to commit.
type kick uint8

const (
	kickNobody kick = iota
	kickSoon        // receivers are about to acknowledge: then nothing has to be written
	kickNow
)

// soon is how long a commit waits for receivers to acknowledge.
const soon = 2 * time.Millisecond

func (k kick) within() time.Duration {
	if k == kickSoon {
		return soon
	}
	return 0
}

// durable tells whether a ticket is safe. A ticket of 0 is.
func (w *worker) durable(ticket uint64) bool {
	return ticket == 0 || w.b.store.Durable() >= ticket
}

// release lets out what began to wait in turns of the worker from. hasWaiting stays while the list is out: a commit that is
// done meanwhile may be needed by what goes back into it, and must be told as well.
func (w *worker) release(from *worker) {
	from.mu.Lock()
	list := from.waiting
	from.waiting = nil
	from.mu.Unlock()
	left := list[:0]
	for _, c := range list {
		if c.release(w) {
			left = append(left, c)
		}
	}
	clear(list[len(left):])
	from.mu.Lock()
	from.waiting = append(left, from.waiting...)
	from.hasWaiting.Store(len(from.waiting) > 0)
	from.mu.Unlock()
}
