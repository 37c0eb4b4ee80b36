package broker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xdg-go/scram"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// methods are the authentication methods.
var methods = map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512}

const scram256, scram512 = "SCRAM-SHA-256", "SCRAM-SHA-512"

// eachMethod runs a test for both.
func eachMethod(t *testing.T, fn func(t *testing.T, method string)) {
	t.Helper()
	for method := range methods {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			fn(t, method)
		})
	}
}

// speaker is the client's side of SCRAM.
type speaker struct {
	t      *testing.T
	method string
	talk   *scram.ClientConversation
}

func speak(t *testing.T, method, user, password string) *speaker {
	t.Helper()
	c, err := methods[method].NewClient(user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{t, method, c.NewConversation()}
}

// say is the next message, as the answer to what the broker said.
func (s *speaker) say(heard []byte) []byte {
	s.t.Helper()
	text, err := s.talk.Step(string(heard))
	if err != nil {
		s.t.Fatalf("after %q: %v", heard, err)
	}
	return []byte(text)
}

// named sets the method, and data unless it is nil.
func named(p *packets.Properties, method string, data []byte) {
	p.AuthenticationMethod, p.AuthenticationData = []byte(method), data
	p.Present.Add(packets.PropAuthenticationMethod)
	if data != nil {
		p.Present.Add(packets.PropAuthenticationData)
	}
}

// byMethod is a CONNECT that names a method.
func byMethod(method string, data []byte) func(*packets.Connect) {
	return func(p *packets.Connect) { named(&p.Properties, method, data) }
}

func authPacket(code packets.ReasonCode, method string, data []byte) *packets.Auth {
	a := &packets.Auth{ReasonCode: code}
	named(&a.Properties, method, data)
	return a
}

// expectAuth wants AUTH and returns its data.
func expectAuth(c *mt.Client, t *testing.T, code packets.ReasonCode, method string) []byte {
	t.Helper()
	a := mt.Expect[*packets.Auth](c)
	wantCode(t, "AUTH", a.ReasonCode, code)
	want(t, "method", string(a.Properties.AuthenticationMethod), method)
	want(t, "reason string", a.Properties.Present.Has(packets.PropReasonString), false)
	if !a.Properties.Present.Has(packets.PropAuthenticationData) {
		return nil
	}
	return a.Properties.AuthenticationData
}

// exchange connects by SCRAM and wants CONNACK 0 from a broker that proves to know the user as well.
func exchange(t *testing.T, b *mt.Broker, method, user, password, id string, options ...func(*packets.Connect)) *mt.Client {
	t.Helper()
	s, c := speak(t, method, user, password), b.Dial(t, packets.V5)
	c.SendConnect(id, append(options, byMethod(method, s.say(nil)))...)
	c.Send(authPacket(packets.ContinueAuthentication, method, s.say(expectAuth(c, t, packets.ContinueAuthentication, method))))
	c.Connack = mt.Expect[*packets.Connack](c)
	wantCode(t, "CONNACK", c.Connack.ReasonCode, packets.Success)
	want(t, "method", string(c.Connack.Properties.AuthenticationMethod), method)
	s.say(c.Connack.Properties.AuthenticationData)
	want(t, "the broker's proof is right", s.talk.Valid(), true)
	return c
}

// again re-authenticates up to the client's proof.
func again(t *testing.T, c *mt.Client, method, user, password string) *speaker {
	t.Helper()
	s := speak(t, method, user, password)
	c.Send(authPacket(packets.ReAuthenticate, method, s.say(nil)))
	c.Send(authPacket(packets.ContinueAuthentication, method, s.say(expectAuth(c, t, packets.ContinueAuthentication, method))))
	return s
}

func scramBroker(t *testing.T, o mt.Options) *mt.Broker {
	t.Helper()
	o.Users, o.SCRAM = map[string]string{"ann": "a", "bob": "b", "a=,b": "odd ½"}, true
	return mt.NewBroker(t, o)
}

func TestSCRAM(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-2", "v5 MQTT-4.12.0-3", "v5 MQTT-4.12.0-5")
	for _, store := range []bool{false, true} {
		eachMethod(t, func(t *testing.T, method string) {
			b := scramBroker(t, mt.Options{ACL: rules, Store: store})
			s := exchange(t, b, method, "bob", "b", "s", mt.Resume(60))
			wantCode(t, "SUBACK", s.Subscribe("a/#", 1), 1)
			p := exchange(t, b, method, "ann", "a", "p", mt.KeepAlive(60), mt.Will("will/p", "gone", 1))
			wantCode(t, "PUBACK", p.Publish("a/x", "x", 1), packets.Success)
			s.Take("a/x", "x", 1)
			wantCode(t, "PUBACK", s.Publish("a/x", "x", 1), packets.NotAuthorized) // it is bob
			exchange(t, b, method, "a=,b", "odd ½", "odd")
			s.Close()
			b.WaitOffline(2)
			s = exchange(t, b, method, "bob", "b", "s", mt.Resume(60))
			want(t, "session present", s.Connack.SessionPresent, true)
			b.Connect(t, packets.V5, "plain", bob) // the password goes on to work
			b.Connect(t, packets.V311, "older", bob)
		})
	}
}

// The client's first words may come with AUTH.
func TestSCRAM_silentConnect(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-2")
	eachMethod(t, func(t *testing.T, method string) {
		b := scramBroker(t, mt.Options{})
		s, c := speak(t, method, "ann", "a"), b.Dial(t, packets.V5)
		c.SendConnect("c", byMethod(method, nil))
		if data := expectAuth(c, t, packets.ContinueAuthentication, method); data != nil {
			t.Errorf("got %q", data)
		}
		c.Send(authPacket(packets.ContinueAuthentication, method, s.say(nil)))
		c.Send(authPacket(packets.ContinueAuthentication, method, s.say(expectAuth(c, t, packets.ContinueAuthentication, method))))
		a := mt.Expect[*packets.Connack](c)
		wantCode(t, "CONNACK", a.ReasonCode, packets.Success)
		s.say(a.Properties.AuthenticationData)
		c.Send(authPacket(packets.ReAuthenticate, method, nil))
		s = speak(t, method, "ann", "a")
		expectAuth(c, t, packets.ContinueAuthentication, method)
		c.Send(authPacket(packets.ContinueAuthentication, method, s.say(nil)))
		c.Send(authPacket(packets.ContinueAuthentication, method, s.say(expectAuth(c, t, packets.ContinueAuthentication, method))))
		s.say(expectAuth(c, t, packets.Success, method))
	})
}

// No AUTH is larger than the client takes, and no Reason String makes it so.
func TestSCRAM_maximumPacketSize(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.15.2-2")
	b := scramBroker(t, mt.Options{})
	size := 0
	for most := uint32(20); size == 0; most++ {
		c, s := b.Dial(t, packets.V5), speak(t, scram256, "ann", "a")
		c.SendConnect("c", byMethod(scram256, s.say(nil)), mt.MaximumPacketSize(most))
		p, err := c.Next()
		if err != nil {
			continue // closed: not even the refusal fits
		}
		if a, ok := p.(*packets.Auth); ok {
			size = len(c.Encode(a))
			want(t, "size of the first AUTH that comes", size, int(most))
			break
		}
		wantCode(t, "CONNACK", p.(*packets.Connack).ReasonCode, packets.PacketTooLarge)
		want(t, "fits", len(c.Encode(p)) <= int(most), true)
		c.ExpectClose()
	}
}

// output is a log that may be read while it is written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A wrong password and an unknown user are told apart by nothing, and at the same step.
func TestSCRAM_refused(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-4", "v5 MQTT-3.1.4-2")
	eachMethod(t, func(t *testing.T, method string) {
		var log output
		b := scramBroker(t, mt.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		texts, firsts := map[string]bool{}, map[string]string{}
		for _, user := range []string{"ann", "nobody-secret", "ann", "nobody-secret", "ANN"} {
			s, c := speak(t, method, user, "wrong-secret"), b.Dial(t, packets.V5)
			c.SendConnect("c", byMethod(method, s.say(nil)))
			first := expectAuth(c, t, packets.ContinueAuthentication, method)
			_, salted, _ := strings.Cut(string(first), ",")
			if firsts[user] != "" && firsts[user] != salted {
				t.Errorf("%s: salt and iterations are %s, and were %s", user, salted, firsts[user])
			}
			firsts[user] = salted
			proof := s.say(first)
			c.Send(authPacket(packets.ContinueAuthentication, method, proof))
			a := mt.Expect[*packets.Connack](c)
			wantCode(t, "CONNACK", a.ReasonCode, packets.NotAuthorized)
			want(t, "data", a.Properties.Present.Has(packets.PropAuthenticationData), false)
			texts[string(a.Properties.ReasonString)] = true
			c.ExpectClose()
			for _, secret := range []string{"secret", string(proof), string(first), salted} {
				want(t, secret+" is in the log", strings.Contains(log.String(), secret), false)
			}
		}
		want(t, "reason strings", len(texts), 1)
		want(t, "lengths of salts differ", len(firsts["ann"]) == len(firsts["ANN"]), true)
		b.WaitOffline(0)
		want(t, "sessions", b.Stats().Sessions, 0)
		want(t, "refused", b.Stats().ConnectionsRefused, 5)
	})
}

// What is no SCRAM, or SCRAM of a kind that is not spoken here, is refused where it comes.
func TestSCRAM_badData(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-4")
	b := scramBroker(t, mt.Options{})
	for _, data := range []string{
		"", "x", ",,,", "n,,n=ann", "n,,r=x,n=ann", "n,a=bob,n=ann,r=x", "p=tls-unique,,n=ann,r=x", "p=x,,n=ann,r=x", "n,,m=x,n=ann,r=x",
		"n,,n=a=n,r=x", "\x00\xff", "n,,n=" + strings.Repeat("x", 5000) + ",r=x",
	} {
		got := b.Refused(t, packets.V5, "c", byMethod(scram256, []byte(data)))
		wantCode(t, data, got, packets.NotAuthorized)
	}
	for _, data := range []string{"", "x", ",,", "c=biws,r=x,p=x", "c=biws,r=NONCE,p=AAAA", "c=eSws,r=NONCE,p=AAAA", "c=!,r=NONCE,p=AAAA", "n,,n=ann,r=x"} {
		c := b.Dial(t, packets.V5)
		c.SendConnect("c", byMethod(scram256, []byte("n,,n=ann,r=x")))
		first, _, _ := strings.Cut(string(expectAuth(c, t, packets.ContinueAuthentication, scram256)), ",")
		c.Send(authPacket(packets.ContinueAuthentication, scram256, []byte(strings.ReplaceAll(data, "NONCE", strings.TrimPrefix(first, "r=")))))
		wantCode(t, data, mt.Expect[*packets.Connack](c).ReasonCode, packets.NotAuthorized)
		c.ExpectClose()
	}
	// The user name of CONNECT, where there is one, must be the one that is proved.
	first := speak(t, scram256, "ann", "a").say(nil)
	wantCode(t, "CONNACK", b.Refused(t, packets.V5, "c", byMethod(scram256, first), bob), packets.NotAuthorized)
	exchange(t, b, scram256, "ann", "a", "c", mt.Login("ann", "is not looked at"))
}

// A method is only there for those who have entries for it.
func TestSCRAM_none(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-1")
	b := scramBroker(t, mt.Options{})
	plain := mt.NewBroker(t, mt.Options{Users: map[string]string{"ann": "a"}})
	for _, method := range []string{"SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "", scram256} {
		of := b
		if method == scram256 {
			of = plain
		}
		wantCode(t, method, of.Refused(t, packets.V5, "c", byMethod(method, []byte("n,,n=ann,r=x")), mt.Login("ann", "a")), packets.BadAuthenticationMethod)
	}
}

// Between CONNECT and CONNACK there is only AUTH, or DISCONNECT.
func TestSCRAM_order(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-33", "v5 MQTT-4.12.0-3", "v5 MQTT-4.12.0-5", "v5 MQTT-3.14.0-1")
	b := scramBroker(t, mt.Options{})
	will := b.Connect(t, packets.V5, "will", bob)
	will.Subscribe("#", 0)
	for name, p := range map[string]any{
		"PUBLISH":           &packets.Publish{TopicName: []byte("t")},
		"SUBSCRIBE":         &packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: []byte("#")}}},
		"UNSUBSCRIBE":       &packets.Unsubscribe{PacketID: 1, TopicFilters: [][]byte{[]byte("#")}},
		"PUBACK":            &packets.Ack{Type: packets.PUBACK, PacketID: 1},
		"CONNECT":           &packets.Connect{Version: packets.V5, CleanStart: true, ClientID: []byte("d")},
		"PINGREQ":           packets.AppendPingreq(nil),
		"CONNACK":           &packets.Connack{},
		"AUTH 0x00":         authPacket(packets.Success, scram256, []byte("x")),
		"AUTH 0x19":         authPacket(packets.ReAuthenticate, scram256, []byte("n,,n=ann,r=x")),
		"AUTH empty":        &packets.Auth{},
		"AUTH other method": authPacket(packets.ContinueAuthentication, scram512, []byte("n,,n=ann,r=x")),
	} {
		c, s := b.Dial(t, packets.V5), speak(t, scram256, "ann", "a")
		c.SendConnect("c", byMethod(scram256, s.say(nil)), mt.Will("gone", "x", 0))
		expectAuth(c, t, packets.ContinueAuthentication, scram256)
		raw, ok := p.([]byte)
		if !ok {
			raw = c.Encode(p)
		}
		c.Raw(raw)
		a := mt.Expect[*packets.Connack](c)
		wantCode(t, name, a.ReasonCode, packets.ProtocolError)
		c.ExpectClose()
	}
	for _, code := range []packets.ReasonCode{packets.Success, packets.DisconnectWithWill} {
		c := b.Dial(t, packets.V5)
		c.SendConnect("c", byMethod(scram256, nil), mt.Will("gone", "x", 0))
		expectAuth(c, t, packets.ContinueAuthentication, scram256)
		c.Send(&packets.Disconnect{ReasonCode: code})
		c.ExpectClose()
	}
	// A larger packet than CONNECT may be.
	c := b.Dial(t, packets.V5)
	c.SendConnect("c", byMethod(scram256, nil))
	expectAuth(c, t, packets.ContinueAuthentication, scram256)
	c.Raw([]byte{0xF0, 0xFF, 0xFF, 0x7F})
	wantCode(t, "CONNACK", mt.Expect[*packets.Connack](c).ReasonCode, packets.PacketTooLarge)
	c.ExpectClose()
	b.WaitOffline(1)
	will.ExpectNothing()
}

