package client

import (
	"fmt"

	"nightjar/packets"
)

// refusal is a "no" of the server, in words.
type refusal struct {
	what    string // what was refused: "connection refused"
	code    packets.ReasonCode
	version packets.Version // decides what code means: before MQTT 5 it is a return code
	text    string          // Reason String; may be empty, and is before MQTT 5
}

func (r *refusal) Error() string {
	words := r.code.String()
	if old, ok := returnCodes[r.code]; ok && r.version != packets.V5 {
		words = old
	}
	text := fmt.Sprintf("%s: %s (0x%02X)", r.what, words, byte(r.code))
	if r.text != "" {
		text += ": " + r.text
	}
	return text
}

// returnCodes are the CONNACK return codes of MQTT 3.1 and 3.1.1, and the failure in their SUBACK.
var returnCodes = map[packets.ReasonCode]string{
	1:    "unacceptable protocol version",
	2:    "client identifier rejected",
	3:    "server unavailable",
	4:    "bad user name or password",
	5:    "not authorized",
	0x80: "failure",
}
