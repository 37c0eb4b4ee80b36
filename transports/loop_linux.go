//go:build linux

package transports

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Slots of what is not a connection, told apart by their place in the event's data.
const (
	slotWake     = ^uint32(0)
	slotListener = ^uint32(0) - 1<<16 // and up: index of a listener
)

// loop is one epoll loop: one goroutine, many connections. What is not under mu belongs to
// that goroutine.
type loop struct {
	server *Server
	turn   Turn
	epfd   int
	wakefd int
	buf    []byte

	conns     []*Conn  // by slot; nil: free
	deadlines []uint32 // by slot, in seconds since the server's start; 0: none
	gens      []uint32 // by slot
	freeSlots []uint32
	count     atomic.Int64 // connections, also read by the accepting loop
	nextTick  int64        // by the turn's clock
	listeners []*Listener  // those that this loop accepts from
	resting   []*Listener  // taken out of epoll for want of descriptors until the next tick

	mu      sync.Mutex
	posted  []func(t *Turn) // guarded by mu
	spare   []func(t *Turn)
	woken   bool // the eventfd is set; guarded by mu
	closing bool // no more posts; guarded by mu
	done    bool
}

func newLoop(s *Server, id int) (*loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll descriptor: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	l := &loop{server: s, epfd: epfd, wakefd: wakefd, buf: make([]byte, readBytes+carryBytes)}
	l.turn = Turn{ID: id, spare: s.spare}
	return l, l.control(unix.EPOLL_CTL_ADD, wakefd, unix.EPOLLIN, slotWake, 0)
}

func (l *loop) control(op, fd int, events, slot, gen uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(slot), Pad: int32(gen)}
	if err := unix.EpollCtl(l.epfd, op, fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl on descriptor %d: %w", fd, err)
	}
	return nil
}

// run turns until the loop is told to end.
func (l *loop) run() {
	events := make([]unix.EpollEvent, eventsMax)
	t := &l.turn
	t.Now = l.server.clock()
	for !l.done {
		n := l.wait(events)
		t.Now = l.server.clock()
		for i := range events[:n] {
			l.event(t, &events[i])
		}
		l.runPosted(t)
		if t.Now >= l.nextTick {
			l.tick(t)
		}
		l.server.endTurn(t)
	}
	l.closeDescriptors()
}

func (l *loop) closeDescriptors() {
	unix.Close(l.epfd)
	unix.Close(l.wakefd)
}

// wait returns ready events. It looks without blocking first: a busy loop then never pays
// for leaving and entering the scheduler, and other goroutines get their turn before it sleeps.
func (l *loop) wait(events []unix.EpollEvent) int {
	if n := epollNow(l.epfd, events); n > 0 {
		return n
	}
	runtime.Gosched()
	timeout := max(l.nextTick-l.server.clock(), 0)
	n, err := unix.EpollWait(l.epfd, events, int(timeout))
	if err != nil {
		return 0 // EINTR is the only possible error
	}
	return n
}

func (l *loop) event(t *Turn, ev *unix.EpollEvent) {
	slot := uint32(ev.Fd)
	switch {
	case slot == slotWake:
		var b [8]byte
		_, _ = unix.Read(l.wakefd, b[:])
	case slot >= slotListener:
		l.accept(t, l.listeners[slot-slotListener])
	default:
		c := l.conns[slot]
		if c == nil || c.gen != uint32(ev.Pad) {
			return // closed earlier in this turn
		}
		l.ready(t, c, ev.Events)
	}
}

func (l *loop) ready(t *Turn, c *Conn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		c.mu.Lock()
		wasBlocked := c.blocked
		l.flushLocked(t, c)
		drained := wasBlocked && !c.blocked && c.state == stateOpen
		c.mu.Unlock()
		if drained {
			c.receiver.Drained(t)
		}
	}
	if c.state == stateClosed {
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP) != 0 && !c.paused || c.state == stateLingering {
		l.read(t, c)
		return
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		l.close(t, c, errors.New("connection reset by peer"))
	}
}