// E09: who does not go on is refused when CONNECT would have to be there, and a proof that comes late is none.
func TestSCRAM_stalled(t *testing.T) {
	b := scramBroker(t, mt.Options{})
	for _, data := range [][]byte{nil, []byte("n,,n=ann,r=x")} {
		c := b.Dial(t, packets.V5)
		c.SendConnect("c", byMethod(scram256, data))
		expectAuth(c, t, packets.ContinueAuthentication, scram256)
		b.Clock.Advance(9 * time.Second)
		b.Clock.Advance(2 * time.Second)
		wantCode(t, "CONNACK", mt.Expect[*packets.Connack](c).ReasonCode, packets.NotAuthorized)
		c.ExpectClose()
	}
	c := exchange(t, b, scram256, "ann", "a", "c")
	c.Send(authPacket(packets.ReAuthenticate, scram256, []byte("n,,n=ann,r=x")))
	expectAuth(c, t, packets.ContinueAuthentication, scram256)
	b.Clock.Advance(9 * time.Second)
	c.Ping()
	b.Clock.Advance(2 * time.Second)
	c.ExpectDisconnect(packets.NotAuthorized)
	// What ended in time has no end to wait for.
	c = exchange(t, b, scram256, "ann", "a", "c")
	again(t, c, scram256, "ann", "a").say(expectAuth(c, t, packets.Success, scram256))
	b.Clock.Advance(time.Hour)
	c.Ping()
}

