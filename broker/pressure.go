package broker

import (
	"nightjar/packets"
	"nightjar/transports"
)

// Pressure is how short the machine is of something.
type Pressure int32

// The levels of Pressure.
const (
	PressureNone Pressure = iota
	PressureSoft          // new work is refused before old work suffers
	PressureHard          // old work has to wait as well
)

func (p Pressure) String() string {
	switch p {
	case PressureNone:
		return "none"
	case PressureSoft:
		return "soft"
	case PressureHard:
		return "hard"
	}
	return "unknown"
}

// SetMemory tells the broker how short memory is. Soft: connections are refused (0x89). Hard: clients that do not
// take what is sent to them are disconnected (0x97), and publishers are not read.
func (b *Broker) SetMemory(p Pressure) {
	if Pressure(b.memory.Swap(int32(p))) == p {
		return
	}
	b.log.Warn("memory pressure", "level", p.String())
	if p == PressureHard {
		b.server.Each(func(t *transports.Turn, c *transports.Conn) {
			if r, ok := c.Receiver().(*client); ok && c.Buffered() > b.cfg.Limits.OutboxBytes/4 {
				r.end(b.worker(t), packets.Errorf(packets.QuotaExceeded, "", "the server is short of memory, and this connection does not take what is sent to it"))
			}
		})
	}
}

// SetDisk tells the broker how short the data disk is. Soft is an alarm. Hard: QoS 1 and 2 messages are not
// taken over, and so not acknowledged; QoS 0 goes on.
func (b *Broker) SetDisk(p Pressure) {
	if Pressure(b.disk.Swap(int32(p))) != p {
		b.log.Warn("disk pressure", "level", p.String())
	}
}

// lagMax is how many bytes may wait for the store until clients that would add to it have to wait.
const lagMax = 64 << 20

// withheld tells whether a packet has to wait because the machine is short of something, or the store is behind.
func (c *client) withheld(h *packets.Header) bool {
	if c.state != stateReady {
		return false
	}
	switch h.Type {
	case packets.PUBLISH:
		stored := h.Flags&0b0111 != 0 // QoS 1, QoS 2 or RETAIN
		return Pressure(c.b.memory.Load()) == PressureHard ||
			h.Flags&0b0110 != 0 && Pressure(c.b.disk.Load()) == PressureHard || stored && c.b.storeLags()
	case packets.SUBSCRIBE, packets.UNSUBSCRIBE:
		return c.b.storeLags()
	}
	return false
}

// storeLags tells whether the store is so far behind that clients have to wait.
func (b *Broker) storeLags() bool { return b.store != nil && b.store.Lag() >= lagMax }

// throttleTime is how long a client that is not read waits before it is looked at again, in milliseconds.
const throttleTime = 500

// throttle stops reading for a while.
func (c *client) throttle(w *worker) {
	c.more().throttled = true
	c.conn.Pause()
	c.conn.SetDeadline(int64(w.now) + throttleTime)
	w.count[countThrottled]++
}

const (
	rateBurst = 1      // seconds' worth of messages that a client may send at once
	rateTime  = 60_000 // milliseconds that a client may go on at more than its rate before it is disconnected
	rateCalm  = 5_000  // milliseconds below the rate after which it begins anew
)

// meter holds a client to its publish rate: reading pauses, and who goes on and on is disconnected.
func (c *client) meter(w *worker) error {
	c.refill(w)
	r := c.rare
	r.tokens--
	if r.tokens >= 0 || c.conn.Paused() {
		return nil
	}
	if w.now-r.fastLast > rateCalm {
		r.fastSince = w.now
	}
	r.fastLast = w.now
	if w.now-r.fastSince >= rateTime {
		return packets.Errorf(packets.MessageRateTooHigh, "", "more than %d messages in a second, for a minute", w.b.cfg.Limits.PublishRate)
	}
	c.throttle(w)
	return nil
}

// refill counts what the client may publish now.
func (c *client) refill(w *worker) {
	r, rate := c.more(), float64(w.b.cfg.Limits.PublishRate)
	if r.metered == 0 {
		r.tokens = rateBurst * rate
	}
	r.tokens = min(r.tokens+float64(w.now-r.metered)*rate/1000, rateBurst*rate)
	r.metered = w.now
}

// unthrottle reads a client again when its time has come, and reports whether it was throttled.
func (c *client) unthrottle(w *worker) bool {
	if c.rare == nil || !c.rare.throttled {
		return false
	}
	c.rare.throttled = false
	if w.b.publishLimited {
		c.refill(w)
		if c.rare.tokens < 0 {
			c.throttle(w)
			return true
		}
	}
	if !c.overrun && !c.rare.clogged {
		c.conn.Resume(w.turn)
	}
	return true
}

// backedUp tells whether so many answers wait for the client that it is to ask no more.
func (c *client) backedUp() bool {
	return c.conn.Buffered()+int(c.waitingBytes.Load()) >= c.b.cfg.Limits.OutboxBytes
}

// clog stops reading until answers have left.
func (c *client) clog(w *worker) {
	c.more().clogged = true
	c.wantsSafe.Store(true)
	c.conn.Pause()
	c.hurry(w)
}

// unclog reads again, if answers have left.
func (c *client) unclog(w *worker) {
	if c.rare == nil || !c.rare.clogged || c.backedUp() {
		return
	}
	c.rare.clogged = false
	if !c.rare.throttled && !c.overrun {
		c.conn.Resume(w.turn)
	}
}

// hurry has Expired look at the client within a second or so. It moves the deadline once, so that who is
// hurried again and again is looked at all the same.
func (c *client) hurry(w *worker) {
	if r := c.more(); !r.hurried {
		r.hurried = true
		c.conn.SetDeadline(int64(w.now) + 1000)
	}
}

// workMax is about how many deliveries one turn makes: 5 to 10 ms. Then other connections have their turn.
const workMax = 100_000

// yield goes on with what the client has sent in the next turn.
func (c *client) yield() {
	c.conn.Pause()
	c.conn.Post(func(t *transports.Turn) {
		w := c.b.worker(t)
		if c.state == stateReady && !c.overrun && (c.rare == nil || !c.rare.throttled && !c.rare.clogged) {
			c.conn.Resume(w.turn)
		}
	})
}
