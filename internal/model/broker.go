package model

import (
	"cmp"
	"maps"
	"slices"

	"nightjar/packets"
)

// Message is an Application Message.
type Message struct {
	Topic, Payload string
	QoS            packets.QoS
	Retain         bool
	From           string // Client Identifier of the publisher
	Expiry         int64  // seconds on the model's clock; 0: never
}

// Packet is what a client is to receive.
type Packet struct {
	Type     packets.Type
	PacketID uint16 // of acknowledgements
	Codes    []packets.ReasonCode
	Unheard  bool // nobody received the message: Reason Code 0x10 is as good as 0
	Present  bool // Session Present
	Batch    int  // packets of one batch come in any order; 0: in order

	// Of PUBLISH, and of PUBREL that is sent again.
	Message     *Message
	QoS         packets.QoS
	Retain, Dup bool
	IDs         []uint32 // Subscription Identifiers
	Flight      *Flight  // where QoS is not 0: has the Packet Identifier, or gets it
}

// Flight is a message that waits for acknowledgements.
type Flight struct {
	Message  *Message
	QoS      packets.QoS
	Retain   bool
	IDs      []uint32
	PacketID uint16 // 0 until the broker has chosen
	Released bool   // PUBREL was sent
	Sent     bool   // on this connection
	place    int    // how many were sent before
}

// Subscription is one subscription.
type Subscription struct {
	Filter  string // without $share and ShareName
	Share   string
	Options packets.SubscriptionOptions
	ID      uint32
}

// Session is the Session State of a client.
type Session struct {
	ClientID      string
	Conn          *Conn // nil: offline
	Subscriptions map[string]Subscription
	Flights       []*Flight // in the order of sending
	Held          map[uint16]bool
	queue         []*Flight
	places        int
	expiry        uint32 // Session Expiry Interval in seconds
	end           int64  // when the session ends; 0: not yet known
	will          *Will
	due           int64 // when the will is to be published; 0: not yet known
}

// Will is a Will Message with its delay in seconds.
type Will struct {
	Message
	Delay uint32
}

// Conn is a Network Connection.
type Conn struct {
	Version packets.Version
	Session *Session
	Window  int // messages in flight at a time
	Closed  bool
	Aliases map[uint16]string // Topic Aliases of the client
	Out     []Packet          // what the client is to receive
}

// Broker is the whole state.
type Broker struct {
	Now      int64 // seconds
	Sessions map[string]*Session
	Retained map[string]*Message
	Wills    int // published
	// Choose tells which ready member of a shared subscription got a message.
	Choose func(m *Message, ready []*Session) *Session
	batch  int
}

// New makes a Broker.
func New() *Broker {
	return &Broker{Sessions: map[string]*Session{}, Retained: map[string]*Message{}}
}

// spanFactor is how many windows further sending goes past a message that stays unacknowledged (docs/qos.md).
const spanFactor = 8

func (c *Conn) send(p Packet) { c.Out = append(c.Out, p) }

// Connect opens a session. expiry is 0 for a session that ends with its connection.
func (b *Broker) Connect(c *Conn, id string, cleanStart bool, expiry uint32, will *Will) {
	s := b.Sessions[id]
	resume := s != nil && !cleanStart && s.expiry > 0 // [v5 MQTT-3.1.2-5] [v5 MQTT-3.1.2-4]
	if s != nil {
		if old := s.Conn; old != nil { // [v5 MQTT-3.1.4-3]
			old.disconnect(packets.SessionTakenOver)
			s.Conn = nil
		}
		due := s.will
		s.will = nil
		if resume && due != nil && due.Delay > 0 { // [v5 MQTT-3.1.3-9]
			due = nil
		}
		if !resume {
			delete(b.Sessions, id)
		}
		b.publishWill(due)
	}
	if !resume {
		s = &Session{ClientID: id, Subscriptions: map[string]Subscription{}, Held: map[uint16]bool{}}
		b.Sessions[id] = s
	}
	s.Conn, s.expiry, s.will, s.end, s.due = c, expiry, will, 0, 0
	c.Session = s
	for _, f := range s.Flights {
		f.Sent = false
	}
	c.send(Packet{Type: packets.CONNACK, Codes: []packets.ReasonCode{0}, Present: resume})
	s.pump(b.Now)
}

// disconnect is the server's DISCONNECT, which clients before v5 do not get.
func (c *Conn) disconnect(code packets.ReasonCode) {
	if c.Version >= packets.V5 {
		c.send(Packet{Type: packets.DISCONNECT, Codes: []packets.ReasonCode{code}})
	}
	c.Closed = true
}

// Fault is a packet that breaks the protocol.
func (b *Broker) Fault(c *Conn, code packets.ReasonCode) {
	c.disconnect(code)
	b.End(c, true)
}

// Disconnect is DISCONNECT from the client, with a new Session Expiry Interval or -1.
func (b *Broker) Disconnect(c *Conn, withWill bool, expiry int64) {
	if expiry > 0 && c.Session.expiry == 0 { // [v5 MQTT-3.14.2-2]
		b.Fault(c, packets.ProtocolError)
		return
	}
	if expiry >= 0 {
		c.Session.expiry = uint32(expiry)
	}
	c.Closed = true
	b.End(c, withWill)
}

// End is the end of a Network Connection.
func (b *Broker) End(c *Conn, withWill bool) {
	c.Closed = true
	s := c.Session
	s.Conn = nil
	if !withWill { // [v5 MQTT-3.1.2-10]
		s.will = nil
	}
	s.end = b.Now + int64(s.expiry)
	if s.will != nil { // [v5 MQTT-3.1.2-8]: at the end of the session at the latest
		s.due = min(b.Now+int64(s.will.Delay), s.end)
	}
	b.Advance(0)
}

