package packets

// Unsuback is an UNSUBACK packet.
type Unsuback struct {
	PacketID    uint16
	Properties  Properties   // ReasonString and UserProperties only
	ReasonCodes []ReasonCode // one for each filter, in their order; none before v5
}

// Decode decodes the body of an UNSUBACK. Nil limits are DefaultLimits.
func (p *Unsuback) Decode(_ Header, body []byte, v Version, lim *Limits) (err error) {
	p.Properties.reset()
	p.ReasonCodes = p.ReasonCodes[:0]
	c := cursor{body}
	if p.PacketID, err = c.packetID(); err != nil {
		return err
	}
	if v != V5 {
		return c.end()
	}
	if _, err := c.properties(&p.Properties, UNSUBACK, lim.orDefault()); err != nil {
		return err
	}
	p.ReasonCodes, err = c.reasonCodes(p.ReasonCodes, UNSUBACK)
	return err
}

// Append appends the packet; before v5 it is the Packet Identifier alone.
func (p *Unsuback) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, UNSUBACK, 0)
	e.packetID(p.PacketID)
	if v == V5 {
		e.properties(&p.Properties, v)
		for _, code := range p.ReasonCodes {
			e.uint8(byte(code))
		}
	}
	return e.finish()
}
