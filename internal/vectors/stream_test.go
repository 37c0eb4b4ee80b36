package vectors

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/packets"
)

// stream is a valid conversation of a client that is sure of the answers, and so need not wait for them.
type stream struct {
	name    string
	version packets.Version
	sent    []string // packets
	answers []string // what the answers mean, in any order
}

var streams = []stream{
	{
		name: "3.1.1", version: packets.V311,
		sent: []string{
			"10 11 0004 4d515454 04 02 003c 0005 73706c6974",          // CONNECT as split
			"82 14 0001 0003 732f30 00 0003 732f31 01 0003 732f32 02", // SUBSCRIBE s/0, s/1 and s/2 at QoS 0, 1 and 2
			"30 06 0003 732f30 61",                                    // PUBLISH a to s/0 at QoS 0
			"32 08 0003 732f31 000a 62",                               // PUBLISH b to s/1 at QoS 1
			"40 02 0001",                                              // PUBACK of b
			"c0 00",                                                   // PINGREQ
			"34 08 0003 732f32 000b 63",                               // PUBLISH c to s/2 at QoS 2
			"62 02 000b",                                              // PUBREL
			"50 02 0002",                                              // PUBREC of c
			"70 02 0002",                                              // PUBCOMP of c
			"31 06 0003 732f30 64",                                    // PUBLISH d to s/0, retained
			"82 08 0002 0003 732f30 00",                               // SUBSCRIBE s/0 again
			"31 05 0003 732f30",                                       // PUBLISH that clears it
			"30 b101 0003 732f30" + strings.Repeat("65", 172),         // PUBLISH of 172 bytes
			"a2 07 0003 0003 732f30",                                  // UNSUBSCRIBE s/0
			"30 06 0003 732f30 66",                                    // PUBLISH that nobody gets
			"62 02 0063",                                              // PUBREL of an identifier that is not held
			"c0 00",
			"e0 00",    // DISCONNECT
			"30 02 00", // what follows it is not looked at
		},
		answers: []string{
			"CONNACK, session present false", "SUBACK 1 0x00 0x01 0x02",
			publish("s/0", "a", 0, 0, ""),
			publish("s/1", "b", 1, 1, ""), "PUBACK 10 0x00",
			"PINGRESP",
			publish("s/2", "c", 2, 2, ""), "PUBREC 11 0x00", "PUBCOMP 11 0x00", "PUBREL 2 0x00",
			publish("s/0", "d", 0, 0, ""),
			"SUBACK 2 0x00", strings.Replace(publish("s/0", "d", 0, 0, ""), "retain false", "retain true", 1),
			publish("s/0", "", 0, 0, ""),
			publish("s/0", strings.Repeat("e", 172), 0, 0, ""),
			"UNSUBACK 3", "PUBCOMP 99 0x00", "PINGRESP",
		},
	},
	{
		name: "5", version: packets.V5,
		sent: []string{
			"10 1d 0004 4d515454 05 02 003c 0b 1100000000 210014 220000 0005 73706c6974", // CONNECT as split
			"82 11 0001 02 0b05 0003 732f31 01 0003 732f6e 06",                           // SUBSCRIBE s/1 at QoS 1, s/n at QoS 2 with No Local
			"30 0a 0003 732f31 03 230001 61",                                             // PUBLISH a to s/1, which is alias 1 from now on
			"32 0a 0000 000a 03 230001 62 63",                                            // PUBLISH bc to alias 1 at QoS 1
			"40 04 0001 00 00",                                                           // PUBACK of bc
			"34 09 0003 732f6e 000b 00 64",                                               // PUBLISH d to s/n, which does not come back
			"62 04 000b 00 00",                                                           // PUBREL
			"32 1a 0003 732f31 000c 11 0101 080001 72 090001 63 26 0001 6b 0001 76 65",   // PUBLISH e with properties
			"40 02 0002",                              // PUBACK of e
			"82 09 0002 00 0003 732f31 28",            // SUBSCRIBE s/1 again
			"a2 0d 0003 00 0003 732f31 0003 732f78",   // UNSUBSCRIBE s/1 and s/x
			"50 02 0063",                              // PUBREC of what is not in flight
			"50 03 0062 80",                           // the same, refused: no PUBREL is due
			"62 02 0063",                              // PUBREL of what is not held
			"32 0f 000a 2473686172652f672f74 000d 00", // PUBLISH to $share/g/t
			"c0 00",
			"e0 02 00 00", // DISCONNECT
			"ff",          // what follows it is not looked at
		},
		answers: []string{
			"CONNACK, session present false", "SUBACK 1 0x01 0x02",
			publish("s/1", "a", 0, 0, "0b05"),
			publish("s/1", "bc", 1, 1, "0b05"), "PUBACK 10 0x00",
			"PUBREC 11 0x00", "PUBCOMP 11 0x00",
			publish("s/1", "e", 1, 2, "010108000172090001632600016b0001760b05"), "PUBACK 12 0x00",
			"SUBACK 2 0x00", "UNSUBACK 3 0x00 0x11",
			"PUBREL 99 refused", "PUBCOMP 99 refused", "PUBACK 13 refused", "PINGRESP",
		},
	},
}

