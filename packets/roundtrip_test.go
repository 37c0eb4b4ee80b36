package packets

import (
	"math/bits"
	"testing"

	"pgregory.net/rapid"
)

func drawVersion(t *rapid.T) Version {
	return rapid.SampledFrom([]Version{V31, V311, V5}).Draw(t, "version")
}

// drawText is a short UTF-8 Encoded String.
func drawText(t *rapid.T) []byte {
	return []byte(rapid.StringOfN(rapid.RuneFrom([]rune("aZ/$ \t\u007fé€\ufeff😀")), 0, 20, -1).Draw(t, "text"))
}

func drawBinary(t *rapid.T) []byte { return rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "data") }

func drawID(t *rapid.T) uint16 { return rapid.Uint16Range(1, 65535).Draw(t, "packet id") }

// drawProperties is any set of properties that a packet of type typ may have.
func drawProperties(t *rapid.T, typ Type) (p Properties) {
	for i := range propertyTable {
		id := PropertyID(i)
		if id == PropTopicAlias || id.kind() == 0 || !propertyTable[id].in.has(typ) || !rapid.Bool().Draw(t, id.String()) {
			continue
		}
		p.Present.Add(id)
		switch id.kind() {
		case kindByte:
			*p.byteField(id) = rapid.ByteRange(0, 1).Draw(t, "byte")
		case kindTwoByte:
			*p.twoByteField(id) = rapid.Uint16Range(1, 65535).Draw(t, "two bytes")
		case kindFourByte:
			*p.fourByteField(id) = rapid.Uint32Min(1).Draw(t, "four bytes")
		case kindVarint:
			*p.fourByteField(id) = rapid.Uint32Range(1, RemainingLengthMax).Draw(t, "varint")
		case kindText:
			*p.bytesField(id) = drawText(t)
			if id == PropResponseTopic { // never empty
				p.ResponseTopic = append(p.ResponseTopic, 'r')
			}
		case kindBinary:
			*p.bytesField(id) = drawBinary(t)
		case kindPair:
			for range rapid.IntRange(1, 4).Draw(t, "user properties") {
				p.UserProperties = append(p.UserProperties, UserProperty{drawText(t), drawText(t)})
			}
		}
	}
	if p.Present.Has(PropAuthenticationData) {
		p.Present.Add(PropAuthenticationMethod)
	}
	return p
}

func drawCodes(t *rapid.T, typ Type, v Version) []ReasonCode {
	codes := codesOf[typ]
	if v != V5 {
		codes = []ReasonCode{Success, GrantedQoS1, GrantedQoS2, UnspecifiedError}
	}
	return rapid.SliceOfN(rapid.SampledFrom(codes), 1, 10).Draw(t, "codes")
}

func drawConnect(t *rapid.T, v Version) packet {
	p := &connect{Connect{
		Version:          v,
		CleanStart:       true,
		KeepAliveSeconds: rapid.Uint16().Draw(t, "keep alive"),
		ClientID:         append(drawText(t), 'c'),
		HasWill:          rapid.Bool().Draw(t, "will"),
		HasUserName:      rapid.Bool().Draw(t, "user"),
	}}
	if v == V5 {
		p.Properties = drawProperties(t, CONNECT)
	}
	if p.HasWill {
		p.Will.QoS = QoS(rapid.IntRange(0, 2).Draw(t, "qos"))
		p.Will.Retain = rapid.Bool().Draw(t, "retain")
		p.Will.TopicName, p.Will.Payload = append(drawText(t), 't'), drawBinary(t)
		if v == V5 {
			p.Will.Properties = drawProperties(t, will)
		}
	}
	if p.HasUserName {
		p.UserName = drawText(t)
	}
	if p.HasPassword = (p.HasUserName || v == V5) && rapid.Bool().Draw(t, "password"); p.HasPassword {
		p.Password = drawBinary(t)
	}
	return p
}

func drawPublish(t *rapid.T, v Version) packet {
	p := &Publish{
		QoS:       QoS(rapid.IntRange(0, 2).Draw(t, "qos")),
		Retain:    rapid.Bool().Draw(t, "retain"),
		TopicName: append(drawText(t), 't'),
		Payload:   drawBinary(t),
		Plain:     true,
	}
	if p.QoS > 0 {
		p.PacketID, p.Dup = drawID(t), rapid.Bool().Draw(t, "dup")
	}
	if v != V5 {
		return p
	}
	all := drawProperties(t, PUBLISH)
	p.PropertyBlock, _ = all.Append(nil)
	p.PayloadFormatIndicator, p.HasPayloadFormatIndicator = all.PayloadFormatIndicator, all.Present.Has(PropPayloadFormatIndicator)
	p.MessageExpiryInterval, p.HasMessageExpiryInterval = all.MessageExpiryInterval, all.Present.Has(PropMessageExpiryInterval)
	p.ResponseTopic = all.ResponseTopic
	if all.Present.Has(PropSubscriptionIdentifier) {
		p.SubscriptionIdentifiers = []uint32{all.SubscriptionIdentifier}
	}
	p.Plain = len(p.SubscriptionIdentifiers) == 0 && !p.HasMessageExpiryInterval
	return p
}

