package broker_test

import (
	"strings"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// [v5 MQTT-3.1.4-5] [v5 MQTT-3.2.0-1] [v5 MQTT-3.2.2-2] [v3.1.1 MQTT-3.2.0-1]
func TestConnect_accepted(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.4-5", "v5 MQTT-3.2.0-1", "v5 MQTT-3.2.0-2", "v5 MQTT-3.2.2-2", "v5 MQTT-3.12.4-1",
		"v5 MQTT-3.14.4-2", "v3.1.1 MQTT-3.1.4-4", "v3.1.1 MQTT-3.2.0-1", "v3.1.1 MQTT-3.2.2-1", "v3.1.1 MQTT-3.12.4-1",
		"v3.1.1 MQTT-3.14.4-1",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "a")
		want(t, "session present", c.Connack.SessionPresent, false)
		c.ExpectNothing() // [v5 MQTT-3.2.0-2] [v5 MQTT-3.12.4-1]
		c.Disconnect()
	})
}

// MQTT 3.1 is MQIsdp, level 3.
func TestConnect_mqisdp(t *testing.T) {
	b := start(t)
	c := b.Connect(t, packets.V31, "a-client-identifier-of-more-than-23-bytes")
	wantCode(t, "SUBACK", c.Subscribe("t", 2), 2)
	c.Publish("t", "x", 1)
	c.Take("t", "x", 1)
}

// [v5 MQTT-3.2.2.3]: what the broker allows is told.
func TestConnect_announces(t *testing.T) {
	b := start(t)
	lim := broker.DefaultLimits()
	p := &b.Connect(t, packets.V5, "a", mt.Resume(60)).Connack.Properties
	want(t, "receive maximum", int(p.ReceiveMaximum), lim.ReceiveMaximum)
	want(t, "maximum packet size", int(p.MaximumPacketSize), lim.PacketBytes)
	want(t, "topic alias maximum", int(p.TopicAliasMaximum), lim.TopicAliases)
	for _, id := range []packets.PropertyID{
		packets.PropAssignedClientIdentifier, packets.PropSessionExpiryInterval, packets.PropResponseInformation,
		packets.PropMaximumQoS, packets.PropRetainAvailable, packets.PropReasonString,
	} {
		want(t, id.String()+" present", p.Present.Has(id), false)
	}
}

// [v5 MQTT-3.1.3-6] [v5 MQTT-3.1.3-7] [v5 MQTT-3.2.2-16] [v3.1.1 MQTT-3.1.3-6]
func TestConnect_assignedClientID(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.3-6", "v5 MQTT-3.1.3-7", "v5 MQTT-3.2.2-16", "v3.1.1 MQTT-3.1.3-7", "v3.1.1 MQTT-3.1.3-8",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		seen := map[string]bool{}
		for range 10 {
			c := b.Connect(t, v, "")
			seen[string(c.Connack.Properties.AssignedClientIdentifier)] = true
		}
		if v < packets.V5 {
			wantCode(t, "no clean session", b.Refused(t, v, "", mt.Resume(0)), packets.ClientIdentifierNotValid) // [v3.1.1 MQTT-3.1.3-8]
			return
		}
		want(t, "identifiers", len(seen), 10)
		c := b.Connect(t, v, "", mt.Resume(60))
		id := string(c.Connack.Properties.AssignedClientIdentifier)
		c.Close()
		want(t, "session present", b.Connect(t, v, id, mt.Resume(60)).Connack.SessionPresent, true)
	})
}

