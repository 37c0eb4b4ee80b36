package simulation

import (
	"time"

	"nightjar/internal/simnet"
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/store"
)

// heal ends all faults.
func (w *world) heal() {
	if w.err != nil {
		return
	}
	w.Note(actorWorld, "heal", nil)
	w.healing = true
	w.network = simnet.Conditions{Delay: time.Millisecond, Capacity: 64 << 10, Chunk: 4 << 10}
	w.disk.Stalled = false
	if w.broken {
		w.crash()
	}
	for _, c := range w.clients {
		if c.link != nil {
			c.link.Slow(false)
		}
	}
	for _, l := range w.links {
		l.Improve(w.network)
		if l.Stray() {
			l.Cut()
		}
	}
}

// settle waits until everybody has what is owed.
func (w *world) settle() {
	const patience = 5 * time.Minute
	for end := w.Elapsed() + patience; w.err == nil && !w.settled(); w.runFor(50 * time.Millisecond) {
		if w.Elapsed() < end {
			continue
		}
		if m, c := w.model.missing(w.clients); m != nil {
			w.failf("message %v never reaches %s", m, c.id)
		}
		for _, c := range w.clients {
			if !c.settled() {
				w.failf("%s: connected %t, with %d messages and %d requests to be answered, %d to be released",
					c.id, c.connected, len(c.out), len(c.requests), len(c.arrived))
			}
		}
		w.failf("messages are left in the store: %v", newInventory(w.disk.Memory).rows)
	}
	w.runFor(time.Second) // nothing more must come
}

func (w *world) settled() bool {
	for _, c := range w.clients {
		if !c.settled() {
			return false
		}
	}
	if m, _ := w.model.missing(w.clients); m != nil {
		return false
	}
	w.disk.Kick(0)
	return len(newInventory(w.disk.Memory).rows) == 0
}

// finish checks what is left in the end.
func (w *world) finish() {
	if w.err != nil {
		return
	}
	w.checkRetained()
	w.disk.Kick(0)
	w.runFor(time.Second)
	if w.err != nil {
		return
	}
	left := newInventory(w.disk.Memory)
	if left.held > 0 {
		w.failf("%d packet identifiers are left in the store", left.held)
	}
	lasting, wills := 0, 0
	for _, c := range w.clients {
		if c.lasting {
			lasting++
		}
		if c.will != nil {
			wills++
		}
	}
	if left.sessions != lasting || left.wills != wills {
		w.failf("%d sessions and %d wills are in the store, want %d and %d", left.sessions, left.wills, lasting, wills)
	}
}

// checkStored looks in the store, after a crash, for every message that is owed to a session and has been acknowledged.
func (w *world) checkStored(m *store.Memory) {
	stored := newInventory(m)
	for _, m := range w.model.all {
		if !m.acked || m.will || m.waits() == 0 {
			continue
		}
		shared := false
		for _, c := range w.clients {
			found := stored.rows[row{c.id, m.name}]
			shared = shared || found
			if c.lasting && !m.group && m.waits()&c.bit() != 0 && !found {
				w.failf("message %v for %s is not in the store after a crash", m, c.id)
			}
		}
		if m.group && !shared {
			w.failf("message %v for a shared subscription is not in the store after a crash", m)
		}
	}
}

// inventory is what a store holds. It implements store.Loader.
type inventory struct {
	names    map[uint64]string // of sessions
	rows     map[row]bool
	sessions int
	held     int
	wills    int
}

// row is a message in the queue of a client.
type row struct{ clientID, message string }

func newInventory(m *store.Memory) *inventory {
	v := &inventory{names: map[uint64]string{}, rows: map[row]bool{}}
	_ = m.Load(v) // which never fails
	return v
}

// Session implements store.Loader.
func (v *inventory) Session(id uint64, r sessions.Record) error {
	v.sessions++
	v.names[id] = r.ClientID
	return nil
}

// Subscription implements store.Loader.
func (v *inventory) Subscription(uint64, sessions.Subscription) error { return nil }

// Row implements store.Loader.
func (v *inventory) Row(r *sessions.Row) error {
	v.rows[row{v.names[r.Session], nameOf(r.Stored.Message.Payload)}] = true
	return nil
}

// Held implements store.Loader.
func (v *inventory) Held(uint64, uint16) error {
	v.held++
	return nil
}

// Will implements store.Loader.
func (v *inventory) Will(sessions.Will) error {
	v.wills++
	return nil
}

// Retained implements store.Loader.
func (v *inventory) Retained(*packets.Message) error { return nil }

// checkRetained subscribes once more, and compares what is retained with what was published last.
func (w *world) checkRetained() {
	c := &client{
		w: w, number: len(w.clients), id: "collector", version: packets.V5, rand: w.Rand(actorClients + len(w.clients)),
	}
	c.retained = map[string]string{}
	c.connect()
	w.runFor(2 * time.Second)
	if w.err != nil {
		return
	}
	if !c.connected {
		w.failf("the collector is not connected")
		return
	}
	c.filters["r/#"] = &filter{}
	c.send(&packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: []byte("r/#")}}})
	c.requests[1] = &request{filter: "r/#", subscribe: true}
	w.runFor(2 * time.Second)
	for _, p := range w.clients {
		topic := "r/" + p.id
		got, list := c.retained[topic], w.kept[topic]
		ok := got == ""
		for i := len(list) - 1; i >= 0; i-- {
			k := list[i]
			if ok = k.clear && got == "" || !k.clear && got == k.m.name; ok || k.m.acked {
				break
			}
			ok = got == "" // for the case that none of the others has arrived
		}
		if !ok {
			w.failf("%q is retained on %q, which is not what was published last: %v", got, topic, list)
		}
	}
}
