package differential

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"nightjar/packets"
)

// kind is what a field is, and so how it can be wrong.
type kind int

const (
	kindByte kind = iota
	kindNumber
	kindString
	kindBinary
	kindProperties
	kindRest // to the end of the packet
)

// field is one field of a packet as the standard names it.
type field struct {
	name  string
	kind  kind
	value []byte // without length
	props []property
	raw   bool // value is the whole field, length included
}

// property is one property of MQTT 5, its value with its length.
type property struct {
	id    packets.PropertyID
	value string
}

// packet is a packet that is still in parts.
type packet struct {
	name   string
	header byte
	fields []field
	length func(int) []byte // makes Remaining Length; nil: right
	extra  string           // after the last field, counted
}

// bytes puts the packet together.
func (p packet) bytes() []byte {
	var body []byte
	for _, f := range p.fields {
		body = append(body, f.bytes()...)
	}
	body = append(body, p.extra...)
	length := p.length
	if length == nil {
		length = varint
	}
	return slices.Concat([]byte{p.header}, length(len(body)), body)
}

func (f field) bytes() []byte {
	switch {
	case f.raw:
		return f.value
	case f.kind == kindString || f.kind == kindBinary:
		return append(binary.BigEndian.AppendUint16(nil, uint16(len(f.value))), f.value...)
	case f.kind == kindProperties:
		block := f.block()
		return append(varint(len(block)), block...)
	}
	return f.value
}

func (f field) block() (block []byte) {
	for _, p := range f.props {
		block = append(append(block, byte(p.id)), p.value...)
	}
	return block
}

func varint(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) } // the same encoding

func text(s string) string { return string(field{kind: kindString, value: []byte(s)}.bytes()) }

// with returns a copy of the packet with another field in place i; nil: none.
func (p packet) with(i int, f *field) packet {
	p.fields = slices.Clone(p.fields)
	if f == nil {
		p.fields = slices.Delete(p.fields, i, i+1)
	} else {
		p.fields[i] = *f
	}
	return p
}

// mutant is a packet with one fault, or at least something unusual.
type mutant struct {
	name string
	packet
}

// mutants are all changes of one field of a packet.
func mutants(p packet) (list []mutant) {
	add := func(q packet, what string, args ...any) {
		list = append(list, mutant{p.name + " " + fmt.Sprintf(what, args...), q})
	}
	for bit := range 4 {
		q := p
		q.header ^= 1 << bit
		add(q, "flags ^ %x", 1<<bit)
	}
	for what, length := range map[string]func(int) []byte{
		"+1": func(n int) []byte { return varint(n + 1) }, "-1": func(n int) []byte { return varint(max(n-1, 0)) },
		"overlong": func(n int) []byte { b := varint(n); b[len(b)-1] |= 0x80; return append(b, 0) },
		"5 bytes":  func(int) []byte { return []byte{0x80, 0x80, 0x80, 0x80, 1} },
	} {
		q := p
		q.length = length
		add(q, "remaining length: %s", what)
	}
	longer := p
	longer.extra = "\x01"
	add(longer, "one byte more")
	for i, f := range p.fields {
		if i == len(p.fields)-1 || f.kind != kindRest {
			add(p.with(i, nil), "%s: missing", f.name)
		}
		for what, g := range f.changes() {
			add(p.with(i, &g), "%s: %s", f.name, what)
		}
	}
	slices.SortFunc(list, func(a, b mutant) int { return strings.Compare(a.name, b.name) })
	return list
}

// changes are the ways in which a field can be unusual.
func (f field) changes() map[string]field {
	list := map[string]field{}
	set := func(what, value string) {
		g := f
		g.value = []byte(value)
		list[what] = g
	}
	raw := func(what string, value []byte) {
		list[what] = field{name: f.name, kind: f.kind, value: value, raw: true}
	}
	switch f.kind {
	case kindByte:
		for bit := range 8 {
			set(fmt.Sprintf("^ %02x", 1<<bit), string([]byte{f.value[0] ^ 1<<bit}))
		}
		set("ff", "\xff")
	case kindNumber:
		set("0", "\x00\x00")
		set("65535", "\xff\xff")
		set("half", "\x00")
	case kindBinary, kindString:
		set("empty", "")
		set("64 KiB", string(f.value)+strings.Repeat("x", 65535-len(f.value)))
		set("U+0000", string(f.value)+"\x00")
		whole := f.bytes()
		raw("length + 1", append(binary.BigEndian.AppendUint16(nil, uint16(len(f.value)+1)), whole[2:]...))
		raw("length - 1", append(binary.BigEndian.AppendUint16(nil, uint16(len(f.value)-1)), whole[2:]...))
		if f.kind == kindBinary {
			break
		}
		for what, value := range map[string]string{
			"not UTF-8": "\xff", "surrogate": "\xed\xa0\x80", "overlong UTF-8": "\xc0\xaf", "control": "\x01",
			"byte order mark": "\ufeff", "non-character": "\uffff", "+": "/+", "#": "/#", "b+": "b+", "#/b": "/#/b", "slash": "/", "levels": strings.Repeat("/", 30),
		} {
			set(what, string(f.value)+value)
		}
		set("shared", "$share/g/"+string(f.value))
		for _, value := range []string{"$SYS/x", "$share//x", "$share/g", "$share/g/", "$x", "/"} {
			set(value, value)
		}
	case kindRest:
		set("empty", "")
		set("not UTF-8", "\xff")
	case kindProperties:
		f.propertyChanges(list, raw)
	}
	return list
}

