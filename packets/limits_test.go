package packets

import (
	"bytes"
	"strings"
	"testing"
)

// TestLimits holds each limit at limit-1, limit and limit+1: cases B20, B32 and D17.
func TestLimits(t *testing.T) {
	lim := &Limits{UserProperties: 3, UserPropertyBytes: 40, StringBytes: 10, Filters: 4}
	long := func(n int) []byte { return bytes.Repeat([]byte{'a'}, n) }
	users := func(n, size int) Properties {
		p := Properties{UserProperties: make([]UserProperty, n)}
		for i := range p.UserProperties {
			p.UserProperties[i].Value = long(size)
		}
		p.Present.Add(PropUserProperty)
		return p
	}
	connectWith := func(change func(*Connect)) packet {
		p := &connect{Connect{Version: V5, ClientID: []byte("p")}}
		change(&p.Connect)
		return p
	}
	cases := []struct {
		name  string
		limit int
		make  func(n int) packet
		want  ReasonCode
	}{
		{"client identifier", 10, func(n int) packet { return connectWith(func(p *Connect) { p.ClientID = long(n) }) }, ClientIdentifierNotValid},
		{"user name", 10, func(n int) packet { return connectWith(func(p *Connect) { p.HasUserName, p.UserName = true, long(n) }) }, BadUserNameOrPassword},
		{"user properties of CONNECT", 3, func(n int) packet { return connectWith(func(p *Connect) { p.Properties = users(n, 0) }) }, QuotaExceeded},
		{"user properties of a will", 3, func(n int) packet {
			return connectWith(func(p *Connect) { p.HasWill, p.Will = true, Will{TopicName: []byte("t"), Properties: users(n, 0)} })
		}, QuotaExceeded},
		{"bytes of user properties", 40, func(n int) packet { return connectWith(func(p *Connect) { p.Properties = users(1, n) }) }, QuotaExceeded},
		{"authentication method", 10, func(n int) packet {
			return connectWith(func(p *Connect) {
				p.Properties.AuthenticationMethod = long(n)
				p.Properties.Present.Add(PropAuthenticationMethod)
			})
		}, MalformedPacket},
		{"user properties of PUBLISH", 3, func(n int) packet {
			p := users(n, 1)
			block, err := p.Append(nil)
			if err != nil {
				t.Fatal(err)
			}
			return &Publish{TopicName: []byte("t"), PropertyBlock: block}
		}, QuotaExceeded},
		{"reason string", 10, func(n int) packet {
			p := &Ack{Type: PUBACK, PacketID: 1, Properties: Properties{ReasonString: long(n)}}
			p.Properties.Present.Add(PropReasonString)
			return p
		}, MalformedPacket},
		{"filters of SUBSCRIBE", 4, func(n int) packet {
			return &Subscribe{PacketID: 1, Subscriptions: bytesOf(n, func() Subscription { return Subscription{TopicFilter: long(200)} })}
		}, QuotaExceeded},
		{"filters of UNSUBSCRIBE", 4, func(n int) packet {
			return &Unsubscribe{PacketID: 1, TopicFilters: bytesOf(n, func() []byte { return long(200) })}
		}, QuotaExceeded},
	}
	for _, c := range cases {
		for _, n := range []int{c.limit - 1, c.limit, c.limit + 1} {
			frame, err := c.make(n).Append(nil, V5)
			if err != nil {
				t.Fatal(err)
			}
			err = decodeWithin(frame, lim)
			switch {
			case n <= c.limit && err != nil:
				t.Errorf("%s: %d refused: %v", c.name, n, err)
			case n > c.limit && (err == nil || ReasonCodeOf(err) != c.want):
				t.Errorf("%s: %d: got %v, want %v", c.name, n, err, c.want)
			}
		}
	}
}

func bytesOf[T any](n int, f func() T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = f()
	}
	return all
}

