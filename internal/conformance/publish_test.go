package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// DUP is of one hop: what the publisher says of its own sending is not passed on.
func TestDup_independent(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.1-3", "v5 MQTT-4.3.1-1", "v5 MQTT-4.3.2-2", "v5 MQTT-4.3.3-2", "v3.1.1 MQTT-3.3.1-3", "v3.1.1 MQTT-4.3.1-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s", mt.Resume(60))
		p := b.Connect(t, v, "p")
		for sub := range packets.QoS(3) {
			s.Subscribe("t", sub)
			p.Publish("t", "x", 0)
			want(t, "DUP", s.Take("t", "x", 0).Dup, false)
			for pub := packets.QoS(1); pub < 3; pub++ {
				p.Publish("t", "x", pub, mt.Dup)
				want(t, "DUP", s.Take("t", "x", min(pub, sub)).Dup, false)
			}
		}
		// And the other way round: a message that came without it is sent again with it.
		p.Publish("t", "again", 1)
		want(t, "DUP", s.Receive("t", "again", 1).Dup, false)
		s.Close()
		b.WaitOffline(1)
		want(t, "DUP", b.Connect(t, v, "s", mt.Resume(60)).Receive("t", "again", 1).Dup, true)
	})
}

// After PUBACK the same identifier is a new message, whatever DUP says.
func TestQoS1_identifierAgain(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.3.2-4", "v5 MQTT-4.3.2-5", "v3.1.1 MQTT-4.3.2-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("t", 1)
		p := b.Connect(t, v, "p")
		for i, o := range [][]func(*packets.Publish){nil, {mt.Dup}, nil, {mt.Dup}} {
			p.SendPublish("t", fmt.Sprint(i), 1, append(o, mt.PacketID(7))...)
			want(t, "PUBACK", p.ExpectAck(packets.PUBACK, 7), packets.Success)
			s.Take("t", fmt.Sprint(i), 1)
		}
	})
}

