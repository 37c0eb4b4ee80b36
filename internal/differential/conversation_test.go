package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"nightjar/packets"
)

// conversation is what one client sends.
type conversation struct {
	version packets.Version
	id      string      // Client Identifier, and the beginning of all topics
	inQoS   packets.QoS // of the message that comes between the two parts
	parts   [2][]packet
}

// targets are the packets that are changed, by version. Those of the second part of a conversation have the others around
// them that its seed says.
func targets(v packets.Version) (list []string) {
	list = []string{
		"CONNECT", "SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH0", "PUBLISH1", "PUBLISH2", "PUBREL",
		"PUBACK", "PUBREC", "PUBCOMP", "PINGREQ", "DISCONNECT",
	}
	if v == packets.V5 {
		list = append(list, "AUTH")
	}
	return list
}

// handshake is the packets that are nothing without each other.
var handshake = []string{"PUBLISH2", "PUBREL", "PUBREC", "PUBCOMP"}

// newConversation makes a valid conversation that has the target in it.
func newConversation(v packets.Version, id, target string, seed uint64) *conversation {
	rng := rand.New(rand.NewPCG(seed, 1))
	c := &conversation{version: v, id: id, inQoS: 1}
	c.parts[0] = []packet{c.packet("CONNECT"), c.packet("SUBSCRIBE")}
	acks := []string{"PUBACK"}
	if target == "PUBREC" || target == "PUBCOMP" || target != "PUBACK" && rng.IntN(2) == 0 {
		c.inQoS, acks = 2, []string{"PUBREC", "PUBCOMP"}
	}
	order := append(acks, "PUBLISH0", "PUBLISH1", "PUBLISH2", "PUBREL", "UNSUBSCRIBE", "PINGREQ", "AUTH", "DISCONNECT")
	for _, name := range order {
		rare := name == "PINGREQ" || name == "AUTH" || name == "DISCONNECT"
		if name == target || slices.Contains(handshake, name) || !rare && rng.IntN(2) == 0 {
			c.parts[1] = append(c.parts[1], c.packet(name))
		}
	}
	return c
}

// packet makes one valid packet.
func (c *conversation) packet(name string) packet {
	v5 := c.version >= packets.V5
	number := func(name string, n byte) field { return field{name: name, kind: kindNumber, value: []byte{0, n}} }
	str := func(name, value string) field { return field{name: name, kind: kindString, value: []byte(value)} }
	one := func(name string, value byte) field { return field{name: name, kind: kindByte, value: []byte{value}} }
	props := func(name string, list ...property) []field {
		if !v5 {
			return nil
		}
		return []field{{name: name, kind: kindProperties, props: list}}
	}
	join := func(lists ...[]field) (all []field) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	only := func(list ...field) []field { return list }
	p := packet{name: name}
	switch name {
	case "CONNECT":
		p.header = 0x10
		flags := byte(0xec) // user name, password, will retained at QoS 1
		p.fields = join(only(str("protocol name", "MQTT"), one("protocol level", byte(c.version)), one("connect flags", flags), number("keep alive", 60)),
			props("properties", property{0x11, "\x00\x00\x0f\x00"}), only(str("client identifier", c.id)), props("will properties"),
			only(str("will topic", c.id+"/will"), field{name: "will payload", kind: kindBinary, value: []byte("gone")},
				str("user name", "user"), field{name: "password", kind: kindBinary, value: []byte("secret")}))
	case "SUBSCRIBE":
		p.header = 0x82
		p.fields = join(only(number("packet identifier", 10)), props("properties"), only(
			str("first filter", c.id+"/in"), one("first options", 2), str("second filter", c.id+"/x/+"), one("second options", 1)))
	case "UNSUBSCRIBE":
		p.header = 0xa2
		p.fields = join(only(number("packet identifier", 11)), props("properties"), only(str("first filter", c.id+"/x/+"), str("second filter", c.id+"/y")))
	case "PUBLISH0":
		p.header = 0x31
		p.fields = join(only(str("topic name", c.id+"/x/0")), props("properties"), only(field{name: "payload", kind: kindRest, value: []byte("zero")}))
	case "PUBLISH1", "PUBLISH2":
		qos := name[7] - '0'
		p.header = 0x30 | qos<<1
		p.fields = join(only(str("topic name", fmt.Sprintf("%s/x/%d", c.id, qos)), number("packet identifier", 20+qos)), props("properties"),
			only(field{name: "payload", kind: kindRest, value: []byte("text")}))
	case "PUBREL":
		p.header = 0x62
		p.fields = c.ack(22, one, number, props)
	case "PUBACK", "PUBREC", "PUBCOMP":
		p.header = map[string]byte{"PUBACK": 0x40, "PUBREC": 0x50, "PUBCOMP": 0x70}[name]
		p.fields = c.ack(1, one, number, props)
	case "PINGREQ":
		p.header = 0xc0
	case "DISCONNECT":
		p.header = 0xe0
		if v5 {
			p.fields = join(only(one("reason code", 0)), props("properties"))
		}
	case "AUTH":
		p.header = 0xf0
		p.fields = join(only(one("reason code", 0x18)), props("properties", property{0x15, text("m")}))
	}
	return p
}

func (c *conversation) ack(id byte, one func(string, byte) field, number func(string, byte) field, props func(string, ...property) []field) []field {
	fields := []field{number("packet identifier", id)}
	if c.version >= packets.V5 {
		fields = append(append(fields, one("reason code", 0)), props("properties")...)
	}
	return fields
}

// replace puts a mutant in the place of the packet that it was made of, and tells whether it was there.
func (c *conversation) replace(target string, m packet) bool {
	for _, part := range c.parts {
		for i := range part {
			if part[i].name == target {
				part[i] = m
				return true
			}
		}
	}
	return false
}