func decodeWithin(frame []byte, lim *Limits) error {
	h, err := ParseHeader(frame)
	if err != nil {
		return err
	}
	body := frame[h.Size:]
	switch h.Type {
	case CONNECT:
		return new(Connect).Decode(h, body, lim)
	case PUBLISH:
		return new(Publish).Decode(h, body, V5, lim)
	case SUBSCRIBE:
		return new(Subscribe).Decode(h, body, V5, lim)
	case UNSUBSCRIBE:
		return new(Unsubscribe).Decode(h, body, V5, lim)
	}
	return new(Ack).Decode(h, body, V5, lim)
}

// TestManyUserProperties holds that a packet full of user properties is refused at the limit, with the memory of the
// limit and not of the packet: case B32, CVE-2021-41039.
func TestManyUserProperties(t *testing.T) {
	block := bytes.Repeat([]byte{byte(PropUserProperty), 0, 1, 'a', 0, 1, 'b'}, 60_000)
	e := begin(nil, CONNECT, 0)
	e.raw([]byte("\x00\x04MQTT\x05\x02\x00\x00"))
	e.varint(uint32(len(block)), "property length")
	e.raw(block)
	e.binary([]byte("p"), "client identifier")
	frame, err := e.finish()
	if err != nil {
		t.Fatal(err)
	}
	h, err := ParseHeader(frame)
	if err != nil {
		t.Fatal(err)
	}
	var p Connect
	if err := p.Decode(h, frame[h.Size:], nil); ReasonCodeOf(err) != QuotaExceeded {
		t.Errorf("got %v, want quota exceeded", err)
	}
	if n := cap(p.Properties.UserProperties); n > 2*DefaultLimits.UserProperties {
		t.Errorf("room for %d user properties was made", n)
	}
}

// TestVersionForAnswer holds that a CONNECT of an unknown version can be answered: B02.
func TestVersionForAnswer(t *testing.T) {
	for _, c := range []struct {
		name  string
		level byte
		want  Version
	}{
		{"MQTT", 2, V311},
		{"MQTT", 3, V311},
		{"MQTT", 6, V5},
		{"MQTT", 255, V5},
		{"MQTT", 0x84, V311},
		{"MQIsdp", 0x83, V31},
		{"MQIsdp", 4, V31},
		{"MQTU", 4, 0},
	} {
		e := encoder{}
		e.binary([]byte(c.name), "protocol name")
		e.uint8(c.level)
		var p Connect
		err := p.Decode(Header{}, e.dst, nil)
		if p.Version != c.want || ReasonCodeOf(err) != UnsupportedProtocolVersion {
			t.Errorf("%s level %d: version %v, %v; want %v", c.name, c.level, p.Version, err, c.want)
		}
	}
	// Known, and then something else fails.
	var p Connect
	if err := p.Decode(Header{}, []byte("\x00\x04MQTT\x05\x03"), nil); err == nil || p.Version != V5 {
		t.Errorf("version %v, %v; want 5.0 and an error", p.Version, err)
	}
}

// TestUnencodable holds what the encoders refuse, and that they give the slice back as it was.
func TestUnencodable(t *testing.T) {
	long := bytes.Repeat([]byte{'a'}, 65536)
	present := func(id PropertyID) (s PropertySet) { s.Add(id); return s }
	for name, p := range map[string]packet{
		"long topic":              &Publish{TopicName: long},
		"no packet identifier":    &Publish{TopicName: []byte("t"), QoS: 1},
		"long client identifier":  &connect{Connect{Version: V311, ClientID: long}},
		"unknown version":         &connect{Connect{Version: 9}},
		"long reason string":      &Disconnect{Properties: Properties{Present: present(PropReasonString), ReasonString: long}},
		"subscription identifier": &Subscribe{PacketID: 1, Properties: Properties{Present: present(PropSubscriptionIdentifier), SubscriptionIdentifier: RemainingLengthMax + 1}},
		"acknowledging 0":         &Ack{Type: PUBACK},
	} {
		before := []byte("before")
		got, err := p.Append(before, V5)
		if err == nil || string(got) != "before" {
			t.Errorf("%s: got %.20q, %v", name, got, err)
		} else if !strings.HasPrefix(err.Error(), "encode ") {
			t.Errorf("%s: error %q does not say what was done", name, err)
		}
	}
	if _, err := new(Auth).Append(nil, V311); err == nil {
		t.Error("AUTH before version 5 was encoded")
	}
}
