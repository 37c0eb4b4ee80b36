package conformance

import (
	"fmt"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// A CONNECT that breaks a rule ends its connection, and nothing comes of it: no session, no will, and no DISCONNECT
// before a CONNACK.
func TestConnect_malformed(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-1", "v5 MQTT-3.1.2-3", "v5 MQTT-3.1.2-9", "v5 MQTT-3.1.2-11", "v5 MQTT-3.1.2-13", "v5 MQTT-3.1.2-14",
		"v5 MQTT-3.1.2-15", "v5 MQTT-3.1.2-18", "v5 MQTT-3.1.2-19", "v5 MQTT-3.1.2-20", "v5 MQTT-3.1.2-21", "v5 MQTT-3.1.3-3",
		"v5 MQTT-3.1.4-1", "v5 MQTT-3.14.0-1",
		"v3.1.1 MQTT-3.1.2-1", "v3.1.1 MQTT-3.1.2-3", "v3.1.1 MQTT-3.1.2-9", "v3.1.1 MQTT-3.1.2-11", "v3.1.1 MQTT-3.1.2-13",
		"v3.1.1 MQTT-3.1.2-14", "v3.1.1 MQTT-3.1.2-15", "v3.1.1 MQTT-3.1.2-18", "v3.1.1 MQTT-3.1.2-19", "v3.1.1 MQTT-3.1.2-20",
		"v3.1.1 MQTT-3.1.2-21", "v3.1.1 MQTT-3.1.2-22", "v3.1.1 MQTT-3.1.3-3", "v3.1.1 MQTT-3.1.4-1", "v3.1.1 MQTT-3.2.2-6",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("will", 0)
		id, user, password := text("c"), text("ann"), text("secret")
		will := none(v) + text("will") + text("gone")
		for what, body := range map[string]string{
			"reserved flag":                connectBody(v, 0x03, id),
			"will QoS 3":                   connectBody(v, 0x1e, id, will),
			"will QoS 1 without a will":    connectBody(v, 0x0a, id),
			"will QoS 3 without a will":    connectBody(v, 0x1a, id),
			"will retain without a will":   connectBody(v, 0x22, id),
			"will flag, no will":           connectBody(v, 0x06, id),
			"will flag, no message":        connectBody(v, 0x06, id, none(v), text("will")),
			"will, no will flag":           connectBody(v, 0x02, id, will),
			"user name flag, no user name": connectBody(v, 0x82, id),
			"user name, no user name flag": connectBody(v, 0x02, id, user),
			"password flag, no password":   connectBody(v, 0xc2, id, user),
			"password, no password flag":   connectBody(v, 0x82, id, user, password),
			"neither flag, both fields":    connectBody(v, 0x02, id, user, password),
			"no client identifier":         connectBody(v, 0x02),
			"client identifier cut off":    connectBody(v, 0x02, "\x00\x05abc"),
			"more than the payload":        connectBody(v, 0x02, id, "\x00"),
			"other protocol name":          text("MQTX") + connectBody(v, 0x02, id)[6:],
			"protocol name in lower case":  text("mqtt") + connectBody(v, 0x02, id)[6:],
			"longer protocol name":         text("MQTTX") + connectBody(v, 0x02, id)[6:],
			"no protocol name":             text("") + connectBody(v, 0x02, id)[6:],
			"nothing":                      "",
			"cut off after the name":       text("MQTT"),
			"cut off after the flags":      connectBody(v, 0x02)[:8],
		} {
			refuses(t, b, what, packet(0x10, body), v)
		}
		if v < packets.V5 {
			refuses(t, b, "password without user name", packet(0x10, connectBody(v, 0x42, id, password)), v)
		} else {
			p := dial(t, b)
			_, err := p.Write(packet(0x10, connectBody(v, 0x42, id, password)))
			must(t, err)
			want(t, "password without user name", p.frame()[3], 0)
			p.Close()
		}
		b.WaitOffline(1)
		s.ExpectNothing()
		want(t, "sessions", b.Stats().Sessions, 1)
	})
}

