package vectors

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightjar/packets"
)

// conversation is one of mosquitto-sequences.json: what a client sends and what Mosquitto answers.
type conversation struct {
	Name            string
	ProtocolVersion packets.Version
	ConnectFirst    bool // after a CONNECT that is not among the steps
	EndsClosed      bool // Mosquitto closes the connection
	Policy          bool // for reasons of its own
	Steps           []step
}

type step struct {
	Do      string // send, recv or external_publish, which another client does
	Hex     string
	Topic   string
	QoS     packets.QoS
	Payload string
}

// TestMosquittoSequences holds all conversations with a broker of their own. Where ours differs from Mosquitto by
// meaning, testdata/differences.txt says why.
func TestMosquittoSequences(t *testing.T) {
	var all []conversation
	load(t, "mosquitto-sequences.json", &all)
	if len(all) < 900 {
		t.Fatalf("only %d conversations", len(all))
	}
	known := loadDifferences(t, "mosquitto")
	seen := map[string]int{}
	for i := range all {
		c := &all[i]
		c.Name = strings.TrimSpace(c.Name)
		if seen[c.Name]++; seen[c.Name] > 1 {
			c.Name = fmt.Sprintf("%s (%d)", c.Name, seen[c.Name])
		}
		known.settle(t, "mosquitto "+c.Name, c.hold(t))
	}
	known.finish(t)
}

// hold has the conversation, and returns how ours differs.
func (c *conversation) hold(t *testing.T) error {
	address, end := serve(t, 1)
	defer end()
	p := dial(t, address)
	defer p.Close()
	if c.ConnectFirst {
		p.Close()
		p = join(t, address, c.ProtocolVersion, "vector")
		defer p.Close()
	}
	closed := false
	var got, expected answer
	for steps := c.Steps; len(steps) > 0; {
		if closed {
			return errors.New("closed before the last step")
		}
		n := 1
		for n < len(steps) && steps[n].Do == "recv" {
			n++
		}
		var frames [][]byte
		for _, r := range steps[1:n] {
			frames = append(frames, unhex(t, r.Hex))
		}
		expected.others, got.others = nil, nil
		expected.read(frames, c.ProtocolVersion)
		frames, closed = c.do(t, p, address, steps[0], frames)
		got.read(frames, c.ProtocolVersion)
		if err := compare(got, expected, closed); err != nil {
			return err
		}
		steps = steps[n:]
	}
	if !slices.Equal(got.deliveries, expected.deliveries) {
		return fmt.Errorf("delivers %v; Mosquitto %v", got.deliveries, expected.deliveries)
	}
	if closed != c.EndsClosed {
		return fmt.Errorf("closed: %v", closed)
	}
	return nil
}

// do makes a step, and returns what the broker answers to it.
func (c *conversation) do(t *testing.T, p *peer, address string, s step, expected [][]byte) ([][]byte, bool) {
	t.Helper()
	pings := 1
	for _, f := range expected {
		if bytes.Equal(f, pingresp) {
			pings++
		}
	}
	switch s.Do {
	case "send":
		p.send(append(unhex(t, s.Hex), pingreq...))
	case "external_publish":
		publishFrom(t, address, s)
		p.send(pingreq)
	default:
		t.Fatalf("%s: step %q", c.Name, s.Do)
	}
	return p.answers(pings)
}

// publishFrom publishes from another client, up to the acknowledgement.
func publishFrom(t *testing.T, address string, s step) {
	t.Helper()
	p := join(t, address, packets.V311, "other")
	defer p.Close()
	m := packets.Publish{QoS: s.QoS, PacketID: 1, TopicName: []byte(s.Topic), Payload: []byte(s.Payload)}
	b, err := m.Append(nil, packets.V311)
	must(t, err)
	if s.QoS == 2 {
		b = packets.AppendAck(b, packets.PUBREL, 1)
	}
	if frames, closed := p.ask(b); closed || len(frames) != int(s.QoS) {
		t.Fatalf("PUBLISH of another client: %x, closed %v", frames, closed)
	}
}

// compare compares the answers to a step by their meaning, in any order. That the connection closes says as much as
// the refusal before it, which a server may leave out [v5 section 4.13.1].
func compare(got, expected answer, closed bool) error {
	switch {
	case !slices.Equal(got.others, expected.others):
		return fmt.Errorf("answers %v, closed %v; Mosquitto %v", got, closed, expected)
	case got.refusal.IsError() && !closed:
		return fmt.Errorf("goes on after %v", got)
	case got.refusal.IsError() && expected.refusal.IsError() && !fits(got.refusal, expected.refusal):
		return fmt.Errorf("answers %v; Mosquitto %v", got, expected)
	case expected.refusal.IsError() && !closed:
		return fmt.Errorf("goes on after %v; Mosquitto %v", got, expected)
	}
	return nil
}

