package broker_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// Packets that end the connection: [v5 MQTT-4.13.1-1] and the tables C, D and E of RELIABILITY.md.
func TestInvalidPackets(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.2-14", "v5 MQTT-3.3.4-6", "v5 MQTT-3.8.3-2", "v5 MQTT-3.10.3-2", "v5 MQTT-4.7.3-1",
		"v5 MQTT-4.12.0-7", "v5 MQTT-4.13.1-1", "v3.1.1 MQTT-3.8.3-3", "v3.1.1 MQTT-3.10.3-2", "v3.1.1 MQTT-4.7.3-1",
		"v3.1.1 MQTT-4.8.0-1",
	)
	const malformed, protocol = packets.MalformedPacket, packets.ProtocolError
	both := func(b string) [2]string { return [2]string{b, b} }
	for name, x := range map[string]struct {
		bytes [2]string // of 3.1.1 and 5; "": not there
		codes []packets.ReasonCode
	}{
		"QoS 3":                          {[2]string{"\x36\x0a\x00\x05topic\x12\x34x", "\x36\x0b\x00\x05topic\x12\x34\x00x"}, []packets.ReasonCode{malformed}},
		"DUP at QoS 0":                   {[2]string{"\x38\x08\x00\x05topicx", "\x38\x09\x00\x05topic\x00x"}, []packets.ReasonCode{malformed, protocol}},
		"packet identifier 0":            {[2]string{"\x32\x0a\x00\x05topic\x00\x00x", "\x32\x0b\x00\x05topic\x00\x00\x00x"}, []packets.ReasonCode{protocol}},
		"no packet identifier":           {both("\x32\x07\x00\x05topic"), []packets.ReasonCode{malformed}},
		"topic too long":                 {both("\x30\x07\x00\xfftopic"), []packets.ReasonCode{malformed}},
		"empty topic":                    {[2]string{"\x30\x03\x00\x00x", "\x30\x04\x00\x00\x00x"}, []packets.ReasonCode{protocol, malformed}},
		"topic with NUL":                 {[2]string{"\x30\x07\x00\x04to\x00px", "\x30\x08\x00\x04to\x00p\x00x"}, []packets.ReasonCode{malformed}},
		"topic with surrogate":           {[2]string{"\x30\x06\x00\x03\xed\xa0\x80x", "\x30\x07\x00\x03\xed\xa0\x80\x00x"}, []packets.ReasonCode{malformed}},
		"subscription identifier":        {[2]string{"", "\x30\x07\x00\x01t\x02\x0b\x01x"}, []packets.ReasonCode{protocol}},
		"response topic with wildcard":   {[2]string{"", "\x30\x0b\x00\x01t\x06\x08\x00\x03a/#x"}, []packets.ReasonCode{protocol}},
		"payload format 2":               {[2]string{"", "\x30\x07\x00\x01t\x02\x01\x02x"}, []packets.ReasonCode{protocol, malformed}},
		"PUBREL flags":                   {both("\x60\x02\x00\x01"), []packets.ReasonCode{malformed}},
		"PUBACK 0":                       {both("\x40\x02\x00\x00"), []packets.ReasonCode{protocol}},
		"PUBACK without identifier":      {both("\x40\x00"), []packets.ReasonCode{malformed}},
		"PUBACK reason":                  {[2]string{"", "\x40\x04\x00\x01\xff\x00"}, []packets.ReasonCode{protocol, malformed}},
		"SUBSCRIBE flags":                {[2]string{"\x80\x06\x00\x01\x00\x01t\x00", "\x80\x07\x00\x01\x00\x00\x01t\x00"}, []packets.ReasonCode{malformed}},
		"SUBSCRIBE without filter":       {[2]string{"\x82\x02\x00\x01", "\x82\x03\x00\x01\x00"}, []packets.ReasonCode{protocol}},
		"SUBSCRIBE without options":      {[2]string{"\x82\x05\x00\x01\x00\x01t", "\x82\x06\x00\x01\x00\x00\x01t"}, []packets.ReasonCode{malformed}},
		"SUBSCRIBE QoS 3":                {[2]string{"\x82\x06\x00\x01\x00\x01t\x03", "\x82\x07\x00\x01\x00\x00\x01t\x03"}, []packets.ReasonCode{protocol, malformed}},
		"SUBSCRIBE reserved bits":        {[2]string{"\x82\x06\x00\x01\x00\x01t\x40", "\x82\x07\x00\x01\x00\x00\x01t\x40"}, []packets.ReasonCode{malformed}},
		"retain handling 3":              {[2]string{"", "\x82\x07\x00\x01\x00\x00\x01t\x30"}, []packets.ReasonCode{protocol}},
		"SUBSCRIBE 0":                    {[2]string{"\x82\x06\x00\x00\x00\x01t\x00", "\x82\x07\x00\x00\x00\x00\x01t\x00"}, []packets.ReasonCode{protocol}},
		"subscription identifier 0":      {[2]string{"", "\x82\x09\x00\x01\x02\x0b\x00\x00\x01t\x00"}, []packets.ReasonCode{protocol}},
		"two subscription identifiers":   {[2]string{"", "\x82\x0b\x00\x01\x04\x0b\x01\x0b\x01\x00\x01t\x00"}, []packets.ReasonCode{protocol}},
		"empty filter":                   {[2]string{"\x82\x05\x00\x01\x00\x00\x00", "\x82\x06\x00\x01\x00\x00\x00\x00"}, []packets.ReasonCode{protocol, malformed}},
		"UNSUBSCRIBE without filter":     {[2]string{"\xa2\x02\x00\x01", "\xa2\x03\x00\x01\x00"}, []packets.ReasonCode{protocol}},
		"UNSUBSCRIBE flags":              {[2]string{"\xa0\x05\x00\x01\x00\x01t", "\xa0\x06\x00\x01\x00\x00\x01t"}, []packets.ReasonCode{malformed}},
		"CONNACK":                        {[2]string{"\x20\x02\x00\x00", "\x20\x03\x00\x00\x00"}, []packets.ReasonCode{protocol}},
		"SUBACK":                         {[2]string{"\x90\x03\x00\x01\x00", "\x90\x04\x00\x01\x00\x00"}, []packets.ReasonCode{protocol}},
		"UNSUBACK":                       {[2]string{"\xb0\x02\x00\x01", "\xb0\x04\x00\x01\x00\x00"}, []packets.ReasonCode{protocol}},
		"PINGRESP":                       {both("\xd0\x00"), []packets.ReasonCode{protocol}},
		"type 0":                         {both("\x00\x00"), []packets.ReasonCode{malformed, protocol}},
		"PINGREQ with body":              {both("\xc0\x01\x00"), []packets.ReasonCode{malformed}},
		"DISCONNECT with flags":          {both("\xe1\x00"), []packets.ReasonCode{malformed}},
		"DISCONNECT with a body":         {[2]string{"\xe0\x01\x00", ""}, nil},
		"AUTH":                           {both("\xf0\x00"), []packets.ReasonCode{protocol}},
		"AUTH 0x18":                      {[2]string{"\xf0\x01\x18", "\xf0\x02\x18\x00"}, []packets.ReasonCode{protocol}},
		"remaining length of five bytes": {both("\x30\xff\xff\xff\xff\x7f"), []packets.ReasonCode{malformed}},
		"remaining length not minimal":   {both("\xc0\x80\x00"), []packets.ReasonCode{malformed}},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t)
			for i, v := range []packets.Version{packets.V311, packets.V5} {
				if x.bytes[i] == "" {
					continue
				}
				c := b.Connect(t, v, "c")
				c.Raw([]byte(x.bytes[i]))
				if v < packets.V5 {
					c.ExpectClose()
					continue
				}
				d := mt.Expect[*packets.Disconnect](c)
				if d.ReasonCode != x.codes[0] {
					t.Errorf("DISCONNECT 0x%02x (%s), want 0x%02x", byte(d.ReasonCode), d.Properties.ReasonString, byte(x.codes[0]))
				}
				want(t, "reason string", d.Properties.Present.Has(packets.PropReasonString), true)
				c.ExpectClose()
			}
		})
	}
}