// A password that is changed counts from the next step on.
func TestSCRAM_reloaded(t *testing.T) {
	b := scramBroker(t, mt.Options{})
	s, c := speak(t, scram512, "ann", "a"), b.Dial(t, packets.V5)
	c.SendConnect("c", byMethod(scram512, s.say(nil)))
	proof := s.say(expectAuth(c, t, packets.ContinueAuthentication, scram512))
	b.SetPassword("ann", "new")
	c.Send(authPacket(packets.ContinueAuthentication, scram512, proof))
	wantCode(t, "CONNACK", mt.Expect[*packets.Connack](c).ReasonCode, packets.NotAuthorized)
	c.ExpectClose()
	exchange(t, b, scram512, "ann", "new", "c")
}

func TestReauthentication(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.0-2", "v5 MQTT-4.12.0-5", "v5 MQTT-4.12.1-1")
	eachMethod(t, func(t *testing.T, method string) {
		b := scramBroker(t, mt.Options{ACL: rules})
		c := exchange(t, b, method, "ann", "a", "c", mt.Will("will/c", "gone", 0))
		for range 3 {
			s := speak(t, method, "ann", "a")
			c.Send(authPacket(packets.ReAuthenticate, method, s.say(nil)))
			first := expectAuth(c, t, packets.ContinueAuthentication, method)
			wantCode(t, "PUBACK", c.Publish("a/x", "x", 1), packets.NoMatchingSubscribers) // who it was
			c.Send(authPacket(packets.ContinueAuthentication, method, s.say(first)))
			s.say(expectAuth(c, t, packets.Success, method))
			want(t, "the broker's proof is right", s.talk.Valid(), true)
			wantCode(t, "PUBACK", c.Publish("a/x", "x", 1), packets.NoMatchingSubscribers)
		}
		b.SetPassword("ann", "new")
		c.Ping() // who is connected stays
		again(t, c, method, "ann", "new").say(expectAuth(c, t, packets.Success, method))
	})
}

