package packets

import "math/bits"

// PropertySet is a set of property identifiers, bit n for identifier n.
type PropertySet uint64

// Has says whether the set holds id.
func (s PropertySet) Has(id PropertyID) bool { return s&(1<<id) != 0 }

// Add puts ids into the set.
func (s *PropertySet) Add(ids ...PropertyID) {
	for _, id := range ids {
		*s |= 1 << id
	}
}

// UserProperty is one name and value pair; views into the packet.
type UserProperty struct{ Name, Value []byte }

// Properties holds the properties of every packet but PUBLISH. Byte slices are views into the packet.
//
// Invariant: only the fields whose identifier is in Present mean anything, to the decoder, which leaves the others as
// they were, and to the encoder, which leaves them out.
type Properties struct {
	Present                         PropertySet
	PayloadFormatIndicator          byte
	RequestProblemInformation       byte
	RequestResponseInformation      byte
	MaximumQoS                      byte
	RetainAvailable                 byte
	WildcardSubscriptionAvailable   byte
	SubscriptionIdentifierAvailable byte
	SharedSubscriptionAvailable     byte
	ServerKeepAlive                 uint16 // seconds
	ReceiveMaximum                  uint16 // 1 to 65,535
	TopicAliasMaximum               uint16
	MessageExpiryInterval           uint32 // seconds
	SessionExpiryInterval           uint32 // seconds; 0xFFFFFFFF: never
	WillDelayInterval               uint32 // seconds
	MaximumPacketSize               uint32 // bytes, 1 and up
	SubscriptionIdentifier          uint32 // 1 to RemainingLengthMax
	ContentType                     []byte
	ResponseTopic                   []byte
	CorrelationData                 []byte
	AssignedClientIdentifier        []byte
	AuthenticationMethod            []byte
	AuthenticationData              []byte
	ResponseInformation             []byte
	ServerReference                 []byte
	ReasonString                    []byte
	UserProperties                  []UserProperty // in the order of the packet
}

// reset forgets the properties of the packet before; the slice of user properties is used again.
func (p *Properties) reset() {
	p.Present = 0
	p.UserProperties = p.UserProperties[:0]
}

// decode reads the property block of a packet of type t.
func (p *Properties) decode(t Type, block []byte, lim *Limits) error {
	r := propertyReader{block: cursor{block}, packet: t, lim: lim}
	for r.more() {
		if err := r.next(); err != nil {
			return err
		}
		p.set(&r)
	}
	p.Present = r.seen
	if p.Present.Has(PropAuthenticationData) && !p.Present.Has(PropAuthenticationMethod) {
		return Errorf(ProtocolError, "", "authentication data without an authentication method")
	}
	return nil
}

// set stores the property that r stands at.
func (p *Properties) set(r *propertyReader) {
	switch r.id.kind() {
	case kindByte:
		*p.byteField(r.id) = byte(r.number)
	case kindTwoByte:
		*p.twoByteField(r.id) = uint16(r.number)
	case kindFourByte, kindVarint:
		*p.fourByteField(r.id) = r.number
	case kindText, kindBinary:
		*p.bytesField(r.id) = r.value
	case kindPair:
		p.UserProperties = append(p.UserProperties, UserProperty{r.name, r.value})
	}
}

// Append appends the properties as they stand on the wire, in the order of their identifiers and without the property
// length before them: what Publish.PropertyBlock holds.
func (p *Properties) Append(dst []byte) ([]byte, error) {
	e := encoder{dst: dst, start: len(dst)}
	p.encode(&e)
	if e.err != nil {
		return dst, e.err
	}
	return e.dst, nil
}

func (p *Properties) encode(e *encoder) {
	for left := p.Present; left != 0; left &= left - 1 {
		id := PropertyID(bits.TrailingZeros64(uint64(left)))
		switch id.kind() {
		case kindByte:
			e.uint8(byte(id))
			e.uint8(*p.byteField(id))
		case kindTwoByte:
			e.uint8(byte(id))
			e.uint16(*p.twoByteField(id))
		case kindFourByte:
			e.uint8(byte(id))
			e.uint32(*p.fourByteField(id))
		case kindVarint:
			e.uint8(byte(id))
			e.varint(*p.fourByteField(id), id.String())
		case kindText, kindBinary:
			e.uint8(byte(id))
			e.binary(*p.bytesField(id), id.String())
		case kindPair:
			for _, u := range p.UserProperties {
				e.uint8(byte(id))
				e.binary(u.Name, "user property name")
				e.binary(u.Value, "user property value")
			}
		}
	}
}

func (p *Properties) byteField(id PropertyID) *byte {
	switch id {
	case PropPayloadFormatIndicator:
		return &p.PayloadFormatIndicator
	case PropRequestProblemInformation:
		return &p.RequestProblemInformation
	case PropRequestResponseInformation:
		return &p.RequestResponseInformation
	case PropMaximumQoS:
		return &p.MaximumQoS
	case PropRetainAvailable:
		return &p.RetainAvailable
	case PropWildcardSubscriptionAvailable:
		return &p.WildcardSubscriptionAvailable
	case PropSubscriptionIdentifierAvailable:
		return &p.SubscriptionIdentifierAvailable
	case PropSharedSubscriptionAvailable:
		return &p.SharedSubscriptionAvailable
	}
	panic("BUG: no one-byte field for " + id.String())
}

func (p *Properties) twoByteField(id PropertyID) *uint16 {
	switch id {
	case PropServerKeepAlive:
		return &p.ServerKeepAlive
	case PropReceiveMaximum:
		return &p.ReceiveMaximum
	case PropTopicAliasMaximum:
		return &p.TopicAliasMaximum
	}
	panic("BUG: no two-byte field for " + id.String())
}

func (p *Properties) fourByteField(id PropertyID) *uint32 {
	switch id {
	case PropMessageExpiryInterval:
		return &p.MessageExpiryInterval
	case PropSessionExpiryInterval:
		return &p.SessionExpiryInterval
	case PropWillDelayInterval:
		return &p.WillDelayInterval
	case PropMaximumPacketSize:
		return &p.MaximumPacketSize
	case PropSubscriptionIdentifier:
		return &p.SubscriptionIdentifier
	}
	panic("BUG: no four-byte field for " + id.String())
}

func (p *Properties) bytesField(id PropertyID) *[]byte {
	switch id {
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropCorrelationData:
		return &p.CorrelationData
	case PropAssignedClientIdentifier:
		return &p.AssignedClientIdentifier
	case PropAuthenticationMethod:
		return &p.AuthenticationMethod
	case PropAuthenticationData:
		return &p.AuthenticationData
	case PropResponseInformation:
		return &p.ResponseInformation
	case PropServerReference:
		return &p.ServerReference
	case PropReasonString:
		return &p.ReasonString
	}
	panic("BUG: no bytes field for " + id.String())
}
