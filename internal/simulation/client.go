package simulation

import (
	"math/rand/v2"
	"strings"
	"time"

	"nightjar/internal/simnet"
	"nightjar/packets"
)

// client is one MQTT client that does nothing wrong, with its Session State.
type client struct {
	w       *world
	number  int
	id      string
	version packets.Version
	durable bool // it wants a session that outlives its connection
	rand    *rand.Rand

	keepAlive      uint16
	receiveMaximum uint16 // of this connection; 0: not said
	aliasMaximum   uint16

	// The connection.
	link      *simnet.Link
	connected bool // CONNACK has come
	attempt   int  // counts connections, so that what was planned for an old one does nothing
	in        []byte
	aliases   map[uint16]string
	acks      []packets.Ack     // to be sent, in order
	acking    bool              // the first of acks has its time
	quota     int               // Receive Maximum of the broker
	will      *message          // of this connection
	newest    *inspector        // of the last CONNECT that the broker got
	retained  map[string]string // where it is not nil: the retained messages that came, by topic

	// The session.
	life       int
	lasting    bool // this life outlives its connection
	present    bool // the broker has it for certain: its CONNACK has come
	maybe      bool // the broker may have one
	could      bool // maybe, before the CONNECT that has no answer yet
	clean      bool // CONNECT with Clean Start until one is answered
	nextID     uint16
	out        []*outgoing
	requests   map[uint16]*request
	filters    map[string]*filter
	arrived    map[uint16]*message // QoS 2 messages whose PUBREL has not come, by identifier
	arrivedNow map[uint16]bool     // of these the ones that came on this connection
}

// outgoing is a message that the broker has not acknowledged in full.
type outgoing struct {
	message  *message
	id       uint16
	payload  []byte
	expiry   uint32 // seconds; 0: none
	received bool   // PUBREC has come
	releases int    // PUBREL packets sent
}

// request is a SUBSCRIBE or UNSUBSCRIBE without an answer.
type request struct {
	filter    string
	qos       packets.QoS
	subscribe bool
}

// filter is what the client knows of a subscription.
type filter struct {
	qos    packets.QoS
	stable bool // SUBACK has come, and no UNSUBSCRIBE was sent since
}

func (c *client) bit() uint32 { return 1 << c.number }

// stableQoS is the QoS of the subscriptions that are certain to match a topic; 0 where there is none.
func (c *client) stableQoS(topic string) packets.QoS {
	var qos packets.QoS
	for name, f := range c.filters {
		if f.stable && matches(name, topic) {
			qos = max(qos, f.qos)
		}
	}
	return qos
}

// mayQoS is the highest QoS of all subscriptions that this session may have had; ok is false where there is none.
func (c *client) mayQoS(topic string) (qos packets.QoS, ok bool) {
	for name, f := range c.filters {
		if matches(name, topic) {
			qos, ok = max(qos, f.qos), true
		}
	}
	return qos, ok
}

