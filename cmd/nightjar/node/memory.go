package node

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	quietTick    = 500 * time.Millisecond
	quietPackets = 500     // received or sent in a tick, at which the broker counts as quiet
	givingShare  = 200     // giving may take one part in so many of the time
	givingBytes  = 4 << 20 // the least that is worth it
	heapGrowth   = 4       // a quarter more heap than last time is worth it too
	gcPercent    = 100
)

// giveMemoryBack returns the memory that a storm of connections or messages has left behind to the system, once the
// broker is quiet. Without this the Go runtime would keep the garbage of ten thousand CONNECTs until the next
// collection, which an idle fleet never causes.
func (n *Node) giveMemoryBack() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	tick := time.NewTicker(quietTick)
	defer tick.Stop()
	var m memory
	work := n.work()
	for {
		select {
		case <-n.done:
			return
		case now := <-tick.C:
			before := work
			work = n.work()
			m.read()
			if work-before <= quietPackets && m.worthGiving(now) {
				debug.FreeOSMemory()
				m.given(now, time.Since(now))
			}
		}
	}
}

// work counts what the broker has had to do.
func (n *Node) work() uint64 {
	s := n.broker.Stats()
	return s.PacketsReceived + s.MessagesSent + s.ConnectionsOpened
}

// memory decides when to give memory back. Sizes are in bytes.
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

func (m *memory) worthGiving(now time.Time) bool {
	return now.After(m.last.next) && (m.spare >= givingBytes || m.heap > m.last.heap+m.last.heap/heapGrowth)
}

func (m *memory) given(now time.Time, took time.Duration) {
	m.read()
	m.last.heap, m.last.next = m.heap, now.Add(took*givingShare)
}
