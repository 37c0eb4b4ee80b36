package broker_test

import (
	"fmt"
	"testing"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// [v5 MQTT-3.3.4-1] [v5 MQTT-3.8.4-8] [v5 MQTT-3.3.1-12] [v3.1.1 MQTT-3.3.1-9]: the QoS delivered is the lesser of both.
func TestQoS_matrix(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-2.2.1-5", "v5 MQTT-3.3.1-12", "v5 MQTT-3.3.4-1", "v5 MQTT-3.8.4-8", "v5 MQTT-4.3.2-2",
		"v5 MQTT-4.3.3-2", "v5 MQTT-4.3.3-4", "v5 MQTT-4.3.3-11", "v3.1.1 MQTT-2.3.1-6", "v3.1.1 MQTT-3.3.1-9",
		"v3.1.1 MQTT-3.3.4-1", "v3.1.1 MQTT-3.8.4-6",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		p := b.Connect(t, v, "p")
		for sub := range packets.QoS(3) {
			s := b.Connect(t, v, fmt.Sprint("s", sub))
			wantCode(t, "SUBACK", s.Subscribe("t/+", sub), packets.ReasonCode(sub))
			for pub := range packets.QoS(3) {
				wantCode(t, "PUBACK", p.Publish("t/x", "m", pub), packets.Success)
				m := s.Take("t/x", "m", min(sub, pub))
				want(t, "DUP", m.Dup, false)       // [v5 MQTT-4.3.2-2] [v5 MQTT-4.3.3-2]
				want(t, "RETAIN", m.Retain, false) // [v5 MQTT-3.3.1-12]
			}
			s.Disconnect()
		}
		wantCode(t, "nobody", p.Publish("t/x", "m", 1), code(v, packets.NoMatchingSubscribers))
	})
}

// [v5 MQTT-4.3.3-10] [v5 MQTT-3.3.1-3]: a repeat is acknowledged and not delivered again.
func TestQoS2_repeat(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-4.3.3-8", "v5 MQTT-4.3.3-10", "v5 MQTT-4.3.3-11", "v5 MQTT-4.3.3-12", "v3.1.1 MQTT-4.3.3-2",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("t", 2)
		p := b.Connect(t, v, "p", mt.Resume(60))
		p.SendPublish("t", "one", 2, mt.PacketID(7))
		wantCode(t, "PUBREC", p.ExpectAck(packets.PUBREC, 7), packets.Success)
		for range 300 { // more than the Receive Maximum
			p.SendPublish("t", "two", 2, mt.PacketID(7), mt.Dup)
			wantCode(t, "PUBREC", p.ExpectAck(packets.PUBREC, 7), packets.Success)
		}
		p.Close()
		b.WaitOffline(1)
		p = b.Connect(t, v, "p", mt.Resume(60))
		p.SendPublish("t", "three", 2, mt.PacketID(7), mt.Dup)
		wantCode(t, "PUBREC", p.ExpectAck(packets.PUBREC, 7), packets.Success)
		p.Ack(packets.PUBREL, 7)
		wantCode(t, "PUBCOMP", p.ExpectAck(packets.PUBCOMP, 7), packets.Success)
		p.SendPublish("t", "four", 2, mt.PacketID(7)) // [v5 MQTT-4.3.3-12]
		p.ExpectAck(packets.PUBREC, 7)
		s.Take("t", "one", 2)
		s.Take("t", "four", 2)
		s.ExpectNothing()
	})
}

// C34, C37: acknowledgements of what is not there.
func TestAcks_unknown(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "c")
		c.Ack(packets.PUBREL, 9)
		wantCode(t, "PUBCOMP", c.ExpectAck(packets.PUBCOMP, 9), code(v, packets.PacketIdentifierNotFound))
		c.Ack(packets.PUBREC, 9)
		wantCode(t, "PUBREL", c.ExpectAck(packets.PUBREL, 9), code(v, packets.PacketIdentifierNotFound))
		c.Ack(packets.PUBACK, 9)
		c.Ack(packets.PUBCOMP, 9)
		c.ExpectNothing()
	})
}

// C36: an acknowledgement that does not fit the QoS.
func TestAcks_mismatch(t *testing.T) {
	for _, x := range []struct {
		qos packets.QoS
		ack packets.Type
	}{{1, packets.PUBREC}, {1, packets.PUBCOMP}, {2, packets.PUBACK}, {2, packets.PUBCOMP}} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := start(t)
			c := b.Connect(t, v, "c")
			c.Subscribe("t", 2)
			c.Publish("t", "x", x.qos)
			m := c.Receive("t", "x", x.qos)
			c.Ack(x.ack, m.PacketID)
			c.ExpectDisconnect(packets.ProtocolError)
		})
	}
}

