package broker

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
	"nightjar/transports"
)

// opening is what a client needs while it connects; it is given up then.
type opening struct {
	header    packets.Header
	body      []byte // own copy of the CONNECT, while authentication works elsewhere
	assigned  string // the Client Identifier that the broker gave; "" if the client has its own
	present   bool   // Session Present
	expiry    uint32 // Session Expiry Interval granted, in seconds
	shortened bool   // it is less than what was asked for
	keepAlive bool   // the broker sets another Keep Alive
	wantInfo  bool   // Request Response Information 1
	identity  *auth.Identity
	ticket    uint64 // of the store: CONNACK waits for it
}

// authenticateTimeout bounds an authentication that does not answer at once.
const authenticateTimeout = 10 * time.Second

// handleConnect begins a session [v5 MQTT-3.1.0-1].
func (c *client) handleConnect(w *worker, h packets.Header, body []byte) error {
	var p packets.Connect
	err := p.Decode(h, body, &w.b.decoder)
	c.version = p.Version
	if err != nil {
		return err
	}
	c.opening = &opening{}
	if err := c.checkConnect(w, &p); err != nil {
		return err
	}
	if p.Properties.Present.Has(packets.PropAuthenticationMethod) {
		return c.beginExchange(w, &p, h, body)
	}
	cred := c.credentials(&p)
	anonymous := w.b.listeners[c.conn.Listener().Config.Name].AllowAnonymous
	id, err, ok := w.b.auth.Fast(cred, anonymous)
	if !ok {
		c.authenticate(h, bytes.Clone(body), cred, anonymous)
		return nil
	}
	if err != nil {
		return err
	}
	return c.accept(w, &p, id)
}

// checkConnect refuses what no identity makes right.
func (c *client) checkConnect(w *worker, p *packets.Connect) error {
	lim := &w.b.cfg.Limits
	c.noProblem = p.Properties.Present.Has(packets.PropRequestProblemInformation) && p.Properties.RequestProblemInformation == 0
	c.maxPacket = p.Properties.MaximumPacketSize
	switch {
	case w.b.failed.Load() != nil || w.b.stopping.Load():
		return packets.Errorf(packets.ServerUnavailable, "", "the server is not available")
	case c.rare != nil && c.rare.tooFast:
		return packets.Errorf(packets.ConnectionRateExceeded, "", "too many new connections; try again later")
	case Pressure(w.b.memory.Load()) != PressureNone:
		return packets.Errorf(packets.ServerBusy, "", "the server is short of memory")
	case c.busy:
		return packets.Errorf(packets.ServerBusy, "", "too many connections")
	case len(p.UserName) > lim.UserNameBytes:
		return packets.Errorf(packets.BadUserNameOrPassword, "", "user name of more than %d bytes", lim.UserNameBytes)
	case controlAt(p.UserName) >= 0:
		return packets.Errorf(packets.BadUserNameOrPassword, "", "user name has a control character at byte %d", controlAt(p.UserName))
	}
	if err := checkClientID(p, lim.ClientIDBytes, w.b.cfg.ControlCharacters); err != nil {
		return err
	}
	if len(p.ClientID) == 0 {
		c.opening.assigned = "auto-" + rand.Text()
	}
	if p.HasWill {
		if err := topics.CheckName(p.Will.TopicName, w.b.topics); err != nil {
			return packets.Errorf(packets.TopicNameInvalid, "v5 MQTT-3.3.2-2", "will: %v", err)
		}
	}
	return nil
}

// checkClientID holds the Client Identifier to what the standard and the broker allow: control characters, or not.
func checkClientID(p *packets.Connect, most int, control bool) error {
	switch {
	case len(p.ClientID) > most:
		return packets.Errorf(packets.ClientIdentifierNotValid, "v5 MQTT-3.1.3-8", "client identifier of more than %d bytes", most)
	case len(p.ClientID) == 0 && p.Version < packets.V5 && !p.CleanStart:
		return packets.Errorf(packets.ClientIdentifierNotValid, "v3.1.1 MQTT-3.1.3-8", "a client without identifier must ask for a clean session")
	case len(p.ClientID) == 0 && p.Version == packets.V31:
		return packets.Errorf(packets.ClientIdentifierNotValid, "", "MQTT 3.1 requires a client identifier")
	}
	if at := controlAt(p.ClientID); at >= 0 && !control {
		return packets.Errorf(packets.ClientIdentifierNotValid, "v5 MQTT-3.1.3-8", "client identifier has a control character at byte %d", at)
	}
	return nil
}

// controlAt is where the first control character or non-character of a name is, or -1. The standard lets a server refuse
// them [v5 section 1.5.4]; in a log or a terminal they could pass for something else.
func controlAt(name []byte) int {
	return bytes.IndexFunc(name, func(r rune) bool {
		return r < 0x20 || r >= 0x7F && r < 0xA0 || r == 0xFFFE || r == 0xFFFF
	})
}

