package transports

// Turn is the context of one turn of a loop or goroutine. It belongs to one goroutine at a time.
type Turn struct {
	// ID tells the Turns of a Server apart: 0 to Server.Turns()-1.
	ID int
	// Now is the time at the start of the turn, in milliseconds of the Server's clock.
	Now int64
	// Written counts the bytes that were sent; who reads it sets it to 0.
	Written uint64

	dirty []*Conn
	free  [][]byte
	spare chan []byte // the Server's, of outboxes that writers emptied outside of any Turn
}

// buffer returns an empty outbox.
func (t *Turn) buffer() []byte {
	if n := len(t.free); n > 0 {
		b := t.free[n-1]
		t.free = t.free[:n-1]
		return b
	}
	select {
	case b := <-t.spare:
		return b
	default:
		return make([]byte, 0, bufferBytes)
	}
}

// release takes an outbox back.
func (t *Turn) release(b []byte) {
	if cap(b) <= bufferBytesKept && len(t.free) < buffersKept {
		t.free = append(t.free, b[:0])
	}
}

// flush writes every dirty connection once.
func (t *Turn) flush() {
	for i, c := range t.dirty {
		t.dirty[i] = nil
		c.mu.Lock()
		c.dirty = false
		switch {
		case c.blocked:
			// The owner goes on once the socket takes more. A write from here could empty the
			// outbox under its hands, and nobody would tell the Receiver that it is drained.
		case c.loop != nil:
			c.loop.flushLocked(t, c)
		default:
			c.extra.backend.flush(t, c)
		}
		c.mu.Unlock()
	}
	t.dirty = t.dirty[:0]
}
