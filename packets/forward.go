package packets

// forwarded says whether a property of a PUBLISH or a will reaches every receiver unaltered. The others belong to one
// connection (Topic Alias, Subscription Identifier) or to the broker (Will Delay), or change as time passes (Message
// Expiry Interval). [v5 MQTT-3.3.2-4] [v5 MQTT-3.3.2-15] [v5 MQTT-3.3.2-16] [v5 MQTT-3.3.2-17] [v5 MQTT-3.3.2-20]
func (id PropertyID) forwarded() bool {
	switch id {
	case PropTopicAlias, PropMessageExpiryInterval, PropSubscriptionIdentifier, PropWillDelayInterval:
		return false
	}
	return true
}

// AppendForwarded appends what is forwarded unaltered of a property block, in its order [v5 MQTT-3.3.2-18]: all but
// Topic Alias, Message Expiry Interval, Subscription Identifier and Will Delay Interval. The block has been checked:
// it is Publish.PropertyBlock or Will.PropertyBlock after decoding.
func AppendForwarded(dst, block []byte) []byte {
	for len(block) > 0 {
		n := propertySize(block)
		if PropertyID(block[0]).forwarded() {
			dst = append(dst, block[:n]...)
		}
		block = block[n:]
	}
	return dst
}

// ForwardedSize is the number of bytes that AppendForwarded appends.
func ForwardedSize(block []byte) int {
	size := 0
	for len(block) > 0 {
		n := propertySize(block)
		if PropertyID(block[0]).forwarded() {
			size += n
		}
		block = block[n:]
	}
	return size
}

// propertySize is the number of bytes that the first property of a checked block takes.
func propertySize(block []byte) int {
	switch PropertyID(block[0]).kind() {
	case kindByte:
		return 2
	case kindTwoByte:
		return 3
	case kindFourByte:
		return 5
	case kindVarint:
		n := 2
		for block[n-1] >= 0x80 {
			n++
		}
		return n
	case kindText, kindBinary:
		return 3 + bigEndian16(block[1:])
	case kindPair:
		name := 3 + bigEndian16(block[1:])
		return name + 2 + bigEndian16(block[name:])
	}
	panic("BUG: unchecked property block")
}

func bigEndian16(b []byte) int { return int(b[0])<<8 | int(b[1]) }
