package conformance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// badStrings are no UTF-8 strings of MQTT.
var badStrings = map[string]string{
	"no UTF-8":        "\xff",
	"cut off":         "a\xe2\x82",
	"overlong":        "\xc0\xaf",
	"U+D800":          "\xed\xa0\x80",
	"U+DFFF":          "a\xed\xbf\xbf",
	"above U+10FFFF":  "\xf4\x90\x80\x80",
	"U+0000":          "a\x00b",
	"U+0000 overlong": "\xc0\x80",
}

// properties is a property block with one property, whose value is on the wire as given.
func properties(id packets.PropertyID, value string) string {
	return string(rune(len(value)+1)) + string(rune(id)) + value
}

// connectBody is the body of a CONNECT of a client c, or of what is given.
func connectBody(v packets.Version, flags byte, payload ...string) string {
	return text("MQTT") + string([]byte{byte(v), flags, 0, 0}) + none(v) + strings.Join(payload, "")
}

// packetsWith are the packets that carry a string, by the place of it. The first byte tells whether it comes in a CONNECT.
func packetsWith(v packets.Version, s string) map[string][]byte {
	s = text(s)
	list := map[string][]byte{
		"client identifier":     packet(0x10, connectBody(v, 2, s)),
		"will topic":            packet(0x10, connectBody(v, 6, text("c"), none(v), s, text(""))),
		"user name":             packet(0x10, connectBody(v, 0x82, text("c"), s)),
		"topic name":            both(v, 0x30, s+"%"),
		"topic name at QoS 1":   both(v, 0x32, s+"\x00\x01%"),
		"filter of SUBSCRIBE":   both(v, 0x82, "\x00\x01%"+s+"\x00"),
		"second filter":         both(v, 0x82, "\x00\x01%"+text("a")+"\x00"+s+"\x00"),
		"filter of UNSUBSCRIBE": both(v, 0xa2, "\x00\x01%"+s),
	}
	if v < packets.V5 {
		return list
	}
	for name, value := range map[string]string{"name": s + text("v"), "value": text("n") + s} {
		user := properties(packets.PropUserProperty, value)
		list["user property "+name+" of CONNECT"] = packet(0x10, text("MQTT")+"\x05\x02\x00\x00"+user+text("c"))
		list["user property "+name+" of a will"] = packet(0x10, connectBody(v, 6, text("c"), user, text("t"), text("")))
		list["user property "+name+" of PUBLISH"] = packet(0x30, text("t")+user)
		list["user property "+name+" of SUBSCRIBE"] = packet(0x82, "\x00\x01"+user+text("t")+"\x00")
		list["user property "+name+" of UNSUBSCRIBE"] = packet(0xa2, "\x00\x01"+user+text("t"))
		list["user property "+name+" of DISCONNECT"] = packet(0xe0, "\x00"+user)
	}
	list["response topic"] = packet(0x30, text("t")+properties(packets.PropResponseTopic, s))
	list["content type"] = packet(0x30, text("t")+properties(packets.PropContentType, s))
	list["response topic of a will"] = packet(0x10, connectBody(v, 6, text("c"), properties(packets.PropResponseTopic, s), text("t"), text("")))
	list["content type of a will"] = packet(0x10, connectBody(v, 6, text("c"), properties(packets.PropContentType, s), text("t"), text("")))
	for _, first := range []byte{0x40, 0x50, 0x62, 0x70} {
		list[fmt.Sprintf("reason string of %x", first)] = packet(first, "\x00\x01\x00"+properties(packets.PropReasonString, s))
	}
	list["reason string of DISCONNECT"] = packet(0xe0, "\x00"+properties(packets.PropReasonString, s))
	return list
}

// Wherever a string stands, what is no UTF-8 string ends the connection.
func TestStrings_refused(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-1.5.4-1", "v5 MQTT-1.5.4-2", "v5 MQTT-1.5.7-1", "v5 MQTT-3.1.3-4", "v5 MQTT-3.1.3-9", "v5 MQTT-3.1.3-10",
		"v5 MQTT-3.3.2-1", "v5 MQTT-3.3.2-13", "v5 MQTT-3.3.2-19", "v5 MQTT-3.8.3-1", "v5 MQTT-3.10.3-1", "v5 MQTT-4.7.3-2",
		"v3.1.1 MQTT-1.5.3-1", "v3.1.1 MQTT-1.5.3-2", "v3.1.1 MQTT-3.1.3-4", "v3.1.1 MQTT-3.1.3-10", "v3.1.1 MQTT-3.1.3-11",
		"v3.1.1 MQTT-3.3.2-1", "v3.1.1 MQTT-3.8.3-1", "v3.1.1 MQTT-3.10.3-1", "v3.1.1 MQTT-4.7.3-2",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for what, s := range badStrings {
			for where, bytes := range packetsWith(v, s) {
				if bytes[0] == 0x10 {
					refuses(t, b, where+", "+what, bytes, v)
					continue
				}
				c := b.Connect(t, v, "c")
				c.Raw(bytes)
				if t.Failed() {
					t.Fatal(where, what)
				}
				c.ExpectDisconnect(packets.MalformedPacket)
			}
		}
	})
}

