package transports

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
)

// netConn is a connection that goroutines own: one that reads, for as long as the connection
// lives, and one that writes, for as long as there is output. The owner lock stands for the one
// owner that a loop is for its connections: who holds it may run a turn of the connection.
//
// Lock order: owner, then a Turn, then Conn.mu. None is held while reading or writing.
type netConn struct {
	conn   Conn
	extra  extra
	server *Server
	raw    net.Conn // the TCP or Unix socket
	stream stream   // bytes over raw, through TLS and WebSocket
	full   bool     // the last read filled the idle buffer; of the reading goroutine, as is Conn.in

	owner sync.Mutex
	wake  sync.Cond // of owner: resumed, written, or cut
	left  bool      // resumed: what was left is to be handed over again; guarded by owner
	cause error     // why this side cut the connection; guarded by owner

	postMu  sync.Mutex
	posted  []func(t *Turn) // guarded by postMu
	posting bool            // a goroutine is at it; guarded by postMu

	idle [idleReadBytes]byte // what a waiting read reads into
}

// stream is the byte stream of a connection. One goroutine reads, another may write.
type stream interface {
	io.Reader
	io.Writer
	// closeWrite tells the peer that nothing more comes, and why: nil where all is well.
	closeWrite(why error)
}

// busyBuffers are read buffers of connections with much input, borrowed for a read or two. There
// is room before the input for what was left of the last.
var busyBuffers = sync.Pool{New: func() any { return new([carryBytes + busyReadBytes]byte) }}

func newNetConn(s *Server, ln *Listener, nc net.Conn) *netConn {
	n := &netConn{server: s, raw: nc}
	n.wake.L = &n.owner
	n.extra.backend = n
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		n.extra.remote = unmapped(a.AddrPort())
	}
	n.conn = Conn{extra: &n.extra, listener: ln, fd: -1}
	return n
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// turn runs fn in a turn of the connection.
func (n *netConn) turn(fn func(t *Turn)) {
	n.owner.Lock()
	defer n.owner.Unlock()
	n.server.turns.run(fn)
}

// read is the reading goroutine.
func (n *netConn) read() {
	var err error
	for err == nil && n.ready() {
		err = n.readOnce()
	}
	n.end(err)
}

// ready waits while reading is off, hands over again what was left, and reports whether to read.
func (n *netConn) ready() bool {
	n.owner.Lock()
	defer n.owner.Unlock()
	c := &n.conn
	for c.state == stateOpen && n.cause == nil {
		switch {
		case c.paused:
			n.wake.Wait()
		case n.left:
			n.left = false
			n.server.turns.run(c.feedLeft)
		default:
			return true
		}
	}
	return false
}

// readOnce reads, and hands what came to the receiver, together with what was left before. It
// waits with a small buffer, and takes a large one while reads fill that.
func (n *netConn) readOnce() error {
	c := &n.conn
	switch {
	case len(c.in) > carryBytes:
		m, err := n.stream.Read(c.in[len(c.in):cap(c.in)])
		n.received(c.in[:len(c.in)+m], m)
		return err
	case n.full:
		b := busyBuffers.Get().(*[carryBytes + busyReadBytes]byte)
		defer busyBuffers.Put(b)
		left := copy(b[:], c.in)
		m, err := n.stream.Read(b[left:])
		n.full = m == len(b)-left
		n.received(b[:left+m], m)
		return err
	default:
		m, err := n.stream.Read(n.idle[:])
		n.full = m == len(n.idle)
		if len(c.in) == 0 {
			n.received(n.idle[:m], m)
			return err
		}
		b := busyBuffers.Get().(*[carryBytes + busyReadBytes]byte)
		defer busyBuffers.Put(b)
		left := copy(b[:], c.in)
		left += copy(b[left:], n.idle[:m])
		n.received(b[:left], m)
		return err
	}
}

// received hands data over, of which m bytes are new, or keeps it while reading is off.
func (n *netConn) received(data []byte, m int) {
	if m == 0 {
		return
	}
	n.owner.Lock()
	defer n.owner.Unlock()
	c := &n.conn
	switch {
	case c.state != stateOpen || n.cause != nil:
	case c.paused:
		c.keep(data, 0)
	default:
		n.server.turns.run(func(t *Turn) { c.feed(t, data) })
	}
}

// end sees the connection through from the end of reading to the end of everything.
func (n *netConn) end(err error) {
	c := &n.conn
	n.owner.Lock()
	finished, cut := c.state != stateOpen, n.cause != nil
	if cut {
		err = n.cause
	}
	if !finished {
		n.server.turns.run(func(t *Turn) { n.lost(t, err) })
	}
	n.owner.Unlock()
	switch {
	case finished:
		n.linger(err)
	case !cut:
		n.hangUp(err)
	}
	n.close()
}

// lost tells the receiver, if there is one yet, that the peer is gone.
func (n *netConn) lost(t *Turn, err error) {
	c := &n.conn
	r := c.receiver
	c.receiver = nil
	if r != nil {
		r.Closed(t, err)
	}
	c.mu.Lock()
	c.state = stateLingering
	c.out, c.written = nil, 0
	c.mu.Unlock()
	n.setDeadline(c, t.Now+lingerTime)
}

// hangUp answers a peer that ended the connection, or broke the rules of its stream: what is
// sent last must not be destroyed by a reset, so the rest of the input is read first.
func (n *netConn) hangUp(why error) {
	n.stream.closeWrite(why)
	if !errors.Is(why, io.EOF) {
		_ = drop(n.raw)
	}
}

