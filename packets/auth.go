package packets

import "errors"

// Auth is an AUTH packet (v5 only).
type Auth struct {
	ReasonCode ReasonCode // Success, ContinueAuthentication or ReAuthenticate [v5 MQTT-3.15.2-1]
	Properties Properties // AuthenticationMethod, AuthenticationData, ReasonString and UserProperties only
}

// Decode decodes the body of an AUTH. Nil limits are DefaultLimits.
func (p *Auth) Decode(_ Header, body []byte, v Version, lim *Limits) error {
	p.ReasonCode = Success
	p.Properties.reset()
	if v != V5 {
		return Errorf(ProtocolError, "", "AUTH before version 5")
	}
	if len(body) == 0 {
		return nil
	}
	p.ReasonCode = ReasonCode(body[0])
	if !p.ReasonCode.ValidFor(AUTH) {
		return badReasonCode(p.ReasonCode, AUTH)
	}
	c := cursor{body[1:]}
	if err := c.optionalProperties(&p.Properties, AUTH, lim); err != nil {
		return err
	}
	if !p.Properties.Present.Has(PropAuthenticationMethod) {
		return Errorf(ProtocolError, "", "AUTH without an authentication method")
	}
	return nil
}

// Append appends the packet in the shortest form that says it all.
func (p *Auth) Append(dst []byte, v Version) ([]byte, error) {
	if v != V5 {
		return dst, errors.New("encode AUTH: only version 5 has it")
	}
	e := begin(dst, AUTH, 0)
	e.reasonAndProperties(p.ReasonCode, &p.Properties)
	return e.finish()
}