// clientID is the identifier of the client: its own, or the one that the broker gave
// [v5 MQTT-3.1.3-6] [v5 MQTT-3.2.2-16].
func (c *client) clientID(p *packets.Connect) string {
	if c.opening.assigned != "" {
		return c.opening.assigned
	}
	return string(p.ClientID)
}

func (c *client) credentials(p *packets.Connect) auth.Credentials {
	ln := c.conn.Listener()
	addr := c.conn.RemoteAddr().Addr()
	return auth.Credentials{
		ClientID: c.clientID(p), UserName: string(p.UserName), HasUserName: p.HasUserName,
		Password: p.Password, HasPassword: p.HasPassword,
		CertificateName: c.certificateName(), Listener: ln.Config.Name,
		Remote: addr, Loopback: addr.IsLoopback() || ln.Config.Network == "unix",
	}
}

// certificateName is the user name that the listener takes from the client's certificate.
func (c *client) certificateName() string {
	state := c.conn.TLS()
	if state == nil || len(state.VerifiedChains) == 0 {
		return ""
	}
	cert := state.VerifiedChains[0][0]
	switch c.b.listeners[c.conn.Listener().Config.Name].CertificateUser {
	case "cn":
		return cert.Subject.CommonName
	case "san":
		switch {
		case len(cert.DNSNames) > 0:
			return cert.DNSNames[0]
		case len(cert.EmailAddresses) > 0:
			return cert.EmailAddresses[0]
		case len(cert.URIs) > 0:
			return cert.URIs[0].String()
		}
	}
	return ""
}

// authenticate asks for the identity away from the loop: hashing a password takes tens of milliseconds.
func (c *client) authenticate(h packets.Header, body []byte, cred auth.Credentials, anonymous bool) {
	c.state = stateAuthenticating
	c.opening.header, c.opening.body = h, body
	cred.Password = bytes.Clone(cred.Password)
	c.conn.Pause()
	c.b.tasks.start("authenticate", func() {
		ctx, cancel := context.WithTimeout(context.Background(), authenticateTimeout)
		defer cancel()
		id, err := c.b.auth.Authenticate(ctx, cred, anonymous)
		c.conn.Post(func(t *transports.Turn) { c.authenticated(c.b.worker(t), id, err) })
	})
}

func (c *client) authenticated(w *worker, id *auth.Identity, err error) {
	if c.state != stateAuthenticating {
		return
	}
	c.state = stateNew
	if err == nil {
		var p packets.Connect
		if err = p.Decode(c.opening.header, c.opening.body, &w.b.decoder); err == nil {
			err = c.accept(w, &p, id)
		}
	}
	if err != nil {
		c.end(w, err)
		return
	}
}

// accept opens the session of an authenticated client.
func (c *client) accept(w *worker, p *packets.Connect, id *auth.Identity) error {
	if id.Anonymous && !id.Admin && w.b.auth.Unrestricted() && !w.b.auth.NeedsPassword() && c.credentials(p).Loopback {
		admin := *id
		admin.Admin = true
		id = &admin
	}
	if p.HasWill && !w.b.allows(id, auth.ActionPublish, string(p.Will.TopicName)) {
		w.denied(*id, auth.ActionPublish, string(p.Will.TopicName))
		return packets.Errorf(packets.NotAuthorized, "", "not authorized to publish to the will topic")
	}
	o := c.opening
	o.identity = id
	o.wantInfo = p.Properties.RequestResponseInformation == 1
	c.negotiate(w, p)
	if err := w.open(c, p, id); err != nil {
		return err
	}
	o.body = nil
	if w.durable(c.opening.ticket) {
		c.connected(w)
		return nil
	}
	c.state = stateConnecting
	c.conn.Pause()
	c.waitFor(w)
	return nil
}

// waitFor has safe called when the store has got to c.opening.ticket.
func (c *client) waitFor(w *worker) {
	c.wantsSafe.Store(true)
	out, ok := c.conn.Begin(w.turn)
	if ok {
		c.waitLocked(w, mark{ticket: c.opening.ticket}, nil)
		c.conn.End(w.turn, out)
	}
}

// negotiate settles the limits of the connection.
func (c *client) negotiate(w *worker, p *packets.Connect) {
	lim := &w.b.cfg.Limits
	c.keepAlive = p.KeepAliveSeconds
	if most := uint16(lim.KeepAliveMax / time.Second); p.Version >= packets.V5 && (c.keepAlive == 0 || c.keepAlive > most) && most < 0xFFFF {
		c.keepAlive, c.opening.keepAlive = most, true
	}
	c.window = uint16(min(lim.InFlight, 0xFFFF))
	if p.Properties.Present.Has(packets.PropReceiveMaximum) {
		c.window = min(c.window, p.Properties.ReceiveMaximum)
	}
	if out := min(int(p.Properties.TopicAliasMaximum), lim.TopicAliases); out > 0 {
		c.aliases = &aliases{outMax: uint16(out)}
	}
	switch {
	case p.Version >= packets.V5:
		c.opening.expiry = lim.sessionExpiry(p.Properties.SessionExpiryInterval)
		c.opening.shortened = c.opening.expiry < p.Properties.SessionExpiryInterval
	case !p.CleanStart:
		c.opening.expiry = lim.sessionExpiry(sessions.ExpiryNever)
	}
}