// refuses wants that a CONNECT ends its connection: before v5 without a word, in v5 with none but CONNACK of 0x80 or more.
func refuses(t *testing.T, b *mt.Broker, what string, connect []byte, v packets.Version) {
	t.Helper()
	p := dial(t, b)
	_, err := p.Write(connect)
	must(t, err)
	frames := p.ended()
	switch {
	case len(frames) == 0:
	case v < packets.V5:
		t.Errorf("%s: %x is answered with %x", what, connect, frames)
	case len(frames) > 1 || frames[0][0] != 0x20 || frames[0][2] != 0 || frames[0][3] < 0x80:
		t.Errorf("%s: %x is answered with %x", what, connect, frames)
	}
}

// The same places take every other string, and nothing is stripped from it or changed in it.
func TestStrings_kept(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-1.5.4-3", "v5 MQTT-3.3.2-17", "v3.1.1 MQTT-1.5.3-3", "v5 MQTT-4.7.3-4", "v3.1.1 MQTT-4.7.3-4")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		const all = "\ufeffé\u00e9e\u0301漢\U0001F600\ufeff"
		for where, bytes := range packetsWith(v, all) {
			if bytes[0] == 0x10 {
				p := dial(t, b)
				_, err := p.Write(bytes)
				must(t, err)
				if f := p.frame(); len(f) < 4 || f[0] != 0x20 || f[3] != 0 {
					t.Errorf("%s: %x", where, f)
				}
				p.Close()
				continue
			}
			c := b.Connect(t, v, "c")
			c.Raw(bytes)
			if bytes[0] == 0xe0 {
				c.ExpectClose()
				continue
			}
			for answered := false; !answered; {
				c.Raw(packets.AppendPingreq(nil))
				p, err := c.Next()
				must(t, err)
				if _, refused := p.(*packets.Disconnect); refused {
					t.Fatalf("%s: %+v", where, p)
				}
				_, answered = p.(mt.Pingresp)
			}
			c.Close()
		}
		// U+FEFF is one of the characters that tell names apart.
		s := b.Connect(t, v, "s")
		s.Subscribe("\ufefft", 1)
		b.Connect(t, v, "\ufeffs").Publish("t", "x", 1)
		s.ExpectNothing()
		s.Publish("\ufefft", "\ufeffx", 1)
		s.Take("\ufefft", "\ufeffx", 1)
	})
}

// Lengths take the fewest bytes, both ways.
func TestLengths(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-1.5.5-1", "v5 MQTT-2.2.1-2", "v3.1.1 MQTT-2.3.1-5")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		p := dial(t, b)
		_, err := p.Write(packet(0x10, connectBody(v, 2, text("c"))))
		must(t, err)
		p.frame()
		_, err = p.Write(both(v, 0x82, "\x00\x01%"+text("t")+"\x00"))
		must(t, err)
		p.frame()
		for _, n := range []int{4, 5, 127, 128, 129, 16383, 16384, 16385, 300_000} {
			m := both(v, 0x30, text("t")+"%"+strings.Repeat("x", n-3-len(none(v))))
			_, err = p.Write(m)
			must(t, err)
			if got := p.frame(); !bytes.Equal(got, m) { // nothing but topic, properties and payload: no packet identifier
				t.Fatalf("message of %d bytes: got %.20x, want %.20x", len(m), got, m)
			}
		}
		for what, digits := range map[string]string{
			"remaining length":                        "c08000",
			"remaining length of four bytes":          "c080808000",
			"remaining length of five bytes":          "3080808080 01",
			"property length":                         "30 06 0001 74 8000 78",
			"property length in SUBSCRIBE":            "82 08 0001 8000 0001 74 00",
			"subscription identifier":                 "82 0a 0001 03 0b8100 0001 74 00",
			"subscription identifier of five bytes":   "82 0d 0001 06 0b8080808001 0001 74 00",
			"property length that ends in a property": "30 08 0001 74 02 230001 78",
		} {
			if v < packets.V5 && strings.Contains(what, "property length") || v < packets.V5 && strings.Contains(what, "subscription") {
				continue
			}
			bytes, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			must(t, err)
			c := b.Connect(t, v, "d")
			c.Raw(bytes)
			c.ExpectDisconnect(packets.MalformedPacket)
		}
	})
}

