package packets

// Connack is a CONNACK packet.
type Connack struct {
	SessionPresent bool
	ReasonCode     ReasonCode // a v5 code; older versions have a return code, see ReasonCode.V3Connack
	Properties     Properties
}

// Decode decodes the body of a CONNACK. Nil limits are DefaultLimits.
func (p *Connack) Decode(_ Header, body []byte, v Version, lim *Limits) error {
	p.Properties.reset()
	c := cursor{body}
	flags, err := c.uint8("connect acknowledge flags")
	if err != nil {
		return err
	}
	if flags > 1 {
		return Errorf(MalformedPacket, "v5 MQTT-3.2.2-1", "reserved connect acknowledge flags 0x%02X", flags)
	}
	code, err := c.uint8("connect reason code")
	if err != nil {
		return err
	}
	p.SessionPresent, p.ReasonCode = flags == 1, ReasonCode(code)
	if v == V5 {
		if _, err := c.properties(&p.Properties, CONNACK, lim.orDefault()); err != nil {
			return err
		}
	} else if int(code) < len(fromV3Connack) {
		p.ReasonCode = fromV3Connack[code]
	} else {
		return Errorf(ProtocolError, "", "connect return code %d", code)
	}
	switch {
	case !p.ReasonCode.ValidFor(CONNACK):
		return badReasonCode(p.ReasonCode, CONNACK)
	case p.SessionPresent && p.ReasonCode.IsError():
		return Errorf(ProtocolError, "v5 MQTT-3.2.2-6", "session present in a refusal")
	}
	return c.end()
}

// Append appends the packet. Session Present is left out of a refusal [v5 MQTT-3.2.2-6] [v3.1.1 MQTT-3.2.2-4].
func (p *Connack) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, CONNACK, 0)
	e.uint8(bit(p.SessionPresent && !p.ReasonCode.IsError(), 1))
	if v == V5 {
		e.uint8(byte(p.ReasonCode))
	} else {
		e.uint8(p.ReasonCode.V3Connack())
	}
	e.properties(&p.Properties, v)
	return e.finish()
}

func badReasonCode(c ReasonCode, t Type) *Error {
	return Errorf(ProtocolError, "", "reason code 0x%02X in %v", byte(c), t)
}
