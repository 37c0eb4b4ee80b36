package packets

import (
	"bytes"
	"errors"
)

// Connect is a CONNECT packet; byte slices are views into the packet.
type Connect struct {
	// Version is set as soon as it is known, even where Decode fails, so that the answer can have the right format.
	// For a level that is not spoken it is the nearest version that would understand the answer; 0: not known.
	Version     Version
	CleanStart  bool // Clean Session in 3.1 and 3.1.1, where it also ends the session at disconnection
	HasWill     bool
	HasUserName bool
	HasPassword bool
	// KeepAliveSeconds is the longest time between two packets of the client; 0: no limit.
	KeepAliveSeconds uint16
	ClientID         []byte // may be empty in v5, and in 3.1.1 with CleanStart
	UserName         []byte
	Password         []byte
	Properties       Properties
	Will             Will // where HasWill
}

// Will is the Will of a CONNECT packet.
type Will struct {
	QoS           QoS
	Retain        bool
	TopicName     []byte // not empty, no wildcards
	Payload       []byte
	PropertyBlock []byte // the will properties as received, without their length
	Properties    Properties
}

// The bits of the Connect Flags.
const (
	flagReserved   = 0x01
	flagCleanStart = 0x02
	flagWill       = 0x04
	flagWillQoS    = 0x18
	flagWillRetain = 0x20
	flagPassword   = 0x40
	flagUserName   = 0x80
)

const (
	protocolName   = "MQTT"
	protocolName31 = "MQIsdp"
)

// Decode decodes the body of a CONNECT. Nil limits are DefaultLimits.
func (p *Connect) Decode(_ Header, body []byte, lim *Limits) error {
	*p = Connect{
		Properties: Properties{UserProperties: p.Properties.UserProperties[:0]},
		Will:       Will{Properties: Properties{UserProperties: p.Will.Properties.UserProperties[:0]}},
	}
	lim = lim.orDefault()
	c := cursor{body}
	if err := p.decodeVersion(&c); err != nil {
		return err
	}
	if err := p.decodeFlags(&c); err != nil {
		return err
	}
	var err error
	if p.KeepAliveSeconds, err = c.uint16("keep alive"); err != nil {
		return err
	}
	if p.Version == V5 {
		if _, err := c.properties(&p.Properties, CONNECT, lim); err != nil {
			return err
		}
	}
	return p.decodePayload(&c, lim)
}

// decodeVersion reads the protocol name and level [v5 MQTT-3.1.2-1] [v5 MQTT-3.1.2-2] [v3.1.1 MQTT-3.1.2-2].
func (p *Connect) decodeVersion(c *cursor) error {
	name, err := c.binary("protocol name")
	if err != nil {
		return err
	}
	if string(name) != protocolName && string(name) != protocolName31 {
		return Errorf(UnsupportedProtocolVersion, "v5 MQTT-3.1.2-1", "protocol name is not MQTT")
	}
	level, err := c.uint8("protocol version")
	if err != nil {
		return err
	}
	p.Version = Version(level)
	switch {
	case string(name) == protocolName && (p.Version == V311 || p.Version == V5):
		return nil
	case string(name) == protocolName31 && p.Version == V31:
		return nil
	}
	// A bridge sets the high bit, and tries again without it after the return code of its own version.
	switch v := Version(level & 0x7F); {
	case string(name) == protocolName31:
		p.Version = V31
	case v <= V311:
		p.Version = V311
	default:
		p.Version = V5
	}
	return Errorf(UnsupportedProtocolVersion, "v5 MQTT-3.1.2-2", "protocol %s level 0x%02X is not supported", name, level)
}

// decodeFlags reads the Connect Flags.
func (p *Connect) decodeFlags(c *cursor) error {
	flags, err := c.uint8("connect flags")
	if err != nil {
		return err
	}
	p.CleanStart = flags&flagCleanStart != 0
	p.HasWill = flags&flagWill != 0
	p.HasUserName = flags&flagUserName != 0
	p.HasPassword = flags&flagPassword != 0
	p.Will.QoS = QoS(flags & flagWillQoS >> 3)
	p.Will.Retain = flags&flagWillRetain != 0
	switch {
	case flags&flagReserved != 0 && p.Version != V31: // 3.1 has no rule for the bit
		return Errorf(MalformedPacket, "v5 MQTT-3.1.2-3", "reserved connect flag is set")
	case !p.Will.QoS.Valid():
		return Errorf(MalformedPacket, "v5 MQTT-3.1.2-14", "will qos 3")
	case !p.HasWill && p.Will.QoS != 0:
		return Errorf(MalformedPacket, "v5 MQTT-3.1.2-13", "will qos without a will")
	case !p.HasWill && p.Will.Retain:
		return Errorf(MalformedPacket, "v5 MQTT-3.1.2-15", "will retain without a will")
	case p.HasPassword && !p.HasUserName && p.Version != V5:
		return Errorf(MalformedPacket, "v3.1.1 MQTT-3.1.2-22", "password without a user name")
	}
	return nil
}

