package transports

import (
	"errors"
	"net/netip"
	"slices"
)

// Simulated is a network connection without a socket and without a goroutine: the third backend of a Conn, beside event
// loops and goroutines. What elsewhere the system decides, when something arrives, whether the socket is full, when a
// posted function gets its turn, is decided by who calls these methods, so that a simulator can drive the Receiver from
// a seed. A Server with Loops below 0 that was never started has no goroutine at all.
//
// All methods belong to one goroutine, and are called outside of turns. Nothing happens by itself: posted functions wait
// for Run, deadlines for Expire, and output that the socket did not take for Writable.
type Simulated struct {
	conn     Conn
	extra    extra
	server   *Server
	socket   SimulatedSocket
	deadline int64           // by the server's clock; 0: none
	posted   []func(t *Turn) // for Run
	left     bool            // reading was resumed: what was left is to be handed over again
}

// SimulatedSocket is the socket of a Simulated connection, and the network behind it. It must not call the connection
// from within these methods.
type SimulatedSocket interface {
	// Write takes as many bytes of b as there is room for, and returns how many; b is valid during the call only.
	Write(b []byte) int
	// Posted tells that Run has something to do.
	Posted()
	// Closed tells that this side has closed the connection, after all that it had written.
	Closed()
}

// Simulate opens a connection that came to a listener with the given configuration, which listens nowhere.
func (s *Server) Simulate(cfg ListenerConfig, remote netip.AddrPort, socket SimulatedSocket) *Simulated {
	n := &Simulated{server: s, socket: socket}
	n.extra = extra{backend: n, remote: remote}
	n.conn = Conn{extra: &n.extra, listener: &Listener{Config: cfg, fd: -1}, fd: -1}
	s.conns.Add(1)
	s.Do(func(t *Turn) {
		c := &n.conn
		switch r := s.handler.Opened(t, c); {
		case c.state != stateOpen: // finished already
		case r == nil:
			n.close()
			n.socket.Closed()
		default:
			c.receiver = r
		}
	})
	return n
}

// Reading tells whether the connection reads from its socket now.
func (n *Simulated) Reading() bool { return n.conn.state == stateOpen && !n.conn.paused }

// Finished tells whether the Receiver has ended the connection, or the peer has.
func (n *Simulated) Finished() bool { return n.conn.state != stateOpen }

// Ended tells whether the connection is closed, by either side.
func (n *Simulated) Ended() bool { return n.conn.state == stateClosed }

// Deliver hands over what the peer has sent. The caller has seen that the connection is Reading.
func (n *Simulated) Deliver(data []byte) {
	c := &n.conn
	if len(c.in) > 0 {
		data = slices.Concat(c.in, data)
	}
	n.server.Do(func(t *Turn) { c.feed(t, data) })
}

// Lose ends the connection from the peer's side: end of file, or a reset.
func (n *Simulated) Lose(err error) {
	c := &n.conn
	if c.state == stateClosed {
		return
	}
	n.server.Do(func(t *Turn) {
		if r := c.receiver; r != nil {
			c.receiver = nil
			r.Closed(t, err)
		}
		n.close()
	})
}

// Writable has the outbox written again, after the socket has got room.
func (n *Simulated) Writable() {
	n.server.Do(func(t *Turn) {
		c := &n.conn
		c.mu.Lock()
		blocked := c.blocked
		n.flush(t, c)
		drained := blocked && !c.blocked && c.state == stateOpen
		c.mu.Unlock()
		if drained {
			c.drained(t)
		}
	})
}

// Run runs what was posted since it was called last, in one turn, and hands over again what was left before a pause.
func (n *Simulated) Run() {
	fns := n.posted
	n.posted = nil
	n.server.Do(func(t *Turn) {
		for _, fn := range fns {
			fn(t)
		}
		if n.left && n.Reading() {
			n.left = false
			n.conn.feedLeft(t)
		}
	})
}

// Expire does what is due if the deadline of the connection has come.
func (n *Simulated) Expire() {
	c := &n.conn
	if n.deadline == 0 || n.deadline > n.server.clock() || c.state == stateClosed {
		return
	}
	n.deadline = 0
	if c.state != stateOpen || c.receiver == nil {
		n.Lose(errors.New("peer did not close in time"))
		n.socket.Closed()
		return
	}
	n.server.Do(func(t *Turn) {
		if next := c.receiver.Expired(t); next != 0 && c.state == stateOpen {
			n.deadline = next
		}
	})
}

// close forgets the connection and what it had to write.
func (n *Simulated) close() {
	c := &n.conn
	c.mu.Lock()
	n.closeLocked(c)
	c.mu.Unlock()
}

func (n *Simulated) closeLocked(c *Conn) {
	c.state = stateClosed
	c.in, c.out, c.written = nil, nil, 0
	n.server.closed()
}

// The methods below make a Simulated the backend of its Conn.

func (n *Simulated) flush(t *Turn, c *Conn) {
	if c.state > stateClosing {
		return
	}
	if b := c.out[c.written:]; len(b) > 0 {
		taken := n.socket.Write(b)
		t.Written += uint64(taken)
		c.written += int32(taken)
		if c.blocked = taken < len(b); c.blocked {
			c.compactLocked()
			return
		}
	}
	c.blocked = false
	if c.out != nil {
		t.release(c.out)
		c.out, c.written = nil, 0
	}
	if c.state == stateClosing {
		n.closeLocked(c)
		n.socket.Closed()
	}
}

func (n *Simulated) setDeadline(_ *Conn, at int64) { n.deadline = at }

func (n *Simulated) post(_ *Conn, fn func(t *Turn)) {
	n.posted = append(n.posted, fn)
	n.socket.Posted()
}

func (n *Simulated) setPaused(_ *Conn, paused bool) {
	if !paused {
		n.left = true
		n.socket.Posted()
	}
}

func (n *Simulated) finish(t *Turn, c *Conn) {
	n.deadline = t.Now + closingTime
	t.dirty = append(t.dirty, c)
}