// matches is the rule of the standard, as far as the filters here need it.
func matches(filter, topic string) bool {
	filter = strings.TrimPrefix(filter, "$share/g/")
	if filter == "#" {
		return true
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i := range f {
		switch {
		case f[i] == "#":
			return true
		case i >= len(t) || f[i] != "+" && f[i] != t[i]:
			return false
		}
	}
	return len(f) == len(t)
}

// newLife begins a new session.
func (c *client) newLife() {
	c.life++
	c.present = false
	c.nextID = uint16(c.rand.IntN(5))
	c.out = nil
	c.filters = map[string]*filter{}
	c.arrived = map[uint16]*message{}
	c.w.model.forgetSession(c)
}

// connect opens a connection, whether or not there is one.
func (c *client) connect() {
	c.leaveOld()
	if !c.w.up {
		c.reconnectLater()
		return
	}
	p := &packets.Connect{Version: c.version, ClientID: []byte(c.id), KeepAliveSeconds: c.keepAlive}
	if !c.w.healing && !c.w.sharing && c.w.chance(c.rand, 15) {
		c.clean = true
	}
	lasting := c.durable && (c.version >= packets.V5 || !c.clean)
	if c.clean || !c.durable || !c.lasting {
		p.CleanStart = c.clean || !c.durable
		c.newLife()
	}
	c.lasting = lasting
	c.could = c.maybe
	c.maybe = c.maybe || lasting
	c.properties(p)
	c.addWill(p)
	c.attempt++
	c.in, c.acks, c.acking = nil, nil, false
	c.aliases, c.requests, c.arrivedNow = map[uint16]string{}, map[uint16]*request{}, map[uint16]bool{}
	c.connected = false
	b, err := p.Append(nil)
	c.check(err)
	c.link = c.w.dial(c)
	c.link.Send(b)
	mine := c.attempt
	c.w.After(5*time.Second, c.actor(), func() {
		if c.attempt == mine && !c.connected {
			c.connect()
		}
	})
	c.planPing()
}

// leaveOld leaves a connection that is still there, in one of the ways of the world.
func (c *client) leaveOld() {
	if c.link == nil {
		return
	}
	c.connectionEnds()
	switch c.rand.IntN(3) {
	case 0:
		c.link.Close()
	case 1:
		c.link.Cut()
		c.link.Abandon()
	default:
		c.link.Abandon()
	}
	c.link = nil
}

// connectionEnds notes that the connection has ended without a DISCONNECT: its will is due.
func (c *client) connectionEnds() {
	if c.will != nil && c.connected {
		c.will.acked = true
	}
	c.will = nil
	c.connected = false
	for _, r := range c.requests {
		if f := c.filters[r.filter]; f != nil && !r.subscribe {
			f.stable = false
		}
	}
	if !c.lasting {
		c.w.model.forgetSession(c)
	}
}

func (c *client) properties(p *packets.Connect) {
	if c.version < packets.V5 {
		return
	}
	q := &p.Properties
	if c.durable {
		q.SessionExpiryInterval = 24 * 3600
		q.Present.Add(packets.PropSessionExpiryInterval)
	}
	c.receiveMaximum = uint16(c.rand.IntN(6))
	if c.receiveMaximum > 0 {
		q.ReceiveMaximum = c.receiveMaximum
		q.Present.Add(packets.PropReceiveMaximum)
	}
	if c.aliasMaximum > 0 {
		q.TopicAliasMaximum = c.aliasMaximum
		q.Present.Add(packets.PropTopicAliasMaximum)
	}
}

// addWill gives some connections a will.
func (c *client) addWill(p *packets.Connect) {
	c.will = nil
	if c.w.healing || !c.w.chance(c.rand, 3) {
		return
	}
	m := c.w.newMessage(c, "w/"+c.id, packets.QoS(c.rand.IntN(3)))
	m.will = true
	p.HasWill = true
	p.Will = packets.Will{TopicName: []byte(m.topic), Payload: []byte(m.name), QoS: m.qos}
	c.will = m
	if c.version >= packets.V5 && c.w.chance(c.rand, 3) {
		p.Will.Properties.WillDelayInterval = uint32(1 + c.rand.IntN(3))
		p.Will.Properties.Present.Add(packets.PropWillDelayInterval)
		c.w.model.publish(m, nil) // it may be called off
		return
	}
	c.w.model.publish(m, c.w.clients)
}

// Lost implements simnet.Peer.
func (c *client) Lost() {
	if !c.link.Faulty {
		c.w.failf("%s: the broker ends a connection without a reason", c.id)
	}
	c.connectionEnds()
	c.link = nil
	c.attempt++
	c.reconnectLater()
}

func (c *client) reconnectLater() {
	mine := c.attempt
	c.w.After(time.Duration(c.rand.IntN(400))*time.Millisecond, c.actor(), func() {
		if c.attempt == mine && c.link == nil {
			c.connect()
		}
	})
}

// planPing keeps the connection alive.
func (c *client) planPing() {
	if c.keepAlive == 0 {
		return
	}
	mine := c.attempt
	c.w.After(time.Duration(c.keepAlive)*time.Second*9/10, c.actor(), func() {
		if c.attempt != mine {
			return
		}
		if c.connected {
			c.link.Send(packets.AppendPingreq(nil))
		}
		c.planPing()
	})
}

func (c *client) actor() int { return actorClients + c.number }

func (c *client) check(err error) {
	if err != nil {
		c.w.fail(err)
	}
}

// send encodes a packet and sends it.
func (c *client) send(p interface {
	Append(dst []byte, v packets.Version) ([]byte, error)
},
) {
	b, err := p.Append(nil, c.version)
	c.check(err)
	c.link.Send(b)
}

// freeID gives a Packet Identifier that nothing in flight has.
func (c *client) freeID() uint16 {
	for {
		c.nextID++
		if c.nextID == 0 {
			continue
		}
		taken := c.requests[c.nextID] != nil
		for _, o := range c.out {
			taken = taken || o.id == c.nextID
		}
		if !taken {
			return c.nextID
		}
	}
}

// settled tells whether the client waits for nothing.
func (c *client) settled() bool {
	return c.connected && len(c.out) == 0 && len(c.acks) == 0 && len(c.arrived) == 0 && len(c.requests) == 0
}
