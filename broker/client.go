package broker

import (
	"errors"
	"sync/atomic"

	"nightjar/packets"
	"nightjar/transports"
)

// state is how far a connection has come.
//
//	new ─CONNECT─► authenticating ─► connecting (the store works) ─► ready ─► gone
//	       └─────► exchanging AUTH ───┘
type state uint8

const (
	stateNew state = iota
	stateAuthenticating
	stateExchanging
	stateConnecting
	stateReady
	stateGone
)

// client is one network connection that speaks MQTT. What has no other note belongs to the
// owner of the connection.
type client struct {
	b       *Broker
	conn    *transports.Conn
	session *session // nil before a CONNECT is accepted; fixed then

	version   packets.Version
	state     state
	overrun   bool   // reading pauses until the store has caught up
	busy      bool   // accepted over the limit of connections: CONNECT is refused
	noProblem bool   // Request Problem Information 0 [v5 MQTT-3.1.2-32]
	keepAlive uint16 // seconds, as it is enforced; 0: none
	window    uint16 // messages in flight to the client; fixed by CONNECT

	maxPacket    uint32       // Maximum Packet Size of the client; fixed by CONNECT
	unacked      atomic.Int32 // QoS 1 and 2 messages from the client that it has no answer to
	waitingBytes atomic.Int32 // of pending.buf
	wantsSafe    atomic.Bool  // safe is to be called when output was released
	pumping      atomic.Bool  // a pump has been posted
	lastSeen     packets.Instant
	allowed      *route // the last topic that the client was allowed to publish to

	aliases *aliases // nil: none in use. inward: owner; outward: guarded by the outbox
	pending *pending // guarded by the outbox
	opening *opening // while it connects
	rare    *rare    // nil: nothing of it
}

// rare is what only some connections have.
type rare struct {
	slowSince packets.Instant   // since when the outbox is over its limit; 0: it is not
	aliases   map[uint16]string // Topic Aliases of the client
	address   *addressCount     // nil: not counted
	tooFast   bool              // the connection came over the connect rate: CONNECT is refused
	throttled bool              // reading pauses for a while
	hurried   bool              // Expired comes within a second, to see how slow the client is
	clogged   bool              // reading pauses until answers have left
	overran   bool              // the client was over its Receive Maximum, and the log has it
	tokens    float64           // messages that may be published now; below 0: owed
	metered   packets.Instant   // when tokens was counted
	fastSince packets.Instant   // since when the client publishes more than its rate
	fastLast  packets.Instant   // when it last did
	enhanced  *enhanced         // nil: CONNECT named no authentication method
}

func (c *client) more() *rare {
	if c.rare == nil {
		c.rare = &rare{}
	}
	return c.rare
}

// errClosed ends a connection without an answer.
var errClosed = errors.New("connection closed by the client")

// busyMin is how many connections over the limit are told so at least; more are closed without a word.
const busyMin = 16

func (w *worker) opened(conn *transports.Conn) transports.Receiver {
	c := &client{b: w.b, conn: conn, lastSeen: w.now}
	lim := &w.b.cfg.Limits
	if w.b.stopping.Load() || w.b.server.Connections() > lim.Connections+lim.Connections/16+busyMin {
		w.count[countRefusedConnections]++
		return nil
	}
	c.busy = w.b.server.Connections() > lim.Connections || !w.b.addresses.add(c, lim.ConnectionsPerAddress)
	conn.SetDeadline(int64(w.now) + lim.ConnectTimeout.Milliseconds())
	w.count[countConnectionsOpened]++
	return c
}

// Receive implements transports.Receiver: it handles every whole packet in data.
func (c *client) Receive(t *transports.Turn, data []byte) (used, want int) {
	w := c.b.worker(t)
	w.count[countBytesReceived] += uint64(len(data))
	if c.state == stateReady && c.backedUp() {
		c.clog(w)
		return 0, 0
	}
	for used < len(data) {
		if c.state == stateNew && packets.Type(data[used]>>4) != packets.CONNECT {
			c.end(w, packets.Errorf(packets.ProtocolError, "v5 MQTT-3.1.0-1", "the first packet is not CONNECT"))
			return len(data), 0
		}
		h, err := packets.ParseHeader(data[used:])
		if err == nil && h.Size > 0 {
			err = c.checkSize(&h)
		}
		if err != nil {
			c.end(w, err)
			return len(data), 0
		}
		total := h.Size + h.Remaining
		if h.Size == 0 || len(data)-used < total {
			return used, total
		}
		if c.withheld(&h) {
			c.throttle(w)
			return used, total
		}
		body := data[used+h.Size : used+total]
		used += total
		c.lastSeen = w.now
		w.count[countPacketsReceived]++
		if err := c.handle(w, h, body); err != nil {
			c.end(w, err)
		}
		if c.state == stateGone { // [v5 MQTT-3.14.4-1]: what follows DISCONNECT is ignored
			return len(data), 0
		}
		if c.conn.Paused() {
			return used, 0
		}
		if w.work >= workMax && used < len(data) {
			c.yield()
			return used, 0
		}
	}
	return used, 0
}

