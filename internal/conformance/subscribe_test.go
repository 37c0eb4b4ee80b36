package conformance

import (
	"fmt"
	"testing"
	"time"

	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// Which topics a filter matches, character by character, live and retained.
func TestMatching(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.2-3", "v5 MQTT-4.7.1-1", "v5 MQTT-4.7.1-2", "v5 MQTT-4.7.2-1", "v5 MQTT-4.7.3-4", "v5 MQTT-4.5.0-1",
		"v3.1.1 MQTT-3.3.2-3", "v3.1.1 MQTT-3.8.3-2", "v3.1.1 MQTT-4.7.1-2", "v3.1.1 MQTT-4.7.1-3", "v3.1.1 MQTT-4.7.2-1",
		"v3.1.1 MQTT-4.7.3-4", "v3.1.1 MQTT-4.5.0-1",
	)
	topics := []string{"a", "A", "a/", "/a", "/", "//", "a/b", "a/b/c", "a//c", "b/a", "$x", "$x/a", "a/$x", "é", "e\u0301", " a", "a ", "a/b/"}
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		p := b.Connect(t, v, "p")
		subscribers := map[string]*mt.Client{}
		matches := map[string][]string{
			"a": {"a"}, "A": {"A"}, "a/": {"a/"}, "/": {"/"}, "é": {"é"}, "$x": {"$x"},
			"#":     {"a", "A", "a/", "/a", "/", "//", "a/b", "a/b/c", "a//c", "b/a", "a/$x", "é", "e\u0301", " a", "a ", "a/b/"},
			"+":     {"a", "A", "é", "e\u0301", " a", "a "},
			"+/+":   {"a/", "/a", "/", "a/b", "b/a", "a/$x"},
			"a/#":   {"a", "a/", "a/b", "a/b/c", "a//c", "a/$x", "a/b/"},
			"a/+":   {"a/", "a/b", "a/$x"},
			"+/a":   {"/a", "b/a"},
			"/+":    {"/a", "/"},
			"/#":    {"/a", "/", "//"},
			"+/+/#": {"a/", "/a", "/", "//", "a/b", "a/b/c", "a//c", "b/a", "a/$x", "a/b/"},
			"a/+/c": {"a/b/c", "a//c"},
			"+/b/#": {"a/b", "a/b/c", "a/b/"},
			"$x/#":  {"$x", "$x/a"},
			"$x/+":  {"$x/a"},
			"b":     nil, "a/b/c/#": {"a/b/c"},
		}
		for f := range matches {
			subscribers[f] = b.Connect(t, v, f)
			want(t, "SUBACK", subscribers[f].Subscribe(f, 1), 1)
		}
		for _, topic := range topics {
			p.Publish(topic, topic, 1, mt.Retain)
		}
		for f, list := range matches {
			s := subscribers[f]
			for _, topic := range list {
				s.Take(topic, topic, 1)
			}
			s.ExpectNothing()
			left := map[string]bool{}
			for _, topic := range list {
				left[topic] = true
			}
			s.Subscribe(f, 1)
			for range list {
				m := mt.Expect[*packets.Publish](s)
				s.Answer(m)
				if topic := string(m.TopicName); !left[topic] || !m.Retain {
					t.Errorf("filter %q: retained message of %q", f, topic)
				}
				delete(left, string(m.TopicName))
			}
			s.ExpectNothing()
		}
	})
}

