package packets

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestMessage holds a PUBLISH of each shape byte for byte.
func TestMessage(t *testing.T) {
	m := Message{TopicName: "a/b", Payload: []byte("xy"), Properties: []byte{0x01, 0x01}}
	for _, c := range []struct {
		v    Version
		d    Delivery
		want string
	}{
		{V311, Delivery{}, "3007" + "0003612f62" + "7879"},
		{V31, Delivery{QoS: 1, PacketID: 0x1234, Dup: true, Retain: true}, "3b09" + "0003612f62" + "1234" + "7879"},
		{V311, Delivery{Dup: true}, "3007" + "0003612f62" + "7879"}, // no DUP at QoS 0 [v5 MQTT-3.3.1-2]
		{V311, Delivery{TopicAlias: 3, OmitTopicName: true, HasExpiry: true, SubscriptionIDs: []uint32{1}}, "3007" + "0003612f62" + "7879"},
		{V5, Delivery{}, "300a" + "0003612f62" + "02" + "0101" + "7879"},
		{V5, Delivery{QoS: 2, PacketID: 7}, "340c" + "0003612f62" + "0007" + "02" + "0101" + "7879"},
		{V5, Delivery{TopicAlias: 3, OmitTopicName: true}, "300a" + "0000" + "05" + "0101" + "230003" + "7879"},
		{V5, Delivery{HasExpiry: true, ExpirySeconds: 9, SubscriptionIDs: []uint32{1, 300}}, "3014" + "0003612f62" + "0c" + "0101" + "0200000009" + "0b01" + "0bac02" + "7879"},
	} {
		got := m.Append([]byte{0xEE}, c.v, &c.d)
		if want := mustHex(t, "ee"+c.want); !bytes.Equal(got, want) {
			t.Errorf("%v %+v:\n got %x\nwant %x", c.v, c.d, got, want)
		}
		if n := m.Size(c.v, &c.d); n != len(got)-1 {
			t.Errorf("%v %+v: size %d, encoded %d", c.v, c.d, n, len(got)-1)
		}
	}
}

func drawMessage(t *rapid.T) (Message, Delivery, Properties) {
	p := drawProperties(t, PUBLISH)
	p.Present &^= 1<<PropMessageExpiryInterval | 1<<PropSubscriptionIdentifier
	block, err := p.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := Delivery{
		QoS:           QoS(rapid.IntRange(0, 2).Draw(t, "qos")),
		Dup:           rapid.Bool().Draw(t, "dup"),
		Retain:        rapid.Bool().Draw(t, "retain"),
		PacketID:      rapid.Uint16Range(1, 65535).Draw(t, "packet id"),
		TopicAlias:    rapid.Uint16().Draw(t, "alias"),
		HasExpiry:     rapid.Bool().Draw(t, "expires"),
		ExpirySeconds: rapid.Uint32().Draw(t, "seconds"),
	}
	d.OmitTopicName = d.TopicAlias != 0 && rapid.Bool().Draw(t, "omit")
	if rapid.Bool().Draw(t, "identifiers") {
		d.SubscriptionIDs = rapid.SliceOfN(rapid.Uint32Range(1, RemainingLengthMax), 0, 4).Draw(t, "ids")
	}
	size := rapid.SampledFrom([]int{0, 1, 64, 100, 127, 128, 16300, 16384, 70000}).Draw(t, "size")
	m := Message{TopicName: string(drawText(t)) + "t", Payload: bytes.Repeat([]byte{'x'}, size), Properties: block}
	return m, d, p
}

