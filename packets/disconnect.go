package packets

// Disconnect is a DISCONNECT packet. Before v5 only clients send it, and it has no body.
type Disconnect struct {
	ReasonCode ReasonCode // any that the standard lists for either side
	Properties Properties // SessionExpiryInterval, ServerReference, ReasonString and UserProperties only
}

// Decode decodes the body of a DISCONNECT. Nil limits are DefaultLimits.
func (p *Disconnect) Decode(_ Header, body []byte, v Version, lim *Limits) error {
	p.ReasonCode = Success
	p.Properties.reset()
	c := cursor{body}
	if v != V5 || len(body) == 0 {
		return c.end()
	}
	p.ReasonCode = ReasonCode(body[0])
	if !p.ReasonCode.ValidFor(DISCONNECT) {
		return badReasonCode(p.ReasonCode, DISCONNECT) // [v5 MQTT-3.14.2-1]
	}
	c.rest = body[1:]
	return c.optionalProperties(&p.Properties, DISCONNECT, lim)
}

// Append appends the packet in the shortest form that says it all; before v5 it has no body.
func (p *Disconnect) Append(dst []byte, v Version) ([]byte, error) {
	e := begin(dst, DISCONNECT, 0)
	if v == V5 {
		e.reasonAndProperties(p.ReasonCode, &p.Properties)
	}
	return e.finish()
}

// reasonAndProperties appends the body of DISCONNECT and AUTH: nothing for Success without properties.
func (e *encoder) reasonAndProperties(code ReasonCode, p *Properties) {
	if code == Success && p.Present == 0 {
		return
	}
	e.uint8(byte(code))
	if p.Present != 0 {
		e.properties(p, V5)
	}
}
