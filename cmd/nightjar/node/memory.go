package node

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	watchTick    = 50 * time.Millisecond  // after work
	idleTick     = 500 * time.Millisecond // after none
	quietPackets = 2000                   // received or sent in a second, up to which the broker counts as quiet
	givingShare  = 20                     // giving takes at most one part in so many of the time
	givingBytes  = 4 << 20                // the least that is worth it
	heapGrowth   = 4                      // a quarter more heap than last time is worth it too
	gcPercent    = 100
)

// giveMemoryBack returns the memory that a storm of connections or messages has left behind to the system, once the
// broker is quiet. Without this the Go runtime would keep the garbage of ten thousand CONNECTs until the next
// collection, which an idle fleet never causes.
func (n *Node) giveMemoryBack() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	timer := time.NewTimer(watchTick)
	defer timer.Stop()
	var m memory
	work, then := n.work(), time.Now()
	for {
		select {
		case <-n.done:
			return
		case <-timer.C:
		}
		now, before := time.Now(), work
		work = n.work()
		if float64(work-before) > quietPackets*now.Sub(then).Seconds() {
			timer.Reset(watchTick)
		} else {
			m.give(now)
			timer.Reset(idleTick)
		}
		then = now
	}
}

// work counts what the broker has had to do.
func (n *Node) work() uint64 {
	s := n.broker.Stats()
	return s.PacketsReceived + s.MessagesSent + s.ConnectionsOpened
}

// memory knows when to give memory back. Sizes are in bytes.
type memory struct {
	heap  uint64 // objects, dead ones included
	spare uint64 // held by the runtime, and of no use to it
	last  struct {
		heap uint64    // after giving
		next time.Time // not before
	}
	samples [2]metrics.Sample
}

func (m *memory) read() {
	m.samples[0].Name, m.samples[1].Name = "/memory/classes/heap/objects:bytes", "/memory/classes/heap/free:bytes"
	metrics.Read(m.samples[:])
	m.heap, m.spare = m.samples[0].Value.Uint64(), m.samples[1].Value.Uint64()
}

// give gives memory back if it is worth it, and not too soon after the last time.
func (m *memory) give(now time.Time) {
	m.read()
	if now.Before(m.last.next) || m.spare < givingBytes && m.heap <= m.last.heap+m.last.heap/heapGrowth {
		return
	}
	debug.FreeOSMemory()
	m.read()
	m.last.heap, m.last.next = m.heap, now.Add(time.Since(now)*givingShare)
}
