package packets

// Suback is a SUBACK packet.
type Suback struct {
	PacketID    uint16
	Properties  Properties   // ReasonString and UserProperties only
	ReasonCodes []ReasonCode // one for each filter, in their order [v5 MQTT-3.8.4-6]; before v5 only 0, 1, 2 and 0x80
}

// Decode decodes the body of a SUBACK. Nil limits are DefaultLimits.
func (p *Suback) Decode(_ Header, body []byte, v Version, lim *Limits) (err error) {
	p.Properties.reset()
	p.ReasonCodes = p.ReasonCodes[:0]
	c := cursor{body}
	if p.PacketID, err = c.packetID(); err != nil {
		return err
	}
	if v == V5 {
		if _, err := c.properties(&p.Properties, SUBACK, lim.orDefault()); err != nil {
			return err
		}
	}
	p.ReasonCodes, err = c.reasonCodes(p.ReasonCodes, SUBACK)
	if err != nil || v == V5 {
		return err
	}
	for _, code := range p.ReasonCodes {
		if code.IsError() && code != UnspecifiedError {
			return badReasonCode(code, SUBACK)
		}
	}
	return nil
}

// reasonCodes reads all that is left as Reason Codes of a packet of type t, at least one.
func (c *cursor) reasonCodes(codes []ReasonCode, t Type) ([]ReasonCode, error) {
	if len(c.rest) == 0 {
		return codes, Errorf(ProtocolError, "", "%v without a reason code", t)
	}
	for _, b := range c.rest {
		code := ReasonCode(b)
		if !code.ValidFor(t) {
			return codes, badReasonCode(code, t)
		}
		codes = append(codes, code)
	}
	return codes, nil
}

// Append appends the packet. Before v5 every failure is 0x80 [v3.1.1 MQTT-3.9.3-2].
func (p *Suback) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, SUBACK, 0)
	e.packetID(p.PacketID)
	e.properties(&p.Properties, v)
	for _, code := range p.ReasonCodes {
		if v != V5 && code.IsError() {
			code = UnspecifiedError
		}
		e.uint8(byte(code))
	}
	return e.finish()
}
