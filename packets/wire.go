package packets

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// cursor reads the fields of a packet in order. Its errors name the field that is missing, cut or bad.
type cursor struct{ rest []byte }

func (c *cursor) cut(field string) *Error {
	return Errorf(MalformedPacket, "", "packet ends before or inside the %s", field)
}

func (c *cursor) uint8(field string) (byte, error) {
	if len(c.rest) < 1 {
		return 0, c.cut(field)
	}
	n := c.rest[0]
	c.rest = c.rest[1:]
	return n, nil
}

func (c *cursor) uint16(field string) (uint16, error) {
	if len(c.rest) < 2 {
		return 0, c.cut(field)
	}
	n := binary.BigEndian.Uint16(c.rest)
	c.rest = c.rest[2:]
	return n, nil
}

func (c *cursor) uint32(field string) (uint32, error) {
	if len(c.rest) < 4 {
		return 0, c.cut(field)
	}
	n := binary.BigEndian.Uint32(c.rest)
	c.rest = c.rest[4:]
	return n, nil
}

// packetID reads a Packet Identifier, which is never 0 [v5 MQTT-2.2.1-3] [v3.1.1 MQTT-2.3.1-1].
func (c *cursor) packetID() (uint16, error) {
	id, err := c.uint16("packet identifier")
	if err == nil && id == 0 {
		return 0, Errorf(ProtocolError, "v5 MQTT-2.2.1-3", "packet identifier 0")
	}
	return id, err
}

// varint reads a Variable Byte Integer of at most four bytes, and no more of them than it needs [v5 MQTT-1.5.5-1].
func (c *cursor) varint(field string) (uint32, error) {
	var n uint32
	for i := range 4 {
		if i == len(c.rest) {
			return 0, c.cut(field)
		}
		b := c.rest[i]
		n |= uint32(b&0x7F) << (7 * i)
		if b >= 0x80 {
			continue
		}
		if i > 0 && b == 0 {
			return 0, Errorf(MalformedPacket, "v5 MQTT-1.5.5-1", "%s takes more bytes than it needs", field)
		}
		c.rest = c.rest[i+1:]
		return n, nil
	}
	return 0, Errorf(MalformedPacket, "v5 MQTT-1.5.5-1", "%s is longer than four bytes", field)
}

// take reads n bytes.
func (c *cursor) take(n int, field string) ([]byte, error) {
	if n > len(c.rest) {
		return nil, c.cut(field)
	}
	b := c.rest[:n:n]
	c.rest = c.rest[n:]
	return b, nil
}

// binary reads Binary Data: two bytes of length and as many bytes.
func (c *cursor) binary(field string) ([]byte, error) {
	n, err := c.uint16(field)
	if err != nil {
		return nil, err
	}
	return c.take(int(n), field)
}

// text reads a UTF-8 Encoded String of any length [v5 MQTT-1.5.4-1] [v3.1.1 MQTT-1.5.3-1].
func (c *cursor) text(field string) ([]byte, error) {
	b, err := c.binary(field)
	if err != nil {
		return nil, err
	}
	if !ValidUTF8(b) {
		return nil, Errorf(MalformedPacket, "v5 MQTT-1.5.4-1", "%s is not valid utf-8, or holds u+0000", field)
	}
	return b, nil
}

// properties reads a property length and the properties of a packet of type t.
func (c *cursor) properties(p *Properties, t Type, lim *Limits) ([]byte, error) {
	block, err := c.propertyBlock()
	if err != nil {
		return nil, err
	}
	return block, p.decode(t, block, lim)
}

// optionalProperties reads the last field of a packet: properties that may be left out with their length.
func (c *cursor) optionalProperties(p *Properties, t Type, lim *Limits) error {
	if len(c.rest) == 0 {
		return nil
	}
	if _, err := c.properties(p, t, lim.orDefault()); err != nil {
		return err
	}
	return c.end()
}

func (c *cursor) propertyBlock() ([]byte, error) {
	n, err := c.varint("property length")
	if err != nil {
		return nil, err
	}
	return c.take(int(n), "properties")
}

// end refuses what stands after the last field.
func (c *cursor) end() error {
	if len(c.rest) > 0 {
		return Errorf(MalformedPacket, "", "%d bytes after the last field", len(c.rest))
	}
	return nil
}

// encoder appends a packet to a slice. It remembers the first thing that could not be encoded.
type encoder struct {
	dst   []byte
	start int // where the packet starts in dst
	err   error
}

var errPacketTooLong = errors.New("encode packet: longer than 268,435,455 bytes")

// begin starts a packet; its Remaining Length is written by finish.
func begin(dst []byte, t Type, flags byte) encoder {
	return encoder{dst: append(dst, byte(t)<<4|flags, 0), start: len(dst)}
}

// finish closes the packet. After an error the slice is what begin was given.
func (e *encoder) finish() ([]byte, error) {
	e.seal(e.start + 1)
	if e.err != nil {
		return e.dst[:e.start], e.err
	}
	return e.dst, nil
}

// seal writes the length of all that follows dst[at] as a Variable Byte Integer to where a byte was kept for it,
// and makes room if it needs more.
func (e *encoder) seal(at int) {
	n := len(e.dst) - at - 1
	if n > RemainingLengthMax {
		e.fail(errPacketTooLong)
		return
	}
	extra := varintSize(n) - 1
	e.dst = append(e.dst, make([]byte, extra)...)
	copy(e.dst[at+1+extra:], e.dst[at+1:at+1+n])
	appendVarint(e.dst[:at], n)
}

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) uint8(n byte)    { e.dst = append(e.dst, n) }
func (e *encoder) uint16(n uint16) { e.dst = binary.BigEndian.AppendUint16(e.dst, n) }
func (e *encoder) uint32(n uint32) { e.dst = binary.BigEndian.AppendUint32(e.dst, n) }
func (e *encoder) raw(b []byte)    { e.dst = append(e.dst, b...) }

func (e *encoder) packetID(id uint16) {
	if id == 0 {
		e.fail(errors.New("encode packet: packet identifier 0"))
	}
	e.uint16(id)
}

// qos refuses what is no QoS and would be written as other bits.
func (e *encoder) qos(q QoS) {
	if !q.Valid() {
		e.fail(fmt.Errorf("encode packet: qos %d", q))
	}
}

// binary appends Binary Data or a UTF-8 Encoded String, whose text is not checked.
func (e *encoder) binary(b []byte, field string) {
	if len(b) > 0xFFFF {
		e.fail(fmt.Errorf("encode %s: %d bytes, more than 65,535", field, len(b)))
		return
	}
	e.uint16(uint16(len(b)))
	e.raw(b)
}

// properties appends a property length and the properties; before version 5 nothing.
func (e *encoder) properties(p *Properties, v Version) {
	if v != V5 {
		return
	}
	at := len(e.dst)
	e.uint8(0)
	p.encode(e)
	e.seal(at)
}

// varint appends a Variable Byte Integer.
func (e *encoder) varint(n uint32, field string) {
	if n > RemainingLengthMax {
		e.fail(fmt.Errorf("encode %s: %d is more than 268,435,455", field, n))
		return
	}
	e.dst = appendVarint(e.dst, int(n))
}