// read reads once, and hands what came to the receiver, together with what was left before.
func (l *loop) read(t *Turn, c *Conn) {
	if c.state != stateOpen {
		l.drop(t, c)
		return
	}
	var data []byte
	if len(c.in) > carryBytes {
		n, err := readNow(int(c.fd), c.in[len(c.in):cap(c.in)])
		if n <= 0 {
			l.readEnd(t, c, n, err)
			return
		}
		data = c.in[:len(c.in)+n]
	} else {
		left := copy(l.buf, c.in)
		n, err := readNow(int(c.fd), l.buf[left:])
		if n <= 0 {
			l.readEnd(t, c, n, err)
			return
		}
		data = l.buf[:left+n]
	}
	c.feed(t, data)
}

func (l *loop) readEnd(t *Turn, c *Conn, n int, err error) {
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.close(t, c, fmt.Errorf("read: %w", err))
	case n == 0:
		l.close(t, c, io.EOF)
	}
}

// drop reads and forgets what the peer of a closing or lingering connection sends.
func (l *loop) drop(t *Turn, c *Conn) {
	n, err := readNow(int(c.fd), l.buf)
	if err == unix.EAGAIN || err == unix.EINTR {
		return
	}
	c.lingered += int32(max(n, 0))
	if err == nil && n > 0 && c.lingered <= lingerBytes {
		return
	}
	if err == nil && c.state == stateClosing {
		c.setPaused(true) // the last outbox is still on its way, and the peer may well be reading
		return
	}
	l.close(t, c, io.EOF)
}

// flushLocked writes the outbox once. c.mu is held. Any goroutine, but only the owner flushes a
// closing connection, and goes on to linger.
func (l *loop) flushLocked(t *Turn, c *Conn) {
	if c.state != stateOpen && (c.state != stateClosing || t != &l.turn) {
		return
	}
	if c.out == nil {
		if c.state == stateClosing {
			l.lingerLocked(t, c)
		}
		return
	}
	b := c.out[c.written:]
	n, err := 0, error(nil)
	if len(b) > 0 {
		n, err = writeNow(int(c.fd), b)
		t.Written += uint64(max(n, 0))
	}
	if n == len(b) {
		t.release(c.out)
		c.out, c.written = nil, 0
		if c.blocked {
			c.blocked = false
			l.rearmLocked(c)
		}
		if c.state == stateClosing {
			l.lingerLocked(t, c)
		}
		return
	}
	if n > 0 {
		c.written += int32(n)
	} else if err != unix.EAGAIN && err != unix.EINTR {
		// The read side will tell the owner; what cannot be sent need not be kept.
		c.out, c.written = c.out[:0], 0
		return
	}
	c.compactLocked()
	if !c.blocked {
		c.blocked = true
		l.rearmLocked(c)
	}
}

// lingerLocked sends FIN and waits for the peer's. c.mu is held. Owner only.
func (l *loop) lingerLocked(t *Turn, c *Conn) {
	c.state = stateLingering
	l.setDeadline(c, t.Now+lingerTime)
	_ = unix.Shutdown(int(c.fd), unix.SHUT_WR)
	l.rearmLocked(c)
}

// rearmLocked tells epoll what the connection waits for. c.mu is held. Any goroutine.
func (l *loop) rearmLocked(c *Conn) {
	var events uint32
	if !c.paused || c.state == stateLingering {
		events |= unix.EPOLLIN
	}
	if c.blocked {
		events |= unix.EPOLLOUT
	}
	_ = l.control(unix.EPOLL_CTL_MOD, int(c.fd), events, c.slot, c.gen)
}

// finish sends what is left and closes in good order.
func (l *loop) finish(t *Turn, c *Conn) {
	l.setDeadline(c, t.Now+closingTime)
	c.in = nil
	// Even where another turn is about to flush: only the owner goes on to linger.
	t.dirty = append(t.dirty, c)
}

