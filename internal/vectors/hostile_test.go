package vectors

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"nightjar/packets"
)

var versions = []packets.Version{packets.V31, packets.V311, packets.V5}

// hostileLengths are the Remaining Lengths that every first byte is tried with.
var hostileLengths = []int{0, 1, 2, 127}

// hostileBody is what follows: where its length fits, it is Packet Identifier 1, or Topic Name a, Packet Identifier 7 or
// no properties, and a payload.
var hostileBody = append([]byte{0, 1, 'a', 0, 7, 0}, bytes.Repeat([]byte{'a'}, 121)...)

// legal are the packets of these that are legal and leave the connection open, by first byte: at which length, and what
// the answer is, or 0.
var legal = map[byte]struct {
	length int
	answer packets.Type
}{
	0x30: {127, 0}, 0x31: {127, 0},
	0x32: {127, packets.PUBACK}, 0x33: {127, packets.PUBACK}, 0x3A: {127, packets.PUBACK}, 0x3B: {127, packets.PUBACK},
	0x34: {127, packets.PUBREC}, 0x35: {127, packets.PUBREC}, 0x3C: {127, packets.PUBREC}, 0x3D: {127, packets.PUBREC},
	0x40: {2, 0},
	0x50: {2, packets.PUBREL}, // that nothing is in flight
	0x62: {2, packets.PUBCOMP},
	0x70: {2, 0},
	0xC0: {0, 0},
}

// TestFirstBytes holds that after CONNECT only legal packets leave the connection open, for each first byte and four
// lengths, that before it none does, and that the broker serves others meanwhile.
func TestFirstBytes(t *testing.T) {
	address, end := serve(t, 1)
	defer end()
	control := newPair(t, address)
	defer control.close()
	for first := range 256 {
		for _, length := range hostileLengths {
			frame := append([]byte{byte(first), byte(length)}, hostileBody[:length]...)
			p := dial(t, address)
			if frames, closed := p.ask(frame); !closed || len(frames) > 0 {
				t.Errorf("%x before CONNECT: answers %x, closed %v", frame, frames, closed)
			}
			p.Close()
			for _, v := range versions {
				p := join(t, address, v, "hostile")
				frames, closed := p.ask(frame)
				p.Close()
				if err := checkFirst(frame, v, frames, closed); err != nil {
					t.Errorf("MQTT %v, %x after CONNECT: answers %x, closed %v: %v", v, frame, frames, closed, err)
				}
			}
		}
		control.check()
	}
}

// checkFirst says what is wrong with the answers to a packet.
func checkFirst(frame []byte, v packets.Version, frames [][]byte, closed bool) error {
	l, ok := legal[frame[0]]
	polite := frame[0] == 0xE0 && (frame[1] == 0 || v == packets.V5 && frame[1] == 1) // DISCONNECT
	switch {
	case ok && l.length == int(frame[1]):
		if closed {
			return errors.New("it is legal")
		}
		if l.answer == 0 && len(frames) == 0 || len(frames) == 1 && packets.Type(frames[0][0]>>4) == l.answer {
			return nil
		}
		return fmt.Errorf("the answer to it is %v", l.answer)
	case !closed:
		return errors.New("it is not legal")
	case v < packets.V5 || polite:
		if len(frames) > 0 {
			return errors.New("no answer is due")
		}
		return nil
	}
	if len(frames) == 1 {
		if _, code := meaning(frames[0], v); code.IsError() {
			return nil
		}
	}
	return errors.New("not told why")
}

// TestEmptyTopics holds that an empty Topic Filter or Response Topic ends the connection [v5 MQTT-4.7.3-1].
func TestEmptyTopics(t *testing.T) {
	address, end := serve(t, 1)
	defer end()
	for _, c := range []struct {
		version packets.Version
		hex     string
	}{
		{packets.V31, "82 05 0001 0000 00"},
		{packets.V311, "82 09 0001 0001 70 00 0000 00"},
		{packets.V5, "82 0a 0001 00 0001 70 00 0000 00"},
		{packets.V311, "a2 07 0001 0001 70 0000"},
		{packets.V5, "a2 05 0001 00 0000"},
		{packets.V5, "30 07 0001 74 03 080000"},
	} {
		p := join(t, address, c.version, "empty")
		frames, closed := p.ask(unhex(t, c.hex))
		p.Close()
		told := len(frames) == 0
		if c.version == packets.V5 {
			told = len(frames) == 1 && frames[0][0] == 0xE0 && frames[0][2] == byte(packets.ProtocolError)
		}
		if !closed || !told {
			t.Errorf("MQTT %v, %s: answers %x, closed %v", c.version, c.hex, frames, closed)
		}
	}
}

// TestRandomBytes sends 4 KB after CONNECT, from 2,000 seeds: noise, or valid packets with a few bytes changed. Whatever
// becomes of the connection, the broker goes on to serve others.
func TestRandomBytes(t *testing.T) {
	const seeds, size = 2000, 4 << 10
	address, end := serve(t, 1)
	defer end()
	control := newPair(t, address)
	defer control.close()
	for seed := range uint64(seeds) {
		rnd := rand.New(rand.NewPCG(seed, 11))
		s := &streams[seed/2%2]
		b := make([]byte, 0, size+512)
		if seed%2 == 0 {
			for len(b) < size {
				b = append(b, byte(rnd.Uint32()))
			}
		} else {
			valid := afterConnect(s.bytes(t))
			for len(b) < size {
				b = append(b, valid...)
			}
			for range 1 + rnd.IntN(20) {
				b[rnd.IntN(size)] = byte(rnd.Uint32())
			}
		}
		p := join(t, address, s.version, "random")
		p.send(b[:size])
		_ = p.CloseWrite() // fails where the broker has closed already
		_, err := io.Copy(io.Discard, p.r)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			t.Fatalf("seed %d: the connection is open after its end", seed)
		}
		p.Close()
		if seed%10 == 0 {
			control.check()
		}
	}
	control.check()
}

// afterConnect cuts CONNECT off the start of a stream, and DISCONNECT with what follows it off the end.
func afterConnect(b []byte) []byte {
	b = b[2+int(b[1]):]
	if at := bytes.LastIndexByte(b, 0xE0); at > 0 {
		b = b[:at]
	}
	return b
}