func drawSubscribe(t *rapid.T, v Version) packet {
	p := &Subscribe{PacketID: drawID(t)}
	if v == V5 {
		p.Properties = drawProperties(t, SUBSCRIBE)
	}
	for range rapid.IntRange(1, 5).Draw(t, "filters") {
		s := Subscription{TopicFilter: drawText(t), Options: SubscriptionOptions{QoS: QoS(rapid.IntRange(0, 2).Draw(t, "qos"))}}
		if v == V5 {
			s.Options.NoLocal = rapid.Bool().Draw(t, "no local")
			s.Options.RetainAsPublished = rapid.Bool().Draw(t, "retain as published")
			s.Options.RetainHandling = rapid.ByteRange(0, 2).Draw(t, "retain handling")
		}
		p.Subscriptions = append(p.Subscriptions, s)
	}
	return p
}

func drawPacket(t *rapid.T, typ Type, v Version) packet {
	properties := func() (p Properties) {
		if v == V5 {
			p = drawProperties(t, typ)
		}
		return p
	}
	reason := func() ReasonCode { return rapid.SampledFrom(codesOf[typ]).Draw(t, "code") }
	switch typ {
	case CONNECT:
		return drawConnect(t, v)
	case CONNACK:
		p := &Connack{ReasonCode: reason(), Properties: properties()}
		if v != V5 {
			p.ReasonCode = rapid.SampledFrom(fromV3Connack[:]).Draw(t, "return code")
		}
		p.SessionPresent = !p.ReasonCode.IsError() && rapid.Bool().Draw(t, "present")
		return p
	case PUBLISH:
		return drawPublish(t, v)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p := &Ack{Type: typ, PacketID: drawID(t), Properties: properties()}
		if v == V5 {
			p.ReasonCode = reason()
		}
		return p
	case SUBSCRIBE:
		return drawSubscribe(t, v)
	case SUBACK:
		return &Suback{PacketID: drawID(t), Properties: properties(), ReasonCodes: drawCodes(t, typ, v)}
	case UNSUBSCRIBE:
		return &Unsubscribe{PacketID: drawID(t), Properties: properties(), TopicFilters: rapid.SliceOfN(rapid.Custom(drawText), 1, 5).Draw(t, "filters")}
	case UNSUBACK:
		p := &Unsuback{PacketID: drawID(t), Properties: properties()}
		if v == V5 {
			p.ReasonCodes = drawCodes(t, typ, v)
		}
		return p
	case DISCONNECT:
		p := &Disconnect{Properties: properties()}
		if v == V5 {
			p.ReasonCode = reason()
		}
		return p
	case AUTH:
		p := &Auth{ReasonCode: reason(), Properties: properties()}
		p.Properties.Present.Add(PropAuthenticationMethod)
		return p
	}
	return ping(typ)
}

