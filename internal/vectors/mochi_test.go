package vectors

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"nightjar/packets"
)

// mochiVector is one of mochi-packets.json: a packet as bytes, as fields, or both.
type mochiVector struct {
	Name, Group, Kind string // kind: valid or invalid
	Hex, HexEncoded   string
	PacketType        packets.Type
	ProtocolVersion   packets.Version
	ReasonCode        packets.ReasonCode // of what is invalid
	Packet            *mochiPacket
}

// mochiPacket holds the fields of a packet under the names of that project.
type mochiPacket struct {
	FixedHeader struct {
		QoS         packets.QoS
		Dup, Retain bool
	}
	Connect struct {
		Clean, PasswordFlag, UsernameFlag, WillFlag, WillRetain bool
		ClientIdentifier, WillTopic                             string
		Keepalive                                               uint16
		ProtocolName, Username, Password, WillPayload           hexBytes
		WillQoS                                                 packets.QoS
		WillProperties                                          mochiProperties
	}
	Filters []struct {
		Filter                     string
		QoS                        packets.QoS
		NoLocal, RetainAsPublished bool
		RetainHandling             byte
		Identifier                 uint32
	}
	Mods struct {
		MaxSize int // of the receiver
	}
	PacketID             uint16
	Payload, ReasonCodes hexBytes
	Properties           mochiProperties
	ReasonCode           packets.ReasonCode
	ReservedBit          byte
	SessionPresent       bool
	TopicName            string
}

type mochiProperties struct {
	PayloadFormat                                                        byte
	PayloadFormatFlag                                                    bool
	RequestProblemInfo, RequestResponseInfo, MaximumQoS, RetainAvailable byte
	WildcardSubAvailable, SubIDAvailable, SharedSubAvailable             byte
	ServerKeepAlive, ReceiveMaximum, TopicAliasMaximum, TopicAlias       uint16
	TopicAliasFlag                                                       bool
	MessageExpiryInterval, SessionExpiryInterval                         uint32
	WillDelayInterval, MaximumPacketSize                                 uint32
	SubscriptionIdentifier                                               []uint32
	ContentType, ResponseTopic, AssignedClientID                         string
	AuthenticationMethod, ResponseInfo, ServerReference, ReasonString    string
	CorrelationData, AuthenticationData                                  hexBytes
	User                                                                 []struct{ Key, Val string }
}

// hexBytes is {"hex": "..."}.
type hexBytes []byte

func (b *hexBytes) UnmarshalJSON(text []byte) error {
	var v struct{ Hex string }
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	var err error
	*b, err = hex.DecodeString(v.Hex)
	return err
}

// TestMochiPackets decodes and encodes all packets. Where packets differs by meaning, testdata/differences.txt says why.
func TestMochiPackets(t *testing.T) {
	var all []mochiVector
	load(t, "mochi-packets.json", &all)
	if len(all) < 170 {
		t.Fatalf("only %d packets", len(all))
	}
	known := loadDifferences(t, "mochi")
	seen := map[string]int{}
	for i := range all {
		vec := &all[i]
		id := fmt.Sprintf("mochi %v %s", vec.PacketType, vec.Name)
		if seen[id]++; seen[id] > 1 {
			id = fmt.Sprintf("%s (%d)", id, seen[id])
		}
		known.settle(t, id, vec.check())
	}
	known.finish(t)
}

// version is the version that the packet is for. Where none is given it is 3.1.1, or 5 for fields that only that has.
func (vec *mochiVector) version() packets.Version {
	switch {
	case vec.ProtocolVersion != 0:
		return vec.ProtocolVersion
	case vec.PacketType == packets.AUTH, vec.Hex == "" && vec.PacketType != packets.CONNECT:
		return packets.V5
	}
	return packets.V311
}

// check returns how ours differs.
func (vec *mochiVector) check() error {
	switch {
	case vec.Kind == "invalid":
		return vec.checkInvalid()
	case vec.Hex == "":
		return nil // data for a test of something else
	case vec.HexEncoded != "":
		return vec.checkEncoded(vec.HexEncoded)
	}
	p, err := vec.decode()
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	again, err := p.Append(nil, vec.version())
	if err != nil {
		return fmt.Errorf("encode again: %w", err)
	}
	if vec.Group == "reference" {
		return nil // no fields are given
	}
	return vec.checkEncoded(hex.EncodeToString(again))
}

