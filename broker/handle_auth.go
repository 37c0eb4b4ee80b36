package broker

import (
	"bytes"

	"nightjar/auth"
	"nightjar/packets"
)

// enhanced is what a connection has whose CONNECT named an authentication method [v5 4.12].
type enhanced struct {
	method   string         // the only one for the whole connection [v5 MQTT-4.12.0-5]
	exchange *auth.Exchange // the one at hand; nil: none
	until    int64          // when re-authentication must be done, on the clock of turns
	last     []byte         // what CONNACK or the last AUTH tells the client
}

// beginExchange starts the authentication that CONNECT asks for.
func (c *client) beginExchange(w *worker, p *packets.Connect, h packets.Header, body []byte) error {
	x, err := w.b.auth.Begin(string(p.Properties.AuthenticationMethod), c.credentials(p))
	if err != nil {
		return err
	}
	c.more().enhanced = &enhanced{method: x.Method(), exchange: x}
	c.opening.header, c.opening.body = h, bytes.Clone(body)
	c.state = stateExchanging
	if !p.Properties.Present.Has(packets.PropAuthenticationData) {
		return c.sendAuth(w, packets.ContinueAuthentication, nil) // the client's first words come with AUTH
	}
	id, err := c.step(w, p.Properties.AuthenticationData)
	if id == nil || err != nil {
		return err
	}
	return c.accept(w, p, id)
}

// handleExchange takes what a client may send between CONNECT and CONNACK: AUTH and DISCONNECT
// [v5 MQTT-3.1.2-33].
func (c *client) handleExchange(w *worker, h packets.Header, body []byte) error {
	switch h.Type {
	case packets.DISCONNECT:
		var d packets.Disconnect
		if err := d.Decode(h, body, c.version, &c.b.decoder); err != nil {
			return err
		}
		c.leave(w, true)
		c.conn.Finish(w.turn)
		return nil
	case packets.AUTH:
	default:
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-3.1.2-33", "%v before the end of the authentication", h.Type)
	}
	var a packets.Auth
	if err := c.decodeAuth(&a, h, body); err != nil {
		return err
	}
	if a.ReasonCode != packets.ContinueAuthentication {
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-4.12.0-3", "AUTH 0x%02x before the end of the authentication", byte(a.ReasonCode))
	}
	id, err := c.step(w, a.Properties.AuthenticationData)
	if id == nil || err != nil {
		return err
	}
	var p packets.Connect
	if err := p.Decode(c.opening.header, c.opening.body, &w.b.decoder); err != nil {
		return err
	}
	return c.accept(w, &p, id)
}

// handleAuth is re-authentication: the connection goes on meanwhile, as who it was.
func (c *client) handleAuth(w *worker, h packets.Header, body []byte) error {
	var a packets.Auth
	if err := c.decodeAuth(&a, h, body); err != nil {
		return err
	}
	e := c.rare.enhanced
	switch {
	case a.ReasonCode == packets.ReAuthenticate && e.exchange == nil:
		x, err := w.b.auth.Begin(e.method, c.credentialsAgain())
		if err != nil {
			return err
		}
		e.exchange = x
		e.until = int64(w.now) + w.b.cfg.Limits.ConnectTimeout.Milliseconds()
		c.conn.SetDeadline(c.nextDeadline(w))
		if !a.Properties.Present.Has(packets.PropAuthenticationData) {
			return c.sendAuth(w, packets.ContinueAuthentication, nil)
		}
	case a.ReasonCode != packets.ContinueAuthentication || e.exchange == nil:
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-4.12.0-3", "AUTH 0x%02x out of order", byte(a.ReasonCode))
	}
	id, err := c.step(w, a.Properties.AuthenticationData)
	if id == nil || err != nil {
		return err
	}
	c.renew(w, id)
	return c.sendAuth(w, packets.Success, e.last)
}

// decodeAuth decodes an AUTH, whose method must be that of CONNECT.
func (c *client) decodeAuth(a *packets.Auth, h packets.Header, body []byte) error {
	if c.version < packets.V5 {
		return packets.Errorf(packets.MalformedPacket, "", "packet type 15 is reserved")
	}
	if err := a.Decode(h, body, c.version, &c.b.decoder); err != nil {
		return err
	}
	switch {
	case c.rare == nil || c.rare.enhanced == nil:
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-4.12.0-7", "AUTH without an authentication method in CONNECT")
	case !a.Properties.Present.Has(packets.PropAuthenticationMethod):
		return packets.Errorf(packets.ProtocolError, "", "AUTH without an authentication method")
	case string(a.Properties.AuthenticationMethod) != c.rare.enhanced.method:
		return packets.Errorf(packets.ProtocolError, c.otherMethod(), "another authentication method than in CONNECT")
	}
	return nil
}

// otherMethod is the statement that a change of the method breaks.
func (c *client) otherMethod() string {
	if c.state == stateReady {
		return "v5 MQTT-4.12.1-1"
	}
	return "v5 MQTT-4.12.0-5"
}

// step goes on with the exchange. It sends what the client must answer to; with the end of the exchange comes the
// identity, and the last answer is in enhanced.last.
func (c *client) step(w *worker, data []byte) (*auth.Identity, error) {
	e := c.rare.enhanced
	answer, id, err := e.exchange.Step(data)
	switch {
	case err != nil:
		return nil, err
	case id == nil:
		return nil, c.sendAuth(w, packets.ContinueAuthentication, answer)
	}
	e.exchange, e.until, e.last = nil, 0, answer
	return id, nil
}

// sendAuth sends AUTH. It never has a Reason String [v5 MQTT-3.15.2-2].
func (c *client) sendAuth(w *worker, code packets.ReasonCode, data []byte) error {
	a := packets.Auth{ReasonCode: code}
	c.rare.enhanced.tell(&a.Properties, data)
	out := c.encode(nil, &a, &a.Properties)
	if !c.fits(len(out)) {
		return errTooSmall
	}
	c.conn.Write(w.turn, out)
	return nil
}

// tell adds the method, and data where there is some, to AUTH or CONNACK.
func (e *enhanced) tell(p *packets.Properties, data []byte) {
	p.AuthenticationMethod = []byte(e.method)
	p.Present.Add(packets.PropAuthenticationMethod)
	if data != nil {
		p.AuthenticationData = data
		p.Present.Add(packets.PropAuthenticationData)
	}
	e.last = nil
}

// credentialsAgain are those of a connected client: it can only prove to be who it is.
func (c *client) credentialsAgain() auth.Credentials {
	return auth.Credentials{
		ClientID: c.session.ClientID, UserName: c.session.UserName, HasUserName: true,
		Listener: c.conn.Listener().Config.Name, Remote: c.conn.RemoteAddr().Addr(),
	}
}

// renew takes over what may have changed about the user since CONNECT. The session's owner has not.
func (c *client) renew(w *worker, id *auth.Identity) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner == c {
		w.b.setAdmin(s, id.Admin)
		c.allowed = nil
	}
}

// exchangeOverdue tells whether a re-authentication takes too long. Time in which the client is not read does not count.
func (c *client) exchangeOverdue(w *worker) bool {
	if c.rare == nil || c.rare.enhanced == nil || c.rare.enhanced.until == 0 {
		return false
	}
	if c.conn.Paused() {
		c.rare.enhanced.until = int64(w.now) + w.b.cfg.Limits.ConnectTimeout.Milliseconds()
	}
	return int64(w.now) >= c.rare.enhanced.until
}

// errExchangeTime ends an exchange that the client does not go on with.
var errExchangeTime = packets.Errorf(packets.NotAuthorized, "", "the authentication was not completed in time")
