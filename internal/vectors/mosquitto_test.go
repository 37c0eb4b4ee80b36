package vectors

import (
	"bytes"
	"errors"
	"fmt"
	"os"
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
	known := loadDifferences(t)
	seen := map[string]int{}
	for i := range all {
		c := &all[i]
		if seen[c.Name]++; seen[c.Name] > 1 {
			c.Name = fmt.Sprintf("%s (%d)", c.Name, seen[c.Name])
		}
		known.settle(t, c.Name, c.hold(t))
	}
}

// hold has the conversation, and returns how ours differs.
func (c *conversation) hold(t *testing.T) error {
	address, end := serve(t)
	defer end()
	p := dial(t, address)
	defer p.Close()
	if c.ConnectFirst {
		p.Close()
		p = join(t, address, c.ProtocolVersion, "vector")
		defer p.Close()
	}
	closed := false
	for steps := c.Steps; len(steps) > 0; {
		s := steps[0]
		n := 1
		for n < len(steps) && steps[n].Do == "recv" {
			n++
		}
		expected := make([][]byte, 0, n)
		for _, r := range steps[1:n] {
			expected = append(expected, unhex(t, r.Hex))
		}
		steps = steps[n:]
		if closed {
			return errors.New("closed before the last step")
		}
		var got [][]byte
		got, closed = c.do(t, p, address, s, expected)
		if err := c.compare(got, expected, closed); err != nil {
			return err
		}
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
func (c *conversation) compare(got, expected [][]byte, closed bool) error {
	g, e := meanings(got, c.ProtocolVersion), meanings(expected, c.ProtocolVersion)
	refusal, expectedRefusal := takeRefusal(&g), takeRefusal(&e)
	switch {
	case !slices.Equal(g, e):
		return fmt.Errorf("answers %s, closed %v; Mosquitto's: %s", list(g, refusal), closed, list(e, expectedRefusal))
	case refusal != "" && !closed:
		return fmt.Errorf("goes on after %s", refusal)
	case refusal != 0 && expectedRefusal != 0 && !fits(refusal, expectedRefusal):
		return fmt.Errorf("refuses by %s; Mosquitto by %s", refusal, expectedRefusal)
	case expectedRefusal != "" && !closed:
		return fmt.Errorf("goes on with %s; Mosquitto refuses by %s", list(g, ""), expectedRefusal)
	}
	return nil
}

func list(answers []string, refusal string) string {
	if refusal != "" {
		answers = append(answers[:len(answers):len(answers)], refusal)
	}
	return "[" + strings.Join(answers, "; ") + "]"
}

// refused begins what a refusal that ends the connection means.
const refused = "refusal "

// takeRefusal takes the refusal out of the meanings.
func takeRefusal(all *[]string) (refusal string) {
	*all = slices.DeleteFunc(*all, func(m string) bool {
		if strings.HasPrefix(m, refused) {
			refusal = m
			return true
		}
		return false
	})
	return refusal
}

// fits says whether two Reason Codes may refuse the same thing: a Malformed Packet may be called a Protocol Error and the
// other way round, and either may be said with the code of the topic at fault.
func fits(a, b packets.ReasonCode) bool {
	general := func(c packets.ReasonCode) bool { return c == packets.MalformedPacket || c == packets.ProtocolError }
	topic := func(c packets.ReasonCode) bool { return c == packets.TopicNameInvalid || c == packets.TopicFilterInvalid }
	return a == b || general(a) && (general(b) || topic(b)) || topic(a) && general(b)
}

// meanings are the meanings of the packets, sorted.
func meanings(frames [][]byte, v packets.Version) []string {
	var all []string
	for _, f := range frames {
		all = append(all, meaning(f, v))
	}
	slices.Sort(all)
	return all
}

// meaning says what an answer of a broker means: packets that may differ by taste alone mean the same.
func meaning(frame []byte, v packets.Version) string {
	h, err := packets.ParseHeader(frame)
	if err != nil {
		return fmt.Sprintf("%x: %v", frame, err)
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
		if p.ReasonCode.IsError() {
			return fmt.Sprintf("%s0x%02X", refused, byte(p.ReasonCode))
		}
		return fmt.Sprintf("CONNACK, session present %v%s", p.SessionPresent, fault(err))
	case packets.DISCONNECT:
		var p packets.Disconnect
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("%s0x%02X%s", refused, byte(p.ReasonCode), fault(err))
	case packets.PUBLISH:
		var p packets.Publish
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("PUBLISH %q=%q qos %d, dup %v, retain %v, id %d, properties %x%s",
			p.TopicName, p.Payload, p.QoS, p.Dup, p.Retain, p.PacketID, p.PropertyBlock, fault(err))
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		var p packets.Ack
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("%v %d %s%s", h.Type, p.PacketID, outcome(p.ReasonCode), fault(err))
	case packets.SUBACK:
		var p packets.Suback
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("SUBACK %d%s%s", p.PacketID, outcomes(p.ReasonCodes), fault(err))
	case packets.UNSUBACK:
		var p packets.Unsuback
		err = p.Decode(h, body, v, nil)
		return fmt.Sprintf("UNSUBACK %d%s%s", p.PacketID, outcomes(p.ReasonCodes), fault(err))
	}
	return h.Type.String()
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

// differences are the arguments of testdata/differences.txt that have not been used, by the name of the vector.
type differences map[string]string

func loadDifferences(t *testing.T) differences {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	must(t, err)
	d := differences{}
	reason := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, "- "); ok {
			if reason == "" || d[id] != "" {
				t.Errorf("differences.txt: %s has no reason, or two", id)
			}
			d[id] = reason
		} else if line != "" && line[0] != '#' {
			reason = line
		}
	}
	return d
}

// settle fails for a difference without an argument, and for an argument without a difference.
func (d differences) settle(t *testing.T, id string, difference error) {
	t.Helper()
	reason := d[id]
	delete(d, id)
	switch {
	case difference != nil && reason == "":
		t.Errorf("%s: %v", id, difference)
	case difference == nil && reason != "":
		t.Errorf("%s: no longer differs; differences.txt says: %s", id, reason)
	}
}
