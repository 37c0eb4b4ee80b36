package packets

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestFirstBytes walks all first bytes with some remaining lengths against the table of the standard: case E14.
// [v5 MQTT-2.1.3-1] [v3.1.1 MQTT-2.2.2-2] [v3.1.1 MQTT-2.2.2-1]
func TestFirstBytes(t *testing.T) {
	fixed := map[Type]byte{
		CONNECT: 0, CONNACK: 0, PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, SUBSCRIBE: 2, SUBACK: 0,
		UNSUBSCRIBE: 2, UNSUBACK: 0, PINGREQ: 0, PINGRESP: 0, DISCONNECT: 0, AUTH: 0,
	}
	for first := range 256 {
		typ, flags := Type(first>>4), byte(first&15)
		for _, remaining := range []int{0, 1, 2, 127, 128, 16383, 16384, 2097151, 2097152, RemainingLengthMax} {
			want, known := fixed[typ]
			legal := known && flags == want
			if typ == PUBLISH {
				qos, dup := flags>>1&3, flags&8 != 0
				legal = qos < 3 && (qos > 0 || !dup)
			}
			legal = legal && (remaining == 0 || typ != PINGREQ && typ != PINGRESP)
			frame := AppendHeader(nil, typ, flags, remaining)
			h, err := ParseHeader(append(frame, 0xFF))
			if (err == nil) != legal {
				t.Errorf("%x: error %v, want legal %v", frame, err, legal)
			} else if legal && h != (Header{Type: typ, Flags: flags, Remaining: remaining, Size: len(frame)}) {
				t.Errorf("%x: got %+v", frame, h)
			} else if !legal && ReasonCodeOf(err) != MalformedPacket {
				t.Errorf("%x: got %v, want malformed packet", frame, err)
			}
			for n := range frame {
				h, err := ParseHeader(frame[:n])
				if h.Size != 0 || err != nil && legal {
					t.Errorf("%x: the first %d bytes: got %+v, %v", frame, n, h, err)
				}
			}
		}
	}
}

// plainVarint is Variable Byte Integer as the standard's own pseudo code has it.
func plainVarint(x int) (out []byte) {
	for {
		digit := byte(x % 128)
		x /= 128
		if x > 0 {
			digit |= 128
		}
		out = append(out, digit)
		if x == 0 {
			return out
		}
	}
}

func TestVarint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(0, RemainingLengthMax), rapid.SampledFrom([]int{0, 127, 128, 16383, 16384, 2097151, 2097152, RemainingLengthMax})).Draw(t, "n")
		got := appendVarint(nil, n)
		if want := plainVarint(n); !bytes.Equal(got, want) || varintSize(n) != len(want) {
			t.Fatalf("got %x and size %d, want %x", got, varintSize(n), want)
		}
		c := cursor{got}
		if back, err := c.varint("number"); err != nil || int(back) != n || len(c.rest) != 0 {
			t.Fatalf("decoded to %d, %v", back, err)
		}
	})
}

// TestValidUTF8 compares with the plain form of the rule: [v5 MQTT-1.5.4-1] [v5 MQTT-1.5.4-2].
func TestValidUTF8(t *testing.T) {
	plain := func(b []byte) bool {
		for _, r := range string(b) {
			if r == 0 {
				return false
			}
		}
		return bytes.Equal([]byte(string([]rune(string(b)))), b)
	}
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(rapid.String().Draw(t, "text"))
		if n := rapid.IntRange(-3, len(b)-1).Draw(t, "change"); n >= 0 {
			b[n] = rapid.Byte().Draw(t, "to")
		}
		if got := ValidUTF8(b); got != plain(b) {
			t.Fatalf("%q: got %v", b, got)
		}
	})
	// Each place in strings of each short length, for the bytes at the edges.
	for n := 1; n <= 40; n++ {
		for at := range n {
			for c, want := range map[byte]bool{0x00: false, 0x01: true, 0x7F: true, 0x80: false, 0xFF: false} {
				b := bytes.Repeat([]byte{'a'}, n)
				b[at] = c
				if ValidUTF8(b) != want {
					t.Errorf("%d bytes with 0x%02X at %d: want %v", n, c, at, want)
				}
			}
		}
	}
	if !ValidUTF8(nil) {
		t.Error("an empty string is valid")
	}
}