// publish is what a delivery means.
func publish(topic, payload string, qos packets.QoS, id uint16, properties string) string {
	return fmt.Sprintf("PUBLISH %q=%q qos %d, dup false, retain false, id %d, properties %s", topic, payload, qos, id, properties)
}

// bytes are the packets in a row.
func (s *stream) bytes(t *testing.T) []byte {
	t.Helper()
	return unhex(t, strings.Join(s.sent, ""))
}

// TestStreamSplit holds that the answers do not depend on how the bytes come: at once, one by one, or cut anywhere.
func TestStreamSplit(t *testing.T) {
	eachOwner(t, func(t *testing.T, address string, witness *peer) {
		for i := range streams {
			s := &streams[i]
			all := s.bytes(t)
			whole := exchange(t, address, witness, all)
			s.checkAnswers(t, whole)
			ones := slices.Collect(slices.Chunk(all, 1))
			if got := exchange(t, address, witness, ones...); !bytes.Equal(got, whole) {
				t.Errorf("%s, byte by byte: got %x, want %x", s.name, got, whole)
			}
			for at := 1; at < len(all); at++ {
				if got := exchange(t, address, witness, all[:at], all[at:]); !bytes.Equal(got, whole) {
					t.Errorf("%s, cut at %d: got %x, want %x", s.name, at, got, whole)
				}
			}
		}
	})
}

// eachOwner runs a test on a broker whose connections a loop owns, and on one whose connections goroutines own.
func eachOwner(t *testing.T, test func(t *testing.T, address string, witness *peer)) {
	for name, loops := range map[string]int{"loop": 1, "goroutines": -1} {
		t.Run(name, func(t *testing.T) {
			address, end := serve(t, loops)
			defer end()
			witness := join(t, address, packets.V311, "witness")
			defer witness.Close()
			test(t, address, witness)
		})
	}
}

// TestStreamOfThousand holds the same of a thousand packets, some of them longer than what is read or kept at once.
func TestStreamOfThousand(t *testing.T) {
	eachOwner(t, func(t *testing.T, address string, witness *peer) {
		for _, v := range []packets.Version{packets.V311, packets.V5} {
			all := connectFrame(t, v, "thousand")
			var want []byte
			for id := uint16(1); id <= 1000; id++ {
				size := int(id)
				if id%100 == 0 {
					size = 20_000
				}
				m := packets.Publish{QoS: 1, PacketID: id, TopicName: []byte("t"), Payload: bytes.Repeat([]byte{'x'}, size)}
				a := packets.Ack{Type: packets.PUBACK, PacketID: id, ReasonCode: packets.NoMatchingSubscribers}
				var err1, err2 error
				all, err1 = m.Append(all, v)
				want, err2 = a.Append(want, v)
				must(t, errors.Join(err1, err2))
			}
			all = append(all, disconnect...)
			for _, size := range []int{len(all), 1 << 16, 4099, 1021} {
				got := exchange(t, address, witness, slices.Collect(slices.Chunk(all, size))...)
				if !bytes.HasSuffix(got, want) || got[0] != 0x20 || len(got) != 2+int(got[1])+len(want) {
					t.Errorf("%v in pieces of %d: got %d bytes, want CONNACK and %d", v, size, len(got), len(want))
				}
			}
		}
	})
}

// exchange sends pieces, each read by the broker before the next one is sent, and returns all that comes back until the
// broker closes the connection. That a piece was read is known from an answer to the witness: a loop reads from all
// connections that are ready before it answers any. (Goroutines may now and then read two pieces at once.)
func exchange(t *testing.T, address string, witness *peer, pieces ...[]byte) []byte {
	t.Helper()
	until := time.Now().Add(patience)
	must(t, witness.SetDeadline(until))
	p := dial(t, address)
	defer p.Close()
	for i, piece := range pieces {
		p.send(piece)
		if i+1 < len(pieces) {
			if _, closed := witness.ask(nil); closed {
				t.Fatal("the witness was disconnected")
			}
		}
	}
	var got []byte
	for f := p.frame(); f != nil; f = p.frame() {
		got = append(got, f...)
	}
	return got
}

// checkAnswers compares what the answers mean.
func (s *stream) checkAnswers(t *testing.T, got []byte) {
	t.Helper()
	var means []string
	for len(got) > 0 {
		h, err := packets.ParseHeader(got)
		if err == nil && (h.Size == 0 || len(got) < h.Size+h.Remaining) {
			err = errors.New("not whole")
		}
		if err != nil {
			t.Fatalf("%s: answer %x: %v", s.name, got, err)
		}
		m, code := meaning(got[:h.Size+h.Remaining], s.version)
		if code.IsError() {
			m += fmt.Sprintf(", 0x%02X", byte(code))
		}
		means = append(means, m)
		got = got[h.Size+h.Remaining:]
	}
	want := slices.Clone(s.answers)
	slices.Sort(means)
	slices.Sort(want)
	if !slices.Equal(means, want) {
		t.Errorf("%s: answers\n%s\nwant\n%s", s.name, strings.Join(means, "\n"), strings.Join(want, "\n"))
	}
}
