package transports

import (
	"crypto/tls"
	"net/netip"
	"sync"
)

// Handler is told of new connections and of the end of each turn.
type Handler interface {
	// Opened returns the Receiver of a new connection, or nil to refuse it.
	Opened(t *Turn, c *Conn) Receiver
	// EndTurn is called once at the end of each turn, before its writes.
	EndTurn(t *Turn)
}

// Receiver gets the bytes of one connection. All calls come from the connection's owner, one at a time.
type Receiver interface {
	// Receive handles what is whole in data and returns how many bytes it used. want is the
	// size in bytes of the unfinished packet at data[used:] where that is known, or 0.
	// data is valid during the call only.
	Receive(t *Turn, data []byte) (used, want int)
	// Drained tells that an outbox which the peer did not take at once is empty again. Who stops at a limit
	// within a turn asks with Conn.Press whether the peer would take more.
	Drained(t *Turn)
	// Expired tells that the time set by SetDeadline has come. It returns the next
	// deadline in milliseconds of the Turn's clock, or 0 for none.
	Expired(t *Turn) int64
	// Closed tells that the connection is gone. It is the last call, and does not come after Finish.
	Closed(t *Turn, err error)
}

// state is where in its life a connection is.
type state uint8

const (
	stateOpen state = iota
	stateClosing
	stateLingering
	stateClosed
)

// Conn is one network connection.
type Conn struct {
	receiver Receiver // called by the owner only
	loop     *loop    // owner; nil where a goroutine is
	extra    *extra   // what plain sockets do not need; nil there
	listener *Listener
	in       []byte // unfinished input; owner only

	mu       sync.Mutex
	out      []byte // bytes to send; guarded by mu
	written  int32  // bytes of out that are already sent; guarded by mu
	fd       int32  // -1: a goroutine's connection, or closed; changed under mu
	slot     uint32 // in the loop's tables
	gen      uint32 // tells a reused slot apart
	state    state  // changed by the owner, under mu
	dirty    bool   // some turn will flush; guarded by mu
	blocked  bool   // the socket is full: EPOLLOUT is armed; guarded by mu
	paused   bool   // reading is off; changed by the owner, under mu
	lingered int32  // bytes dropped while lingering; owner only
}

// extra holds what only some connections have.
type extra struct {
	backend backend        // the goroutine's side; nil for a socket on a loop
	remote  netip.AddrPort // as told by the PROXY protocol, or known from the start
	tls     *tls.Conn      // nil without TLS
}

// backend is the part of a Conn that a goroutine owns in place of a loop.
type backend interface {
	flush(t *Turn, c *Conn)         // mu is held; must not block
	setDeadline(c *Conn, at int64)  // owner
	post(c *Conn, fn func(t *Turn)) // any goroutine
	setPaused(c *Conn, paused bool) // owner
	finish(t *Turn, c *Conn)        // owner
}

// Begin locks the outbox and returns it to append to. ok is false, and nothing is locked,
// when the connection takes no more output. Every Begin that is ok needs an End.
func (c *Conn) Begin(t *Turn) (out []byte, ok bool) {
	c.mu.Lock()
	if c.state != stateOpen {
		c.mu.Unlock()
		return nil, false
	}
	if c.out == nil {
		c.out = t.buffer()
	}
	return c.out, true
}

// End takes the outbox back and unlocks it. The turn will write it.
func (c *Conn) End(t *Turn, out []byte) {
	c.out = out
	if !c.dirty && !c.blocked {
		c.dirty = true
		t.dirty = append(t.dirty, c)
	}
	c.mu.Unlock()
}

// Write appends b to the outbox, and reports whether the connection took it.
func (c *Conn) Write(t *Turn, b []byte) bool {
	out, ok := c.Begin(t)
	if ok {
		c.End(t, append(out, b...))
	}
	return ok
}

// Buffered returns how many bytes wait in the outbox.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) - int(c.written)
}

// Press returns how many bytes wait in the outbox, after it has written what the socket takes if these are
// most or more: so one turn with much output does not hold it all until its end.
func (c *Conn) Press(t *Turn, most int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil && len(c.out)-int(c.written) >= most {
		c.out = c.PressLocked(t, c.out)
	}
	return len(c.out) - int(c.written)
}

// PressLocked is Press between Begin and End: it writes what the socket takes of out, and returns the outbox to go on with.
func (c *Conn) PressLocked(t *Turn, out []byte) []byte {
	c.out = out
	if c.loop == nil || c.blocked {
		return out
	}
	c.loop.flushLocked(t, c)
	if c.out == nil {
		c.out = t.buffer()
	}
	return c.out
}

