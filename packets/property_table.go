package packets

// will stands for the will properties of CONNECT where a packet type is asked for.
const will Type = 0

// kind is how the value of a property stands on the wire; 0: no such property.
type kind byte

const (
	kindByte kind = iota + 1
	kindTwoByte
	kindFourByte
	kindVarint // Variable Byte Integer
	kindText   // UTF-8 Encoded String
	kindBinary // Binary Data
	kindPair   // UTF-8 String Pair
)

// propertyTable holds the name of every property, how its value is written, and the packets that may carry it
// [v5 section 2.2.2.2].
var propertyTable = [...]struct {
	name string
	kind kind
	in   typeSet
}{
	PropPayloadFormatIndicator:          {"payload format indicator", kindByte, in(PUBLISH, will)},
	PropMessageExpiryInterval:           {"message expiry interval", kindFourByte, in(PUBLISH, will)},
	PropContentType:                     {"content type", kindText, in(PUBLISH, will)},
	PropResponseTopic:                   {"response topic", kindText, in(PUBLISH, will)},
	PropCorrelationData:                 {"correlation data", kindBinary, in(PUBLISH, will)},
	PropSubscriptionIdentifier:          {"subscription identifier", kindVarint, in(PUBLISH, SUBSCRIBE)},
	PropSessionExpiryInterval:           {"session expiry interval", kindFourByte, in(CONNECT, CONNACK, DISCONNECT)},
	PropAssignedClientIdentifier:        {"assigned client identifier", kindText, in(CONNACK)},
	PropServerKeepAlive:                 {"server keep alive", kindTwoByte, in(CONNACK)},
	PropAuthenticationMethod:            {"authentication method", kindText, in(CONNECT, CONNACK, AUTH)},
	PropAuthenticationData:              {"authentication data", kindBinary, in(CONNECT, CONNACK, AUTH)},
	PropRequestProblemInformation:       {"request problem information", kindByte, in(CONNECT)},
	PropWillDelayInterval:               {"will delay interval", kindFourByte, in(will)},
	PropRequestResponseInformation:      {"request response information", kindByte, in(CONNECT)},
	PropResponseInformation:             {"response information", kindText, in(CONNACK)},
	PropServerReference:                 {"server reference", kindText, in(CONNACK, DISCONNECT)},
	PropReasonString:                    {"reason string", kindText, in(CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH)},
	PropReceiveMaximum:                  {"receive maximum", kindTwoByte, in(CONNECT, CONNACK)},
	PropTopicAliasMaximum:               {"topic alias maximum", kindTwoByte, in(CONNECT, CONNACK)},
	PropTopicAlias:                      {"topic alias", kindTwoByte, in(PUBLISH)},
	PropMaximumQoS:                      {"maximum qos", kindByte, in(CONNACK)},
	PropRetainAvailable:                 {"retain available", kindByte, in(CONNACK)},
	PropUserProperty:                    {"user property", kindPair, in(will, CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH)},
	PropMaximumPacketSize:               {"maximum packet size", kindFourByte, in(CONNECT, CONNACK)},
	PropWildcardSubscriptionAvailable:   {"wildcard subscription available", kindByte, in(CONNACK)},
	PropSubscriptionIdentifierAvailable: {"subscription identifier available", kindByte, in(CONNACK)},
	PropSharedSubscriptionAvailable:     {"shared subscription available", kindByte, in(CONNACK)},
}