// Every refusal: [v5 MQTT-3.2.2-6] [v5 MQTT-3.2.2-7] [v3.1.1 MQTT-3.2.2-5]
func TestConnect_refused(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.3-8", "v5 MQTT-3.1.4-2", "v5 MQTT-3.2.2-6", "v5 MQTT-3.2.2-7", "v5 MQTT-3.2.2-8",
		"v5 MQTT-4.13.2-1", "v3.1.1 MQTT-3.1.3-9", "v3.1.1 MQTT-3.2.2-4", "v3.1.1 MQTT-3.2.2-5",
	)
	b := mt.NewBroker(t, mt.Options{
		Users: map[string]string{"ann": "secret"}, ACL: "user ann\ntopic readwrite ok/#\n",
		Config: func(c *broker.Config) { c.Limits.UserNameBytes, c.Limits.ClientIDBytes = 10, 30 },
	})
	long := strings.Repeat("x", 31)
	login := mt.Login("ann", "secret")
	for _, x := range []struct {
		name    string
		id      string
		options []func(*packets.Connect)
		v5, v3  packets.ReasonCode
	}{
		{"wrong password", "a", []func(*packets.Connect){mt.Login("ann", "wrong")}, packets.BadUserNameOrPassword, packets.BadUserNameOrPassword},
		{"unknown user", "a", []func(*packets.Connect){mt.Login("bob", "secret")}, packets.BadUserNameOrPassword, packets.BadUserNameOrPassword},
		{"no user name", "a", nil, packets.NotAuthorized, packets.NotAuthorized},
		{"long user name", "a", []func(*packets.Connect){mt.Login(long, "secret")}, packets.BadUserNameOrPassword, packets.BadUserNameOrPassword},
		{"long client identifier", long, []func(*packets.Connect){login}, packets.ClientIdentifierNotValid, packets.ClientIdentifierNotValid},
		{"control character", "a\x01", []func(*packets.Connect){login}, packets.ClientIdentifierNotValid, packets.ClientIdentifierNotValid},
		{"will topic denied", "a", []func(*packets.Connect){login, mt.Will("no", "", 0)}, packets.NotAuthorized, packets.NotAuthorized},
	} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			want := x.v5
			if v < packets.V5 {
				want = x.v3
			}
			wantCode(t, x.name, b.Refused(t, v, x.id, x.options...), want)
			b.Connect(t, v, x.name+v.String(), login, mt.Will("ok/will", "", 0)).Disconnect()
		})
	}
}

// [v5 MQTT-3.1.2-2] [v3.1.1 MQTT-3.1.2-2]: the answer has the format of the nearest version.
func TestConnect_version(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-2", "v3.1.1 MQTT-3.1.2-2")
	b := start(t)
	for _, x := range []struct {
		level  byte
		answer string
	}{{2, "\x20\x02\x00\x01"}, {3, "\x20\x02\x00\x01"}, {6, ""}, {0x84, "\x20\x02\x00\x01"}} {
		v := packets.V311
		if x.answer == "" {
			v = packets.V5
		}
		c := b.Dial(t, v)
		c.Raw([]byte("\x10\x0d\x00\x04MQTT" + string(x.level) + "\x02\x00\x3c\x00\x01p"))
		if v == packets.V311 && x.level == 0x84 {
			continue // a bridge's bit: the answer is the decoder's choice
		}
		a := mt.Expect[*packets.Connack](c)
		wantCode(t, "CONNACK", a.ReasonCode, packets.UnsupportedProtocolVersion)
		c.ExpectClose()
	}
}

// [v5 MQTT-3.1.0-1] [v3.1.1 MQTT-3.1.0-1]
func TestConnect_otherPacketFirst(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.0-1", "v3.1.1 MQTT-3.1.0-1")
	b := start(t)
	for first := range 256 {
		if first>>4 == int(packets.CONNECT) {
			continue
		}
		c := b.Dial(t, packets.V311)
		c.Raw([]byte{byte(first), 2, 0, 1})
		c.ExpectClose()
	}
}

// [v5 MQTT-3.1.0-2] [v3.1.1 MQTT-3.1.0-2]: and the will is published.
func TestConnect_second(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.0-2", "v3.1.1 MQTT-3.1.0-2", "v3.1.1 MQTT-4.8.0-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("will", 1)
		c := b.Connect(t, v, "a", mt.Will("will", "gone", 1))
		c.SendConnect("a")
		c.ExpectDisconnect(packets.ProtocolError)
		s.Take("will", "gone", 1)
	})
}

// The deadline of CONNECT is absolute.
func TestConnect_deadline(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.Dial(t, packets.V5)
	for _, x := range []byte{0x10, 0x20, 0x00} {
		c.Raw([]byte{x})
	}
	b.Clock.Advance(11 * time.Second)
	c.ExpectClose()
}

// [v5 MQTT-3.1.4-3] [v3.1.1 MQTT-3.1.4-2]
func TestTakeover(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.4-3", "v5 MQTT-4.13.2-1", "v3.1.1 MQTT-3.1.4-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		first := b.Connect(t, v, "a", mt.Resume(60))
		first.Subscribe("t", 1)
		second := b.Connect(t, v, "a", mt.Resume(60))
		want(t, "session present", second.Connack.SessionPresent, true)
		first.ExpectDisconnect(packets.SessionTakenOver)
		second.Publish("t", "x", 1)
	})
}