// Acknowledgements with a code that their packet does not have. All 256 codes are tried; what is listed must pass.
func TestReasonCodes(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.4.2-1", "v5 MQTT-3.5.2-1", "v5 MQTT-3.6.2-1", "v5 MQTT-3.7.2-1", "v5 MQTT-3.14.2-1", "v5 MQTT-4.13.1-1")
	received := []byte{0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
	released := []byte{0, 0x92}
	for first, listed := range map[byte][]byte{
		0x40: received, 0x50: received, 0x62: released, 0x70: released,
		0xe0: {0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99},
	} {
		t.Run(fmt.Sprintf("%x", first), func(t *testing.T) {
			b := start(t)
			for code := range 256 {
				if first == 0xe0 && slices.Contains(forServers, byte(code)) {
					continue
				}
				p := dial(t, b)
				_, err := p.Write(packet(0x10, connectBody(packets.V5, 2, text("c"))))
				must(t, err)
				p.frame()
				if first == 0xe0 {
					p.send(fmt.Sprintf("e0 01 %02x", code))
				} else {
					p.send(fmt.Sprintf("%02x 03 0001 %02x e000", first, code))
				}
				refused := false
				for _, f := range p.ended() {
					refused = refused || f[0] == 0xe0 && f[2] >= 0x80
				}
				want(t, fmt.Sprintf("%x with code 0x%02x is refused", first, code), refused, !slices.Contains(listed, byte(code)))
			}
		})
	}
}

// forServers are the codes of a server's DISCONNECT; what a broker does with them is left open.
var forServers = []byte{0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2}

// A client with a Maximum Packet Size gets a Reason String where that fits, and the code without it where it does not. The
// broker sends no User Property of its own at all.
func TestReasonString_size(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.2.2-19", "v5 MQTT-3.2.2-20", "v5 MQTT-3.4.2-2", "v5 MQTT-3.4.2-3", "v5 MQTT-3.5.2-2", "v5 MQTT-3.5.2-3",
		"v5 MQTT-3.6.2-2", "v5 MQTT-3.6.2-3", "v5 MQTT-3.7.2-2", "v5 MQTT-3.7.2-3", "v5 MQTT-3.9.2-1", "v5 MQTT-3.9.2-2",
		"v5 MQTT-3.11.2-1", "v5 MQTT-3.11.2-2", "v5 MQTT-3.14.2-2", "v5 MQTT-3.14.2-3", "v5 MQTT-3.14.2-4", "v5 MQTT-3.1.2-27",
	)
	b := start(t)
	answer := func(limit int, send []byte) []byte {
		p := dial(t, b)
		block := none(packets.V5)
		if limit > 0 {
			block = string([]byte{5, byte(packets.PropMaximumPacketSize), 0, 0, byte(limit >> 8), byte(limit)})
		}
		_, err := p.Write(append(packet(0x10, text("MQTT")+"\x05\x02\x00\x00"+block+text("c")), send...))
		must(t, err)
		p.frame()
		f := p.frame()
		p.Close()
		b.WaitOffline(0)
		return f
	}
	for what, x := range map[string]struct {
		send    []byte
		explain bool // there is a Reason String
	}{
		"PUBACK":     {packet(0x32, text("$SYS/x")+"\x00\x01\x00"), true},
		"PUBREC":     {packet(0x34, text("$SYS/x")+"\x00\x01\x00"), true},
		"PUBREL":     {packet(0x50, "\x00\x01"), false},
		"PUBCOMP":    {packet(0x62, "\x00\x01"), false},
		"SUBACK":     {packet(0x82, "\x00\x01\x00"+text("a#")+"\x00"), true},
		"UNSUBACK":   {packet(0xa2, "\x00\x01\x00"+text("a#")), false},
		"DISCONNECT": {packet(0x30, text("t")+"\x02\x0b\x01"), true},
	} {
		full := answer(0, x.send)
		props := propertiesOf(t, what, full)
		want(t, what+" has a reason string", props.Present.Has(packets.PropReasonString), x.explain)
		want(t, what+" has user properties", props.Present.Has(packets.PropUserProperty), false)
		want(t, what+" has a session expiry interval", props.Present.Has(packets.PropSessionExpiryInterval), false)
		if !x.explain {
			continue
		}
		if got := answer(len(full), x.send); !bytes.Equal(got, full) {
			t.Errorf("%s with just enough room: %x, want %x", what, got, full)
		}
		short := answer(len(full)-1, x.send)
		props = propertiesOf(t, what, short)
		want(t, what+" has a reason string", props.Present.Has(packets.PropReasonString), false)
		if len(short) == 0 || len(short) >= len(full) || short[0] != full[0] {
			t.Errorf("%s with too little room: %x, want %x without its reason string", what, short, full)
		}
	}
}

// propertiesOf are those of an answer.
func propertiesOf(t *testing.T, what string, frame []byte) packets.Properties {
	t.Helper()
	h, err := packets.ParseHeader(frame)
	must(t, err)
	body := frame[h.Size:]
	switch h.Type {
	case packets.SUBACK:
		var p packets.Suback
		must(t, p.Decode(h, body, packets.V5, nil))
		return p.Properties
	case packets.UNSUBACK:
		var p packets.Unsuback
		must(t, p.Decode(h, body, packets.V5, nil))
		return p.Properties
	case packets.DISCONNECT:
		var p packets.Disconnect
		must(t, p.Decode(h, body, packets.V5, nil))
		return p.Properties
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		var p packets.Ack
		must(t, p.Decode(h, body, packets.V5, nil))
		return p.Properties
	}
	t.Fatalf("%s: got %x", what, frame)
	return packets.Properties{}
}

