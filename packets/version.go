package packets

import "fmt"

// Version is the protocol level of a connection: the byte in CONNECT.
type Version byte

// The protocol versions that Nightjar speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return fmt.Sprintf("level 0x%02X", byte(v))
}

// Type is the MQTT Control Packet type, the high four bits of the first byte.
type Type byte

// The MQTT Control Packet types.
const (
	CONNECT Type = iota + 1
	CONNACK
	PUBLISH
	PUBACK
	PUBREC
	PUBREL
	PUBCOMP
	SUBSCRIBE
	SUBACK
	UNSUBSCRIBE
	UNSUBACK
	PINGREQ
	PINGRESP
	DISCONNECT
	AUTH
)

var typeNames = [...]string{
	CONNECT: "CONNECT", CONNACK: "CONNACK", PUBLISH: "PUBLISH", PUBACK: "PUBACK", PUBREC: "PUBREC",
	PUBREL: "PUBREL", PUBCOMP: "PUBCOMP", SUBSCRIBE: "SUBSCRIBE", SUBACK: "SUBACK", UNSUBSCRIBE: "UNSUBSCRIBE",
	UNSUBACK: "UNSUBACK", PINGREQ: "PINGREQ", PINGRESP: "PINGRESP", DISCONNECT: "DISCONNECT", AUTH: "AUTH",
}

func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return fmt.Sprintf("packet type 0x%02X", byte(t))
}

// QoS is a Quality of Service level, 0 to 2.
type QoS byte

// Valid says whether q is 0, 1 or 2.
func (q QoS) Valid() bool { return q <= 2 }

// Instant is a point in time in milliseconds since the Unix epoch, as told by the
// broker's clock, which follows the monotonic clock and so never goes back. 0 is "never".
type Instant int64
