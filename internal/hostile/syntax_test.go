package hostile

import (
	"encoding/hex"
	"fmt"
	"strings"

	"nightjar/packets"
)

// A row's bytes are written as
//
//	10 'MQTT' @ 02 003c {} 'p'
//
// where the first byte is followed by a Remaining Length that fits, unless the text begins with =, and
//
//	0a1b     are bytes
//	'text'   is text with its length in two bytes
//	"text"   is text
//	@        is the protocol level, 04 or 05
//	{ 2101 } is a property block, with its length; nothing in 3.1.1
func encode(text string, v packets.Version) []byte {
	rest, raw := strings.CutPrefix(text, "=")
	b := encodeParts(&rest, v)
	if raw {
		return b
	}
	return append(packets.AppendHeader(nil, packets.Type(b[0]>>4), b[0]&15, len(b)-1), b[1:]...)
}

// encodeParts encodes up to a } or the end.
func encodeParts(rest *string, v packets.Version) (b []byte) {
	for *rest != "" {
		c := (*rest)[0]
		switch c {
		case ' ':
			*rest = (*rest)[1:]
		case '\'', '"':
			text, after, _ := strings.Cut((*rest)[1:], string(c))
			if c == '\'' {
				b = append(b, byte(len(text)>>8), byte(len(text)))
			}
			b = append(b, text...)
			*rest = after
		case '@':
			b = append(b, byte(v))
			*rest = (*rest)[1:]
		case '{':
			*rest = (*rest)[1:]
			block := encodeParts(rest, v)
			if v >= packets.V5 {
				b = append(appendVarint(b, len(block)), block...)
			}
		case '}':
			*rest = (*rest)[1:]
			return b
		default:
			x, err := hex.DecodeString((*rest)[:2])
			if err != nil {
				panic(fmt.Sprintf("row: %q: %v", *rest, err))
			}
			b = append(b, x...)
			*rest = (*rest)[2:]
		}
	}
	return b
}

func appendVarint(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// token writes a packet of the broker's as the rows do: C:85 is CONNACK, A PUBACK, R PUBREC, L PUBREL, P PUBCOMP, S
// SUBACK, U UNSUBACK, D DISCONNECT, each with its codes, and M:t PUBLISH.
func token(p any, v packets.Version) string {
	code := func(letter string, codes ...packets.ReasonCode) string {
		var s []string
		for _, c := range codes {
			s = append(s, fmt.Sprintf("%02X", byte(c)))
		}
		return letter + ":" + strings.Join(s, ",")
	}
	switch p := p.(type) {
	case *packets.Connack:
		if v < packets.V5 {
			return fmt.Sprintf("C:%02X", p.ReasonCode.V3Connack())
		}
		return code("C", p.ReasonCode)
	case *packets.Ack:
		return code(map[packets.Type]string{packets.PUBACK: "A", packets.PUBREC: "R", packets.PUBREL: "L", packets.PUBCOMP: "P"}[p.Type], p.ReasonCode)
	case *packets.Suback:
		return code("S", p.ReasonCodes...)
	case *packets.Unsuback:
		return code("U", p.ReasonCodes...)
	case *packets.Disconnect:
		return code("D", p.ReasonCode)
	case *packets.Publish:
		return "M:" + string(p.TopicName)
	}
	return fmt.Sprintf("%T", p)
}

// outcome joins the answers: C and D with a failure close the connection, and "close" is said where nothing else says
// it; "open" stands for no answer.
func outcome(tokens []string, closed bool) string {
	last := ""
	if len(tokens) > 0 {
		last = tokens[len(tokens)-1]
	}
	told := strings.HasPrefix(last, "D:") || strings.HasPrefix(last, "C:") && last != "C:00"
	switch {
	case closed && !told:
		tokens = append(tokens, "close")
	case !closed && told:
		tokens = append(tokens, "(not closed)")
	case len(tokens) == 0:
		return "open"
	}
	return strings.Join(tokens, " ")
}
