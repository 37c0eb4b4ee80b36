package packets

import (
	"bytes"
	"testing"
)

// benchFrame is a PUBLISH at QoS 0 with a topic name of 16 bytes and a payload of 64.
func benchFrame(v Version) []byte {
	m := Message{TopicName: "fleet/0042/speed", Payload: bytes.Repeat([]byte{'x'}, 64)}
	return m.Append(nil, v, &Delivery{})
}

// BenchmarkDecodePublish is the hot path of input: fixed header and PUBLISH. Aim: less than 40 ns.
func BenchmarkDecodePublish(b *testing.B) {
	for _, v := range []Version{V311, V5} {
		b.Run(v.String(), func(b *testing.B) {
			frame := benchFrame(v)
			var p Publish
			b.ReportAllocs()
			for b.Loop() {
				h, err := ParseHeader(frame)
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Decode(h, frame[h.Size:h.Size+h.Remaining], v, &DefaultLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodePublishProperties(b *testing.B) {
	frame := mustHex(b, "3213000474657374000a07020000000a010174657374")
	h, err := ParseHeader(frame)
	if err != nil {
		b.Fatal(err)
	}
	var p Publish
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(h, frame[h.Size:], V5, &DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMessageAppend is the hot path of output. Aim: less than 40 ns.
func BenchmarkMessageAppend(b *testing.B) {
	m := Message{TopicName: "fleet/0042/speed", Payload: bytes.Repeat([]byte{'x'}, 64)}
	deliveries := map[string]Delivery{
		"qos0":       {},
		"qos1":       {QoS: 1, PacketID: 7},
		"identifier": {SubscriptionIDs: []uint32{300}, HasExpiry: true, ExpirySeconds: 60},
	}
	for name, d := range deliveries {
		for _, v := range []Version{V311, V5} {
			b.Run(name+"/"+v.String(), func(b *testing.B) {
				dst := make([]byte, 0, 256)
				b.ReportAllocs()
				for b.Loop() {
					dst = m.Append(dst[:0], v, &d)
				}
			})
		}
	}
}

func BenchmarkDecodeAck(b *testing.B) {
	frame := AppendAck(nil, PUBACK, 42)
	var p Ack
	b.ReportAllocs()
	for b.Loop() {
		h, err := ParseHeader(frame)
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Decode(h, frame[h.Size:], V5, &DefaultLimits); err != nil {
			b.Fatal(err)
		}
	}
}