// linger ends a finished connection. The input is read on: a peer that only reads once it has
// written gets its turn that way.
func (n *netConn) linger(err error) {
	if err == nil {
		err = drop(n.stream)
	}
	n.owner.Lock()
	for n.conn.state == stateClosing && n.cause == nil {
		n.wake.Wait()
	}
	n.owner.Unlock()
	if !errors.Is(err, io.EOF) {
		_ = drop(n.raw)
	}
}

// drop reads and forgets. It returns nil when that was too much.
func drop(r io.Reader) error {
	b := busyBuffers.Get().(*[carryBytes + busyReadBytes]byte)
	defer busyBuffers.Put(b)
	for dropped := 0; dropped < lingerBytes; {
		m, err := r.Read(b[:])
		if err != nil {
			return err
		}
		dropped += m
	}
	return nil
}

// close closes the socket and forgets the connection.
func (n *netConn) close() {
	c := &n.conn
	n.owner.Lock()
	c.mu.Lock()
	c.state = stateClosed
	c.out, c.written = nil, 0
	c.mu.Unlock()
	n.owner.Unlock()
	c.in = nil
	_ = n.raw.Close()
	n.server.nets.remove(n)
	n.server.closed()
}

// cut ends the connection at once. Its reading goroutine does what is left to do.
func (n *netConn) cut(cause error) {
	n.owner.Lock()
	defer n.owner.Unlock()
	n.cutLocked(cause)
}

func (n *netConn) cutLocked(cause error) {
	if n.cause == nil {
		n.cause = cause
	}
	n.wake.Broadcast()
	_ = n.raw.Close()
}

// expire is called when the deadline has come.
func (n *netConn) expire() {
	n.owner.Lock()
	defer n.owner.Unlock()
	c := &n.conn
	if c.state != stateOpen || c.receiver == nil {
		n.cutLocked(errors.New("peer did not close in time"))
		return
	}
	n.server.turns.run(func(t *Turn) {
		if next := c.receiver.Expired(t); next != 0 && c.state == stateOpen {
			n.setDeadline(c, next)
		}
	})
}

// runPosted runs what is posted, in order, until there is no more.
func (n *netConn) runPosted() {
	for {
		n.postMu.Lock()
		fns := n.posted
		n.posted = nil
		n.posting = len(fns) > 0
		n.postMu.Unlock()
		if len(fns) == 0 {
			return
		}
		n.turn(func(t *Turn) {
			for _, fn := range fns {
				fn(t)
			}
		})
	}
}

// write is the writing goroutine. It is there while Conn.blocked is set, and the outbox is its
// own so far that others only append.
func (n *netConn) write() {
	c := &n.conn
	writes := 0
	var err error
	c.mu.Lock()
	for err == nil && c.state <= stateClosing && len(c.out) > int(c.written) {
		b := c.out[c.written:]
		b = b[:min(len(b), writeBytes)]
		c.mu.Unlock()
		writes++
		_, err = n.stream.Write(b)
		c.mu.Lock()
		if c.state > stateClosing {
			break
		}
		c.written += int32(len(b))
		c.compactLocked()
	}
	out := c.out
	c.out, c.written = nil, 0
	// Where nothing follows, blocked stays set: nobody is to write any more.
	c.blocked = err != nil || c.state != stateOpen
	blocked, state := c.blocked, c.state
	c.mu.Unlock()
	n.server.spareBuffer(out)
	switch {
	case errors.Is(err, errNoMoreWrites): // the reading goroutine is ending the connection
	case err != nil:
		n.cut(err)
	case state == stateClosing:
		n.written()
	case !blocked && writes > 1:
		n.turn(c.drained) // the peer has taken what it was behind with
	}
}

// written goes on to linger once the last output is written.
func (n *netConn) written() {
	n.stream.closeWrite(nil)
	n.owner.Lock()
	defer n.owner.Unlock()
	c := &n.conn
	if c.state != stateClosing {
		return // cut meanwhile
	}
	c.mu.Lock()
	c.state = stateLingering
	c.mu.Unlock()
	n.setDeadline(c, n.server.clock()+lingerTime)
	n.wake.Broadcast()
}

// spareBuffer takes an outbox back outside of any Turn.
func (s *Server) spareBuffer(b []byte) {
	if b == nil || cap(b) > bufferBytesKept {
		return
	}
	select {
	case s.spare <- b[:0]:
	default:
	}
}

// The methods below make a netConn the backend of its Conn.

func (n *netConn) flush(t *Turn, c *Conn) {
	switch {
	case c.state > stateClosing:
	case c.state == stateOpen && len(c.out) == 0:
		t.release(c.out)
		c.out = nil
	default:
		c.blocked = n.server.tasks.start(n.write)
	}
}

func (n *netConn) setDeadline(_ *Conn, at int64) { n.server.nets.setDeadline(n, at) }

func (n *netConn) post(_ *Conn, fn func(t *Turn)) {
	n.postMu.Lock()
	defer n.postMu.Unlock()
	n.posted = append(n.posted, fn)
	if !n.posting {
		n.posting = n.server.tasks.start(n.runPosted)
	}
	if !n.posting {
		n.posted = nil // the server is closed
	}
}

func (n *netConn) setPaused(_ *Conn, paused bool) {
	if !paused {
		n.left = true
		n.wake.Broadcast()
	}
}

func (n *netConn) finish(t *Turn, c *Conn) {
	n.setDeadline(c, t.Now+closingTime)
	n.wake.Broadcast()
	t.dirty = append(t.dirty, c)
}