// Advance lets time pass.
func (b *Broker) Advance(seconds int64) {
	b.Now += seconds
	var due []*Session
	for _, s := range b.Sessions {
		if s.Conn == nil && s.will != nil && s.due <= b.Now {
			due = append(due, s)
		}
		if s.Conn == nil && s.end <= b.Now {
			delete(b.Sessions, s.ClientID)
		}
	}
	slices.SortFunc(due, func(x, y *Session) int { return cmp.Compare(x.due, y.due) })
	for _, s := range due {
		will := s.will
		s.will = nil
		b.publishWill(will)
	}
	maps.DeleteFunc(b.Retained, func(_ string, m *Message) bool { return m.gone(b.Now) })
}

func (m *Message) gone(now int64) bool { return m.Expiry != 0 && m.Expiry <= now }

func (b *Broker) publishWill(will *Will) {
	if will != nil {
		b.Wills++
		b.route(&will.Message)
	}
}

// Publish is PUBLISH from a client. id is 0 at QoS 0.
func (b *Broker) Publish(c *Conn, m *Message, id uint16) {
	reached := true
	if m.QoS < 2 || !c.Session.Held[id] { // [v5 MQTT-4.3.3-10]
		reached = b.route(m)
	}
	switch m.QoS {
	case 1:
		c.send(Packet{Type: packets.PUBACK, PacketID: id, Codes: []packets.ReasonCode{0}, Unheard: !reached})
	case 2:
		c.Session.Held[id] = true
		c.send(Packet{Type: packets.PUBREC, PacketID: id, Codes: []packets.ReasonCode{0}, Unheard: !reached})
	}
}

// Pubrel is PUBREL from a client.
func (b *Broker) Pubrel(c *Conn, id uint16) {
	code := packets.Success
	if !c.Session.Held[id] {
		code = packets.PacketIdentifierNotFound
	}
	delete(c.Session.Held, id)
	c.send(Packet{Type: packets.PUBCOMP, PacketID: id, Codes: []packets.ReasonCode{code}})
}

// Acknowledge is PUBACK, PUBREC or PUBCOMP from a client.
func (b *Broker) Acknowledge(c *Conn, t packets.Type, id uint16, code packets.ReasonCode) {
	s := c.Session
	at := slices.IndexFunc(s.Flights, func(f *Flight) bool { return f.PacketID == id })
	if at < 0 {
		if t == packets.PUBREC && !code.IsError() {
			c.send(Packet{Type: packets.PUBREL, PacketID: id, Codes: []packets.ReasonCode{packets.PacketIdentifierNotFound}})
		}
		return
	}
	f := s.Flights[at]
	switch {
	case t == packets.PUBACK && f.QoS == 1, t == packets.PUBCOMP && f.Released,
		t == packets.PUBREC && f.QoS == 2 && !f.Released && code.IsError(): // [v5 MQTT-4.3.3-4]
		s.Flights = slices.Delete(s.Flights, at, at+1)
	case t == packets.PUBREC && f.QoS == 2:
		f.Released = true
		c.send(Packet{Type: packets.PUBREL, PacketID: id, Codes: []packets.ReasonCode{0}})
	default:
		b.Fault(c, packets.ProtocolError)
		return
	}
	s.pump(b.Now)
}

// Subscribe is SUBSCRIBE with valid filters; refused ones have a code instead.
func (b *Broker) Subscribe(c *Conn, id uint16, filters []string, options []packets.SubscriptionOptions, subID uint32) {
	ack := Packet{Type: packets.SUBACK, PacketID: id}
	var after []Packet
	for i, filter := range filters {
		sub, ok := parse(filter)
		if !ok {
			ack.Codes = append(ack.Codes, packets.TopicFilterInvalid)
			continue
		}
		sub.Options, sub.ID = options[i], subID
		_, had := c.Session.Subscriptions[filter]
		c.Session.Subscriptions[filter] = sub // [v5 MQTT-3.8.4-3]
		ack.Codes = append(ack.Codes, packets.ReasonCode(sub.Options.QoS))
		if sub.Share == "" && (sub.Options.RetainHandling == 0 || sub.Options.RetainHandling == 1 && !had) {
			after = append(after, b.retainedFor(sub)...)
		}
	}
	c.send(ack)
	for _, p := range after {
		if p.QoS > 0 {
			p.Flight = c.Session.start(&Flight{Message: p.Message, QoS: p.QoS, Retain: true, IDs: p.IDs})
		}
		c.send(p)
	}
}

// retainedFor is what a new subscription brings [v5 MQTT-3.3.1-9].
func (b *Broker) retainedFor(sub Subscription) (list []Packet) {
	b.batch++
	for _, topic := range slices.Sorted(maps.Keys(b.Retained)) {
		if m := b.Retained[topic]; matches(sub.Filter, topic) {
			list = append(list, Packet{
				Type: packets.PUBLISH, Batch: b.batch, Message: m, QoS: min(m.QoS, sub.Options.QoS), Retain: true, IDs: sub.ids(),
			})
		}
	}
	return list
}

// Unsubscribe is UNSUBSCRIBE.
func (b *Broker) Unsubscribe(c *Conn, id uint16, filters []string) {
	ack := Packet{Type: packets.UNSUBACK, PacketID: id}
	for _, filter := range filters {
		code := packets.NoSubscriptionExisted
		if _, had := c.Session.Subscriptions[filter]; had {
			code = packets.Success
		}
		delete(c.Session.Subscriptions, filter)
		ack.Codes = append(ack.Codes, code)
	}
	c.send(ack)
}

func (s Subscription) ids() []uint32 {
	if s.ID == 0 {
		return nil
	}
	return []uint32{s.ID}
}