// fits says whether two Reason Codes may refuse the same thing: a Malformed Packet may be called a Protocol Error and the
// other way round, and either may be said with the code of the name at fault.
func fits(a, b packets.ReasonCode) bool {
	general := []packets.ReasonCode{packets.MalformedPacket, packets.ProtocolError}
	name := []packets.ReasonCode{packets.TopicNameInvalid, packets.TopicFilterInvalid, packets.ClientIdentifierNotValid}
	isGeneral := func(c packets.ReasonCode) bool { return slices.Contains(general, c) }
	isName := func(c packets.ReasonCode) bool { return slices.Contains(name, c) }
	return a == b || isGeneral(a) && (isGeneral(b) || isName(b)) || isName(a) && isGeneral(b)
}

// answer is what the answers to a step mean.
type answer struct {
	refusal    packets.ReasonCode // of the CONNACK or DISCONNECT that ends the connection; Success: there is none
	deliveries []string           // PUBLISH packets, sorted: at which step of QoS 2 they come is the server's choice
	others     []string           // sorted
}

func (a answer) String() string {
	all := a.others
	if a.refusal.IsError() {
		all = append(all[:len(all):len(all)], fmt.Sprintf("refusal 0x%02X", byte(a.refusal)))
	}
	return "[" + strings.Join(all, "; ") + "]"
}

// read adds what packets mean.
func (a *answer) read(frames [][]byte, v packets.Version) {
	for _, f := range frames {
		switch m, refusal := meaning(f, v); {
		case refusal.IsError():
			a.refusal = refusal
		case packets.Type(f[0]>>4) == packets.PUBLISH:
			a.deliveries = append(a.deliveries, m)
		default:
			a.others = append(a.others, m)
		}
	}
	slices.Sort(a.deliveries)
	slices.Sort(a.others)
}

// meaning says what a packet of a broker means, and with which code it ends the connection. Packets that may differ by
// taste alone mean the same.
func meaning(frame []byte, v packets.Version) (string, packets.ReasonCode) {
	h, err := packets.ParseHeader(frame)
	if err != nil {
		return fmt.Sprintf("%x: %v", frame, err), packets.Success
	}
	body := frame[h.Size:]
	switch h.Type {
	case packets.CONNACK:
		if len(body) > 2 {
			v = packets.V5 // Mosquitto so answers what speaks no version that it knows
		} else if v == packets.V5 {
			v = packets.V311
		}
		var p packets.Connack
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("CONNACK, session present %v%s", p.SessionPresent, fault(err)), p.ReasonCode
	case packets.DISCONNECT:
		var p packets.Disconnect
		err = p.Decode(h, body, v, nil)
		return "DISCONNECT" + fault(err), p.ReasonCode
	case packets.PUBLISH:
		var p packets.Publish
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("PUBLISH %q=%q qos %d, dup %v, retain %v, id %d, properties %x%s",
			p.TopicName, p.Payload, p.QoS, p.Dup, p.Retain, p.PacketID, p.PropertyBlock, fault(err)), packets.Success
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		var p packets.Ack
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("%v %d %s%s", h.Type, p.PacketID, outcome(p.ReasonCode), fault(err)), packets.Success
	case packets.SUBACK:
		var p packets.Suback
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("SUBACK %d%s%s", p.PacketID, outcomes(p.ReasonCodes), fault(err)), packets.Success
	case packets.UNSUBACK:
		var p packets.Unsuback
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("UNSUBACK %d%s%s", p.PacketID, outcomes(p.ReasonCodes), fault(err)), packets.Success
	}
	return h.Type.String(), packets.Success
}

// fault says that a broker's own packet cannot be decoded.
func fault(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

func outcome(c packets.ReasonCode) string {
	if c.IsError() {
		return "refused"
	}
	if c == packets.NoMatchingSubscribers {
		c = packets.Success // an optional hint [v5 section 3.4.2.1]
	}
	return fmt.Sprintf("0x%02X", byte(c))
}

func outcomes(all []packets.ReasonCode) string {
	var s strings.Builder
	for _, c := range all {
		s.WriteString(" " + outcome(c))
	}
	return s.String()
}