// A re-authentication that fails ends the connection; the session stays its owner's.
func TestReauthentication_fails(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.12.1-1", "v5 MQTT-4.12.1-2", "v5 MQTT-4.12.0-7")
	b := scramBroker(t, mt.Options{})
	will := b.Connect(t, packets.V5, "will", bob)
	will.Subscribe("will", 0)
	continued, restart := packets.ContinueAuthentication, packets.ReAuthenticate
	first := []byte("n,,n=ann,r=x")
	for name, test := range map[string]struct {
		do   func(c *mt.Client)
		want packets.ReasonCode
	}{
		"wrong password": {func(c *mt.Client) { again(t, c, scram256, "ann", "wrong") }, packets.NotAuthorized},
		"other user":     {func(c *mt.Client) { c.Send(authPacket(restart, scram256, speak(t, scram256, "bob", "b").say(nil))) }, packets.NotAuthorized},
		"no SCRAM":       {func(c *mt.Client) { c.Send(authPacket(restart, scram256, []byte("x"))) }, packets.NotAuthorized},
		"other method":   {func(c *mt.Client) { c.Send(authPacket(restart, scram512, first)) }, packets.ProtocolError},
		"no method":      {func(c *mt.Client) { c.Send(&packets.Auth{}) }, packets.ProtocolError},
		"continues none": {func(c *mt.Client) { c.Send(authPacket(continued, scram256, first)) }, packets.ProtocolError},
		"a success":      {func(c *mt.Client) { c.Send(authPacket(packets.Success, scram256, first)) }, packets.ProtocolError},
		"begins twice": {func(c *mt.Client) {
			c.Send(authPacket(restart, scram256, first), authPacket(restart, scram256, first))
			expectAuth(c, t, continued, scram256)
		}, packets.ProtocolError},
	} {
		c := exchange(t, b, scram256, "ann", "a", "c", mt.Resume(60), mt.Will("will", name, 0))
		test.do(c)
		d := mt.Expect[*packets.Disconnect](c)
		wantCode(t, name, d.ReasonCode, test.want)
		c.ExpectClose()
		will.Take("will", name, 0)
		wantCode(t, "of bob", b.Refused(t, packets.V5, "c", mt.Resume(60), bob), packets.NotAuthorized)
	}
	c := b.Connect(t, packets.V5, "c", mt.Login("ann", "a"), mt.Resume(60))
	want(t, "session present", c.Connack.SessionPresent, true)
	c.Send(authPacket(restart, scram256, first))
	c.ExpectDisconnect(packets.ProtocolError)
}