// Wildcards at other places are no filter, and in a Topic Name nothing.
func TestWildcards_refused(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-4.7.0-1", "v5 MQTT-4.7.1-1", "v5 MQTT-4.7.1-2", "v5 MQTT-3.3.2-2", "v5 MQTT-4.7.3-1", "v5 MQTT-4.8.2-1", "v5 MQTT-4.8.2-2",
		"v3.1.1 MQTT-4.7.1-1", "v3.1.1 MQTT-4.7.1-2", "v3.1.1 MQTT-4.7.1-3", "v3.1.1 MQTT-3.3.2-2", "v3.1.1 MQTT-4.7.3-1",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("#", 0)
		for _, f := range []string{"##", "#/", "a#", "a/#/", "/#a", "#/a", "++", "+a", "a+", "a/+b", "a/b+/c", "+#", "#+"} {
			want(t, "SUBACK of "+f+" fails", s.Subscribe(f, 0).IsError(), true)
			c := b.Connect(t, v, "c")
			c.SendPublish(f, "x", 1)
			c.ExpectDisconnect(packets.TopicNameInvalid)
		}
		if v >= packets.V5 {
			for _, f := range []string{"$share//t", "$share/g", "$share/", "$share/g/", "$share/g+/t", "$share/+/t", "$share/#/t", "$share/g#/t"} {
				want(t, "SUBACK of "+f+" fails", s.Subscribe(f, 0).IsError(), true)
			}
			want(t, "SUBACK", s.Subscribe("$share/g/+/t/#", 0), 0)
		}
		for _, bytes := range [][]byte{both(v, 0x30, text("")+"%x"), both(v, 0x82, "\x00\x01%"+text("")+"\x00"), both(v, 0xa2, "\x00\x01%"+text(""))} {
			c := b.Connect(t, v, "c")
			c.Raw(bytes)
			c.ExpectDisconnect(packets.ProtocolError)
		}
		s.ExpectNothing()
	})
}

// A filter that is there already is replaced: new QoS, retained messages again, and one copy of each message.
func TestSubscribe_again(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.8.4-3", "v5 MQTT-3.8.4-4", "v3.1.1 MQTT-3.8.4-3", "v3.1.1 MQTT-3.3.1-6", "v3.1.1 MQTT-3.3.1-8")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		p := b.Connect(t, v, "p")
		p.Publish("t/kept", "kept", 2, mt.Retain)
		s := b.Connect(t, v, "s")
		for _, qos := range []packets.QoS{1, 0, 2, 1} {
			want(t, "SUBACK", s.Subscribe("t/+", qos), packets.ReasonCode(qos))
			want(t, "RETAIN", s.Take("t/kept", "kept", qos).Retain, true)
			p.Publish("t/live", "live", 2)
			s.Take("t/live", "live", qos)
			s.ExpectNothing()
		}
		want(t, "subscriptions", b.Stats().Subscriptions, 1)
		// Nothing is lost or doubled meanwhile.
		const messages = 300
		for i := range messages {
			p.SendPublish("t/live", fmt.Sprint(i), 1)
			p.ExpectAck(packets.PUBACK, p.PacketID()-1)
			if i%10 == 0 {
				s.SendSubscribe("t/+", 1)
			}
		}
		next := 0
		for subacks := 0; next < messages || subacks < messages/10; {
			x, err := s.Next()
			must(t, err)
			switch x := x.(type) {
			case *packets.Suback:
				subacks++
			case *packets.Publish:
				s.Answer(x)
				if !x.Retain {
					want(t, "message", string(x.Payload), fmt.Sprint(next))
					next++
				}
			}
		}
		for {
			s.Raw(packets.AppendPingreq(nil))
			x, err := s.Next()
			must(t, err)
			if _, done := x.(mt.Pingresp); done {
				break
			}
			if m := x.(*packets.Publish); !m.Retain {
				t.Fatalf("message %s again", m.Payload)
			}
		}
	})
}

// An ordinary and a shared subscription each have a copy, with the identifier of their own.
func TestSubscriptionIdentifier_copies(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.4-5", "v5 MQTT-3.3.4-3")
	b := start(t)
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("t", 1, mt.SubscriptionID(1))
	c.Subscribe("$share/g/t", 1, mt.SubscriptionID(2))
	c.Subscribe("$share/h/#", 1, mt.SubscriptionID(300))
	for range 3 {
		c.Publish("t", "x", 1)
		seen := map[string]bool{}
		for range 3 {
			seen[fmt.Sprint(c.Take("t", "x", 1).SubscriptionIdentifiers)] = true
		}
		for _, one := range []string{"[1]", "[2]", "[300]"} {
			want(t, "copy with "+one, seen[one], true)
		}
		c.ExpectNothing()
	}
}