// connected sends CONNACK and what the session holds for the client.
func (c *client) connected(w *worker) {
	a := packets.Connack{SessionPresent: c.opening.present}
	if c.version >= packets.V5 {
		c.announce(w, &a.Properties)
	}
	out := c.encode(nil, &a, &a.Properties)
	if !c.fits(len(out)) {
		c.end(w, errTooSmall)
		return
	}
	c.state = stateReady
	// What waited for the store until now was nothing but this.
	if !c.conn.Write(w.turn, out) {
		return
	}
	w.b.log.connected(c)
	c.opening = nil
	c.conn.SetDeadline(c.nextDeadline(w))
	s := c.session
	s.mu.Lock()
	if s.owner == c {
		s.client.Store(c)
		w.pumpLocked(s, c)
	}
	s.mu.Unlock()
	if c.conn.Paused() {
		c.conn.Resume(w.turn)
	}
}

// announce tells a v5 client what the broker allows [v5 3.2.2.3].
func (c *client) announce(w *worker, p *packets.Properties) {
	lim, o := &w.b.cfg.Limits, c.opening
	p.ReceiveMaximum = uint16(lim.ReceiveMaximum)
	p.MaximumPacketSize = uint32(lim.PacketBytes)
	p.TopicAliasMaximum = uint16(lim.TopicAliases)
	p.Present.Add(packets.PropReceiveMaximum, packets.PropMaximumPacketSize, packets.PropTopicAliasMaximum)
	if o.assigned != "" {
		p.AssignedClientIdentifier = []byte(o.assigned)
		p.Present.Add(packets.PropAssignedClientIdentifier)
	}
	if o.shortened {
		p.SessionExpiryInterval = o.expiry
		p.Present.Add(packets.PropSessionExpiryInterval)
	}
	if o.keepAlive {
		p.ServerKeepAlive = c.keepAlive
		p.Present.Add(packets.PropServerKeepAlive)
	}
	if o.wantInfo && w.b.cfg.ResponseInformation != "" {
		p.ResponseInformation = []byte(w.b.cfg.ResponseInformation)
		p.Present.Add(packets.PropResponseInformation)
	}
	if c.rare != nil && c.rare.enhanced != nil { // [v5 MQTT-4.12.0-5], and in no other case [v5 MQTT-4.12.0-6]
		c.rare.enhanced.tell(p, c.rare.enhanced.last)
	}
}

// refuse answers a CONNECT that is not accepted, where there is an answer to give, and closes
// [v5 MQTT-3.2.2-7].
func (c *client) refuse(w *worker, code packets.ReasonCode, err error) {
	w.count[countRefusedConnections]++
	w.b.log.refused(c, code, err)
	if c.answersRefusal(code) {
		a := packets.Connack{ReasonCode: code}
		setReason(&a.Properties, err)
		if out := c.encode(nil, &a, &a.Properties); c.fits(len(out)) {
			c.conn.Write(w.turn, out)
		}
	}
	c.leave(w, false)
	c.conn.Finish(w.turn)
}

// answersRefusal tells whether a refused client gets a CONNACK: one whose version is known, with a code that
// CONNACK may have (a session that is taken over before its CONNACK gets none), and in 3.1.1
// only where there is a return code for it. A packet that is malformed there closes the connection
// [v3.1.1 MQTT-3.1.4-1].
func (c *client) answersRefusal(code packets.ReasonCode) bool {
	switch {
	case c.version == 0 || !code.ValidFor(packets.CONNACK): // [v5 MQTT-3.2.2-8]
		return false
	case c.version >= packets.V5:
		return true
	}
	return code != packets.MalformedPacket && code != packets.ProtocolError && code != packets.PacketTooLarge &&
		code != packets.TopicNameInvalid
}

// errTooSmall ends the connection of a client that cannot take an answer it must get.
var errTooSmall = packets.Errorf(packets.PacketTooLarge, "v5 MQTT-3.1.2-27", "the answer is larger than the maximum packet size of the client")

var errSessionOwner = &packets.Error{Code: packets.NotAuthorized, Reason: "the client identifier belongs to another user"}

// errSessions is a full house.
func errSessions(n int) error {
	return packets.Errorf(packets.QuotaExceeded, "", "the server holds %d sessions already", n)
}