// TestRoundTrip holds for each packet type and version that any packet decodes from its encoding to what it was, that
// it does not care what stood before it or in the struct, and that no part of it passes for the whole.
func TestRoundTrip(t *testing.T) {
	for typ := CONNECT; typ <= AUTH; typ++ {
		t.Run(typ.String(), rapid.MakeCheck(func(t *rapid.T) {
			v := drawVersion(t)
			if typ == AUTH {
				v = V5
			}
			p := drawPacket(t, typ, v)
			frame, err := p.Append(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := outcome(frame, v); got != describe(p) {
				_, _, err := decodeFrame(frame, v)
				t.Fatalf("from %x (%v)\n got %s\nwant %s", frame, err, got, describe(p))
			}
			after, err := p.Append([]byte("before"), v)
			if err != nil || string(after) != "before"+string(frame) {
				t.Fatalf("appended to other bytes: %x, %v; want %x", after, err, frame)
			}
			for n := range frame {
				if got, _ := outcome(frame[:n], v); got != "incomplete" {
					t.Fatalf("%d of %d bytes: got %s", n, len(frame), got)
				}
			}
			if h, _ := ParseHeader(frame); h.Type != typ || h.Size+h.Remaining != len(frame) {
				t.Fatalf("header %+v of %d bytes", h, len(frame))
			}
		}))
	}
}

// decodeInto decodes frame into p, which may have been used before.
func decodeInto(p packet, frame []byte, v Version) error {
	h, err := ParseHeader(frame)
	if err != nil {
		return err
	}
	body := frame[h.Size:]
	switch p := p.(type) {
	case *connect:
		return p.Decode(h, body, nil)
	case interface {
		Decode(h Header, body []byte, v Version, lim *Limits) error
	}:
		return p.Decode(h, body, v, nil)
	}
	return nil
}

// TestReuse holds that decoding into a used struct leaves nothing of the packet before: each packet after the fullest
// of its type, and the other way round.
func TestReuse(t *testing.T) {
	for typ := CONNECT; typ <= AUTH; typ++ {
		if typ == PINGREQ || typ == PINGRESP {
			continue
		}
		t.Run(typ.String(), rapid.MakeCheck(func(t *rapid.T) {
			used := drawPacket(t, typ, V5)
			for range 4 {
				v := drawVersion(t)
				if typ == AUTH {
					v = V5
				}
				want := drawPacket(t, typ, v)
				if ack, ok := want.(*Ack); ok && rapid.Bool().Draw(t, "short") {
					ack.ReasonCode, ack.Properties = Success, Properties{}
				}
				frame, err := want.Append(nil, v)
				if err != nil {
					t.Fatal(err)
				}
				if err := decodeInto(used, frame, v); err != nil || describe(used) != describe(want) {
					t.Fatalf("got %s, %v\nwant %s", describe(used), err, describe(want))
				}
			}
		}))
	}
}

// TestSubackBeforeV5 holds that every failure becomes 0x80, and what was granted stays. [v3.1.1 MQTT-3.9.3-2]
func TestSubackBeforeV5(t *testing.T) {
	for _, v := range []Version{V31, V311} {
		for _, code := range codesOf[SUBACK] {
			want := byte(code)
			if code >= 0x80 {
				want = 0x80
			}
			frame, err := (&Suback{PacketID: 1, ReasonCodes: []ReasonCode{code}}).Append(nil, v)
			if err != nil || len(frame) != 5 || frame[4] != want {
				t.Errorf("%v: %v encoded to %x, %v", v, code, frame, err)
			}
		}
	}
}

// TestCutBodies holds that a body that ends early, where the header says so, is refused or means something, and never
// panics: of every vector, every length.
func TestCutBodies(t *testing.T) {
	for _, vec := range loadVectors(t) {
		h, err := ParseHeader(vec.frame)
		if err != nil || h.Size == 0 || h.Size+h.Remaining > len(vec.frame) {
			continue
		}
		for n := range h.Remaining {
			for _, v := range vec.versions {
				h.Remaining = n
				if p, err := decodeBody(h, vec.frame[h.Size:h.Size+n], v); err == nil {
					if _, err := p.Append(nil, v); err != nil {
						t.Errorf("%s cut to %d: decoded, but encoding says %v", vec.where, n, err)
					}
				}
			}
		}
	}
}

// TestPropertySet holds that sets hold what is put into them.
func TestPropertySet(t *testing.T) {
	var s PropertySet
	s.Add(PropTopicAlias, PropSharedSubscriptionAvailable)
	if !s.Has(PropTopicAlias) || !s.Has(PropSharedSubscriptionAvailable) || s.Has(PropReasonString) || s.Has(200) || bits.OnesCount64(uint64(s)) != 2 {
		t.Errorf("got %b", s)
	}
}

// TestPublishFields holds that a PUBLISH without a property block is encoded from its fields.
func TestPublishFields(t *testing.T) {
	p := &Publish{
		TopicName: []byte("t"), Payload: []byte("x"), HasPayloadFormatIndicator: true, PayloadFormatIndicator: 1,
		HasMessageExpiryInterval: true, MessageExpiryInterval: 60, ResponseTopic: []byte("r"),
		SubscriptionIdentifiers: []uint32{1, 300}, TopicAlias: 7,
	}
	frame, err := p.Append(nil, V5)
	if err != nil {
		t.Fatal(err)
	}
	want := `PUBLISH qos0 [payload format indicator=1][message expiry interval=60][response topic="r"] ` +
		`[subscription identifier=1][subscription identifier=300][topic alias=7] "t"="x"`
	if got, _ := outcome(frame, V5); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	frame, err = p.Append(nil, V311)
	if got, _ := outcome(frame, V311); err != nil || got != `PUBLISH qos0 "t"="x"` {
		t.Errorf("before v5: got %s, %v", got, err)
	}
}

// TestLongPackets holds the lengths around which the fixed header grows.
func TestLongPackets(t *testing.T) {
	for _, n := range []int{127, 128, 16383, 16384, 2097151, 2097152} {
		p := &Publish{TopicName: []byte("t"), Payload: make([]byte, n-3)}
		frame, err := p.Append(nil, V311)
		if err != nil {
			t.Fatal(err)
		}
		q, size, err := decodeFrame(frame, V311)
		if err != nil || size != len(frame) || size != n+1+varintSize(n) || len(q.(*Publish).Payload) != n-3 {
			t.Errorf("%d bytes: decoded %d of %d, %v", n, size, len(frame), err)
		}
	}
}