// propertyChanges are those of a property block.
func (f field) propertyChanges(list map[string]field, raw func(string, []byte)) {
	block := f.block()
	raw("length + 1", append(varint(len(block)+1), block...))
	if len(block) > 0 {
		raw("length - 1", append(varint(len(block)-1), block...))
	}
	raw("length of 5 bytes", append([]byte{0x80, 0x80, 0x80, 0x80, 0}, block...))
	with := func(what string, more ...property) {
		g := f
		g.props = append(slices.Clone(f.props), more...)
		list[what] = g
	}
	with("unknown", property{0x7f, "\x00"})
	for _, p := range known {
		g := f
		g.props = slices.DeleteFunc(slices.Clone(f.props), func(x property) bool { return x.id == p.id })
		list[p.name+" absent"] = g
		for i, value := range p.values {
			g.props = append(slices.Clone(g.props[:len(g.props):len(g.props)]), property{p.id, value})
			list[fmt.Sprintf("%s %d", p.name, i)] = g
			g.props = g.props[:len(g.props)-1]
		}
		with(p.name+" twice", property{p.id, p.values[0]}, property{p.id, p.values[0]})
	}
}

// known are the properties of MQTT 5 with values: the first is right wherever the property is.
var known = []struct {
	name   string
	id     packets.PropertyID
	values []string
}{
	{"Payload Format Indicator", 0x01, []string{"\x00", "\x01", "\x02"}},
	{"Message Expiry Interval", 0x02, []string{"\x00\x00\x0f\x00", "\x00\x00\x00\x00", "\xff\xff\xff\xff"}},
	{"Content Type", 0x03, []string{text("t"), text(""), text("\x00"), text("\xff")}},
	{"Response Topic", 0x08, []string{text("r"), text(""), text("r/+"), text("\xff")}},
	{"Correlation Data", 0x09, []string{text("c"), text(""), "\x00\x09c"}},
	{"Subscription Identifier", 0x0b, []string{"\x05", "\x00", "\x80\x01", "\xff\xff\xff\x7f", "\x80\x80\x80\x80\x01"}},
	{"Session Expiry Interval", 0x11, []string{"\x00\x00\x0f\x00", "\x00\x00\x00\x00", "\xff\xff\xff\xff"}},
	{"Assigned Client Identifier", 0x12, []string{text("x")}},
	{"Server Keep Alive", 0x13, []string{"\x00\x3c"}},
	{"Authentication Method", 0x15, []string{text("m"), text("")}},
	{"Authentication Data", 0x16, []string{text("d")}},
	{"Request Problem Information", 0x17, []string{"\x01", "\x00", "\x02"}},
	{"Will Delay Interval", 0x18, []string{"\x00\x00\x00\x00", "\x00\x00\x0f\x00"}},
	{"Request Response Information", 0x19, []string{"\x00", "\x01", "\x02"}},
	{"Response Information", 0x1a, []string{text("x")}},
	{"Server Reference", 0x1c, []string{text("x")}},
	{"Reason String", 0x1f, []string{text("x"), text(""), text("\xff")}},
	{"Receive Maximum", 0x21, []string{"\x00\x14", "\x00\x00", "\x00\x01", "\xff\xff"}},
	{"Topic Alias Maximum", 0x22, []string{"\x00\x00", "\x00\x05", "\xff\xff"}},
	{"Topic Alias", 0x23, []string{"\x00\x01", "\x00\x00", "\x00\x0a", "\xff\xff"}},
	{"Maximum QoS", 0x24, []string{"\x01"}},
	{"Retain Available", 0x25, []string{"\x01"}},
	{"User Property", 0x26, []string{text("k") + text("v"), text("") + text(""), text("k") + text("\xff"), text("k")}},
	{"Maximum Packet Size", 0x27, []string{"\x00\x0f\x00\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x10", "\xff\xff\xff\xff"}},
	{"Wildcard Subscription Available", 0x28, []string{"\x01"}},
	{"Subscription Identifier Available", 0x29, []string{"\x01"}},
	{"Shared Subscription Available", 0x2a, []string{"\x01"}},
}