// The same of CONNACK: it has no User Property, accepted or refused.
func TestConnack_properties(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.2.2-8", "v5 MQTT-3.2.2-20", "v5 MQTT-4.12.0-6")
	b := start(t)
	for _, id := range []string{"c", "", "a\x01"} {
		c := b.Dial(t, packets.V5)
		c.SendConnect(id)
		a := mt.Expect[*packets.Connack](c)
		want(t, "listed code", a.ReasonCode.ValidFor(packets.CONNACK), true)
		want(t, "refused", a.ReasonCode.IsError(), id == "a\x01")
		for _, p := range []packets.PropertyID{packets.PropUserProperty, packets.PropAuthenticationMethod, packets.PropAuthenticationData} {
			want(t, p.String()+" present", a.Properties.Present.Has(p), false)
		}
	}
}

// A QoS 2 message whose PUBLISH was sent is not subject to expiry any more, and its handshake goes on, on both sides.
func TestQoS2_expiry(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.3.3-7", "v5 MQTT-4.3.3-13")
	for _, store := range []bool{false, true} {
		t.Run(fmt.Sprint("store ", store), func(t *testing.T) {
			t.Parallel()
			b := mt.NewBroker(t, mt.Options{Store: store})
			s := b.Connect(t, packets.V5, "s", mt.Resume(600))
			s.Subscribe("t", 2)
			p := b.Connect(t, packets.V5, "p", mt.Resume(600))
			for i := range 2 {
				p.SendPublish("t", fmt.Sprint(i), 2, mt.Expiry(5))
				p.ExpectAck(packets.PUBREC, uint16(i+1))
			}
			sent := s.Receive("t", "0", 2)
			released := s.Receive("t", "1", 2)
			s.Ack(packets.PUBREC, released.PacketID)
			s.ExpectAck(packets.PUBREL, released.PacketID)
			s.Close()
			b.WaitOffline(1)
			b.Clock.Advance(60 * time.Second)
			s = b.Connect(t, packets.V5, "s", mt.Resume(600))
			again := s.Receive("t", "0", 2)
			want(t, "packet identifier", again.PacketID, sent.PacketID)
			want(t, "DUP", again.Dup, true)
			s.ExpectAck(packets.PUBREL, released.PacketID)
			s.Ack(packets.PUBCOMP, released.PacketID)
			s.Answer(again)
			for i := range 2 {
				p.Ack(packets.PUBREL, uint16(i+1))
				want(t, "PUBCOMP", p.ExpectAck(packets.PUBCOMP, uint16(i+1)), packets.Success)
			}
		})
	}
}

// Without a new connection nothing is sent again, however long there is no answer.
func TestResend_onlyOnConnect(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.4.0-1", "v5 MQTT-4.3.2-3", "v5 MQTT-4.3.3-3", "v5 MQTT-4.3.3-5", "v3.1.1 MQTT-4.4.0-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s", mt.Resume(600))
		s.Subscribe("t", 2)
		p := b.Connect(t, v, "p")
		for i := range 4 {
			p.Publish("t", fmt.Sprint(i), packets.QoS(1+i%2))
			s.Receive("t", fmt.Sprint(i), packets.QoS(1+i%2))
		}
		s.Ack(packets.PUBREC, 4)
		s.ExpectAck(packets.PUBREL, 4)
		for range 10 {
			b.Clock.Advance(time.Hour)
			s.ExpectNothing()
			p.Ping()
		}
		s.Close()
		b.WaitOffline(1)
		s = b.Connect(t, v, "s", mt.Resume(600))
		for i := range 3 {
			want(t, "DUP", s.Receive("t", fmt.Sprint(i), packets.QoS(1+i%2)).Dup, true)
		}
		s.ExpectAck(packets.PUBREL, 4)
		s.ExpectNothing()
	})
}