// A session that ends with its connection does not survive takeover; a will without delay is published.
func TestTakeover_ends(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.4-3", "v5 MQTT-3.1.4-4", "v3.1.1 MQTT-3.1.4-2", "v3.1.1 MQTT-3.1.4-3")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("will", 0)
		first := b.Connect(t, v, "a", mt.Will("will", "x", 0))
		first.Subscribe("t", 1)
		second := b.Connect(t, v, "a", mt.Resume(60))
		want(t, "session present", second.Connack.SessionPresent, false)
		first.ExpectDisconnect(packets.SessionTakenOver)
		s.Take("will", "x", 0)
		third := b.Connect(t, v, "a")
		want(t, "session present", third.Connack.SessionPresent, false)
		second.ExpectDisconnect(packets.SessionTakenOver)
		third.Publish("t", "x", 1)
		third.ExpectNothing()
	})
}

// Many connections with one identifier: one stays.
func TestTakeover_storm(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for range 50 {
			c := b.Dial(t, v)
			c.SendConnect("a", mt.Resume(60), mt.Will("w", "x", 1))
		}
		b.Eventually("one connection", func() bool { s := b.Stats(); return s.Connections == 1 && s.Takeovers == 49 })
		want(t, "sessions", b.Stats().Sessions, 1)
	})
}

// [v5 MQTT-3.1.2-24] [v3.1.1 MQTT-3.1.2-24]
func TestKeepAlive(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-22", "v5 MQTT-3.1.2-24", "v5 MQTT-3.2.2-22", "v3.1.1 MQTT-3.1.2-23", "v3.1.1 MQTT-3.1.2-24",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("will", 0)
		c := b.Connect(t, v, "a", mt.KeepAlive(10), mt.Will("will", "x", 0))
		b.Clock.Advance(14 * time.Second)
		c.ExpectNothing() // a packet: the time begins anew
		b.Clock.Advance(14 * time.Second)
		c.ExpectNothing()
		b.Clock.Advance(16 * time.Second)
		c.ExpectDisconnect(packets.KeepAliveTimeout)
		s.Take("will", "x", 0)
	})
}

// [v5 MQTT-3.2.2-21] [v5 MQTT-3.2.2-22]
func TestKeepAlive_server(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-23", "v5 MQTT-3.2.2-21", "v5 MQTT-3.2.2-22")
	t.Parallel()
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.KeepAliveMax = 20 * time.Second }})
	for asked, set := range map[uint16]uint16{0: 20, 19: 0, 20: 0, 21: 20} {
		p := b.Connect(t, packets.V5, "", mt.KeepAlive(asked)).Connack.Properties
		want(t, "present", p.Present.Has(packets.PropServerKeepAlive), set > 0)
		if set > 0 {
			want(t, "server keep alive", p.ServerKeepAlive, set)
		}
	}
	c := b.Connect(t, packets.V5, "a")
	b.Clock.Advance(31 * time.Second)
	c.ExpectDisconnect(packets.KeepAliveTimeout)
}

// [v5 MQTT-3.1.2-31]
func TestResponseInformation(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-31")
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.ResponseInformation = "reply/" }})
	ask := func(n byte) func(*packets.Connect) {
		return mt.Properties(func(p *packets.Properties) { p.RequestResponseInformation = n }, packets.PropRequestResponseInformation)
	}
	p := b.Connect(t, packets.V5, "a", ask(1)).Connack.Properties
	want(t, "response information", string(p.ResponseInformation), "reply/")
	p = b.Connect(t, packets.V5, "a", ask(0)).Connack.Properties
	want(t, "present", p.Present.Has(packets.PropResponseInformation), false)
	p = b.Connect(t, packets.V5, "a").Connack.Properties
	want(t, "present", p.Present.Has(packets.PropResponseInformation), false)
}

