package packets

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vector is one line of testdata/*.txt: the bytes of a packet, the versions that it is for, and what it means. What it
// means is what describe says of the decoded packet, "error 0xNN", or "incomplete". See testdata/README.md.
type vector struct {
	where    string
	frame    []byte
	versions []Version
	meaning  string
	// comment is what follows "#". If it starts with otherForm, encoding the packet gives other bytes.
	comment string
}

const otherForm = "other form:"

// packet is any decoded packet; ping stands for those without a body.
type packet interface {
	Append(dst []byte, v Version) ([]byte, error)
}

type ping Type

func (p ping) Append(dst []byte, _ Version) ([]byte, error) {
	if Type(p) == PINGREQ {
		return AppendPingreq(dst), nil
	}
	return AppendPingresp(dst), nil
}

// connect gives Connect the Append of the others.
type connect struct{ Connect }

func (p *connect) Append(dst []byte, _ Version) ([]byte, error) { return p.Connect.Append(dst) }

func mustHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// loadVectors reads all vectors and fails where there are none.
func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i, line := range strings.Split(string(text), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			all = append(all, parseVector(t, fmt.Sprintf("%s:%d", file, i+1), line))
			n++
		}
		if n == 0 {
			t.Fatalf("%s holds no vectors", file)
		}
	}
	if len(all) == 0 {
		t.Fatal("testdata holds no vectors")
	}
	return all
}

func parseVector(t testing.TB, where, line string) vector {
	t.Helper()
	line, comment, _ := strings.Cut(line, " # ")
	fields := strings.Fields(line)
	if len(fields) < 3 {
		t.Fatalf("%s: want bytes, versions and meaning", where)
	}
	v := vector{where: where, frame: mustHex(t, fields[0]), comment: comment, meaning: strings.Join(fields[2:], " ")}
	for _, name := range strings.Split(fields[1], ",") {
		switch name {
		case "3.1":
			v.versions = append(v.versions, V31)
		case "3.1.1":
			v.versions = append(v.versions, V311)
		case "5.0":
			v.versions = append(v.versions, V5)
		case "all":
			v.versions = append(v.versions, V31, V311, V5)
		default:
			t.Fatalf("%s: unknown version %q", where, name)
		}
	}
	return v
}

// decodeFrame decodes the packet at the start of frame, and gives its size. A packet that is not whole is nil.
func decodeFrame(frame []byte, v Version) (packet, int, error) {
	h, err := ParseHeader(frame)
	size := h.Size + h.Remaining
	if err != nil || h.Size == 0 || len(frame) < size {
		return nil, 0, err
	}
	p, err := decodeBody(h, frame[h.Size:size], v)
	return p, size, err
}

func decodeBody(h Header, body []byte, v Version) (packet, error) {
	switch h.Type {
	case CONNECT:
		p := new(connect)
		return p, p.Decode(h, body, nil)
	case CONNACK:
		p := new(Connack)
		return p, p.Decode(h, body, v, nil)
	case PUBLISH:
		p := new(Publish)
		return p, p.Decode(h, body, v, nil)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p := new(Ack)
		return p, p.Decode(h, body, v, nil)
	case SUBSCRIBE:
		p := new(Subscribe)
		return p, p.Decode(h, body, v, nil)
	case SUBACK:
		p := new(Suback)
		return p, p.Decode(h, body, v, nil)
	case UNSUBSCRIBE:
		p := new(Unsubscribe)
		return p, p.Decode(h, body, v, nil)
	case UNSUBACK:
		p := new(Unsuback)
		return p, p.Decode(h, body, v, nil)
	case DISCONNECT:
		p := new(Disconnect)
		return p, p.Decode(h, body, v, nil)
	case AUTH:
		p := new(Auth)
		return p, p.Decode(h, body, v, nil)
	}
	return ping(h.Type), nil
}

// words joins what is not empty.
func words(parts ...string) string {
	var some []string
	for _, p := range parts {
		if p != "" {
			some = append(some, p)
		}
	}
	return strings.Join(some, " ")
}

func when(on bool, format string, args ...any) string {
	if !on {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// describe says everything that a decoded packet holds.
func describe(p packet) string {
	switch p := p.(type) {
	case *connect:
		return words("CONNECT", p.Version.String(), when(p.CleanStart, "clean"), fmt.Sprintf("keepalive=%d", p.KeepAliveSeconds),
			describeProperties(&p.Properties), fmt.Sprintf("id=%q", p.ClientID),
			when(p.HasWill, "will(%s)", words(fmt.Sprintf("qos%d", p.Will.QoS), when(p.Will.Retain, "retain"),
				describeProperties(&p.Will.Properties), fmt.Sprintf("%q=%q", p.Will.TopicName, p.Will.Payload))),
			when(p.HasUserName, "user=%q", p.UserName), when(p.HasPassword, "password=%q", p.Password))
	case *Connack:
		return words("CONNACK", when(p.SessionPresent, "present"), code(p.ReasonCode), describeProperties(&p.Properties))
	case *Publish:
		return describePublish(p)
	case *Ack:
		return words(p.Type.String(), fmt.Sprint(p.PacketID), code(p.ReasonCode), describeProperties(&p.Properties))
	case *Subscribe:
		s := words("SUBSCRIBE", fmt.Sprint(p.PacketID), describeProperties(&p.Properties))
		for _, f := range p.Subscriptions {
			s += " " + words(fmt.Sprintf("%q:qos%d", f.TopicFilter, f.Options.QoS), when(f.Options.NoLocal, "nolocal"),
				when(f.Options.RetainAsPublished, "rap"), when(f.Options.RetainHandling > 0, "rh%d", f.Options.RetainHandling))
		}
		return s
	case *Suback:
		return words("SUBACK", fmt.Sprint(p.PacketID), describeProperties(&p.Properties), codes(p.ReasonCodes))
	case *Unsubscribe:
		s := words("UNSUBSCRIBE", fmt.Sprint(p.PacketID), describeProperties(&p.Properties))
		for _, f := range p.TopicFilters {
			s += fmt.Sprintf(" %q", f)
		}
		return s
	case *Unsuback:
		return words("UNSUBACK", fmt.Sprint(p.PacketID), describeProperties(&p.Properties), codes(p.ReasonCodes))
	case *Disconnect:
		return words("DISCONNECT", code(p.ReasonCode), describeProperties(&p.Properties))
	case *Auth:
		return words("AUTH", code(p.ReasonCode), describeProperties(&p.Properties))
	case ping:
		return Type(p).String()
	}
	return "nothing"
}

func code(c ReasonCode) string { return fmt.Sprintf("0x%02X", byte(c)) }

func codes(all []ReasonCode) string {
	var s []string
	for _, c := range all {
		s = append(s, code(c))
	}
	return strings.Join(s, " ")
}

func describePublish(p *Publish) string {
	// Everything in the block, with the fields that repeat it checked against it.
	var all Properties
	var identifiers string
	r := propertyReader{block: cursor{p.PropertyBlock}, packet: PUBLISH, lim: &DefaultLimits}
	for r.more() {
		if err := r.next(); err != nil {
			return "unchecked property block: " + err.Error()
		}
		switch r.id {
		case PropTopicAlias:
			identifiers += fmt.Sprintf("[topic alias=%d]", r.number)
		case PropSubscriptionIdentifier:
			identifiers += fmt.Sprintf("[subscription identifier=%d]", r.number)
		default:
			all.Present.Add(r.id)
			all.set(&r)
		}
	}
	var fields Properties
	fields.PayloadFormatIndicator, fields.MessageExpiryInterval, fields.ResponseTopic = p.PayloadFormatIndicator, p.MessageExpiryInterval, p.ResponseTopic
	var fieldIDs string
	for _, id := range p.SubscriptionIdentifiers {
		fieldIDs += fmt.Sprintf("[subscription identifier=%d]", id)
	}
	fieldIDs += when(p.TopicAlias != 0, "[topic alias=%d]", p.TopicAlias)
	switch {
	case p.HasPayloadFormatIndicator != all.Present.Has(PropPayloadFormatIndicator) || fields.PayloadFormatIndicator != all.PayloadFormatIndicator,
		p.HasMessageExpiryInterval != all.Present.Has(PropMessageExpiryInterval) || fields.MessageExpiryInterval != all.MessageExpiryInterval,
		!bytes.Equal(fields.ResponseTopic, all.ResponseTopic), len(fieldIDs) != len(identifiers),
		p.Plain != (identifiers == "" && !p.HasMessageExpiryInterval):
		return "fields of PUBLISH that do not agree with its property block"
	}
	return words("PUBLISH", fmt.Sprintf("qos%d", p.QoS), when(p.Dup, "dup"), when(p.Retain, "retain"), when(p.QoS > 0, "id=%d", p.PacketID),
		describeProperties(&all), identifiers, fmt.Sprintf("%q=%q", p.TopicName, p.Payload))
}

// describeProperties lists properties in the order of their identifiers.
func describeProperties(p *Properties) string {
	var s strings.Builder
	for left := p.Present; left != 0; left &= left - 1 {
		id := PropertyID(bits.TrailingZeros64(uint64(left)))
		switch id.kind() {
		case kindByte:
			fmt.Fprintf(&s, "[%v=%d]", id, *p.byteField(id))
		case kindTwoByte:
			fmt.Fprintf(&s, "[%v=%d]", id, *p.twoByteField(id))
		case kindFourByte, kindVarint:
			fmt.Fprintf(&s, "[%v=%d]", id, *p.fourByteField(id))
		case kindText, kindBinary:
			fmt.Fprintf(&s, "[%v=%q]", id, *p.bytesField(id))
		case kindPair:
			for _, u := range p.UserProperties {
				fmt.Fprintf(&s, "[%v=%q:%q]", id, u.Name, u.Value)
			}
		}
	}
	return s.String()
}

// outcome is what a vector's meaning is compared with.
func outcome(frame []byte, v Version) (string, packet) {
	p, _, err := decodeFrame(frame, v)
	switch {
	case err != nil:
		return fmt.Sprintf("error 0x%02X", byte(ReasonCodeOf(err))), nil
	case p == nil:
		return "incomplete", nil
	}
	return describe(p), p
}

// TestVectors decodes every vector in each of its versions and encodes what was valid again, to the same bytes.
func TestVectors(t *testing.T) {
	for _, vec := range loadVectors(t) {
		for _, v := range vec.versions {
			got, p := outcome(vec.frame, v)
			if got != vec.meaning {
				_, _, err := decodeFrame(vec.frame, v)
				t.Errorf("%s (%v): got %s (%v), want %s", vec.where, v, got, err, vec.meaning)
			}
			if p == nil {
				continue
			}
			again, err := p.Append(nil, v)
			if err != nil {
				t.Errorf("%s (%v): encode: %v", vec.where, v, err)
				continue
			}
			if same := bytes.Equal(again, vec.frame); same == strings.HasPrefix(vec.comment, otherForm) {
				t.Errorf("%s (%v): encoded to %x, from %x, comment %q", vec.where, v, again, vec.frame, vec.comment)
			}
			if got, _ := outcome(again, v); got != vec.meaning {
				t.Errorf("%s (%v): after encoding got %s, want %s", vec.where, v, got, vec.meaning)
			}
		}
	}
}

// TestErrorsSayWhy holds that every refusal has a text for the peer, and statements that carry their version.
func TestErrorsSayWhy(t *testing.T) {
	for _, vec := range loadVectors(t) {
		for _, v := range vec.versions {
			_, _, err := decodeFrame(vec.frame, v)
			if err == nil {
				continue
			}
			e, ok := err.(*Error)
			if !ok {
				t.Errorf("%s: %T is no *Error", vec.where, err)
			} else if e.Reason == "" || len(e.Reason) > 120 || e.Spec != "" && !strings.HasPrefix(e.Spec, "v5 ") && !strings.HasPrefix(e.Spec, "v3.1.1 ") {
				t.Errorf("%s: reason %q, statement %q", vec.where, e.Reason, e.Spec)
			}
		}
	}
}