// close closes the socket and forgets the connection.
func (l *loop) close(t *Turn, c *Conn, err error) {
	r := c.receiver
	c.receiver = nil
	if r != nil {
		r.Closed(t, err)
	}
	c.mu.Lock()
	c.state = stateClosed
	fd := int(c.fd)
	c.fd = -1
	c.out, c.written, c.blocked = nil, 0, false
	c.mu.Unlock()
	c.in = nil
	unix.Close(fd) // takes it out of epoll as well
	l.conns[c.slot] = nil
	l.deadlines[c.slot] = 0
	l.freeSlots = append(l.freeSlots, c.slot)
	l.count.Add(-1)
	l.server.closed()
}

// adopt makes the loop the owner of a new socket. in is what was already read from it.
func (l *loop) adopt(t *Turn, fd int, ln *Listener, ex *extra, in []byte) {
	if l.done {
		unix.Close(fd)
		l.server.closed()
		return
	}
	c := &Conn{loop: l, listener: ln, fd: int32(fd), extra: ex, in: in}
	if n := len(l.freeSlots); n > 0 {
		c.slot = l.freeSlots[n-1]
		l.freeSlots = l.freeSlots[:n-1]
	} else {
		c.slot = uint32(len(l.conns))
		l.conns = append(l.conns, nil)
		l.deadlines = append(l.deadlines, 0)
		l.gens = append(l.gens, 0)
	}
	l.gens[c.slot]++
	c.gen = l.gens[c.slot]
	l.conns[c.slot] = c
	if err := l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, c.slot, c.gen); err != nil {
		l.server.log.Error("connection dropped", "error", err)
		l.close(t, c, err)
		return
	}
	switch r := l.server.handler.Opened(t, c); {
	case c.state != stateOpen: // finished already
	case r == nil:
		l.close(t, c, nil)
	default:
		c.receiver = r
		c.feedLeft(t)
	}
}

func (l *loop) setDeadline(c *Conn, at int64) {
	var sec uint32
	if at != 0 {
		sec = uint32(max((at-l.server.base+999)/1000, 1))
	}
	l.deadlines[c.slot] = sec
}

// tick looks at all deadlines: one pass over a dense array, so that a connection needs no
// timer and a packet sets none. A deadline may be early; the receiver then gives a new one.
func (l *loop) tick(t *Turn) {
	l.nextTick = t.Now + tickMillis
	now := uint32((t.Now - l.server.base) / 1000)
	for slot, at := range l.deadlines {
		if at == 0 || at > now {
			continue
		}
		c := l.conns[slot]
		if c.state != stateOpen {
			l.close(t, c, errors.New("peer did not close in time"))
			continue
		}
		l.deadlines[slot] = 0
		if next := c.receiver.Expired(t); next != 0 && c.state == stateOpen {
			l.setDeadline(c, next)
		}
	}
	for _, ln := range l.resting {
		l.listen(ln)
	}
	l.resting = l.resting[:0]
}

// post has fn run in a turn of the loop, and reports false when the loop has ended. Any goroutine.
func (l *loop) post(fn func(t *Turn)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing {
		return false
	}
	l.posted = append(l.posted, fn)
	if !l.woken {
		l.woken = true
		one := [8]byte{0: 1} // in the machine's byte order any number but 0 will do
		_, _ = unix.Write(l.wakefd, one[:])
	}
	return true
}

func (l *loop) runPosted(t *Turn) {
	l.mu.Lock()
	fns := l.posted
	l.posted, l.spare = l.spare[:0], nil
	l.woken = false
	l.mu.Unlock()
	for i, fn := range fns {
		fn(t)
		fns[i] = nil
	}
	l.spare = fns[:0]
}

// stop closes all connections at once and ends the loop. Posted by the server.
func (l *loop) stop(t *Turn) {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	for _, c := range l.conns {
		if c != nil {
			l.close(t, c, ErrServerClosed)
		}
	}
	l.done = true
}
