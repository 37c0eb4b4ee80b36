package packets

import "bytes"

// SubscriptionOptions are the options byte of one filter in SUBSCRIBE. Before v5 there is only QoS.
type SubscriptionOptions struct {
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0, 1 or 2
}

// Subscription is one Topic Filter with its options; TopicFilter is a view.
type Subscription struct {
	TopicFilter []byte
	Options     SubscriptionOptions
}

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID      uint16
	Properties    Properties // SubscriptionIdentifier and UserProperties only
	Subscriptions []Subscription
}

// The bits of the Subscription Options.
const (
	optionQoS               = 0x03
	optionNoLocal           = 0x04
	optionRetainAsPublished = 0x08
	optionRetainHandling    = 0x30
	optionReserved          = 0xC0
	optionReservedV3        = 0xFC
)

var sharedPrefix = []byte("$share/")

// Decode decodes the body of a SUBSCRIBE. Topic Filters are checked to be UTF-8, not for their syntax. Nil limits are
// DefaultLimits.
func (p *Subscribe) Decode(_ Header, body []byte, v Version, lim *Limits) (err error) {
	p.Properties.reset()
	p.Subscriptions = p.Subscriptions[:0]
	lim = lim.orDefault()
	c := cursor{body}
	if p.PacketID, err = c.packetID(); err != nil {
		return err
	}
	if v == V5 {
		if _, err := c.properties(&p.Properties, SUBSCRIBE, lim); err != nil {
			return err
		}
	}
	if len(c.rest) == 0 {
		return Errorf(ProtocolError, "v5 MQTT-3.8.3-2", "SUBSCRIBE without a topic filter")
	}
	for len(c.rest) > 0 {
		if len(p.Subscriptions) >= lim.Filters {
			return tooManyFilters(lim)
		}
		s, err := c.subscription(v)
		if err != nil {
			return err
		}
		p.Subscriptions = append(p.Subscriptions, s)
	}
	return nil
}

func tooManyFilters(lim *Limits) *Error {
	return Errorf(QuotaExceeded, "", "more than %d topic filters in one packet", lim.Filters)
}

// subscription reads a Topic Filter and its options.
func (c *cursor) subscription(v Version) (s Subscription, err error) {
	if s.TopicFilter, err = c.text("topic filter"); err != nil {
		return s, err
	}
	options, err := c.uint8("subscription options")
	if err != nil {
		return s, err
	}
	s.Options = SubscriptionOptions{
		QoS:               QoS(options & optionQoS),
		NoLocal:           options&optionNoLocal != 0,
		RetainAsPublished: options&optionRetainAsPublished != 0,
		RetainHandling:    options & optionRetainHandling >> 4,
	}
	reserved := byte(optionReserved)
	if v != V5 {
		reserved = optionReservedV3
	}
	switch {
	case options&reserved != 0:
		return s, Errorf(MalformedPacket, "v5 MQTT-3.8.3-5", "reserved subscription options 0x%02X", options&reserved)
	case !s.Options.QoS.Valid():
		return s, Errorf(ProtocolError, "v3.1.1 MQTT-3.8.3-4", "subscription with qos 3")
	case s.Options.RetainHandling > 2:
		return s, Errorf(ProtocolError, "", "retain handling 3")
	case s.Options.NoLocal && bytes.HasPrefix(s.TopicFilter, sharedPrefix):
		return s, Errorf(ProtocolError, "v5 MQTT-3.8.3-4", "no local on a shared subscription")
	}
	return s, nil
}

// Append appends the packet. Before v5 the options are QoS alone.
func (p *Subscribe) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, SUBSCRIBE, SUBSCRIBE.fixedFlags())
	e.packetID(p.PacketID)
	e.properties(&p.Properties, v)
	for _, s := range p.Subscriptions {
		e.qos(s.Options.QoS)
		e.binary(s.TopicFilter, "topic filter")
		options := byte(s.Options.QoS)
		if v == V5 {
			options |= bit(s.Options.NoLocal, optionNoLocal) | bit(s.Options.RetainAsPublished, optionRetainAsPublished) |
				s.Options.RetainHandling<<4
		}
		e.uint8(options)
	}
	return e.finish()
}
