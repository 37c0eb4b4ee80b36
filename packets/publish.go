package packets

// Publish is a PUBLISH packet as received; byte slices are views into the packet.
type Publish struct {
	Dup       bool
	Retain    bool
	QoS       QoS
	PacketID  uint16 // 0 where QoS is 0
	TopicName []byte // may be empty in v5 where a Topic Alias is set
	Payload   []byte
	// PropertyBlock is the checked v5 property block as received, without its length.
	PropertyBlock []byte
	// Plain says that PropertyBlock holds only properties that are forwarded unaltered
	// (no Topic Alias, no Message Expiry Interval, no Subscription Identifier).
	Plain                     bool
	HasMessageExpiryInterval  bool
	HasPayloadFormatIndicator bool
	PayloadFormatIndicator    byte     // 0: bytes, 1: UTF-8, which is not checked here
	TopicAlias                uint16   // 0: none. (An alias of 0 on the wire is refused with TopicAliasInvalid.)
	MessageExpiryInterval     uint32   // seconds
	SubscriptionIdentifiers   []uint32 // only ever from a server; from a client it is a protocol error
	ResponseTopic             []byte   // without wildcards
}

// Decode decodes the body of a PUBLISH. It allocates nothing, but for the Subscription Identifiers of a server. The
// Topic Name is checked to be UTF-8, not for wildcards or levels. Nil limits are DefaultLimits.
func (p *Publish) Decode(h Header, body []byte, v Version, lim *Limits) error {
	if len(body) < 2 || bigEndian16(body) > len(body)-2 {
		return Errorf(MalformedPacket, "", "packet ends before or inside the topic name")
	}
	end := 2 + bigEndian16(body)
	*p = Publish{
		Dup:                     h.Flags&8 != 0,
		QoS:                     QoS(h.Flags >> 1 & 3),
		Retain:                  h.Flags&1 != 0,
		TopicName:               body[2:end:end],
		Plain:                   true,
		SubscriptionIdentifiers: p.SubscriptionIdentifiers[:0],
	}
	if !ValidUTF8(p.TopicName) {
		return Errorf(MalformedPacket, "v5 MQTT-3.3.2-1", "topic name is not valid utf-8, or holds u+0000")
	}
	rest := body[end:]
	if p.QoS > 0 {
		c := cursor{rest}
		id, err := c.packetID()
		if err != nil {
			return err
		}
		p.PacketID, rest = id, c.rest
	}
	if v == V5 {
		if len(rest) > 0 && rest[0] == 0 { // no properties
			rest = rest[1:]
		} else {
			c := cursor{rest}
			if err := p.decodeProperties(&c, lim.orDefault()); err != nil {
				return err
			}
			rest = c.rest
		}
	}
	if len(p.TopicName) == 0 && p.TopicAlias == 0 {
		return Errorf(ProtocolError, "v5 MQTT-4.7.3-1", "empty topic name without a topic alias")
	}
	p.Payload = rest
	return nil
}

func (p *Publish) decodeProperties(c *cursor, lim *Limits) error {
	block, err := c.propertyBlock()
	if err != nil {
		return err
	}
	p.PropertyBlock = block
	r := propertyReader{block: cursor{block}, packet: PUBLISH, lim: lim}
	for r.more() {
		if err := r.next(); err != nil {
			return err
		}
		if !r.id.forwarded() {
			p.Plain = false
		}
		switch r.id {
		case PropPayloadFormatIndicator:
			p.HasPayloadFormatIndicator, p.PayloadFormatIndicator = true, byte(r.number)
		case PropMessageExpiryInterval:
			p.HasMessageExpiryInterval, p.MessageExpiryInterval = true, r.number
		case PropTopicAlias:
			p.TopicAlias = uint16(r.number)
		case PropSubscriptionIdentifier:
			p.SubscriptionIdentifiers = append(p.SubscriptionIdentifiers, r.number)
		case PropResponseTopic:
			p.ResponseTopic = r.value
		}
	}
	return nil
}

// Append appends the packet. In v5, a PropertyBlock that is not empty is written as it stands (Properties.Append makes
// one), and the fields that repeat its contents are ignored; without it they are written.
func (p *Publish) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, PUBLISH, publishFlags(p.Dup && p.QoS > 0, p.QoS, p.Retain))
	e.qos(p.QoS)
	e.binary(p.TopicName, "topic name")
	if p.QoS > 0 {
		e.packetID(p.PacketID)
	}
	if v == V5 {
		at := len(e.dst)
		e.uint8(0)
		if len(p.PropertyBlock) > 0 {
			e.raw(p.PropertyBlock)
		} else {
			p.encodeProperties(&e)
		}
		e.seal(at)
	}
	e.raw(p.Payload)
	return e.finish()
}

func (p *Publish) encodeProperties(e *encoder) {
	if p.HasPayloadFormatIndicator {
		e.uint8(byte(PropPayloadFormatIndicator))
		e.uint8(p.PayloadFormatIndicator)
	}
	if p.HasMessageExpiryInterval {
		e.uint8(byte(PropMessageExpiryInterval))
		e.uint32(p.MessageExpiryInterval)
	}
	if len(p.ResponseTopic) > 0 {
		e.uint8(byte(PropResponseTopic))
		e.binary(p.ResponseTopic, "response topic")
	}
	for _, id := range p.SubscriptionIdentifiers {
		e.uint8(byte(PropSubscriptionIdentifier))
		e.varint(id, "subscription identifier")
	}
	if p.TopicAlias != 0 {
		e.uint8(byte(PropTopicAlias))
		e.uint16(p.TopicAlias)
	}
}

func publishFlags(dup bool, qos QoS, retain bool) byte {
	return bit(dup, 8) | byte(qos)<<1 | bit(retain, 1)
}