// E07: [v5 MQTT-3.14.4-1]: what follows DISCONNECT is ignored.
func TestDisconnect_andMore(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.14.4-1", "v3.1.1 MQTT-3.14.4-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		s.Subscribe("t", 0)
		c := b.Connect(t, v, "c")
		c.Send(&packets.Disconnect{}, &packets.Publish{TopicName: []byte("t")})
		c.ExpectClose()
		s.ExpectNothing()
		want(t, "messages", b.Stats().MessagesReceived, 0)
	})
}

// E12: the same stream in one write, and byte by byte.
func TestStream_split(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-7.1.1-1", "v3.1.1 MQTT-7.1.1-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		for _, split := range []bool{false, true} {
			c := b.Dial(t, v)
			all := c.Encode(&packets.Connect{Version: v, CleanStart: true, ClientID: []byte("c")})
			all = append(all, c.Encode(&packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: []byte("t"), Options: packets.SubscriptionOptions{QoS: 2}}}})...)
			for i := range 3 {
				all = append(all, c.Encode(&packets.Publish{TopicName: []byte("t"), Payload: []byte(strings.Repeat("x", 200)), QoS: packets.QoS(i), PacketID: uint16(i)})...)
			}
			all = packets.AppendPingreq(all)
			if split {
				for _, x := range all {
					c.Raw([]byte{x})
				}
			} else {
				c.Raw(all)
			}
			mt.Expect[*packets.Connack](c)
			mt.Expect[*packets.Suback](c)
			c.ExpectAck(packets.PUBACK, 1)
			c.ExpectAck(packets.PUBREC, 2)
			mt.Expect[mt.Pingresp](c)
			for i := range 3 {
				c.Receive("t", strings.Repeat("x", 200), packets.QoS(i))
			}
			c.Close()
		}
	})
}

