package packets

// RemainingLengthMax is the largest Remaining Length that four bytes can hold: 256 MiB less one byte.
const RemainingLengthMax = 268_435_455

// Header is a decoded Fixed Header.
type Header struct {
	Type      Type
	Flags     byte // the low four bits of the first byte
	Remaining int  // Remaining Length in bytes, 0 to RemainingLengthMax
	Size      int  // bytes that the header itself takes, 2 to 5; 0: not complete yet
}

// shortLengths says for each first byte how many of the Remaining Lengths that fit one byte are legal: all 128, only
// 0 for the pings, which have no body, or none where the type or its flags are reserved [v5 MQTT-2.1.3-1].
var shortLengths = [256]byte{
	0x10: 128,            // CONNECT
	0x20: 128,            // CONNACK
	0x30: 128, 0x31: 128, // PUBLISH at QoS 0, never with DUP
	0x32: 128, 0x33: 128, 0x3A: 128, 0x3B: 128, // PUBLISH at QoS 1
	0x34: 128, 0x35: 128, 0x3C: 128, 0x3D: 128, // PUBLISH at QoS 2
	0x40: 128, // PUBACK
	0x50: 128, // PUBREC
	0x62: 128, // PUBREL
	0x70: 128, // PUBCOMP
	0x82: 128, // SUBSCRIBE
	0x90: 128, // SUBACK
	0xA2: 128, // UNSUBSCRIBE
	0xB0: 128, // UNSUBACK
	0xC0: 1,   // PINGREQ
	0xD0: 1,   // PINGRESP
	0xE0: 128, // DISCONNECT
	0xF0: 128, // AUTH
}

// ParseHeader decodes the Fixed Header at the start of b. While b is too short for it, h.Size is 0 and err is nil.
// A reserved type or flag is refused at the first byte, a Remaining Length that is longer than four bytes or than it
// need be as soon as it is seen, all with MalformedPacket. The caller compares h.Remaining with its packet size limit
// before it waits for the body, and refuses AUTH from peers that do not speak version 5.
func ParseHeader(b []byte) (h Header, err error) {
	if len(b) >= 2 && b[1] < shortLengths[b[0]] {
		return Header{Type: Type(b[0] >> 4), Flags: b[0] & 15, Remaining: int(b[1]), Size: 2}, nil
	}
	return parseHeaderSlow(b)
}

// parseHeaderSlow is ParseHeader for long, incomplete and bad headers.
func parseHeaderSlow(b []byte) (Header, error) {
	if len(b) == 0 {
		return Header{}, nil
	}
	if shortLengths[b[0]] == 0 {
		return Header{}, badFirstByte(b[0])
	}
	h := Header{Type: Type(b[0] >> 4), Flags: b[0] & 15}
	for i := 1; i <= 4; i++ {
		if i == len(b) {
			return Header{}, nil
		}
		h.Remaining |= int(b[i]&0x7F) << (7 * (i - 1))
		if b[i] >= 0x80 {
			continue
		}
		if i > 1 && b[i] == 0 {
			return Header{}, Errorf(MalformedPacket, "v5 MQTT-1.5.5-1", "remaining length takes more bytes than it needs")
		}
		if h.Remaining > 0 && shortLengths[b[0]] == 1 {
			return Header{}, Errorf(MalformedPacket, "", "%v with a body", h.Type)
		}
		h.Size = i + 1
		return h, nil
	}
	return Header{}, Errorf(MalformedPacket, "v5 MQTT-1.5.5-1", "remaining length longer than four bytes")
}

// badFirstByte says what is wrong with the first byte of a packet.
func badFirstByte(first byte) *Error {
	t, flags := Type(first>>4), first&15
	switch {
	case t == 0:
		return Errorf(MalformedPacket, "", "packet type 0 is reserved")
	case t == PUBLISH && flags>>1&3 == 3:
		return Errorf(MalformedPacket, "v5 MQTT-3.3.1-4", "PUBLISH with QoS 3")
	case t == PUBLISH:
		return Errorf(MalformedPacket, "v5 MQTT-3.3.1-2", "PUBLISH with DUP at QoS 0")
	}
	return Errorf(MalformedPacket, "v5 MQTT-2.1.3-1", "%v with reserved flags 0x%X", t, flags)
}

// AppendHeader appends a Fixed Header; remaining is 0 to RemainingLengthMax.
func AppendHeader(dst []byte, t Type, flags byte, remaining int) []byte {
	return appendVarint(append(dst, byte(t)<<4|flags), remaining)
}

// fixedFlags are the flags that every packet of a type but PUBLISH carries.
func (t Type) fixedFlags() byte {
	switch t {
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		return 2
	}
	return 0
}

// appendVarint appends a Variable Byte Integer of 0 to RemainingLengthMax in the fewest bytes [v5 MQTT-1.5.5-1].
func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

// varintSize is the number of bytes that appendVarint appends.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}