// With compat.receive_maximum: warn a client that ignores Receive Maximum is served, and named once.
func TestOverrunWarns(t *testing.T) {
	var log output
	b := mt.NewBroker(t, mt.Options{Memory: true, Log: slog.New(slog.NewTextHandler(&log, nil)), Config: func(c *broker.Config) {
		c.Limits.ReceiveMaximum, c.OverrunWarns = 3, true
	}})
	s := b.Connect(t, packets.V5, "s", mt.Resume(600))
	s.Subscribe("#", 1)
	for _, qos := range []packets.QoS{1, 2} {
		c := b.Connect(t, packets.V5, "c", mt.Resume(600))
		b.Hold()
		for id := range uint16(10) {
			c.SendPublish("t", "x", qos, mt.PacketID(id+1))
		}
		b.Release()
		for id := range uint16(10) {
			wantCode(t, "answer", c.ExpectAck(map[packets.QoS]packets.Type{1: packets.PUBACK, 2: packets.PUBREC}[qos], id+1), packets.Success)
		}
		for range 10 {
			s.Take("t", "x", 1)
		}
		for id := range uint16(10) {
			if qos == 2 {
				c.Ack(packets.PUBREL, id+1)
				c.ExpectAck(packets.PUBCOMP, id+1)
			}
		}
		c.Disconnect()
		b.WaitOffline(1)
	}
	if n := strings.Count(log.String(), "client exceeds receive maximum"); n != 2 && n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

// Control characters in Client Identifiers are let in where that is configured, and nowhere else.
func TestControlCharacters(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		strict := start(t)
		lax := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.ControlCharacters = true }})
		for _, id := range []string{"a\x01", "a\nb", "a\x7f", "\u0080", "\u009f", "\ufffe", "\uffff"} {
			wantCode(t, id, strict.Refused(t, v, id), packets.ClientIdentifierNotValid)
			c := lax.Connect(t, v, id, mt.Resume(600))
			c.Subscribe("t", 0)
			c.Publish("t", "x", 0)
			c.Take("t", "x", 0)
		}
		for _, id := range []string{"a\x00", "a\xff", "\xed\xa0\x80"} { // malformed, whatever is configured
			c := lax.Dial(t, v)
			b := c.Encode(&packets.Connect{Version: v, CleanStart: true, ClientID: []byte(strings.Repeat("?", len(id)))})
			c.Raw(append(b[:len(b)-len(id)], id...))
			if v >= packets.V5 {
				wantCode(t, "CONNACK", mt.Expect[*packets.Connack](c).ReasonCode, packets.MalformedPacket)
			}
			c.ExpectClose()
		}
		if v >= packets.V5 {
			wantCode(t, "user name", lax.Refused(t, v, "c", mt.Login("a\x01", "x")), packets.BadUserNameOrPassword)
		}
	})
}