// checkSize refuses a packet by its header alone [v5 MQTT-3.2.2-15].
func (c *client) checkSize(h *packets.Header) error {
	most := c.b.cfg.Limits.PacketBytes
	if c.state < stateReady {
		most = c.b.cfg.Limits.ConnectBytes
	}
	if h.Size+h.Remaining > most {
		return packets.Errorf(packets.PacketTooLarge, "v5 MQTT-3.2.2-15", "packet of %d bytes; the limit is %d", h.Size+h.Remaining, most)
	}
	return nil
}

// handle acts on one packet. An error ends the connection.
func (c *client) handle(w *worker, h packets.Header, body []byte) error {
	switch c.state {
	case stateNew:
		return c.handleConnect(w, h, body)
	case stateExchanging:
		return c.handleExchange(w, h, body)
	}
	switch h.Type {
	case packets.PUBLISH:
		return c.handlePublish(w, h, body)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		return c.handleAck(w, h, body)
	case packets.SUBSCRIBE:
		return c.handleSubscribe(w, h, body)
	case packets.UNSUBSCRIBE:
		return c.handleUnsubscribe(w, h, body)
	case packets.PINGREQ:
		if len(body) > 0 {
			return packets.Errorf(packets.MalformedPacket, "", "PINGREQ has a body")
		}
		w.count[countPings]++
		c.conn.Write(w.turn, pingresp) // [v5 MQTT-3.12.4-1]
		return nil
	case packets.DISCONNECT:
		return c.handleDisconnect(w, h, body)
	case packets.CONNECT:
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-3.1.0-2", "second CONNECT")
	case packets.AUTH:
		return c.handleAuth(w, h, body)
	}
	return packets.Errorf(packets.ProtocolError, "", "%v is not for a client to send", h.Type)
}

var pingresp = packets.AppendPingresp(nil)

// handleDisconnect ends the connection as the client wishes [v5 MQTT-3.14.4-3].
func (c *client) handleDisconnect(w *worker, h packets.Header, body []byte) error {
	var d packets.Disconnect
	if err := d.Decode(h, body, c.version, &c.b.decoder); err != nil {
		return err
	}
	if d.ReasonCode != packets.Success && !d.ReasonCode.IsError() && d.ReasonCode != packets.DisconnectWithWill {
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-3.14.2-1", "reason code 0x%02x is not for DISCONNECT", byte(d.ReasonCode))
	}
	s := c.session
	if d.Properties.Present.Has(packets.PropSessionExpiryInterval) {
		s.mu.Lock()
		if s.ExpiryInterval == 0 && d.Properties.SessionExpiryInterval > 0 {
			s.mu.Unlock()
			return packets.Errorf(packets.ProtocolError, "v5 MQTT-3.14.2-2", "session expiry interval was 0 in CONNECT and cannot be raised")
		}
		if s.owner == c {
			s.ExpiryInterval = w.b.cfg.Limits.sessionExpiry(d.Properties.SessionExpiryInterval)
		}
		s.mu.Unlock()
	}
	c.leave(w, d.ReasonCode == packets.Success)
	c.conn.Finish(w.turn)
	return nil
}

// end is the one place where a fault ends a connection: it says why, to the client and in the log.
func (c *client) end(w *worker, err error) {
	if c.state == stateGone {
		return
	}
	code := packets.ReasonCodeOf(err)
	switch {
	case c.state == stateNew && errors.Is(err, errClosed):
	case c.state < stateReady:
		c.refuse(w, code, err)
		return
	case c.version >= packets.V5 && !errors.Is(err, errClosed):
		c.sendDisconnect(w, code, err)
	}
	w.count[countDisconnects]++
	w.b.log.disconnected(c, code, err)
	c.leave(w, false)
	c.conn.Finish(w.turn)
}

// sendDisconnect tells a v5 client why the connection ends [v5 MQTT-4.13.1-1].
func (c *client) sendDisconnect(w *worker, code packets.ReasonCode, err error) {
	d := packets.Disconnect{ReasonCode: code}
	setReason(&d.Properties, err)
	if out := c.encode(nil, &d, &d.Properties); c.fits(len(out)) {
		c.conn.Write(w.turn, out)
	}
}

// fits tells whether the client takes a packet of so many bytes [v5 MQTT-3.1.2-27].
func (c *client) fits(size int) bool { return c.maxPacket == 0 || size <= int(c.maxPacket) }