// [v5 MQTT-4.3.3-9] [v5 MQTT-4.4.0-2]: a refused QoS 2 message has ended; its identifier and its place in the window are free.
func TestPubrec_refused(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.3.3-9", "v5 MQTT-4.4.0-2")
	b := start(t)
	s := b.Connect(t, packets.V5, "s", mt.ReceiveMaximum(1), mt.Resume(60))
	s.Subscribe("t", 2)
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "one", 2)
	p.Publish("t", "two", 2)
	m := s.Receive("t", "one", 2)
	s.ExpectNothing()
	s.Ack(packets.PUBREC, m.PacketID, packets.NotAuthorized)
	s.Take("t", "two", 2)
	s.ExpectNothing()
	s.Close()
	b.WaitOffline(1)
	b.Connect(t, packets.V5, "s", mt.Resume(60)).ExpectNothing()
	// PUBACK with an error counts as acknowledged, too.
	s = b.Connect(t, packets.V5, "s", mt.Resume(60))
	p.Publish("t", "three", 1)
	m = s.Receive("t", "three", 1)
	s.Ack(packets.PUBACK, m.PacketID, packets.UnspecifiedError)
	s.Close()
	b.WaitOffline(1)
	b.Connect(t, packets.V5, "s", mt.Resume(60)).ExpectNothing()
}

// [v5 MQTT-4.4.0-1] [v5 MQTT-4.6.0-1] [v5 MQTT-3.3.1-1] [v5 MQTT-4.3.3-6] [v3.1.1 MQTT-4.4.0-1]
func TestResend(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.1-1", "v5 MQTT-4.3.2-3", "v5 MQTT-4.3.3-3", "v5 MQTT-4.3.3-5", "v5 MQTT-4.3.3-6", "v5 MQTT-4.4.0-1",
		"v5 MQTT-4.6.0-1", "v3.1.1 MQTT-2.3.1-4", "v3.1.1 MQTT-3.3.1-1", "v3.1.1 MQTT-4.3.2-1", "v3.1.1 MQTT-4.3.3-1",
		"v3.1.1 MQTT-4.4.0-1", "v3.1.1 MQTT-4.6.0-1",
	)
	for _, store := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Store: store})
			s := b.Connect(t, v, "s", mt.Resume(600))
			s.Subscribe("t", 2)
			p := b.Connect(t, v, "p")
			var ids []uint16
			for i := range 6 {
				qos := packets.QoS(1 + i%2)
				p.Publish("t", fmt.Sprint(i), qos)
				ids = append(ids, s.Receive("t", fmt.Sprint(i), qos).PacketID)
			}
			s.Ack(packets.PUBREC, ids[3])
			s.ExpectAck(packets.PUBREL, ids[3])
			s.Ack(packets.PUBACK, ids[2])
			s.Ping()
			s.Close()
			b.WaitOffline(1)
			p.Publish("t", "6", 1) // waits
			for range 2 {
				s = b.Connect(t, v, "s", mt.Resume(600))
				want(t, "session present", s.Connack.SessionPresent, true)
				for i := range 7 {
					switch i {
					case 2:
						continue
					case 3:
						s.ExpectAck(packets.PUBREL, ids[i])
						continue
					}
					m := s.Receive("t", fmt.Sprint(i), packets.QoS(1+i%2))
					if i < 6 {
						want(t, "packet identifier", m.PacketID, ids[i])
						want(t, "DUP", m.Dup, true)
					} else if len(ids) < 7 {
						ids = append(ids, m.PacketID)
						want(t, "DUP", m.Dup, false)
					}
				}
				s.ExpectNothing()
				s.Close()
				b.WaitOffline(1)
				if store {
					b.Restart()
					p.Close()
					p = b.Connect(t, v, "p")
				}
			}
		})
	}
}

// [v5 MQTT-3.3.4-9] [v5 MQTT-4.9.0-2] [v5 MQTT-4.9.0-3] [v5 MQTT-3.3.4-10]: the client's Receive Maximum.
func TestReceiveMaximum_out(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.4-9", "v5 MQTT-3.3.4-10", "v5 MQTT-4.9.0-1", "v5 MQTT-4.9.0-2", "v5 MQTT-4.9.0-3")
	for _, qos := range []packets.QoS{1, 2} {
		b := start(t)
		s := b.Connect(t, packets.V5, "s", mt.ReceiveMaximum(3))
		s.Subscribe("t", 2)
		p := b.Connect(t, packets.V5, "p")
		for i := range 10 {
			p.Publish("t", fmt.Sprint(i), qos)
		}
		p.Publish("t", "zero", 0)
		var list []*packets.Publish
		for i := range 3 {
			list = append(list, s.Receive("t", fmt.Sprint(i), qos))
		}
		s.Receive("t", "zero", 0) // QoS 0 needs no place in the window
		s.ExpectNothing()
		for i := range 7 {
			s.Answer(list[i])
			list = append(list, s.Receive("t", fmt.Sprint(3+i), qos))
			s.ExpectNothing()
		}
	}
}