// Every packet that a client sends, with every other value of its flags.
func TestFlags(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-2.1.3-1", "v5 MQTT-3.3.1-2", "v5 MQTT-3.3.1-4", "v5 MQTT-3.6.1-1", "v5 MQTT-3.8.1-1", "v5 MQTT-3.10.1-1",
		"v5 MQTT-3.14.1-1", "v5 MQTT-3.15.1-1",
		"v3.1.1 MQTT-2.2.2-1", "v3.1.1 MQTT-2.2.2-2", "v3.1.1 MQTT-3.3.1-2", "v3.1.1 MQTT-3.3.1-4", "v3.1.1 MQTT-3.6.1-1",
		"v3.1.1 MQTT-3.8.1-1", "v3.1.1 MQTT-3.10.1-1", "v3.1.1 MQTT-3.14.1-1",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for first, body := range map[byte]string{
			0x10: connectBody(v, 2, text("c")),
			0x30: text("t") + "\x00\x01%x", 0x40: "\x00\x01", 0x50: "\x00\x01", 0x62: "\x00\x01", 0x70: "\x00\x01",
			0x82: "\x00\x01%" + text("t") + "\x00", 0xa2: "\x00\x01%" + text("t"), 0xc0: "", 0xe0: "", 0xf0: "",
		} {
			for flags := range byte(16) {
				if first&15 == flags || first == 0x30 && flags>>1&3 != 3 && flags != 8 && flags != 9 {
					continue // as it should be
				}
				bytes := both(v, first&0xf0|flags, body)
				if first == 0x10 {
					refuses(t, b, "flags", bytes, v)
					continue
				}
				c := b.Connect(t, v, "c")
				c.Raw(bytes)
				c.ExpectDisconnect(packets.MalformedPacket)
			}
		}
	})
}

// What the broker sends, byte for byte, to a client that uses nothing which the standard leaves open.
func TestBytes(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-2.1.3-1", "v5 MQTT-2.2.1-2", "v5 MQTT-2.2.1-5", "v5 MQTT-2.2.1-6", "v5 MQTT-2.2.2-1", "v5 MQTT-3.2.2-1",
		"v5 MQTT-4.12.0-6", "v5 MQTT-7.0.0-2",
		"v3.1.1 MQTT-2.2.2-1", "v3.1.1 MQTT-2.3.1-5", "v3.1.1 MQTT-2.3.1-6", "v3.1.1 MQTT-2.3.1-7", "v3.1.1 MQTT-7.0.0-2",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		join := func(flags, present byte) *peer {
			p := dial(t, b)
			body := connectBody(v, flags, text("c"))
			if v >= packets.V5 && flags == 0 { // a session that stays
				body = text("MQTT") + "\x05\x00\x00\x00\x05\x11\x00\x00\x00\x3c" + text("c")
			}
			_, err := p.Write(packet(0x10, body))
			must(t, err)
			f := p.frame()
			want(t, "type and flags", f[0], 0x20)
			want(t, "connect acknowledge flags", f[2], present)
			want(t, "return code", f[3], 0)
			return p
		}
		p := join(2, 0)
		say := func(three, five string) {
			t.Helper()
			if v < packets.V5 {
				five = three
			}
			p.send(five)
		}
		hear := func(three, five []string) {
			t.Helper()
			if v < packets.V5 {
				five = three
			}
			p.expect(five...)
		}
		say("82 06 1234 0001 74 02", "82 07 1234 00 0001 74 02")
		hear([]string{"90 03 1234 02"}, []string{"90 04 1234 00 02"})
		say("30 04 0001 74 78", "30 05 0001 74 00 78")
		hear([]string{"30 04 0001 74 78"}, []string{"30 05 0001 74 00 78"})
		say("32 06 0001 74 ffff 78", "32 07 0001 74 ffff 00 78")
		hear([]string{"40 02 ffff", "32 06 0001 74 0001 78"}, []string{"40 02 ffff", "32 07 0001 74 0001 00 78"})
		p.send("40 02 0001")
		say("34 06 0001 74 0102 78", "34 07 0001 74 0102 00 78")
		hear([]string{"50 02 0102", "34 06 0001 74 0002 78"}, []string{"50 02 0102", "34 07 0001 74 0002 00 78"})
		p.send("50 02 0002")
		p.expect("62 02 0002")
		p.send("70 02 0002 62 02 0102")
		p.expect("70 02 0102")
		say("a2 05 fedc 0001 74", "a2 06 fedc 00 0001 74")
		hear([]string{"b0 02 fedc"}, []string{"b0 04 fedc 00 00"})
		p.send("c0 00")
		p.expect("d0 00")
		p.send("e0 00")
		want(t, "packets after DISCONNECT", len(p.ended()), 0)
		for present := range byte(2) {
			join(0, present).Close()
			b.WaitOffline(0)
		}
	})
}