// All fields of the payload, in their order, and what each of them does.
func TestConnect_fields(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.3-1", "v5 MQTT-3.1.3-3", "v5 MQTT-3.1.2-9", "v5 MQTT-3.1.2-17", "v5 MQTT-3.1.2-19", "v5 MQTT-3.1.2-21",
		"v3.1.1 MQTT-3.1.3-1", "v3.1.1 MQTT-3.1.3-3", "v3.1.1 MQTT-3.1.2-9", "v3.1.1 MQTT-3.1.2-17", "v3.1.1 MQTT-3.1.2-19",
		"v3.1.1 MQTT-3.1.2-21",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Users: map[string]string{"ann": "secret"}})
		s := b.Connect(t, v, "s", mt.Login("ann", "secret"))
		s.Subscribe("will", 2)
		const flags = 0x80 | 0x40 | 0x20 | 0x10 | 0x04 // user name, password, retained will at QoS 2
		for password, code := range map[string]byte{"secret": 0, "wrong": 4} {
			p := dial(t, b)
			body := connectBody(v, flags, text("c"), none(v), text("will"), text("gone"), text("ann"), text(password))
			_, err := p.Write(packet(0x10, body))
			must(t, err)
			f := p.frame()
			if v >= packets.V5 && code != 0 {
				code = byte(packets.BadUserNameOrPassword)
			}
			want(t, "return code", f[3], code)
			p.Close()
			b.WaitOffline(1)
			if code == 0 {
				s.Take("will", "gone", 2)
				s.Subscribe("will", 2)
				want(t, "RETAIN", s.Take("will", "gone", 2).Retain, true)
			}
		}
		s.ExpectNothing()
	})
}

// Client Identifiers of 1 to 23 letters and digits.
func TestClientID_accepted(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.3-5", "v3.1.1 MQTT-3.1.3-5")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for n := 1; n <= 23; n++ {
			for at := 0; at < len(letters); at += n {
				id := letters[min(at, len(letters)-n):][:n]
				c := b.Connect(t, v, id)
				c.Ping()
				c.Disconnect()
			}
		}
	})
}

// The Client Identifier, as it is, says whose session it is.
func TestClientID_session(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.3-2", "v3.1.1 MQTT-3.1.3-2", "v5 MQTT-3.1.2-5", "v5 MQTT-3.1.2-6", "v3.1.1 MQTT-3.1.2-4")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		names := []string{"a", "A", "a ", "á", "a\u0301", "aa", "\ufeffa"}
		for _, id := range names {
			c := b.Connect(t, v, id, mt.Resume(60))
			want(t, "session present of "+id, c.Connack.SessionPresent, false)
			c.Subscribe("to/"+id, 1)
			c.Disconnect()
		}
		b.WaitOffline(0)
		p := b.Connect(t, v, "p")
		for _, id := range names {
			p.Publish("to/"+id, id, 1)
		}
		for _, id := range names {
			c := b.Connect(t, v, id, mt.Resume(60))
			want(t, "session present of "+id, c.Connack.SessionPresent, true)
			c.Take("to/"+id, id, 1)
			c.ExpectNothing()
		}
	})
}

// A will is published once, and not for a later connection without one.
func TestWill_once(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-7", "v5 MQTT-3.1.2-8", "v5 MQTT-3.1.2-10", "v5 MQTT-3.1.2-12",
		"v3.1.1 MQTT-3.1.2-8", "v3.1.1 MQTT-3.1.2-10", "v3.1.1 MQTT-3.1.2-12",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("will", 1)
		c := b.Connect(t, v, "c", mt.Resume(60), mt.Will("will", "gone", 1))
		c.Close()
		s.Take("will", "gone", 1)
		for range 2 {
			b.WaitOffline(1)
			c = b.Connect(t, v, "c", mt.Resume(60))
			want(t, "session present", c.Connack.SessionPresent, true)
			c.Close()
			b.WaitOffline(1)
			s.ExpectNothing()
			b.Connect(t, v, "c", mt.Resume(60), mt.Will("will", "gone", 1)).Disconnect()
		}
		b.WaitOffline(1)
		s.ExpectNothing()
	})
}

// Retained messages stay when the session of their publisher, and of their receiver, ends.
func TestRetained_outlivesSessions(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-3.1.2-7")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for i := range 2 {
			c := b.Connect(t, v, "c")
			c.Subscribe("t", 1)
			if i == 0 {
				c.Publish("t", "kept", 1, mt.Retain)
			}
			want(t, "RETAIN", c.Take("t", "kept", 1).Retain, i > 0)
			c.Disconnect()
		}
		b.WaitOffline(0)
		want(t, "sessions", b.Stats().Sessions, 0)
		c := b.Connect(t, v, "c")
		c.Subscribe("t", 1)
		c.Take("t", "kept", 1)
	})
}

// No answer at all to a connection without CONNECT, whatever ends it.
func TestDisconnect_notBeforeConnack(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.14.0-1", "v5 MQTT-3.2.0-1", "v3.1.1 MQTT-3.2.0-1")
	b := start(t)
	for what, digits := range map[string]string{
		"PINGREQ": "c000", "DISCONNECT": "e000", "AUTH": "f000", "type 0": "0000", "a long CONNECT": "10ffffff7f", "half a CONNECT": "10",
	} {
		p := dial(t, b)
		p.send(digits)
		if what == "half a CONNECT" {
			b.Eventually("the connection", func() bool { return b.Stats().Connections == 1 })
			b.Clock.Advance(11 * time.Second)
		}
		want(t, "packets after "+what, len(p.ended()), 0)
		b.WaitOffline(0)
	}
}

