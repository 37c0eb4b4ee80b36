package broker

import (
	"bytes"

	"nightjar/packets"
	"nightjar/sessions"
)

// publication is one message on its way to its receivers. A worker has one and uses it again: what a
// message needs is made when the first receiver needs it, and once.
type publication struct {
	w       *worker
	view    packets.Message  // payload and properties may be views into the input
	whole   *packets.Message // the message as it is kept; nil until somebody keeps it
	stored  *sessions.Stored // nil until a durable session queues it
	ticket  uint64           // what the publisher's answer waits for
	reached int              // receivers

	expirySeconds uint32
	hasExpiry     bool
	frames        [frameKinds]frame
}

// frame is the encoded message for all receivers that differ in nothing but the Packet Identifier.
type frame struct {
	bytes []byte // memory is kept from one message to the next
	made  bool
	id    int // where the Packet Identifier stands
}

// frameKinds counts the layouts: version 5 or older × QoS 0, 1, 2 × RETAIN.
const frameKinds = 2 * 3 * 2

func frameKind(v packets.Version, qos packets.QoS, retain bool) int {
	k := int(qos) * 4
	if v >= packets.V5 {
		k += 2
	}
	if retain {
		k++
	}
	return k
}

// reset begins the next message.
func (p *publication) reset() {
	for i := range p.frames {
		p.frames[i].made = false
	}
	p.whole, p.stored, p.ticket, p.reached = nil, nil, 0, 0
	p.hasExpiry, p.expirySeconds = false, 0
	p.view = packets.Message{}
}

// frame returns the encoded message for a layout; valid until the next message.
func (p *publication) frame(v packets.Version, qos packets.QoS, retain bool) *frame {
	f := &p.frames[frameKind(v, qos, retain)]
	if !f.made {
		d := packets.Delivery{QoS: qos, Retain: retain, PacketID: 1, HasExpiry: p.hasExpiry, ExpirySeconds: p.expirySeconds}
		if cap(f.bytes) > frameBytesKept {
			f.bytes = nil
		}
		f.bytes = p.view.Append(f.bytes[:0], v, &d)
		f.made = true
		if qos > 0 {
			f.id = packets.PacketIDOffset(f.bytes)
		}
	}
	return f
}

// frameBytesKept is up to which size the memory of a frame is kept, in bytes.
const frameBytesKept = 64 << 10

// message returns the message in a form that outlives the turn.
func (p *publication) message() *packets.Message {
	if p.whole == nil {
		m := p.view
		m.Payload = bytes.Clone(m.Payload)
		m.Properties = bytes.Clone(m.Properties)
		p.whole = &m
	}
	return p.whole
}

// store returns the message in the form that the store keeps once for all queues.
func (p *publication) store() *sessions.Stored {
	if p.stored == nil {
		p.stored = &sessions.Stored{Message: p.message()}
		p.stored.Left.Store(1) // until all receivers are found
	}
	return p.stored
}

// fill begins the message that a client has published. Payload and properties stay views into in.
func (p *publication) fill(topic string, c *client, in *packets.Publish) {
	p.reset()
	p.view.TopicName = topic
	p.view.Payload = in.Payload
	p.view.QoS, p.view.Retain = in.QoS, in.Retain
	p.view.PublisherID, p.view.PublisherUser = c.session.ClientID, c.session.UserName
	switch {
	case len(in.PropertyBlock) == 0:
	case in.Plain:
		p.view.Properties = in.PropertyBlock
	default:
		p.w.properties = packets.AppendForwarded(p.w.properties[:0], in.PropertyBlock)
		p.view.Properties = p.w.properties
	}
	if in.HasMessageExpiryInterval {
		p.hasExpiry, p.expirySeconds = true, in.MessageExpiryInterval
		p.view.Expiry = max(p.w.now+packets.Instant(in.MessageExpiryInterval)*1000, 1)
	}
}

// remaining is what is left of a Message Expiry Interval, in seconds and rounded up
// [v5 MQTT-3.3.2-6].
func remaining(m *packets.Message, now packets.Instant) (seconds uint32, ok bool) {
	if m.Expiry == 0 {
		return 0, false
	}
	return uint32(max((m.Expiry-now+999)/1000, 0)), true
}