// checkEncoded holds that the fields are encoded to the bytes.
func (vec *mochiVector) checkEncoded(expected string) error {
	p, err := vec.make()
	if err != nil {
		return err
	}
	got, err := p.Append(nil, vec.version())
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if hex.EncodeToString(got) != expected {
		return fmt.Errorf("the fields mean %x, the bytes mean %s", got, expected)
	}
	return nil
}

// checkInvalid holds that bytes cannot be decoded, and that fields cannot be encoded, or not to what can be decoded.
func (vec *mochiVector) checkInvalid() error {
	if vec.Hex != "" {
		switch _, err := vec.decode(); {
		case err == nil && vec.Group != "encode":
			return errors.New("decoded")
		case err != nil && !fits(packets.ReasonCodeOf(err), vec.ReasonCode):
			return fmt.Errorf("%w; theirs 0x%02X", err, byte(vec.ReasonCode))
		case err != nil:
			return nil
		}
	}
	p, err := vec.make()
	if err != nil {
		return nil
	}
	v := vec.version()
	frame, err := p.Append(nil, v)
	if err != nil {
		return nil
	}
	made := mochiVector{PacketType: vec.PacketType, ProtocolVersion: v, Hex: hex.EncodeToString(frame)}
	if _, err := made.decode(); err == nil {
		return fmt.Errorf("encoded to %x, and decoded", frame)
	}
	return nil
}

// packet is any packet of package packets.
type packet interface {
	Append(dst []byte, v packets.Version) ([]byte, error)
}

// connect gives Connect the Append of the others.
type connect struct{ packets.Connect }

func (p *connect) Append(dst []byte, _ packets.Version) ([]byte, error) { return p.Connect.Append(dst) }

// ping is a packet without a body.
type ping packets.Type

func (p ping) Append(dst []byte, _ packets.Version) ([]byte, error) {
	return packets.AppendHeader(dst, packets.Type(p), 0, 0), nil
}

// decode decodes the bytes. Those of group decode are a body behind two bytes that mean nothing.
func (vec *mochiVector) decode() (packet, error) {
	frame, err := hex.DecodeString(vec.Hex)
	if err != nil {
		return nil, err
	}
	h := packets.Header{Type: vec.PacketType, Flags: frame[0] & 15, Size: 2}
	if vec.Group != "decode" {
		if h, err = packets.ParseHeader(frame); err != nil {
			return nil, err
		}
		if h.Size+h.Remaining > len(frame) {
			return nil, errors.New("the packet is not whole")
		}
	}
	body, v := frame[h.Size:], vec.version()
	switch h.Type {
	case packets.CONNECT:
		p := new(connect)
		return p, p.Decode(h, body, nil)
	case packets.CONNACK:
		p := new(packets.Connack)
		return p, p.Decode(h, body, v, nil)
	case packets.PUBLISH:
		p := new(packets.Publish)
		return p, p.Decode(h, body, v, nil)
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		p := new(packets.Ack)
		return p, p.Decode(h, body, v, nil)
	case packets.SUBSCRIBE:
		p := new(packets.Subscribe)
		return p, p.Decode(h, body, v, nil)
	case packets.SUBACK:
		p := new(packets.Suback)
		return p, p.Decode(h, body, v, nil)
	case packets.UNSUBSCRIBE:
		p := new(packets.Unsubscribe)
		return p, p.Decode(h, body, v, nil)
	case packets.UNSUBACK:
		p := new(packets.Unsuback)
		return p, p.Decode(h, body, v, nil)
	case packets.DISCONNECT:
		p := new(packets.Disconnect)
		return p, p.Decode(h, body, v, nil)
	case packets.AUTH:
		p := new(packets.Auth)
		return p, p.Decode(h, body, v, nil)
	}
	return ping(h.Type), nil
}