// TestMessageRoundTrip holds that what Append writes is as long as Size says, decodes to the same, and takes another
// packet identifier at PacketIDOffset.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, d, _ := drawMessage(t)
		v := drawVersion(t)
		frame := m.Append(nil, v, &d)
		if len(frame) != m.Size(v, &d) {
			t.Fatalf("size %d, encoded %d", m.Size(v, &d), len(frame))
		}
		p, size, err := decodeFrame(frame, v)
		if err != nil || size != len(frame) {
			t.Fatalf("decoded %d of %d: %v", size, len(frame), err)
		}
		got := *p.(*Publish)
		want := Publish{QoS: d.QoS, Dup: d.Dup && d.QoS > 0, Retain: d.Retain, TopicName: []byte(m.TopicName), Payload: m.Payload}
		if d.QoS > 0 {
			want.PacketID = d.PacketID
		}
		if v == V5 {
			if d.OmitTopicName {
				want.TopicName = nil
			}
			want.TopicAlias, want.HasMessageExpiryInterval = d.TopicAlias, d.HasExpiry
			if d.HasExpiry {
				want.MessageExpiryInterval = d.ExpirySeconds
			}
			if forwarded := AppendForwarded(nil, got.PropertyBlock); !bytes.Equal(forwarded, m.Properties) {
				t.Fatalf("forwarded %x, want %x", forwarded, m.Properties)
			}
		}
		if got.QoS != want.QoS || got.Dup != want.Dup || got.Retain != want.Retain || got.PacketID != want.PacketID ||
			!bytes.Equal(got.TopicName, want.TopicName) || !bytes.Equal(got.Payload, want.Payload) ||
			got.TopicAlias != want.TopicAlias || got.HasMessageExpiryInterval != want.HasMessageExpiryInterval ||
			got.MessageExpiryInterval != want.MessageExpiryInterval {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		if v == V5 && fmt.Sprint(got.SubscriptionIdentifiers) != fmt.Sprint(d.SubscriptionIDs) {
			t.Fatalf("identifiers %v, want %v", got.SubscriptionIdentifiers, d.SubscriptionIDs)
		}
		if d.QoS > 0 {
			at := PacketIDOffset(frame)
			other := d
			other.PacketID = 0xABCD
			frame[at], frame[at+1] = 0xAB, 0xCD
			if !bytes.Equal(frame, m.Append(nil, v, &other)) {
				t.Fatalf("the packet identifier does not stand at %d", at)
			}
		}
	})
}

// TestForwarded holds what is left of a property block, in its order, and that Plain says when that is all of it.
// [v5 MQTT-3.3.2-4] [v5 MQTT-3.3.2-17] [v5 MQTT-3.3.2-18]
func TestForwarded(t *testing.T) {
	const (
		alias, expiry, ids, delay = "230001", "0200000009", "0bac02", "1800000001"
		user1, user2, format      = "26000161000131", "26000161000132", "0101"
		contentType, data         = "03000161", "090002ffff"
	)
	for _, c := range []struct{ block, want string }{
		{"", ""},
		{alias, ""},
		{user1 + user2, user1 + user2},
		{user2 + alias + user1 + expiry, user2 + user1},
		{ids + format + delay + contentType + ids + data, format + contentType + data},
		{expiry + alias, ""},
		{contentType, contentType},
	} {
		block := mustHex(t, c.block)
		got := AppendForwarded(nil, block)
		if want := mustHex(t, c.want); !bytes.Equal(got, want) || ForwardedSize(block) != len(want) {
			t.Errorf("%s: got %x and size %d, want %s", c.block, got, ForwardedSize(block), c.want)
		}
	}
}

// TestAllocations holds the budget of the hot paths: none.
func TestAllocations(t *testing.T) {
	m := Message{TopicName: "fleet/0042/speed", Payload: make([]byte, 64), Properties: mustHex(t, "0101")}
	d := Delivery{QoS: 1, PacketID: 7, HasExpiry: true, SubscriptionIDs: []uint32{5, 300}}
	dst := make([]byte, 0, 512)
	publish := mustHex(t, "322b"+"000474657374"+"000a"+"1d"+"0101"+"02000010e1"+"03000161"+"08000172"+"090001ff"+"26000161000162"+"230001"+"78787878")
	qos0 := mustHex(t, "300a00047465737474657374")
	unicode := mustHex(t, "300b0008e6b8a9e5baa61f61"+"78")
	var p Publish
	var a Ack
	ack := AppendAck(nil, PUBACK, 42)
	refusal := mustHex(t, "5008000187041f000177")
	decode := func(frame []byte, v Version) error {
		h, err := ParseHeader(frame)
		if err != nil {
			return err
		}
		if h.Type == PUBLISH {
			return p.Decode(h, frame[h.Size:], v, &DefaultLimits)
		}
		return a.Decode(h, frame[h.Size:], v, &DefaultLimits)
	}
	for name, f := range map[string]func() error{
		"PUBLISH QoS 0":           func() error { return decode(qos0, V311) },
		"PUBLISH unicode":         func() error { return decode(unicode, V311) },
		"PUBLISH with properties": func() error { return decode(publish, V5) },
		"PUBACK":                  func() error { return decode(ack, V5) },
		"PUBREC refusing":         func() error { return decode(refusal, V5) },
		"Message.Append": func() error {
			dst = m.Append(dst[:0], V5, &d)
			return nil
		},
		"AppendForwarded": func() error {
			dst = AppendForwarded(dst[:0], p.PropertyBlock)
			return nil
		},
	} {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = f() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