// [v5 MQTT-3.3.4-7]: limit, and one more.
func TestReceiveMaximum_in(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.4-7")
	for _, qos := range []packets.QoS{1, 2} {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.ReceiveMaximum = 5 }})
		c := b.Connect(t, packets.V5, "c")
		want(t, "receive maximum", c.Connack.Properties.ReceiveMaximum, 5)
		for i := range 20 { // acknowledged in full each
			c.Publish("t", fmt.Sprint(i), qos)
		}
		if qos == 1 {
			continue // acknowledged at once, without a store
		}
		for range 5 {
			m := c.SendPublish("t", "x", 2)
			c.ExpectAck(packets.PUBREC, m.PacketID)
		}
		c.Publish("t", "x", 0)
		c.SendPublish("t", "x", 2)
		c.ExpectDisconnect(packets.ReceiveMaximumExceeded)
	}
}

// With a store, answers wait for it: older clients are not read meanwhile, and all of it is answered in order.
func TestReceiveMaximum_pipelined(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-4.6.0-2", "v3.1.1 MQTT-4.6.0-3")
	for _, qos := range []packets.QoS{1, 2} {
		b := mt.NewBroker(t, mt.Options{Store: true, Config: func(c *broker.Config) { c.Limits.ReceiveMaximum = 5 }})
		s := b.Connect(t, packets.V311, "s", mt.Resume(0))
		s.Subscribe("t", 1)
		p := b.Connect(t, packets.V311, "p", mt.Resume(0))
		var all []byte
		for i := range 500 {
			all = append(all, p.Encode(&packets.Publish{TopicName: []byte("t"), Payload: fmt.Append(nil, i), QoS: qos, PacketID: uint16(i + 1)})...)
		}
		p.Raw(all)
		kind := map[packets.QoS]packets.Type{1: packets.PUBACK, 2: packets.PUBREC}[qos]
		for i := range 500 {
			p.ExpectAck(kind, uint16(i+1)) // [v5 MQTT-4.6.0-2] [v5 MQTT-4.6.0-3]
			s.Take("t", fmt.Sprint(i), 1)
		}
		if qos == 2 {
			for i := range 500 {
				p.Ack(packets.PUBREL, uint16(i+1))
			}
			for i := range 500 {
				p.ExpectAck(packets.PUBCOMP, uint16(i+1))
			}
		}
	}
}

// Packet Identifiers go round without ever being 0 or in use [v5 MQTT-2.2.1-4].
func TestPacketID_wraps(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-2.3.1-4")
	t.Parallel()
	b := start(t)
	s := b.Connect(t, packets.V311, "s")
	s.Subscribe("t", 1)
	p := b.Connect(t, packets.V311, "p")
	old := uint16(0)
	for range 700 {
		var all []byte
		for i := range 100 {
			all = append(all, p.Encode(&packets.Publish{TopicName: []byte("t"), QoS: 1, PacketID: uint16(i + 1)})...)
		}
		p.Raw(all)
		all = all[:0]
		for i := range 100 {
			p.ExpectAck(packets.PUBACK, uint16(i+1))
			m := s.Receive("t", "", 1)
			if m.PacketID != old+1 && !(old == 65535 && m.PacketID == 1) {
				t.Fatalf("packet identifier %d follows %d", m.PacketID, old)
			}
			old = m.PacketID
			all = packets.AppendAck(all, packets.PUBACK, m.PacketID)
		}
		s.Raw(all)
	}
}