// [v5 MQTT-3.1.2-32]
func TestRequestProblemInformation(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-32")
	b := start(t)
	none := mt.Properties(func(p *packets.Properties) { p.RequestProblemInformation = 0 }, packets.PropRequestProblemInformation)
	for _, asked := range []bool{true, false} {
		o := []func(*packets.Connect){}
		if !asked {
			o = append(o, none)
		}
		c := b.Connect(t, packets.V5, "a", o...)
		c.SendSubscribe("a#", 0)
		a := mt.Expect[*packets.Suback](c)
		want(t, "reason string of SUBACK", a.Properties.Present.Has(packets.PropReasonString), asked)
		c.SendPublish("$SYS/x", "", 1)
		k := mt.Expect[*packets.Ack](c)
		wantCode(t, "PUBACK", k.ReasonCode, packets.NotAuthorized)
		want(t, "reason string of PUBACK", k.Properties.Present.Has(packets.PropReasonString), asked)
		c.Raw([]byte{0xf0, 0})
		d := mt.Expect[*packets.Disconnect](c)
		want(t, "reason string of DISCONNECT", d.Properties.Present.Has(packets.PropReasonString), true)
		c.ExpectClose()
	}
}

// [v5 MQTT-4.12.0-1]
func TestConnect_authenticationMethod(t *testing.T) {
	b := start(t)
	c := b.Refused(t, packets.V5, "a", mt.Properties(func(p *packets.Properties) {
		p.AuthenticationMethod = []byte("nope")
	}, packets.PropAuthenticationMethod))
	wantCode(t, "CONNACK", c, packets.BadAuthenticationMethod)
}

// [v5 MQTT-3.1.2-27]: a client that takes too little gets nothing.
func TestConnect_maximumPacketSize(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-27")
	b := start(t)
	c := b.Dial(t, packets.V5)
	c.SendConnect("a", mt.MaximumPacketSize(2))
	c.ExpectClose()
	b.WaitOffline(0)
}

// Reason strings that would make a refusal too large are left out [v5 MQTT-3.2.2-19].
func TestConnect_refusalSize(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.2.2-19")
	b := start(t)
	c := b.Dial(t, packets.V5)
	c.SendConnect("a\x01", mt.MaximumPacketSize(6))
	a := mt.Expect[*packets.Connack](c)
	want(t, "reason string", a.Properties.Present.Has(packets.PropReasonString), false)
	c.ExpectClose()
}

// B43: a session belongs to the identity that made it.
func TestSessionOwner(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Users: map[string]string{"ann": "a", "eve": "e"}})
		ann, eve := mt.Login("ann", "a"), mt.Login("eve", "e")
		c := b.Connect(t, v, "x", mt.Resume(60), ann)
		c.Subscribe("t", 1)
		for _, online := range []bool{true, false} {
			if !online {
				c.Close()
				b.WaitOffline(0)
			}
			wantCode(t, "clean", b.Refused(t, v, "x", eve), packets.NotAuthorized)
			wantCode(t, "resume", b.Refused(t, v, "x", mt.Resume(60), eve), packets.NotAuthorized)
			if online {
				c.ExpectNothing()
			}
		}
		c = b.Connect(t, v, "x", mt.Resume(60), ann)
		want(t, "session present", c.Connack.SessionPresent, true)
		c.Publish("t", "x", 0)
	})
}

// A22: nothing that follows a refused CONNECT is processed [v5 MQTT-3.1.4-6].
func TestConnect_pipelined(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.4-6", "v3.1.1 MQTT-3.1.4-5")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Users: map[string]string{"ann": "secret"}})
		s := b.Connect(t, v, "s", mt.Login("ann", "secret"))
		s.Subscribe("t", 0)
		for _, password := range []string{"wrong", "secret"} {
			c := b.Dial(t, v)
			p := &packets.Connect{Version: v, CleanStart: true, ClientID: []byte("a")}
			mt.Login("ann", password)(p)
			c.Send(p, &packets.Publish{TopicName: []byte("t"), Payload: []byte("x"), QoS: 1, PacketID: 1})
			a := mt.Expect[*packets.Connack](c)
			if password == "secret" {
				wantCode(t, "CONNACK", a.ReasonCode, packets.Success)
				c.ExpectAck(packets.PUBACK, 1)
				s.Take("t", "x", 0)
				continue
			}
			wantCode(t, "CONNACK", a.ReasonCode, packets.BadUserNameOrPassword)
			c.ExpectClose()
			s.ExpectNothing()
		}
	})
}
