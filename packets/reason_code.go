package packets

import "fmt"

// ReasonCode is a v5 Reason Code. Codes of 0x80 and above are failures.
type ReasonCode byte

// The Reason Codes of MQTT 5, in the standard's own words.
const (
	Success                             ReasonCode = 0x00 // also Normal disconnection and Granted QoS 0
	GrantedQoS1                         ReasonCode = 0x01
	GrantedQoS2                         ReasonCode = 0x02
	DisconnectWithWill                  ReasonCode = 0x04
	NoMatchingSubscribers               ReasonCode = 0x10
	NoSubscriptionExisted               ReasonCode = 0x11
	ContinueAuthentication              ReasonCode = 0x18
	ReAuthenticate                      ReasonCode = 0x19
	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// String is the standard's name of the code in lower case, and its number where it has none.
func (c ReasonCode) String() string {
	if int(c) < len(reasonCodes) && reasonCodes[c].name != "" {
		return reasonCodes[c].name
	}
	return fmt.Sprintf("reason code 0x%02X", byte(c))
}

// IsError says whether the code means failure: 0x80 and above.
func (c ReasonCode) IsError() bool { return c >= 0x80 }

// ValidFor says whether the standard lists the code for packets of type t.
func (c ReasonCode) ValidFor(t Type) bool {
	return int(c) < len(reasonCodes) && reasonCodes[c].in.has(t)
}

// The return codes of CONNACK before version 5 [v3.1.1 table 3.1].
const (
	v3Accepted              = 0
	v3UnacceptableVersion   = 1
	v3IdentifierRejected    = 2
	v3ServerUnavailable     = 3
	v3BadUserNameOrPassword = 4
	v3NotAuthorized         = 5
)

// V3Connack is the CONNACK return code of 3.1 and 3.1.1, 0 to 5, that comes nearest: 3 for trouble of the server's,
// which may pass, and 5 for a refusal of the client.
func (c ReasonCode) V3Connack() byte {
	switch c {
	case UnsupportedProtocolVersion:
		return v3UnacceptableVersion
	case ClientIdentifierNotValid:
		return v3IdentifierRejected
	case BadUserNameOrPassword:
		return v3BadUserNameOrPassword
	case UnspecifiedError, ImplementationSpecificError, ServerUnavailable, ServerBusy, ServerShuttingDown,
		QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return v3ServerUnavailable
	}
	if c.IsError() {
		return v3NotAuthorized
	}
	return v3Accepted
}

// fromV3Connack are the Reason Codes for the return codes of CONNACK before version 5.
var fromV3Connack = [...]ReasonCode{
	v3Accepted:              Success,
	v3UnacceptableVersion:   UnsupportedProtocolVersion,
	v3IdentifierRejected:    ClientIdentifierNotValid,
	v3ServerUnavailable:     ServerUnavailable,
	v3BadUserNameOrPassword: BadUserNameOrPassword,
	v3NotAuthorized:         NotAuthorized,
}
