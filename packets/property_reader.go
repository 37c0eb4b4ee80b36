package packets

import "bytes"

// propertyReader reads a property block and checks each property: known, allowed in the packet, not there twice,
// well-formed, in range and within the limits.
type propertyReader struct {
	block  cursor
	packet Type
	lim    *Limits
	seen   PropertySet

	// The property that next read: its value in number or value; name only of a User Property.
	id          PropertyID
	number      uint32
	name, value []byte

	userCount, userBytes int // of User Properties so far
}

// more says whether there is another property to read.
func (r *propertyReader) more() bool { return len(r.block.rest) > 0 }

// next reads one property.
func (r *propertyReader) next() error {
	r.id = PropertyID(r.block.rest[0])
	r.block.rest = r.block.rest[1:]
	if r.id.kind() == 0 {
		return Errorf(MalformedPacket, "", "unknown property 0x%02X", byte(r.id))
	}
	if !propertyTable[r.id].in.has(r.packet) {
		if r.packet == will {
			return Errorf(MalformedPacket, "", "%v is no will property", r.id)
		}
		return Errorf(MalformedPacket, "", "%v in %v", r.id, r.packet)
	}
	if r.seen.Has(r.id) && !r.mayRepeat() {
		return Errorf(ProtocolError, "", "%v more than once", r.id)
	}
	r.seen.Add(r.id)
	if err := r.read(); err != nil {
		return err
	}
	return r.check()
}

func (r *propertyReader) mayRepeat() bool {
	return r.id == PropUserProperty || r.id == PropSubscriptionIdentifier && r.packet == PUBLISH
}

// read takes the value from the block.
func (r *propertyReader) read() (err error) {
	name := propertyTable[r.id].name
	switch r.id.kind() {
	case kindByte:
		var n byte
		n, err = r.block.uint8(name)
		r.number = uint32(n)
	case kindTwoByte:
		var n uint16
		n, err = r.block.uint16(name)
		r.number = uint32(n)
	case kindFourByte:
		r.number, err = r.block.uint32(name)
	case kindVarint:
		r.number, err = r.block.varint(name)
	case kindText:
		r.value, err = r.block.text(name)
	case kindBinary:
		r.value, err = r.block.binary(name)
	case kindPair: // [v5 MQTT-1.5.7-1]
		if r.name, err = r.block.text(name); err == nil {
			r.value, err = r.block.text(name)
		}
	}
	return err
}

// check holds the ranges and the limits.
func (r *propertyReader) check() error {
	switch r.id {
	case PropTopicAlias:
		if r.number == 0 {
			return Errorf(TopicAliasInvalid, "v5 MQTT-3.3.2-8", "topic alias 0")
		}
		return nil
	case PropReceiveMaximum, PropMaximumPacketSize, PropSubscriptionIdentifier:
		if r.number == 0 {
			return Errorf(ProtocolError, "", "%v 0", r.id)
		}
		return nil
	case PropResponseTopic: // a topic is not bounded by StringBytes
		if len(r.value) == 0 {
			return Errorf(ProtocolError, "v5 MQTT-4.7.3-1", "empty response topic")
		}
		if bytes.ContainsAny(r.value, "+#") {
			return Errorf(ProtocolError, "v5 MQTT-3.3.2-14", "response topic with a wildcard")
		}
		return nil
	}
	switch r.id.kind() {
	case kindByte: // all of them are yes or no, or QoS 0 or 1
		if r.number > 1 {
			return Errorf(ProtocolError, "", "%v %d, neither 0 nor 1", r.id, r.number)
		}
	case kindText:
		if len(r.value) > r.lim.StringBytes {
			return Errorf(MalformedPacket, "", "%v of %d bytes, more than %d", r.id, len(r.value), r.lim.StringBytes)
		}
	case kindPair:
		r.userCount++
		r.userBytes += len(r.name) + len(r.value)
		if r.userCount > r.lim.UserProperties || r.userBytes > r.lim.UserPropertyBytes {
			return Errorf(QuotaExceeded, "", "user properties: more than %d or than %d bytes", r.lim.UserProperties, r.lim.UserPropertyBytes)
		}
	}
	return nil
}