// decodePayload reads the Client Identifier, the will, the user name and the password, in this order
// [v5 MQTT-3.1.3-1].
func (p *Connect) decodePayload(c *cursor, lim *Limits) (err error) {
	if p.ClientID, err = c.text("client identifier"); err != nil {
		return err
	}
	if len(p.ClientID) > lim.StringBytes {
		return Errorf(ClientIdentifierNotValid, "v5 MQTT-3.1.3-8", "client identifier of %d bytes, more than %d", len(p.ClientID), lim.StringBytes)
	}
	if p.HasWill {
		if err := p.Will.decode(c, p.Version, lim); err != nil {
			return err
		}
	}
	if p.HasUserName {
		if p.UserName, err = c.text("user name"); err != nil {
			return err
		}
		if len(p.UserName) > lim.StringBytes {
			return Errorf(BadUserNameOrPassword, "", "user name of %d bytes, more than %d", len(p.UserName), lim.StringBytes)
		}
	}
	if p.HasPassword {
		if p.Password, err = c.binary("password"); err != nil {
			return err
		}
	}
	if err := c.end(); err != nil {
		return err
	}
	if len(p.ClientID) == 0 && (p.Version == V31 || p.Version == V311 && !p.CleanStart) {
		return Errorf(ClientIdentifierNotValid, "v3.1.1 MQTT-3.1.3-8", "empty client identifier without a clean session")
	}
	return nil
}

// decode reads the will; its flags have been read.
func (w *Will) decode(c *cursor, v Version, lim *Limits) (err error) {
	if v == V5 {
		if w.PropertyBlock, err = c.properties(&w.Properties, will, lim); err != nil {
			return err
		}
	}
	if w.TopicName, err = c.text("will topic"); err != nil {
		return err
	}
	if len(w.TopicName) == 0 || bytes.ContainsAny(w.TopicName, "+#") {
		return Errorf(TopicNameInvalid, "v5 MQTT-3.3.2-2", "will topic is empty or has a wildcard")
	}
	w.Payload, err = c.binary("will payload")
	return err
}

// Append appends the packet in the format of p.Version. The will properties are Will.Properties.
func (p *Connect) Append(dst []byte) ([]byte, error) {
	e := begin(dst, CONNECT, 0)
	switch p.Version {
	case V31:
		e.binary([]byte(protocolName31), "protocol name")
	case V311, V5:
		e.binary([]byte(protocolName), "protocol name")
	default:
		e.fail(errors.New("encode CONNECT: unknown protocol version"))
	}
	e.uint8(byte(p.Version))
	e.uint8(p.flags())
	e.uint16(p.KeepAliveSeconds)
	e.properties(&p.Properties, p.Version)
	e.binary(p.ClientID, "client identifier")
	if p.HasWill {
		e.qos(p.Will.QoS)
		e.properties(&p.Will.Properties, p.Version)
		e.binary(p.Will.TopicName, "will topic")
		e.binary(p.Will.Payload, "will payload")
	}
	if p.HasUserName {
		e.binary(p.UserName, "user name")
	}
	if p.HasPassword {
		e.binary(p.Password, "password")
	}
	return e.finish()
}

// flags are the Connect Flags; those of the will only where there is one [v5 MQTT-3.1.2-11].
func (p *Connect) flags() byte {
	flags := bit(p.CleanStart, flagCleanStart) | bit(p.HasUserName, flagUserName) | bit(p.HasPassword, flagPassword)
	if p.HasWill {
		flags |= flagWill | byte(p.Will.QoS)<<3&flagWillQoS | bit(p.Will.Retain, flagWillRetain)
	}
	return flags
}

// bit is mask where on, and else 0.
func bit(on bool, mask byte) byte {
	if on {
		return mask
	}
	return 0
}
