package simnet

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"time"

	"nightjar/transports"
)

// Link is one network connection between a client and the broker, as a socket on either side and the network between
// them. The client's side is in order like TCP: what arrives is a prefix of what was sent.
type Link struct {
	// Watch, where it is not nil, sees the bytes that pass the broker's side, as it writes and as it is handed them.
	Watch Watcher
	// Faulty says that the network did something to the connection which may be a reason to end it.
	Faulty bool

	s      *Scheduler
	actor  int
	rand   *rand.Rand
	net    Conditions
	peer   Peer
	conn   *transports.Simulated
	up     pipe // to the broker
	down   pipe // to the client
	cut    bool // by the network
	frozen bool
	slow   bool // the client does not read
	gone   bool // the client has no more interest
	posted bool // Run is on its way
	dead   bool // the broker's process has gone
}

// Conditions are what a network is like.
type Conditions struct {
	Delay    time.Duration // of one delivery, at most
	Capacity int           // bytes that are on their way to the client at most
	Chunk    int           // the most that arrives at once
}

// Peer is the client's end of a Link.
type Peer interface {
	// Received brings bytes; b is the Peer's to keep.
	Received(b []byte)
	// Lost tells that the connection has ended.
	Lost()
}

// Watcher sees what passes the broker's side of a Link.
type Watcher interface {
	Wrote(b []byte)     // by the broker
	Delivered(b []byte) // to the broker
	Finished()          // by the broker, on what was delivered last
}

// pipe is one direction.
type pipe struct {
	buf    []byte
	busy   bool // a delivery is on its way
	ended  bool // nothing follows what is in buf
	closed bool // its end was told
}

// errReset is why a connection that was cut has ended.
var errReset = errors.New("connection reset by peer")

// NewLink opens a connection. actor is its own number.
func NewLink(s *Scheduler, server *transports.Server, actor int, net Conditions, peer Peer, watch Watcher) *Link {
	l := &Link{s: s, actor: actor, rand: s.Rand(actor), net: net, peer: peer, Watch: watch}
	cfg := transports.ListenerConfig{Name: "tcp", Network: "tcp"}
	l.conn = server.Simulate(cfg, netip.MustParseAddrPort("127.0.0.1:1"), l)
	return l
}

// Stray tells whether nobody would notice if the connection were cut: it is frozen, or the client has left it.
func (l *Link) Stray() bool { return l.frozen || l.gone }

// Over tells whether both sides are done with the connection.
func (l *Link) Over() bool { return l.conn.Ended() && l.gone }

// Send sends bytes to the broker.
func (l *Link) Send(b []byte) {
	if l.up.ended {
		return
	}
	l.up.buf = append(l.up.buf, b...)
	l.carryUp()
}

// Close ends the connection from the client's side; what was sent still arrives.
func (l *Link) Close() {
	l.gone = true
	l.up.ended = true
	l.carryUp()
}

// Abandon has the client forget the connection without a word to the broker, as a process that hangs.
func (l *Link) Abandon() { l.gone = true }

// Cut ends the connection for both sides. Of what is on its way some arrives.
func (l *Link) Cut() {
	l.Faulty, l.cut, l.frozen = true, true, false
	for _, p := range []*pipe{&l.up, &l.down} {
		p.buf = p.buf[:l.rand.IntN(len(p.buf)+1)]
		p.ended = true
	}
	l.carryUp()
	l.carryDown()
}

// Crash is Cut where the broker's process has gone: nothing arrives there any more.
func (l *Link) Crash() {
	l.Cut()
	l.dead = true
	l.up = pipe{ended: true, closed: true}
}

// Freeze lets nothing through any more; nobody is told until some time later, when the broker's side gives up.
func (l *Link) Freeze() {
	l.Faulty, l.frozen = true, true
	l.s.After(time.Duration(20+l.rand.IntN(60))*time.Second, l.actor, l.Cut)
}

// Slow has the client not read, or read again.
func (l *Link) Slow(on bool) {
	l.Faulty = l.Faulty || on
	l.slow = on
	l.carryDown()
}

// Improve makes the network of the connection another one.
func (l *Link) Improve(net Conditions) { l.net = net }