// In v5 what has properties has their length, even if there are none.
func TestPropertyLength_missing(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-2.2.2-1")
	b := start(t)
	refuses(t, b, "CONNECT", packet(0x10, text("MQTT")+"\x05\x02\x00\x00"), packets.V5)
	refuses(t, b, "will", packet(0x10, connectBody(packets.V5, 6, text("c"))), packets.V5)
	for _, bytes := range [][]byte{packet(0x30, text("t")), packet(0x82, "\x00\x01"), packet(0xa2, "\x00\x01"), packet(0xf0, "\x18")} {
		p := dial(t, b)
		_, err := p.Write(append(packet(0x10, connectBody(packets.V5, 2, text("c"))), bytes...))
		must(t, err)
		p.frame()
		frames := p.ended()
		if len(frames) != 1 || frames[0][0] != 0xe0 || frames[0][2] < 0x80 {
			t.Errorf("%x is answered with %x", bytes, frames)
		}
	}
}

// Packet Identifiers of clients are not 0.
func TestPacketID_zero(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-2.2.1-3", "v3.1.1 MQTT-2.3.1-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for _, bytes := range [][]byte{
			both(v, 0x32, text("t")+"\x00\x00%x"), both(v, 0x34, text("t")+"\x00\x00%x"),
			both(v, 0x82, "\x00\x00%"+text("t")+"\x00"), both(v, 0xa2, "\x00\x00%"+text("t")),
		} {
			c := b.Connect(t, v, "c")
			c.Raw(bytes)
			c.ExpectDisconnect(packets.ProtocolError)
		}
	})
}

// Packet Identifiers of the broker go round without being 0, or that of a message that is still in flight.
func TestPacketID_unused(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-2.2.1-4", "v5 MQTT-4.3.2-1", "v5 MQTT-4.3.3-1", "v3.1.1 MQTT-2.3.1-1", "v3.1.1 MQTT-2.3.1-4",
		"v3.1.1 MQTT-4.3.2-1", "v3.1.1 MQTT-4.3.3-1",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("t", 2)
		p := b.Connect(t, v, "p")
		var held []*packets.Publish
		var released uint16
		for round := range 66_000 / 95 {
			if round%5 == 0 { // others are held: who holds one for longer gets no more
				for _, m := range held {
					s.Answer(m)
				}
				if round > 0 {
					s.Ack(packets.PUBCOMP, released)
				}
				held = held[:0]
				for qos := range packets.QoS(3) {
					for range 2 * min(qos, 1) {
						p.Publish("t", "held", qos)
						held = append(held, s.Receive("t", "held", qos))
					}
				}
				p.Publish("t", "released", 2)
				released = s.Receive("t", "released", 2).PacketID
				s.Ack(packets.PUBREC, released)
				s.ExpectAck(packets.PUBREL, released)
			}
			taken := map[uint16]bool{0: true, released: true}
			for _, m := range held {
				taken[m.PacketID] = true
			}
			want(t, "identifiers", len(taken), 6)
			var out, answers []byte
			for i := range uint16(90) {
				out = append(out, p.Encode(&packets.Publish{TopicName: []byte("t"), QoS: 1, PacketID: i + 1})...)
			}
			p.Raw(out)
			for i := range uint16(90) {
				p.ExpectAck(packets.PUBACK, i+1)
				id := s.Receive("t", "", 1).PacketID
				if taken[id] {
					t.Fatalf("packet identifier %d is in use", id)
				}
				taken[id] = true
				answers = packets.AppendAck(answers, packets.PUBACK, id)
			}
			s.Raw(answers)
		}
	})
}

// A Topic Name or Topic Filter may have all that a length of two bytes can say.
func TestLongestTopic(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.7.3-3", "v3.1.1 MQTT-4.7.3-3")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: longTopics})
		c := b.Connect(t, v, "c")
		longest := strings.Repeat("x", 65_535)
		want(t, "SUBACK", c.Subscribe(longest, 1), 1)
		c.Publish(longest, "m", 1)
		c.Take(longest, "m", 1)
	})
}