// What was begun with one member of a group is not given to another, whether its session ends or it refuses.
func TestShared_notGivenToAnother(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.8.2-5", "v5 MQTT-4.8.2-6")
	b := start(t)
	p := b.Connect(t, packets.V5, "p")
	for name, end := range map[string]func(a *mt.Client, m *packets.Publish){
		"clean start": func(*mt.Client, *packets.Publish) { b.Connect(t, packets.V5, "a").Disconnect() },
		"expiry": func(a *mt.Client, _ *packets.Publish) {
			a.Close()
			b.WaitOffline(2)
			b.Clock.Advance(61 * time.Second)
			b.Eventually("the end of the session", func() bool { return b.Stats().Sessions == 2 })
		},
		"PUBREC": func(a *mt.Client, m *packets.Publish) {
			a.Ack(packets.PUBREC, m.PacketID, packets.UnspecifiedError)
			a.Ping()
		},
	} {
		a := b.Connect(t, packets.V5, "a", mt.Resume(60))
		a.Subscribe("$share/g/t", 2)
		p.Publish("t", name, 2)
		m := a.Receive("t", name, 2)
		c := b.Connect(t, packets.V5, "c")
		c.Subscribe("$share/g/t", 2)
		end(a, m)
		c.ExpectNothing()
		c.Disconnect()
		a.Close()
		b.Connect(t, packets.V5, "a").Disconnect()
		b.WaitOffline(1)
	}
	a := b.Connect(t, packets.V5, "a")
	a.Subscribe("$share/g/t", 1)
	p.Publish("t", "PUBACK", 1)
	m := a.Receive("t", "PUBACK", 1)
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("$share/g/t", 1)
	a.Ack(packets.PUBACK, m.PacketID, packets.UnspecifiedError)
	a.ExpectNothing()
	c.ExpectNothing()
}

// A SUBSCRIBE or UNSUBSCRIBE must have a filter, and a SUBSCRIBE options for it that are none of the reserved ones.
func TestSubscribe_malformed(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.8.3-2", "v5 MQTT-3.8.3-5", "v5 MQTT-3.10.3-2",
		"v3.1.1 MQTT-3.8.3-3", "v3.1.1 MQTT-3.8.3-4", "v3.1.1 MQTT-3.10.3-2",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for options := range 256 {
			c := b.Connect(t, v, "c")
			c.Raw(both(v, 0x82, "\x00\x01%"+text("t")+string([]byte{byte(options)})))
			if options&3 < 3 && (options < 3 || v >= packets.V5 && options < 0x30) {
				mt.Expect[*packets.Suback](c)
				c.Close()
				continue
			}
			code := packets.MalformedPacket
			if options&0xc0 == 0 && options&3 < 3 && v >= packets.V5 { // Retain Handling 3
				code = packets.ProtocolError
			}
			d := packets.Disconnect{ReasonCode: code}
			if v >= packets.V5 {
				d = *mt.Expect[*packets.Disconnect](c)
			}
			c.ExpectClose()
			if d.ReasonCode != packets.MalformedPacket && d.ReasonCode != packets.ProtocolError {
				t.Errorf("options 0x%02x: DISCONNECT %v", options, d.ReasonCode)
			}
		}
		for _, bytes := range [][]byte{both(v, 0x82, "\x00\x01%"), both(v, 0xa2, "\x00\x01%")} {
			c := b.Connect(t, v, "c")
			c.Raw(bytes)
			c.ExpectDisconnect(packets.ProtocolError)
		}
	})
}