// Expire looks whether the broker's deadline has come.
func (l *Link) Expire() {
	if !l.dead {
		l.conn.Expire()
	}
}

func (l *Link) delay() time.Duration {
	if l.rand.IntN(4) == 0 {
		return 0
	}
	return time.Duration(l.rand.Int64N(int64(l.net.Delay) + 1))
}

// carryUp has bytes arrive at the broker.
func (l *Link) carryUp() {
	if l.up.busy || l.up.closed || l.frozen || len(l.up.buf) == 0 && !l.up.ended {
		return
	}
	l.up.busy = true
	l.s.After(l.delay(), l.actor, l.arriveUp)
}

func (l *Link) arriveUp() {
	p := &l.up
	p.busy = false
	if p.closed || l.frozen {
		return
	}
	switch {
	case l.conn.Ended() || l.cut && !l.conn.Reading():
		p.buf = nil // nobody will read it, or the reset overtakes it
	case !l.conn.Reading():
		p.busy = true
		l.s.After(time.Millisecond+l.net.Delay, l.actor, l.arriveUp)
		return
	}
	if len(p.buf) > 0 {
		b := l.chunk(p)
		l.s.Note(l.actor, "broker gets", b)
		if l.Watch != nil {
			l.Watch.Delivered(b)
		}
		l.conn.Deliver(b)
		if l.Watch != nil && l.conn.Finished() {
			l.Watch.Finished()
		}
	} else if p.ended {
		p.closed = true
		l.s.Note(l.actor, "broker loses", nil)
		l.conn.Lose(l.cause())
		return
	}
	l.carryUp()
}

func (l *Link) cause() error {
	if l.cut {
		return errReset
	}
	return io.EOF
}

// chunk takes what arrives next: all or some of what is on its way, whatever the packets in it.
func (l *Link) chunk(p *pipe) []byte {
	n := len(p.buf)
	if l.rand.IntN(3) == 0 {
		n = 1 + l.rand.IntN(n)
	}
	n = min(n, l.net.Chunk)
	b := append([]byte(nil), p.buf[:n]...)
	p.buf = append(p.buf[:0], p.buf[n:]...)
	return b
}

// carryDown has bytes arrive at the client.
func (l *Link) carryDown() {
	if l.down.busy || l.down.closed || l.frozen || l.slow || len(l.down.buf) == 0 && !l.down.ended {
		return
	}
	l.down.busy = true
	l.s.After(l.delay(), l.actor, l.arriveDown)
}

func (l *Link) arriveDown() {
	p := &l.down
	p.busy = false
	if p.closed || l.frozen || l.slow {
		return
	}
	if len(p.buf) == 0 {
		p.closed = true
		if !l.gone {
			l.s.Note(l.actor, "client loses", nil)
			l.gone = true
			l.peer.Lost()
		}
		return
	}
	b := l.chunk(p)
	if !l.gone {
		l.s.Note(l.actor, "client gets", b)
		l.peer.Received(b)
	}
	if !l.conn.Ended() && !p.ended {
		l.conn.Writable()
	}
	l.carryDown()
}

// Write implements transports.SimulatedSocket.
func (l *Link) Write(b []byte) int {
	if l.down.ended {
		return len(b) // a reset is on its way
	}
	n := min(len(b), l.net.Capacity-len(l.down.buf))
	if n <= 0 {
		return 0
	}
	l.down.buf = append(l.down.buf, b[:n]...)
	if l.Watch != nil {
		l.Watch.Wrote(b[:n])
	}
	l.carryDown()
	return n
}

// Posted implements transports.SimulatedSocket.
func (l *Link) Posted() {
	if l.posted {
		return
	}
	l.posted = true
	wait := l.delay() / 8
	if l.rand.IntN(20) == 0 {
		wait = 3 * l.net.Delay // the owner is busy with others
	}
	l.s.After(wait, l.actor, func() {
		l.posted = false
		if !l.dead {
			l.conn.Run()
		}
	})
}

// Closed implements transports.SimulatedSocket.
func (l *Link) Closed() {
	l.down.ended = true
	l.up.closed = true
	l.carryDown()
}