// make makes a packet of the fields. It fails for fields that our packets cannot hold.
func (vec *mochiVector) make() (packet, error) {
	m := vec.Packet
	if m == nil {
		return nil, errors.New("no fields")
	}
	properties := m.Properties.ours()
	var codes []packets.ReasonCode
	for _, c := range m.ReasonCodes {
		codes = append(codes, packets.ReasonCode(c))
	}
	switch vec.PacketType {
	case packets.CONNECT:
		return vec.makeConnect(m)
	case packets.CONNACK:
		code := m.ReasonCode
		if vec.version() != packets.V5 {
			for c := range packets.ReasonCode(0xFF) {
				if c.ValidFor(packets.CONNACK) && c.IsError() && c.V3Connack() == byte(code) {
					code = c
				}
			}
		}
		return &packets.Connack{SessionPresent: m.SessionPresent, ReasonCode: code, Properties: properties}, nil
	case packets.PUBLISH:
		return &packets.Publish{
			Dup: m.FixedHeader.Dup, Retain: m.FixedHeader.Retain, QoS: m.FixedHeader.QoS, PacketID: m.PacketID,
			TopicName: []byte(m.TopicName), Payload: m.Payload, PropertyBlock: m.Properties.block(),
		}, nil
	case packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP:
		return &packets.Ack{Type: vec.PacketType, PacketID: m.PacketID, ReasonCode: m.ReasonCode, Properties: properties}, nil
	case packets.SUBSCRIBE:
		p := &packets.Subscribe{PacketID: m.PacketID, Properties: properties}
		for _, f := range m.Filters {
			if f.Identifier > p.Properties.SubscriptionIdentifier {
				p.Properties.SubscriptionIdentifier = f.Identifier
				p.Properties.Present.Add(packets.PropSubscriptionIdentifier)
			}
			p.Subscriptions = append(p.Subscriptions, packets.Subscription{
				TopicFilter: []byte(f.Filter),
				Options: packets.SubscriptionOptions{
					QoS: f.QoS, NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished, RetainHandling: f.RetainHandling,
				},
			})
		}
		return p, nil
	case packets.SUBACK:
		return &packets.Suback{PacketID: m.PacketID, Properties: properties, ReasonCodes: codes}, nil
	case packets.UNSUBSCRIBE:
		p := &packets.Unsubscribe{PacketID: m.PacketID, Properties: properties}
		for _, f := range m.Filters {
			p.TopicFilters = append(p.TopicFilters, []byte(f.Filter))
		}
		return p, nil
	case packets.UNSUBACK:
		return &packets.Unsuback{PacketID: m.PacketID, Properties: properties, ReasonCodes: codes}, nil
	case packets.DISCONNECT:
		return &packets.Disconnect{ReasonCode: m.ReasonCode, Properties: properties}, nil
	case packets.AUTH:
		return &packets.Auth{ReasonCode: m.ReasonCode, Properties: properties}, nil
	}
	return ping(vec.PacketType), nil
}

func (vec *mochiVector) makeConnect(m *mochiPacket) (packet, error) {
	c := &m.Connect
	if name := string(c.ProtocolName); name != "MQTT" && name != "MQIsdp" || m.ReservedBit != 0 {
		return nil, errors.New("our CONNECT has only names of the protocol, and no reserved flag")
	}
	if c.ClientIdentifier == "" && vec.Group == "validate" {
		c.ClientIdentifier = "zen" // so that nothing is wrong but what is meant to be
	}
	return &connect{packets.Connect{
		Version: vec.version(), CleanStart: c.Clean, KeepAliveSeconds: c.Keepalive, ClientID: []byte(c.ClientIdentifier),
		HasUserName: c.UsernameFlag, UserName: c.Username, HasPassword: c.PasswordFlag, Password: c.Password,
		Properties: m.Properties.ours(),
		HasWill:    c.WillFlag,
		Will: packets.Will{
			QoS: c.WillQoS, Retain: c.WillRetain, TopicName: []byte(c.WillTopic), Payload: c.WillPayload,
			Properties: c.WillProperties.ours(),
		},
	}}, nil
}

