package packets

import (
	"slices"
	"testing"
)

// fuzzPacket fuzzes the packets of some types: no input may panic, and what decodes must mean the same after it has
// been encoded and decoded again, within the limits. The seeds are the vectors.
func fuzzPacket(f *testing.F, types ...Type) {
	seeds := 0
	for _, vec := range loadVectors(f) {
		if !slices.Contains(types, Type(vec.frame[0]>>4)) {
			continue
		}
		for _, v := range vec.versions {
			f.Add(vec.frame, byte(v))
			seeds++
		}
	}
	if seeds == 0 {
		f.Fatalf("no vectors for %v", types)
	}
	f.Fuzz(func(t *testing.T, frame []byte, version byte) {
		v := Version(version)
		if len(frame) == 0 || !slices.Contains(types, Type(frame[0]>>4)) || v != V31 && v != V311 && v != V5 {
			return
		}
		p, _, err := decodeFrame(frame, v)
		if err != nil || p == nil {
			return
		}
		checkLimits(t, p)
		again, err := p.Append(nil, v)
		if err != nil {
			t.Fatalf("encode %s: %v", describe(p), err)
		}
		if got, _ := outcome(again, v); got != describe(p) {
			t.Fatalf("from %x\n got %s\nwant %s", frame, got, describe(p))
		}
	})
}

// checkLimits holds that a decoded packet has no more than DefaultLimits allows.
func checkLimits(t *testing.T, p packet) {
	t.Helper()
	var users, filters int
	switch p := p.(type) {
	case *connect:
		users = max(len(p.Properties.UserProperties), len(p.Will.Properties.UserProperties))
	case *Subscribe:
		users, filters = len(p.Properties.UserProperties), len(p.Subscriptions)
	case *Unsubscribe:
		users, filters = len(p.Properties.UserProperties), len(p.TopicFilters)
	case *Ack:
		users = len(p.Properties.UserProperties)
	}
	if users > DefaultLimits.UserProperties || filters > DefaultLimits.Filters {
		t.Fatalf("%d user properties and %d filters decoded", users, filters)
	}
}

func FuzzConnect(f *testing.F)     { fuzzPacket(f, CONNECT) }
func FuzzConnack(f *testing.F)     { fuzzPacket(f, CONNACK) }
func FuzzPublish(f *testing.F)     { fuzzPacket(f, PUBLISH) }
func FuzzAck(f *testing.F)         { fuzzPacket(f, PUBACK, PUBREC, PUBREL, PUBCOMP) }
func FuzzSubscribe(f *testing.F)   { fuzzPacket(f, SUBSCRIBE) }
func FuzzSuback(f *testing.F)      { fuzzPacket(f, SUBACK) }
func FuzzUnsubscribe(f *testing.F) { fuzzPacket(f, UNSUBSCRIBE) }
func FuzzUnsuback(f *testing.F)    { fuzzPacket(f, UNSUBACK) }
func FuzzPing(f *testing.F)        { fuzzPacket(f, PINGREQ, PINGRESP) }
func FuzzDisconnect(f *testing.F)  { fuzzPacket(f, DISCONNECT) }
func FuzzAuth(f *testing.F)        { fuzzPacket(f, AUTH) }

// readStream decodes what comes in chunks of the given size as one stream, up to its first error.
func readStream(stream []byte, v Version, chunk int) (read []string) {
	var unread []byte
	for len(stream) > 0 {
		n := min(chunk, len(stream))
		unread = append(unread, stream[:n]...)
		stream = stream[n:]
		for {
			p, size, err := decodeFrame(unread, v)
			if err != nil {
				return append(read, err.Error())
			}
			if p == nil {
				break
			}
			read = append(read, describe(p))
			unread = unread[size:]
		}
	}
	return read
}

// FuzzStream holds that a stream means the same however it is cut, into single bytes above all.
func FuzzStream(f *testing.F) {
	for _, v := range []Version{V31, V311, V5} {
		var whole []byte
		for _, vec := range loadVectors(f) {
			if !slices.Contains(vec.versions, v) {
				continue
			}
			f.Add(vec.frame, byte(v), byte(3))
			if got, _ := outcome(vec.frame, v); got != "incomplete" && got[:5] != "error" {
				whole = append(whole, vec.frame...)
			}
		}
		if len(whole) == 0 {
			f.Fatalf("no valid vectors for %v", v)
		}
		f.Add(whole, byte(v), byte(7))
	}
	f.Fuzz(func(t *testing.T, stream []byte, version, chunk byte) {
		v := Version(version)
		if v != V31 && v != V311 && v != V5 || len(stream) > 1<<16 {
			return
		}
		whole := readStream(stream, v, len(stream)+1)
		for _, n := range []int{1, int(chunk)%64 + 1} {
			if cut := readStream(stream, v, n); !slices.Equal(cut, whole) {
				t.Fatalf("in chunks of %d: %q\n in one: %q", n, cut, whole)
			}
		}
	})
}