// Acknowledgements keep the order of what they acknowledge.
func TestAcks_order(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-4.6.0-2", "v5 MQTT-4.6.0-3", "v5 MQTT-4.6.0-4", "v5 MQTT-3.3.4-1", "v5 MQTT-4.3.3-4", "v5 MQTT-4.3.3-8", "v5 MQTT-4.3.3-11",
		"v3.1.1 MQTT-4.6.0-2", "v3.1.1 MQTT-4.6.0-3", "v3.1.1 MQTT-4.6.0-4", "v3.1.1 MQTT-3.3.4-1",
	)
	for _, store := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Store: store})
			s := b.Connect(t, v, "s", mt.Resume(600))
			s.Subscribe("t", 2)
			p := b.Connect(t, v, "p", mt.Resume(600))
			ids := []uint16{40, 7, 65535, 1, 300, 39, 41, 2}
			for _, qos := range []packets.QoS{1, 2} {
				var all []any
				for _, id := range ids {
					all = append(all, &packets.Publish{TopicName: []byte("t"), Payload: fmt.Append(nil, id), QoS: qos, PacketID: id})
				}
				p.Send(all...)
				for _, id := range ids {
					p.ExpectAck(map[packets.QoS]packets.Type{1: packets.PUBACK, 2: packets.PUBREC}[qos], id)
				}
				var got []uint16
				for _, id := range ids {
					got = append(got, s.Receive("t", fmt.Sprint(id), qos).PacketID)
				}
				if qos == 1 {
					for _, id := range got {
						s.Ack(packets.PUBACK, id)
					}
					continue
				}
				slices.Reverse(ids)
				for _, id := range ids {
					p.Ack(packets.PUBREL, id)
				}
				for _, id := range ids {
					p.ExpectAck(packets.PUBCOMP, id)
				}
				got[0], got[3], got[5] = got[3], got[5], got[0]
				for _, id := range got {
					s.Ack(packets.PUBREC, id)
				}
				for _, id := range got {
					s.ExpectAck(packets.PUBREL, id)
				}
			}
		})
	}
}

// The Receive Maximum of each connection begins anew, for what is sent again as well.
func TestReceiveMaximum_anew(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.9.0-1", "v5 MQTT-4.9.0-2", "v5 MQTT-4.9.0-3", "v5 MQTT-3.3.4-9", "v5 MQTT-3.3.4-10")
	b := start(t)
	s := b.Connect(t, packets.V5, "s", mt.Resume(600), mt.ReceiveMaximum(4))
	s.Subscribe("t", 2)
	p := b.Connect(t, packets.V5, "p")
	for i := range 10 {
		p.Publish("t", fmt.Sprint(i), packets.QoS(1+i%2))
	}
	receive := func(s *mt.Client, from, to int) (list []*packets.Publish) {
		for i := from; i < to; i++ {
			list = append(list, s.Receive("t", fmt.Sprint(i), packets.QoS(1+i%2)))
		}
		s.ExpectNothing() // PINGRESP, SUBACK and QoS 0 go on
		s.Subscribe("u", 0)
		p.Publish("u", "zero", 0)
		s.Take("u", "zero", 0)
		return list
	}
	first := receive(s, 0, 4)
	s.Close()
	b.WaitOffline(1)
	s = b.Connect(t, packets.V5, "s", mt.Resume(600), mt.ReceiveMaximum(2))
	second := receive(s, 0, 2)
	for i := range second {
		want(t, "packet identifier", second[i].PacketID, first[i].PacketID)
	}
	for i := range 8 {
		s.Answer(second[i])
		second = append(second, receive(s, i+2, i+3)...)
	}
}

// A packet that the broker has no room for ends the connection it came on, and no other.
func TestTransientError(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-4.8.0-2", "v3.1.1 MQTT-4.8.0-1", "v5 MQTT-3.2.2-15")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.PacketBytes = 1000 }})
		s := b.Connect(t, v, "s")
		s.Subscribe("#", 1)
		c := b.Connect(t, v, "c")
		c.Raw([]byte{0x32, 0xe8, 0x07}) // 1000 and 3 for the header
		c.ExpectDisconnect(packets.PacketTooLarge)
		s.ExpectNothing()
	})
}