// BufferedLocked is Buffered between Begin and End: out is what Begin returned, and grew since.
func (c *Conn) BufferedLocked(out []byte) int { return len(out) - int(c.written) }

// Post runs fn in a turn of the connection's owner, soon. fn must check for itself whether
// the connection still serves what it was posted for.
func (c *Conn) Post(fn func(t *Turn)) {
	if c.loop != nil {
		c.loop.post(fn)
		return
	}
	c.extra.backend.post(c, fn)
}

// SetDeadline asks for Receiver.Expired at the given time, in milliseconds of the Turn's
// clock and kept to the second; 0 is never. Owner only.
func (c *Conn) SetDeadline(at int64) {
	if c.loop != nil {
		c.loop.setDeadline(c, at)
		return
	}
	c.extra.backend.setDeadline(c, at)
}

// Pause stops reading until Resume. Owner only.
func (c *Conn) Pause() { c.setPaused(true) }

// Resume reads again, and hands over again what Receive had left. Owner only, and not from within Receive.
func (c *Conn) Resume(t *Turn) {
	if !c.paused || c.state != stateOpen {
		return
	}
	c.setPaused(false)
	if c.loop != nil {
		c.feedLeft(t)
	}
}

// Paused tells whether reading is off. Owner only.
func (c *Conn) Paused() bool { return c.paused }

func (c *Conn) setPaused(p bool) {
	if c.paused == p {
		return
	}
	c.mu.Lock()
	c.paused = p
	if c.loop != nil && c.state < stateLingering {
		c.loop.rearmLocked(c)
	}
	c.mu.Unlock()
	if c.loop == nil {
		c.extra.backend.setPaused(c, p)
	}
}

// Finish ends the connection in good order: what is in the outbox is sent, then the
// connection is closed. The Receiver is not called again. Owner only.
func (c *Conn) Finish(t *Turn) {
	if c.state != stateOpen {
		return
	}
	c.mu.Lock()
	c.state = stateClosing
	c.receiver = nil
	c.mu.Unlock()
	if c.loop != nil {
		c.loop.finish(t, c)
		return
	}
	c.extra.backend.finish(t, c)
}

// Open tells whether the connection still takes output. Owner only.
func (c *Conn) Open() bool { return c.state == stateOpen }

// Listener is the listener that accepted the connection.
func (c *Conn) Listener() *Listener { return c.listener }

// TLS is the state of the TLS connection, or nil.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.extra == nil || c.extra.tls == nil {
		return nil
	}
	state := c.extra.tls.ConnectionState()
	return &state
}

// RemoteAddr is the address of the peer: by the PROXY protocol where the listener asks for
// it. It is the zero value for Unix sockets. Owner only.
func (c *Conn) RemoteAddr() netip.AddrPort {
	if c.extra != nil {
		return c.extra.remote
	}
	return c.socketPeer()
}

// feed hands data to the receiver and keeps what it leaves. Owner only.
func (c *Conn) feed(t *Turn, data []byte) {
	used, want := c.receiver.Receive(t, data)
	if c.state != stateOpen {
		c.in = nil
		return
	}
	c.keep(data[used:], want)
}

// feedLeft hands over again what the receiver had left when it paused. Owner only.
func (c *Conn) feedLeft(t *Turn) {
	if len(c.in) == 0 {
		return
	}
	data := c.in
	c.in = nil
	c.feed(t, data)
}

// keep stores unfinished input. The store grows with what has really come, by doubling, up
// to the size of the packet that is on its way.
func (c *Conn) keep(rest []byte, want int) {
	if len(rest) == 0 {
		c.in = nil
		return
	}
	size := len(rest)
	if size > carryBytes {
		size = min(max(2*size, 2*carryBytes), max(want, size+1))
	}
	if cap(c.in) >= size && len(c.in) > carryBytes {
		n := copy(c.in[:cap(c.in)], rest)
		c.in = c.in[:n]
		return
	}
	in := make([]byte, len(rest), size)
	copy(in, rest)
	c.in = in
}

// drained tells the receiver, if there still is one. Owner only.
func (c *Conn) drained(t *Turn) {
	if c.receiver != nil {
		c.receiver.Drained(t)
	}
}

// compactLocked forgets what is sent once it is the larger part of the outbox. c.mu is held.
func (c *Conn) compactLocked() {
	if c.written > bufferBytes && int(c.written) > len(c.out)/2 {
		c.out = append(c.out[:0], c.out[c.written:]...)
		c.written = 0
	}
}
