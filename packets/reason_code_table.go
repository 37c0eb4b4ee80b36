package packets

// typeSet is a set of packet types, bit n for type n; bit 0 stands for the will properties in CONNECT.
type typeSet uint16

// has says whether t is in the set.
func (s typeSet) has(t Type) bool { return s&(1<<t) != 0 }

// in is the set of types.
func in(types ...Type) typeSet {
	var s typeSet
	for _, t := range types {
		s |= 1 << t
	}
	return s
}

// reasonCodes holds the name of every Reason Code and the packets that may carry it [v5 section 2.4].
var reasonCodes = [...]struct {
	name string
	in   typeSet
}{
	Success:                             {"success", in(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)},
	GrantedQoS1:                         {"granted qos 1", in(SUBACK)},
	GrantedQoS2:                         {"granted qos 2", in(SUBACK)},
	DisconnectWithWill:                  {"disconnect with will message", in(DISCONNECT)},
	NoMatchingSubscribers:               {"no matching subscribers", in(PUBACK, PUBREC)},
	NoSubscriptionExisted:               {"no subscription existed", in(UNSUBACK)},
	ContinueAuthentication:              {"continue authentication", in(AUTH)},
	ReAuthenticate:                      {"re-authenticate", in(AUTH)},
	UnspecifiedError:                    {"unspecified error", in(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT)},
	MalformedPacket:                     {"malformed packet", in(CONNACK, DISCONNECT)},
	ProtocolError:                       {"protocol error", in(CONNACK, DISCONNECT)},
	ImplementationSpecificError:         {"implementation specific error", in(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT)},
	UnsupportedProtocolVersion:          {"unsupported protocol version", in(CONNACK)},
	ClientIdentifierNotValid:            {"client identifier not valid", in(CONNACK)},
	BadUserNameOrPassword:               {"bad user name or password", in(CONNACK)},
	NotAuthorized:                       {"not authorized", in(CONNACK, PUBACK, PUBREC, SUBACK, UNSUBACK, DISCONNECT)},
	ServerUnavailable:                   {"server unavailable", in(CONNACK)},
	ServerBusy:                          {"server busy", in(CONNACK, DISCONNECT)},
	Banned:                              {"banned", in(CONNACK)},
	ServerShuttingDown:                  {"server shutting down", in(DISCONNECT)},
	BadAuthenticationMethod:             {"bad authentication method", in(CONNACK, DISCONNECT)},
	KeepAliveTimeout:                    {"keep alive timeout", in(DISCONNECT)},
	SessionTakenOver:                    {"session taken over", in(DISCONNECT)},
	TopicFilterInvalid:                  {"topic filter invalid", in(SUBACK, UNSUBACK, DISCONNECT)},
	TopicNameInvalid:                    {"topic name invalid", in(CONNACK, PUBACK, PUBREC, DISCONNECT)},
	PacketIdentifierInUse:               {"packet identifier in use", in(PUBACK, PUBREC, SUBACK, UNSUBACK)},
	PacketIdentifierNotFound:            {"packet identifier not found", in(PUBREL, PUBCOMP)},
	ReceiveMaximumExceeded:              {"receive maximum exceeded", in(DISCONNECT)},
	TopicAliasInvalid:                   {"topic alias invalid", in(DISCONNECT)},
	PacketTooLarge:                      {"packet too large", in(CONNACK, DISCONNECT)},
	MessageRateTooHigh:                  {"message rate too high", in(DISCONNECT)},
	QuotaExceeded:                       {"quota exceeded", in(CONNACK, PUBACK, PUBREC, SUBACK, DISCONNECT)},
	AdministrativeAction:                {"administrative action", in(DISCONNECT)},
	PayloadFormatInvalid:                {"payload format invalid", in(CONNACK, PUBACK, PUBREC, DISCONNECT)},
	RetainNotSupported:                  {"retain not supported", in(CONNACK, DISCONNECT)},
	QoSNotSupported:                     {"qos not supported", in(CONNACK, DISCONNECT)},
	UseAnotherServer:                    {"use another server", in(CONNACK, DISCONNECT)},
	ServerMoved:                         {"server moved", in(CONNACK, DISCONNECT)},
	SharedSubscriptionsNotSupported:     {"shared subscriptions not supported", in(SUBACK, DISCONNECT)},
	ConnectionRateExceeded:              {"connection rate exceeded", in(CONNACK, DISCONNECT)},
	MaximumConnectTime:                  {"maximum connect time", in(DISCONNECT)},
	SubscriptionIdentifiersNotSupported: {"subscription identifiers not supported", in(SUBACK, DISCONNECT)},
	WildcardSubscriptionsNotSupported:   {"wildcard subscriptions not supported", in(SUBACK, DISCONNECT)},
}
