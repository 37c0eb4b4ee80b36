package packets

import "encoding/binary"

// Message is an Application Message, immutable once made and shared by pointer.
type Message struct {
	TopicName string // at most 65,535 bytes
	Payload   []byte
	// Properties are the v5 properties that are forwarded unaltered, encoded, in their order, without their length:
	// what AppendForwarded leaves.
	Properties    []byte
	Expiry        Instant // 0: never
	QoS           QoS     // as published
	Retain        bool
	PublisherID   string // Client Identifier of the publisher
	PublisherUser string // the publisher's authenticated user name
}

// Delivery is what differs between the receivers of one Message. Before v5, only the first four fields count.
type Delivery struct {
	PacketID        uint16 // where QoS is not 0
	QoS             QoS
	Dup, Retain     bool
	TopicAlias      uint16 // 0: none
	OmitTopicName   bool   // send an empty Topic Name (with TopicAlias)
	HasExpiry       bool
	ExpirySeconds   uint32   // what remains [v5 MQTT-3.3.2-6]
	SubscriptionIDs []uint32 // each 1 to RemainingLengthMax
}

// topicName is what stands as Topic Name on the wire.
func (m *Message) topicName(v Version, d *Delivery) string {
	if d.OmitTopicName && v == V5 {
		return ""
	}
	return m.TopicName
}

// propertyBytes is the Property Length of the PUBLISH.
func (m *Message) propertyBytes(d *Delivery) int {
	n := len(m.Properties)
	if d.HasExpiry {
		n += 5
	}
	if d.TopicAlias != 0 {
		n += 3
	}
	for _, id := range d.SubscriptionIDs {
		n += 1 + varintSize(int(id))
	}
	return n
}

// Size is the encoded size of the PUBLISH that Append appends, in bytes. The caller compares it with the receiver's
// Maximum Packet Size [v5 MQTT-3.1.2-27], which also keeps it below what a Remaining Length can say.
func (m *Message) Size(v Version, d *Delivery) int {
	n := m.remaining(v, d, m.propertyBytes(d))
	return 1 + varintSize(n) + n
}

// remaining is the Remaining Length of the PUBLISH.
func (m *Message) remaining(v Version, d *Delivery, propertyBytes int) int {
	n := 2 + len(m.topicName(v, d)) + len(m.Payload)
	if d.QoS > 0 {
		n += 2
	}
	if v == V5 {
		n += varintSize(propertyBytes) + propertyBytes
	}
	return n
}

// Append appends the message as a PUBLISH to one receiver. It allocates only where dst must grow.
func (m *Message) Append(dst []byte, v Version, d *Delivery) []byte {
	propertyBytes := m.propertyBytes(d)
	topicName := m.topicName(v, d)
	dst = AppendHeader(dst, PUBLISH, publishFlags(d.Dup && d.QoS > 0, d.QoS, d.Retain), m.remaining(v, d, propertyBytes))
	dst = append(dst, byte(len(topicName)>>8), byte(len(topicName)))
	dst = append(dst, topicName...)
	if d.QoS > 0 {
		dst = append(dst, byte(d.PacketID>>8), byte(d.PacketID))
	}
	if v == V5 {
		dst = appendVarint(dst, propertyBytes)
		dst = append(dst, m.Properties...)
		if propertyBytes > len(m.Properties) {
			dst = d.appendProperties(dst)
		}
	}
	return append(dst, m.Payload...)
}

// appendProperties appends the properties of one receiver.
func (d *Delivery) appendProperties(dst []byte) []byte {
	if d.HasExpiry {
		dst = binary.BigEndian.AppendUint32(append(dst, byte(PropMessageExpiryInterval)), d.ExpirySeconds)
	}
	if d.TopicAlias != 0 {
		dst = binary.BigEndian.AppendUint16(append(dst, byte(PropTopicAlias)), d.TopicAlias)
	}
	for _, id := range d.SubscriptionIDs {
		dst = appendVarint(append(dst, byte(PropSubscriptionIdentifier)), int(id))
	}
	return dst
}

// PacketIDOffset is where the Packet Identifier of an encoded PUBLISH stands. The frame is one whole PUBLISH at
// QoS 1 or 2 as Append makes it, so that a copy for another receiver needs only its two bytes changed.
func PacketIDOffset(frame []byte) int {
	header := 2
	for frame[header-1] >= 0x80 {
		header++
	}
	return header + 2 + bigEndian16(frame[header:])
}
