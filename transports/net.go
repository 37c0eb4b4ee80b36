package transports

import (
	"errors"
	"net"
	"sync"
	"time"
)

// turnPool lends Turns to goroutines that own connections. Who borrows one must hold all owner
// locks it needs already, and never block on the network with it: then Turns always come back.
type turnPool struct {
	server *Server
	size   int
	free   chan *Turn
}

func newTurnPool(s *Server, firstID, size int) *turnPool {
	p := &turnPool{server: s, size: size, free: make(chan *Turn, size)}
	for i := range size {
		p.free <- &Turn{ID: firstID + i, spare: s.spare}
	}
	return p
}

// run runs fn in a borrowed Turn.
func (p *turnPool) run(fn func(t *Turn)) {
	t := <-p.free
	t.Now = p.server.clock()
	fn(t)
	p.server.endTurn(t)
	p.free <- t
}

// gone is the slot of a connection that netConns no longer holds.
const gone = ^uint32(0)

// netConns are the connections that goroutines own, in dense slices for the watcher to pass over.
type netConns struct {
	server *Server
	done   chan struct{} // closed by close

	mu        sync.Mutex
	conns     []*netConn // by slot
	deadlines []int64    // by slot, by the server's clock; 0: none
	closing   bool
}

func newNetConns(s *Server) *netConns {
	return &netConns{server: s, done: make(chan struct{})}
}

// add takes a new connection in, unless the server is closing.
func (ns *netConns) add(n *netConn) bool {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.closing {
		return false
	}
	n.conn.slot = uint32(len(ns.conns))
	ns.conns = append(ns.conns, n)
	ns.deadlines = append(ns.deadlines, 0)
	return true
}

func (ns *netConns) remove(n *netConn) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	slot, last := n.conn.slot, len(ns.conns)-1
	ns.conns[slot], ns.deadlines[slot] = ns.conns[last], ns.deadlines[last]
	ns.conns[slot].conn.slot = slot
	ns.conns[last] = nil
	ns.conns, ns.deadlines = ns.conns[:last], ns.deadlines[:last]
	n.conn.slot = gone
}

func (ns *netConns) setDeadline(n *netConn, at int64) {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if slot := n.conn.slot; slot != gone {
		ns.deadlines[slot] = at
	}
}

// watch looks at all deadlines now and then, so that a connection needs no timer.
func (ns *netConns) watch() {
	ticker := time.NewTicker(tickMillis * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ns.done:
			return
		case <-ticker.C:
		}
		for _, n := range ns.due(ns.server.clock()) {
			n.expire()
		}
	}
}

// due returns the connections whose deadline has come, and takes their deadlines away.
func (ns *netConns) due(now int64) []*netConn {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	var due []*netConn
	for slot, at := range ns.deadlines {
		if at != 0 && at <= now {
			ns.deadlines[slot] = 0
			due = append(due, ns.conns[slot])
		}
	}
	return due
}

func (ns *netConns) all() []*netConn {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return append([]*netConn(nil), ns.conns...)
}

func (ns *netConns) each(fn func(t *Turn, c *Conn)) {
	conns := ns.all()
	ns.server.tasks.start(func() {
		for _, n := range conns {
			n.turn(func(t *Turn) {
				if n.conn.receiver != nil {
					fn(t, &n.conn)
				}
			})
		}
	})
}

// flushed reports whether all outboxes are empty, and no last one is being written.
func (ns *netConns) flushed() bool {
	for _, n := range ns.all() {
		n.conn.mu.Lock()
		waits := len(n.conn.out) > int(n.conn.written) || n.conn.state == stateClosing
		n.conn.mu.Unlock()
		if waits {
			return false
		}
	}
	return true
}

// close cuts all connections. Their goroutines end by themselves.
func (ns *netConns) close() {
	ns.mu.Lock()
	closed := ns.closing
	ns.closing = true
	ns.mu.Unlock()
	if closed {
		return
	}
	close(ns.done)
	for _, n := range ns.all() {
		n.cut(ErrServerClosed)
	}
}

// acceptNet accepts from ln until it is closed. Without free descriptors it rests: the backlog
// keeps the peers, and nothing spins.
func (s *Server) acceptNet(ln *Listener) {
	for {
		nc, err := ln.ln.Accept()
		switch {
		case err == nil:
			s.conns.Add(1)
			s.serveNet(ln, nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.log.Warn("accept rests", "listener", ln.Config.Name, "error", err, "rest_ms", tickMillis)
			select {
			case <-s.nets.done:
			case <-time.After(tickMillis * time.Millisecond):
			}
		}
	}
}

// serveNet gives a new connection its goroutine.
func (s *Server) serveNet(ln *Listener, nc net.Conn) {
	n := newNetConn(s, ln, nc)
	if s.nets.add(n) {
		if s.tasks.start(n.accept) {
			return
		}
		s.nets.remove(n)
	}
	_ = nc.Close()
	s.closed()
}