// reasonOf is the text of an error for the peer.
func reasonOf(err error) string {
	var e *packets.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// setReason puts the text of an error into a Reason String.
func setReason(p *packets.Properties, err error) {
	if reason := reasonOf(err); reason != "" {
		p.ReasonString = []byte(reason)
		p.Present.Add(packets.PropReasonString)
	}
}

// packet is what every control packet that the broker sends can do.
type packet interface {
	Append(dst []byte, v packets.Version) ([]byte, error)
}

// encode encodes an answer. A Reason String that the client does not want, or that would make the
// packet too large for it, is left out [v5 MQTT-3.1.2-32] [v5 MQTT-3.4.2-2]. What the broker makes can always be encoded.
func (c *client) encode(dst []byte, p packet, props *packets.Properties) []byte {
	if _, disconnect := p.(*packets.Disconnect); c.noProblem && !disconnect {
		props.Present &^= 1 << packets.PropReasonString
	}
	out, err := p.Append(dst, c.version)
	if err == nil && !c.fits(len(out)-len(dst)) {
		props.Present &^= 1 << packets.PropReasonString
		out, err = p.Append(dst, c.version)
	}
	if err != nil {
		panic("BUG: broker: own packet cannot be encoded: " + err.Error())
	}
	return out
}

// Closed implements transports.Receiver: the network connection is gone.
func (c *client) Closed(t *transports.Turn, _ error) {
	w := c.b.worker(t)
	c.leave(w, false)
}

// Drained implements transports.Receiver.
func (c *client) Drained(t *transports.Turn) {
	w := c.b.worker(t)
	if c.state == stateReady {
		c.unclog(w)
		c.pump(w)
	}
}

// Expired implements transports.Receiver: CONNECT, Keep Alive or a slow reader's time may be over.
func (c *client) Expired(t *transports.Turn) (next int64) {
	w := c.b.worker(t)
	switch c.state {
	case stateReady:
	case stateGone:
		return 0
	case stateExchanging:
		c.end(w, errExchangeTime)
		return 0
	default:
		c.end(w, packets.Errorf(packets.KeepAliveTimeout, "", "no whole CONNECT in time"))
		return 0
	}
	if c.rare != nil {
		c.rare.hurried = false
	}
	if c.unthrottle(w) && c.state != stateReady {
		return 0
	}
	c.unclog(w)
	if c.conn.Paused() {
		// The broker is the one that does not read.
		c.lastSeen = w.now
	}
	if c.exchangeOverdue(w) {
		c.end(w, errExchangeTime)
		return 0
	}
	if c.keepAlive > 0 && int64(w.now) >= c.silentUntil() {
		c.end(w, packets.Errorf(packets.KeepAliveTimeout, "v5 MQTT-3.1.2-24", "nothing came for one and a half times the keep alive of %d s", c.keepAlive))
		return 0
	}
	c.pump(w)
	if c.tooSlow(w) {
		c.end(w, packets.Errorf(packets.QuotaExceeded, "", "the connection does not take what is sent to it"))
		return 0
	}
	return c.nextDeadline(w)
}

// silentUntil is when the client has been silent for too long [v5 MQTT-3.1.2-24].
func (c *client) silentUntil() int64 { return int64(c.lastSeen) + int64(c.keepAlive)*1500 }

// slowCheck is how often the outbox of a client is looked at, in milliseconds.
const slowCheck = 5000

func (c *client) nextDeadline(w *worker) int64 {
	next := int64(w.now) + 12*slowCheck
	if c.rare != nil && c.rare.throttled {
		next = int64(w.now) + throttleTime
	}
	if c.conn.Buffered() > 0 {
		next = min(next, int64(w.now)+slowCheck)
	}
	if c.keepAlive > 0 {
		next = min(next, c.silentUntil())
	}
	if c.rare != nil && c.rare.enhanced != nil && c.rare.enhanced.until > 0 {
		next = min(next, c.rare.enhanced.until)
	}
	return next
}

// tooSlow tells whether the outbox has not been empty for too long.
func (c *client) tooSlow(w *worker) bool {
	if c.conn.Buffered() < w.b.cfg.Limits.OutboxBytes/2 {
		if c.rare != nil {
			c.rare.slowSince = 0
		}
		return false
	}
	if c.more().slowSince == 0 {
		c.rare.slowSince = w.now
	}
	return w.now-c.rare.slowSince >= packets.Instant(w.b.cfg.Limits.SlowTimeout.Milliseconds())
}

// leave takes the client off its session. With discardWill the will is not published.
func (c *client) leave(w *worker, discardWill bool) {
	if c.state == stateGone {
		return
	}
	c.state = stateGone
	w.b.addresses.remove(c)
	w.count[countConnectionsClosed]++
	if c.session != nil {
		w.detach(c.session, c, discardWill)
	}
}

// pump sends what the session holds for the client, as far as its window and its outbox allow.
func (c *client) pump(w *worker) {
	s := c.session
	s.mu.Lock()
	if s.owner == c {
		w.pumpLocked(s, c)
	}
	s.mu.Unlock()
}

var _ transports.Receiver = (*client)(nil)