// E11, E14: whatever comes after CONNECT, the broker goes on.
func TestGarbage(t *testing.T) {
	t.Parallel()
	b := start(t)
	other := b.Connect(t, packets.V5, "other")
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 600 {
		v := packets.V311 + packets.Version(i%2)
		c := b.Connect(t, v, fmt.Sprint(i%20), mt.Resume(60))
		junk := make([]byte, 1+rng.IntN(400))
		for j := range junk {
			junk[j] = byte(rng.Uint32())
		}
		junk[0] = byte(i % 256)
		if i%3 > 0 && len(junk) > 1 {
			junk[1] = byte(min(len(junk)-2, 127))
		}
		_ = c.TryRaw(junk)
		c.Close()
	}
	b.WaitOffline(1)
	other.Ping()
}

// The limits of decoding at their edge: limit, and one more.
func TestLimits_decoder(t *testing.T) {
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) {
		c.Limits.UserProperties, c.Limits.UserPropertyBytes, c.Limits.StringBytes = 3, 60, 30
		c.Limits.ClientIDBytes, c.Limits.ConnectBytes = 23, 400
	}})
	properties := func(n, size int) func(*packets.Publish) {
		return func(p *packets.Publish) {
			var x packets.Properties
			for range n {
				x.UserProperties = append(x.UserProperties, packets.UserProperty{Name: []byte(strings.Repeat("x", size))})
			}
			x.Present.Add(packets.PropUserProperty)
			p.PropertyBlock, _ = x.Append(nil)
		}
	}
	text := func(n int) func(*packets.Publish) {
		return func(p *packets.Publish) {
			x := packets.Properties{ContentType: []byte(strings.Repeat("x", n))}
			x.Present.Add(packets.PropContentType)
			p.PropertyBlock, _ = x.Append(nil)
		}
	}
	for name, x := range map[string]struct {
		set  func(*packets.Publish)
		code packets.ReasonCode
	}{
		"properties": {properties(3, 20), 0}, "too many": {properties(4, 1), packets.QuotaExceeded},
		"too large": {properties(3, 21), packets.QuotaExceeded},
		"string":    {text(30), 0}, "long string": {text(31), packets.MalformedPacket},
	} {
		c := b.Connect(t, packets.V5, "c")
		if c.SendPublish("t", name, 0, x.set); x.code == 0 {
			c.Ping()
			continue
		}
		c.ExpectDisconnect(x.code)
	}
	b.Connect(t, packets.V5, strings.Repeat("x", 23))
	wantCode(t, "CONNACK", b.Refused(t, packets.V5, strings.Repeat("x", 24)), packets.ClientIdentifierNotValid)
	c := b.Dial(t, packets.V5)
	c.Raw([]byte{0x10, 0x8f, 0x03}) // 399 and 3: more than 400
	c.ExpectClose()
}