// [v5 MQTT-4.6.0-5]: order, for many messages at once at every QoS.
func TestOrder(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.6.0-5", "v5 MQTT-4.6.0-6", "v3.1.1 MQTT-4.6.0-5", "v3.1.1 MQTT-4.6.0-6")
	for _, store := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Store: store})
			s := b.Connect(t, v, "s", mt.Resume(60))
			for i := range 3 {
				s.Subscribe(fmt.Sprint("t/", i), packets.QoS(i))
			}
			p := b.Connect(t, v, "p")
			for i := range 90 {
				p.SendPublish(fmt.Sprint("t/", i%3), fmt.Sprint(i), packets.QoS(i%3))
			}
			next := [3]int{0, 1, 2}
			for got := 0; got < 90; {
				m, err := s.Next()
				if err != nil {
					t.Fatal(err)
				}
				switch m := m.(type) {
				case *packets.Publish:
					want(t, "message", string(m.Payload), fmt.Sprint(next[m.QoS]))
					next[m.QoS] += 3
					got++
					if m.QoS > 0 {
						s.Ack(map[packets.QoS]packets.Type{1: packets.PUBACK, 2: packets.PUBREC}[m.QoS], m.PacketID)
					}
				case *packets.Ack:
					s.Ack(packets.PUBCOMP, m.PacketID)
				}
			}
		})
	}
}

// C15 to C18: [v5 MQTT-3.3.2-7] [v5 MQTT-3.3.2-8] [v5 MQTT-3.3.2-12]
func TestTopicAlias_in(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-30", "v5 MQTT-3.2.2-17", "v5 MQTT-3.3.2-7", "v5 MQTT-3.3.2-8", "v5 MQTT-3.3.2-9",
		"v5 MQTT-3.3.2-12",
	)
	b := start(t)
	most := uint16(broker.DefaultLimits().TopicAliases)
	s := b.Connect(t, packets.V5, "s")
	s.Subscribe("#", 0)
	c := b.Connect(t, packets.V5, "c")
	for i := uint16(1); i <= most; i++ {
		c.SendPublish(fmt.Sprint("t", i), "set", 1, mt.Alias(i))
	}
	c.SendPublish("", "use", 1, mt.Alias(most))
	c.SendPublish("other", "again", 0, mt.Alias(most))
	c.SendPublish("", "use", 0, mt.Alias(most))
	for i := uint16(1); i <= most; i++ {
		s.Take(fmt.Sprint("t", i), "set", 0)
	}
	s.Take(fmt.Sprint("t", most), "use", 0)
	s.Take("other", "again", 0)
	m := s.Take("other", "use", 0)
	want(t, "alias to a client that takes none", m.TopicAlias, 0) // [v5 MQTT-3.1.2-30]
	for name, x := range map[string]struct {
		topic string
		alias uint16
		code  packets.ReasonCode
	}{
		"above the maximum":     {"t", most + 1, packets.TopicAliasInvalid},
		"of another connection": {"", 1, packets.ProtocolError},
		"no topic":              {"", 0, packets.ProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			c := b.Connect(t, packets.V5, "d")
			c.SendPublish(x.topic, "x", 0, mt.Alias(x.alias))
			c.ExpectDisconnect(x.code)
		})
	}
	c = b.Connect(t, packets.V5, "d")
	c.Raw([]byte("\x30\x08\x00\x01t\x03\x23\x00\x00x"))
	c.ExpectDisconnect(packets.TopicAliasInvalid)
	s.ExpectNothing()
}

// [v5 MQTT-3.1.2-29] [v5 MQTT-3.3.2-11]: least recently used outwards.
func TestTopicAlias_out(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-29", "v5 MQTT-3.3.2-11")
	for _, qos := range []packets.QoS{0, 1, 2} {
		b := start(t)
		s := b.Connect(t, packets.V5, "s", mt.TopicAliasMaximum(2))
		s.Subscribe("#", 2)
		p := b.Connect(t, packets.V5, "p")
		for _, x := range []struct {
			topic, seen string
			alias       uint16
		}{
			{"a", "a", 1}, {"a", "", 1}, {"b", "b", 2}, {"b", "", 2}, {"a", "", 1}, {"c", "c", 2}, {"a", "", 1}, {"b", "b", 2}, {"c", "c", 1},
		} {
			p.Publish(x.topic, "", qos)
			m := s.Take(x.seen, "", qos)
			want(t, "alias of "+x.topic, m.TopicAlias, x.alias)
		}
	}
}

// Aliases and the client's Maximum Packet Size: the alias gives way.
func TestTopicAlias_size(t *testing.T) {
	for _, qos := range []packets.QoS{0, 1} {
		b := start(t)
		s := b.Connect(t, packets.V5, "s", mt.TopicAliasMaximum(2), mt.MaximumPacketSize(50))
		s.Subscribe("#", 2)
		p := b.Connect(t, packets.V5, "p")
		for n := 30; n <= 60; n++ {
			payload := fmt.Sprintf("%0*d", n, 0)
			p.Publish("t", payload, qos)
			if size := 2 + 3 + 2*int(qos) + 1 + n; size <= 50 {
				m := mt.Expect[*packets.Publish](s)
				want(t, "payload", len(m.Payload), n)
				s.Answer(m)
			} else {
				s.ExpectNothing()
			}
		}
		if b.Stats().Dropped["packet_too_large"] == 0 {
			t.Error("nothing is counted as too large")
		}
	}
}