// A broker that takes no Topic Alias says so, and refuses them.
func TestTopicAlias_none(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.2.2-17", "v5 MQTT-3.2.2-18", "v5 MQTT-3.3.2-9")
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.TopicAliases = 0 }})
	c := b.Connect(t, packets.V5, "c")
	want(t, "topic alias maximum", c.Connack.Properties.TopicAliasMaximum, 0)
	c.SendPublish("t", "x", 0, mt.Alias(1))
	c.ExpectDisconnect(packets.TopicAliasInvalid)
}

// No authentication method is supported: whoever names one is refused at once, without an AUTH, and what else came with the
// CONNECT is not looked at.
func TestAuthenticationMethod(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-33", "v5 MQTT-3.1.4-6", "v5 MQTT-4.12.0-1", "v5 MQTT-4.12.0-4", "v5 MQTT-3.2.2-7")
	b := start(t)
	s := b.Connect(t, packets.V5, "s")
	s.Subscribe("#", 0)
	for _, then := range []any{&packets.Publish{TopicName: []byte("t")}, &packets.Auth{ReasonCode: packets.ContinueAuthentication}, &packets.Disconnect{}} {
		c := b.Dial(t, packets.V5)
		p := &packets.Connect{Version: packets.V5, ClientID: []byte("c"), CleanStart: true}
		p.Properties.AuthenticationMethod = []byte("nobody knows it")
		p.Properties.Present.Add(packets.PropAuthenticationMethod)
		c.Send(p, then)
		a := mt.Expect[*packets.Connack](c)
		want(t, "CONNACK", a.ReasonCode, packets.BadAuthenticationMethod)
		want(t, "session present", a.SessionPresent, false)
		c.ExpectClose()
	}
	s.ExpectNothing()
	want(t, "sessions", b.Stats().Sessions, 1)
}

// AUTH with a code that AUTH does not have, or where no method was named, is no AUTH.
func TestAuth_codes(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.15.2-1", "v5 MQTT-4.12.0-7", "v5 MQTT-4.13.1-1")
	b := start(t)
	for code := range 256 {
		p := dial(t, b)
		_, err := p.Write(packet(0x10, connectBody(packets.V5, 2, text("c"))))
		must(t, err)
		p.frame()
		p.send(fmt.Sprintf("f002%02x00", code))
		frames := p.ended()
		if len(frames) != 1 || frames[0][0] != 0xe0 || frames[0][2] != byte(packets.ProtocolError) && frames[0][2] != byte(packets.MalformedPacket) {
			t.Errorf("AUTH 0x%02x is answered with %x", code, frames)
		}
	}
}

// A session lasts as long as its connection, however long that is.
func TestSession_lasts(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.1.0-1", "v3.1.1 MQTT-4.1.0-1", "v3.1.1 MQTT-4.1.0-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for _, o := range [][]func(*packets.Connect){nil, {mt.Resume(1)}} {
			c := b.Connect(t, v, "c", o...)
			c.Subscribe("t", 2)
			c.Publish("t", "held", 2)
			m := c.Receive("t", "held", 2)
			c.SendPublish("u", "x", 2, mt.PacketID(999))
			c.ExpectAck(packets.PUBREC, 999)
			for range 10 {
				b.Clock.Advance(10 * time.Hour)
				c.Publish("t", "x", 1)
				c.Take("t", "x", 1)
			}
			c.Answer(m)
			c.Ack(packets.PUBREL, 999)
			want(t, "PUBCOMP", c.ExpectAck(packets.PUBCOMP, 999), packets.Success)
			c.Disconnect()
			b.WaitOffline(0)
		}
	})
}

// Each client without an identifier has one of its own, and so a session of its own.
func TestClientID_empty(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.3-6", "v5 MQTT-3.1.3-7", "v5 MQTT-3.2.2-16", "v3.1.1 MQTT-3.1.3-6")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		var clients [5]*mt.Client
		for i := range clients {
			clients[i] = b.Connect(t, v, "")
			want(t, "told", len(clients[i].Connack.Properties.AssignedClientIdentifier) > 0, v >= packets.V5)
			clients[i].Subscribe("t", 1)
		}
		want(t, "sessions", b.Stats().Sessions, len(clients))
		clients[0].Publish("t", "x", 1)
		for _, c := range clients {
			c.Take("t", "x", 1)
			c.ExpectNothing()
		}
	})
}
