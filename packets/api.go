package packets

// Version is the protocol level of a connection: the byte in CONNECT.
type Version byte

// The protocol versions that Nightjar speaks.
const (
	V31  Version = 3 // MQTT 3.1, protocol name MQIsdp
	V311 Version = 4 // MQTT 3.1.1
	V5   Version = 5 // MQTT 5.0
)

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

// QoS is a Quality of Service level, 0 to 2.
type QoS byte

// Instant is a point in time in milliseconds since the Unix epoch, as told by the
// broker's clock, which follows the monotonic clock and so never goes back. 0 is "never".
type Instant int64

// Header is a decoded Fixed Header.
type Header struct {
	Type      Type
	Flags     byte // the low four bits of the first byte
	Remaining int  // Remaining Length in bytes, 0 to 268,435,455
	Size      int  // bytes that the header itself takes, 2 to 5; 0: not complete yet
}

// Limits bounds what one packet may make the decoder keep.
type Limits struct {
	UserProperties    int // count per packet
	UserPropertyBytes int // sum of names and values per packet
	StringBytes       int // any UTF-8 string other than topics
	Filters           int // topic filters per SUBSCRIBE or UNSUBSCRIBE
}

// UserProperty is one name and value pair; views into the packet.
type UserProperty struct{ Name, Value []byte }

// Properties holds the properties of every packet but PUBLISH. Byte slices are views
// into the packet. Only the fields whose identifier is in Present mean anything.
type Properties struct {
	Present                    PropertySet
	PayloadFormatIndicator     byte
	RequestProblemInformation  byte
	RequestResponseInformation byte
	MaximumQoS                 byte
	RetainAvailable            byte
	WildcardSubscriptionAvailable   byte
	SubscriptionIdentifierAvailable byte
	SharedSubscriptionAvailable     byte
	ServerKeepAlive        uint16
	ReceiveMaximum         uint16
	TopicAliasMaximum      uint16
	MessageExpiryInterval  uint32 // seconds
	SessionExpiryInterval  uint32 // seconds
	WillDelayInterval      uint32 // seconds
	MaximumPacketSize      uint32 // bytes
	SubscriptionIdentifier uint32
	ContentType              []byte
	ResponseTopic            []byte
	CorrelationData          []byte
	AssignedClientIdentifier []byte
	AuthenticationMethod     []byte
	AuthenticationData       []byte
	ResponseInformation      []byte
	ServerReference          []byte
	ReasonString             []byte
	UserProperties           []UserProperty
}

// Connect is a CONNECT packet; byte slices are views into the packet.
type Connect struct {
	Version    Version
	CleanStart bool // Clean Session in 3.1 and 3.1.1, where it also ends the session at disconnection
	HasWill, HasUserName, HasPassword bool
	KeepAliveSeconds uint16
	ClientID   []byte
	UserName   []byte
	Password   []byte
	Properties Properties
	Will       Will
}

// Will is the Will of a CONNECT packet.
type Will struct {
	QoS        QoS
	Retain     bool
	TopicName  []byte
	Payload    []byte
	PropertyBlock []byte // the will properties as received, without their length
	Properties Properties
}

// Connack is a CONNACK packet.
type Connack struct {
	SessionPresent bool
	ReasonCode     ReasonCode // a v5 code; Append maps it to a 3.1.1 return code for older versions
	Properties     Properties
}

// Publish is a PUBLISH packet as received; byte slices are views into the packet.
type Publish struct {
	Dup, Retain bool
	QoS         QoS
	PacketID    uint16 // 0 where QoS is 0
	TopicName   []byte // may be empty in v5 where a Topic Alias is set
	Payload     []byte
	// PropertyBlock is the checked v5 property block as received, without its length.
	PropertyBlock []byte
	// Plain says that PropertyBlock holds only properties that are forwarded unaltered
	// (no Topic Alias, no Message Expiry Interval, no Subscription Identifier).
	Plain bool
	HasMessageExpiryInterval bool
	HasPayloadFormatIndicator bool
	PayloadFormatIndicator   byte
	TopicAlias               uint16 // 0: none. (An alias of 0 on the wire is refused with 0x94.)
	MessageExpiryInterval    uint32 // seconds
	SubscriptionIdentifiers  []uint32 // only ever from a server
	ResponseTopic            []byte
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet.
type Ack struct {
	Type       Type
	PacketID   uint16
	ReasonCode ReasonCode
	Properties Properties // ReasonString and UserProperties only
}

// SubscriptionOptions are the options byte of one filter in SUBSCRIBE.
type SubscriptionOptions struct {
	QoS               QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0, 1 or 2
}

// Subscription is one Topic Filter with its options; TopicFilter is a view.
type Subscription struct {
	TopicFilter []byte
	Options     SubscriptionOptions
}

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID      uint16
	Properties    Properties
	Subscriptions []Subscription
}

// Suback is a SUBACK packet.
type Suback struct {
	PacketID    uint16
	Properties  Properties
	ReasonCodes []ReasonCode
}

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID     uint16
	Properties   Properties
	TopicFilters [][]byte
}

// Unsuback is an UNSUBACK packet (3.1.1 has no reason codes).
type Unsuback struct {
	PacketID    uint16
	Properties  Properties
	ReasonCodes []ReasonCode
}

// Disconnect is a DISCONNECT packet.
type Disconnect struct {
	ReasonCode ReasonCode
	Properties Properties
}

// Auth is an AUTH packet (v5 only).
type Auth struct {
	ReasonCode ReasonCode
	Properties Properties
}

// ReasonCode is a v5 Reason Code.
type ReasonCode byte

// PropertySet is a set of property identifiers, bit n for identifier n.
type PropertySet uint64

// Error is a fault of the peer.
type Error struct {
	Code   ReasonCode // what the peer is told
	Reason string     // Reason String for the peer: short, lower case, no secrets
	Spec   string     // the statement broken, "v5 MQTT-1.5.5-1", or empty
	Err    error      // more for the log, or nil
}

// Message is an Application Message, immutable once made and shared by pointer.
type Message struct {
	TopicName  string
	Payload    []byte
	// Properties are the v5 properties that are forwarded unaltered, encoded, in their order.
	Properties []byte
	Expiry     Instant // 0: never
	QoS        QoS
	Retain     bool
	PublisherID   string // Client Identifier of the publisher
	PublisherUser string // the publisher's authenticated user name
}

// Delivery is what differs between the receivers of one Message.
type Delivery struct {
	PacketID        uint16
	QoS             QoS
	Dup, Retain     bool
	TopicAlias      uint16 // 0: none
	OmitTopicName   bool   // send an empty Topic Name (with TopicAlias)
	HasExpiry       bool
	ExpirySeconds   uint32 // what remains
	SubscriptionIDs []uint32
}