// [v5 MQTT-3.1.2-27] [v5 MQTT-3.1.2-28] and the broker's own limit, C14.
func TestMaximumPacketSize(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-27", "v5 MQTT-3.1.2-28", "v5 MQTT-3.2.2-15", "v3.1.1 MQTT-4.8.0-2")
	for _, resume := range []bool{false, true} {
		b := start(t)
		o := []func(*packets.Connect){mt.MaximumPacketSize(40), mt.ReceiveMaximum(1)}
		if resume {
			o = append(o, mt.Resume(60))
		}
		s := b.Connect(t, packets.V5, "s", o...)
		s.Subscribe("t", 2)
		p := b.Connect(t, packets.V5, "p")
		for qos := range packets.QoS(3) {
			fits := 40 - 2 - 3 - 1 - min(2*int(qos), 2)
			p.Publish("t", fmt.Sprintf("%0*d", fits, 1), qos)
			p.Publish("t", fmt.Sprintf("%0*d", fits+1, 2), qos)
			p.Publish("t", "end", qos)
			s.Take("t", fmt.Sprintf("%0*d", fits, 1), qos)
			s.Take("t", "end", qos)
		}
		want(t, "dropped", b.Stats().Dropped["packet_too_large"], 3)
	}
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.PacketBytes = 1000 }})
		c := b.Connect(t, v, "c")
		head := 3 + 3
		if v >= packets.V5 {
			head++
		}
		c.Publish("t", fmt.Sprintf("%0*d", 1000-head, 0), 0)
		c.Raw([]byte{0x30, 0xe6, 0x07}) // 998 and 3 for the header
		c.ExpectDisconnect(packets.PacketTooLarge)
	})
}

// [v5 MQTT-3.3.2-4] [v5 MQTT-3.3.2-15] to [v5 MQTT-3.3.2-20]: properties are forwarded unaltered and in order.
func TestProperties_forwarded(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.2-4", "v5 MQTT-3.3.2-15", "v5 MQTT-3.3.2-16", "v5 MQTT-3.3.2-17", "v5 MQTT-3.3.2-18",
		"v5 MQTT-3.3.2-20",
	)
	b := start(t)
	s := b.Connect(t, packets.V5, "s", mt.Resume(60))
	s.Subscribe("t", 2)
	old := b.Connect(t, packets.V311, "old")
	old.Subscribe("t", 2)
	props := packets.Properties{
		PayloadFormatIndicator: 1, ContentType: []byte("text"), ResponseTopic: []byte("r"), CorrelationData: []byte{0, 1},
		UserProperties: []packets.UserProperty{{Name: []byte("b"), Value: []byte("1")}, {Name: []byte("a"), Value: []byte("2")}, {Name: []byte("b"), Value: []byte("1")}},
	}
	props.Present.Add(packets.PropPayloadFormatIndicator, packets.PropContentType, packets.PropResponseTopic,
		packets.PropCorrelationData, packets.PropUserProperty)
	block, err := props.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := b.Connect(t, packets.V5, "p")
	for qos := range packets.QoS(3) {
		p.Publish("t", "x", qos, func(p *packets.Publish) { p.PropertyBlock = block })
		m := s.Take("t", "x", qos)
		want(t, "properties", string(m.PropertyBlock), string(block))
		old.Take("t", "x", qos)
	}
	s.Close()
	b.WaitOffline(2)
	p.Publish("t", "x", 1, func(p *packets.Publish) { p.PropertyBlock = block })
	s = b.Connect(t, packets.V5, "s", mt.Resume(60))
	want(t, "properties", string(s.Take("t", "x", 1).PropertyBlock), string(block))
}

// C22
func TestPayloadFormat(t *testing.T) {
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.CheckPayloadFormat = true }})
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("t", 2)
	utf8 := func(p *packets.Publish) { p.PropertyBlock = []byte{1, 1} }
	wantCode(t, "PUBACK", c.Publish("t", "\xff", 1, utf8), packets.PayloadFormatInvalid)
	wantCode(t, "PUBREC", c.Publish("t", "\xff", 2, utf8), packets.PayloadFormatInvalid)
	c.ExpectNothing()
	c.Publish("t", "é", 1, utf8)
	c.Take("t", "é", 1)
	c.SendPublish("t", "\xff", 0, utf8)
	c.ExpectDisconnect(packets.PayloadFormatInvalid)
}
