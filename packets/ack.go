package packets

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type       Type
	PacketID   uint16
	ReasonCode ReasonCode // always Success before v5
	Properties Properties // ReasonString and UserProperties only
}

// Decode decodes the body of the acknowledgement that h says. Nil limits are DefaultLimits. It allocates nothing, but
// for User Properties where there are more than p has had before.
func (p *Ack) Decode(h Header, body []byte, v Version, lim *Limits) error {
	p.Type = h.Type
	p.ReasonCode = Success
	p.Properties.reset()
	if len(body) == 2 { // Success without properties [v5 section 3.4.2.1]
		p.PacketID = uint16(body[0])<<8 | uint16(body[1])
		if p.PacketID != 0 {
			return nil
		}
	}
	return p.decodeSlow(body, v, lim)
}

// decodeSlow decodes the forms with a reason code, and says what is wrong with bad ones.
func (p *Ack) decodeSlow(body []byte, v Version, lim *Limits) error {
	c := cursor{body}
	var err error
	if p.PacketID, err = c.packetID(); err != nil {
		return err
	}
	if v != V5 {
		return c.end()
	}
	code, err := c.uint8("reason code")
	if err != nil {
		return err
	}
	p.ReasonCode = ReasonCode(code)
	if !p.ReasonCode.ValidFor(p.Type) {
		return badReasonCode(p.ReasonCode, p.Type)
	}
	return c.optionalProperties(&p.Properties, p.Type, lim)
}

// Append appends the packet in the shortest form that says it all; before v5 that is the Packet Identifier alone.
func (p *Ack) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, p.Type, p.Type.fixedFlags())
	e.packetID(p.PacketID)
	if v == V5 && (p.ReasonCode != Success || p.Properties.Present != 0) {
		e.uint8(byte(p.ReasonCode))
		if p.Properties.Present != 0 {
			e.properties(&p.Properties, v)
		}
	}
	return e.finish()
}

// AppendAck appends the acknowledgement of type t that means success: four bytes, the same in every version.
func AppendAck(dst []byte, t Type, packetID uint16) []byte {
	return append(dst, byte(t)<<4|t.fixedFlags(), 2, byte(packetID>>8), byte(packetID))
}