// ours are the properties without those that only PUBLISH has. What is not zero is present.
func (m *mochiProperties) ours() packets.Properties {
	p := packets.Properties{
		PayloadFormatIndicator: m.PayloadFormat, RequestProblemInformation: m.RequestProblemInfo,
		RequestResponseInformation: m.RequestResponseInfo, MaximumQoS: m.MaximumQoS, RetainAvailable: m.RetainAvailable,
		WildcardSubscriptionAvailable: m.WildcardSubAvailable, SubscriptionIdentifierAvailable: m.SubIDAvailable,
		SharedSubscriptionAvailable: m.SharedSubAvailable, ServerKeepAlive: m.ServerKeepAlive,
		ReceiveMaximum: m.ReceiveMaximum, TopicAliasMaximum: m.TopicAliasMaximum,
		MessageExpiryInterval: m.MessageExpiryInterval, SessionExpiryInterval: m.SessionExpiryInterval,
		WillDelayInterval: m.WillDelayInterval, MaximumPacketSize: m.MaximumPacketSize,
		ContentType: []byte(m.ContentType), ResponseTopic: []byte(m.ResponseTopic), CorrelationData: m.CorrelationData,
		AssignedClientIdentifier: []byte(m.AssignedClientID), AuthenticationMethod: []byte(m.AuthenticationMethod),
		AuthenticationData: m.AuthenticationData, ResponseInformation: []byte(m.ResponseInfo),
		ServerReference: []byte(m.ServerReference), ReasonString: []byte(m.ReasonString),
	}
	for _, u := range m.User {
		p.UserProperties = append(p.UserProperties, packets.UserProperty{Name: []byte(u.Key), Value: []byte(u.Val)})
	}
	if len(m.SubscriptionIdentifier) == 1 {
		p.SubscriptionIdentifier = m.SubscriptionIdentifier[0]
	}
	for id, present := range map[packets.PropertyID]bool{
		packets.PropPayloadFormatIndicator:          m.PayloadFormatFlag,
		packets.PropRequestProblemInformation:       m.RequestProblemInfo != 0,
		packets.PropRequestResponseInformation:      m.RequestResponseInfo != 0,
		packets.PropMaximumQoS:                      m.MaximumQoS != 0,
		packets.PropRetainAvailable:                 m.RetainAvailable != 0,
		packets.PropWildcardSubscriptionAvailable:   m.WildcardSubAvailable != 0,
		packets.PropSubscriptionIdentifierAvailable: m.SubIDAvailable != 0,
		packets.PropSharedSubscriptionAvailable:     m.SharedSubAvailable != 0,
		packets.PropServerKeepAlive:                 m.ServerKeepAlive != 0,
		packets.PropReceiveMaximum:                  m.ReceiveMaximum != 0,
		packets.PropTopicAliasMaximum:               m.TopicAliasMaximum != 0,
		packets.PropMessageExpiryInterval:           m.MessageExpiryInterval != 0,
		packets.PropSessionExpiryInterval:           m.SessionExpiryInterval != 0,
		packets.PropWillDelayInterval:               m.WillDelayInterval != 0,
		packets.PropMaximumPacketSize:               m.MaximumPacketSize != 0,
		packets.PropContentType:                     m.ContentType != "",
		packets.PropResponseTopic:                   m.ResponseTopic != "",
		packets.PropCorrelationData:                 m.CorrelationData != nil,
		packets.PropAssignedClientIdentifier:        m.AssignedClientID != "",
		packets.PropAuthenticationMethod:            m.AuthenticationMethod != "",
		packets.PropAuthenticationData:              m.AuthenticationData != nil,
		packets.PropResponseInformation:             m.ResponseInfo != "",
		packets.PropServerReference:                 m.ServerReference != "",
		packets.PropReasonString:                    m.ReasonString != "",
		packets.PropUserProperty:                    len(m.User) > 0,
		packets.PropSubscriptionIdentifier:          p.SubscriptionIdentifier != 0,
	} {
		if present {
			p.Present.Add(id)
		}
	}
	return p
}

// block is the property block of a PUBLISH, in the order of the identifiers.
func (m *mochiProperties) block() []byte {
	before, after := m.ours(), m.ours()
	before.Present &= 1<<packets.PropSubscriptionIdentifier - 1
	after.Present &^= 1<<packets.PropTopicAlias - 1
	b, _ := before.Append(nil)
	for _, id := range m.SubscriptionIdentifier {
		one := packets.Properties{SubscriptionIdentifier: id}
		one.Present.Add(packets.PropSubscriptionIdentifier)
		b, _ = one.Append(b)
	}
	if m.TopicAlias != 0 || m.TopicAliasFlag {
		b = append(b, byte(packets.PropTopicAlias), byte(m.TopicAlias>>8), byte(m.TopicAlias))
	}
	b, _ = after.Append(b)
	return b
}
