package broker

import (
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/transports"
)

// pending is output that may only leave once the store has made something safe, in order.
// It is guarded by the outbox of its connection (Conn.Begin and End).
type pending struct {
	buf   []byte
	marks []mark
}

// mark says that buf up to end waits for a ticket.
type mark struct {
	ticket uint64
	end    int
	credit int32 // messages from the client that are acknowledged with it
	// taken is a QoS 1 message whose answer may leave as soon as every receiver has taken it over, stored or not; nil: none.
	taken *sessions.Stored
}

// free tells whether what waits with a mark may leave.
func (m *mark) free(durable uint64) bool {
	return m.ticket <= durable || m.taken != nil && m.taken.Left.Load() == 0
}

// reply sends an answer once ticket is safe, and never before an earlier answer
// [v5 MQTT-4.6.0-2]. credit is the number of the client's messages that it acknowledges.
func (c *client) reply(w *worker, ticket uint64, credit int32, answer []byte) {
	c.replyTaken(w, ticket, nil, credit, answer)
}

// replyTaken is reply to a QoS 1 message, which may leave as well as soon as taken has no receiver left.
func (c *client) replyTaken(w *worker, ticket uint64, taken *sessions.Stored, credit int32, answer []byte) {
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return
	}
	if c.pending == nil && w.durable(ticket) {
		out = append(out, answer...)
		c.credit(credit)
	} else {
		c.waitLocked(w, mark{ticket: ticket, taken: taken, credit: credit}, answer)
	}
	c.conn.End(w.turn, out)
}

// waitLocked puts output into the queue, where it waits for what m says. The outbox is locked.
func (c *client) waitLocked(w *worker, m mark, b []byte) {
	if c.pending == nil {
		c.pending = &pending{}
		w.fresh = append(w.fresh, c)
	}
	p := c.pending
	p.buf = append(p.buf, b...)
	c.waitingBytes.Store(int32(len(p.buf)))
	m.end = len(p.buf)
	if n := len(p.marks); n > 0 && m.taken == nil && p.marks[n-1].taken == nil && p.marks[n-1].ticket >= m.ticket {
		p.marks[n-1].end = m.end
		p.marks[n-1].credit += m.credit
		return
	}
	p.marks = append(p.marks, m)
}

// release moves what has become safe to the outbox, and reports whether more waits.
func (c *client) release(w *worker) (more bool) {
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return false
	}
	if c.pending == nil {
		c.conn.End(w.turn, out)
		return false
	}
	p, durable := c.pending, w.b.store.Durable()
	n, end, credit := 0, 0, int32(0)
	for n < len(p.marks) && p.marks[n].free(durable) {
		end = p.marks[n].end
		credit += p.marks[n].credit
		n++
	}
	out = append(out, p.buf[:end]...)
	if more = n < len(p.marks); more {
		p.buf = p.buf[:copy(p.buf, p.buf[end:])]
		left := copy(p.marks, p.marks[n:])
		clear(p.marks[left:])
		p.marks = p.marks[:left]
		for i := range p.marks {
			p.marks[i].end -= end
		}
		c.waitingBytes.Store(int32(len(p.buf)))
	} else {
		c.pending = nil
		c.waitingBytes.Store(0)
	}
	c.conn.End(w.turn, out)
	c.credit(credit)
	if n > 0 && c.wantsSafe.Load() {
		c.conn.Post(func(t *transports.Turn) { c.safe(c.b.worker(t)) })
	}
	return more
}

// credit counts messages from the client as answered. One that began on an earlier connection was not counted on this one.
func (c *client) credit(n int32) {
	if n > 0 && c.unacked.Add(-n) < 0 {
		c.unacked.Store(0)
	}
}

// safe is called in a turn of the owner when something that the client waited for has become safe.
func (c *client) safe(w *worker) {
	c.wantsSafe.Store(false)
	switch c.state {
	case stateConnecting:
		if w.durable(c.opening.ticket) {
			c.connected(w)
		}
	case stateReady:
		// Not: when all is acknowledged. A QoS 2 message is so only after the PUBREL that is still to be read.
		if c.overrun {
			c.overrun = false
			if c.rare == nil || !c.rare.throttled && !c.rare.clogged {
				c.conn.Resume(w.turn)
			}
		}
		c.unclog(w)
		c.pump(w)
	}
}

// answer is a PUBACK, PUBREC, PUBREL or PUBCOMP.
type answer struct {
	kind   packets.Type
	id     uint16
	code   packets.ReasonCode
	reason string
}

// ack answers a PUBLISH, PUBREC or PUBREL in the form that fits the version.
func (c *client) ack(w *worker, ticket uint64, credit int32, a answer) {
	if c.version < packets.V5 || a.code == packets.Success {
		var short [4]byte
		c.reply(w, ticket, credit, packets.AppendAck(short[:0], a.kind, a.id))
		return
	}
	p := packets.Ack{Type: a.kind, PacketID: a.id, ReasonCode: a.code}
	if a.reason != "" {
		p.Properties.ReasonString = []byte(a.reason)
		p.Properties.Present.Add(packets.PropReasonString)
	}
	c.reply(w, ticket, credit, c.encode(nil, &p, &p.Properties))
}
