package packets

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
)

// outsideVectors are the vectors of another project's codec; they stay where they are and are never copied here.
const outsideVectors = "../../shared/vectors/mqtt-packet.json"

// outsideTaste are packets about which that project and the standard, as we read it, differ.
var outsideTaste = map[string]string{
	"connect MQTT bridge 131":                                    "a private bit of Mosquitto's bridges: refused with 0x84, so that they try again without it",
	"connect MQTT bridge 132":                                    "a private bit of Mosquitto's bridges: refused with 0x84, so that they try again without it",
	"connack MQTT 5 with properties":                             "Maximum QoS is 0 or 1: 2 is a protocol error",
	"connack MQTT 5 with properties and doubled user properties": "Maximum QoS is 0 or 1: 2 is a protocol error",
	"Version 4 CONACK in Version 5 mode":                         "CONNACK of v5 always has a property length",
	"Version 5 CONNACK test 1":                                   "CONNACK of v5 always has a reason code and a property length",
	"Version 5 CONNACK test 2":                                   "CONNACK of v5 always has a property length",
}

// TestOutsideVectors compares by meaning: what is valid there decodes here to the same fields and encodes to the same
// bytes or others that mean the same; what is invalid there is refused here.
func TestOutsideVectors(t *testing.T) {
	text, err := os.ReadFile(outsideVectors)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s stands beside the project only where it is developed; the project's own vectors are in testdata", outsideVectors)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name, Kind, Direction, Error string
		ProtocolVersion              byte
		Hex                          json.RawMessage
		Packet                       map[string]any
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, vec := range all {
		var digits string
		if vec.Direction == "generate" || json.Unmarshal(vec.Hex, &digits) != nil || outsideTaste[vec.Name] != "" {
			continue // nothing to decode, or bytes that are given only as a hash
		}
		checked++
		frame, v := mustHex(t, digits), Version(vec.ProtocolVersion)
		p, size, err := decodeFrame(frame, v)
		switch {
		case vec.Kind == "invalid" && err == nil:
			t.Errorf("%s: %s decoded to %s", vec.Name, digits, describe(p))
		case vec.Kind == "invalid":
		case err != nil || size != len(frame):
			t.Errorf("%s: %s: decoded %d bytes, %v", vec.Name, digits, size, err)
		default:
			compareOutside(t, vec.Name, p, vec.Packet)
			again, err := p.Append(nil, v)
			if back, _, err2 := decodeFrame(again, v); err != nil || err2 != nil || describe(back) != describe(p) {
				t.Errorf("%s: encoded to %x (%v, %v), from %x", vec.Name, again, err, err2, frame)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d vectors were checked", checked)
	}
}

// compareOutside compares the fields that a packet has there.
func compareOutside(t *testing.T, name string, p packet, want map[string]any) {
	t.Helper()
	number := func(field string, got int) {
		if w, ok := want[field].(float64); ok && int(w) != got {
			t.Errorf("%s: %s is %d, want %v", name, field, got, w)
		}
	}
	text := func(field string, got []byte) {
		w, ok := want[field].(string)
		if ok && w != string(got) {
			t.Errorf("%s: %s is %q, want %q", name, field, got, w)
		}
		if m, ok := want[field].(map[string]any); ok && m["hex"] != nil {
			if b := mustHex(t, m["hex"].(string)); !bytes.Equal(b, got) {
				t.Errorf("%s: %s is %x, want %x", name, field, got, b)
			}
		}
	}
	truth := func(field string, got bool) {
		if w, ok := want[field].(bool); ok && w != got {
			t.Errorf("%s: %s is %v, want %v", name, field, got, w)
		}
	}
	properties, _ := want["properties"].(map[string]any)
	switch p := p.(type) {
	case *connect:
		truth("clean", p.CleanStart)
		number("keepalive", int(p.KeepAliveSeconds))
		text("clientId", p.ClientID)
		text("username", p.UserName)
		text("password", p.Password)
		compareProperties(t, name, &p.Properties, properties)
		if w, ok := want["will"].(map[string]any); ok {
			if !p.HasWill || w["topic"] != string(p.Will.TopicName) || w["retain"] != p.Will.Retain || w["qos"] != float64(p.Will.QoS) {
				t.Errorf("%s: will %+v, want %v", name, p.Will, w)
			}
			willProperties, _ := w["properties"].(map[string]any)
			compareProperties(t, name, &p.Will.Properties, willProperties)
		}
	case *Connack:
		truth("sessionPresent", p.SessionPresent)
		number("reasonCode", int(p.ReasonCode))
		number("returnCode", int(p.ReasonCode.V3Connack()))
		compareProperties(t, name, &p.Properties, properties)
	case *Publish:
		truth("dup", p.Dup)
		truth("retain", p.Retain)
		number("qos", int(p.QoS))
		number("messageId", int(p.PacketID))
		text("topic", p.TopicName)
		text("payload", p.Payload)
		if w, ok := properties["topicAlias"].(float64); ok && uint16(w) != p.TopicAlias {
			t.Errorf("%s: topic alias %d, want %v", name, p.TopicAlias, w)
		}
	case *Ack:
		number("messageId", int(p.PacketID))
		number("reasonCode", int(p.ReasonCode))
		compareProperties(t, name, &p.Properties, properties)
	case *Subscribe:
		number("messageId", int(p.PacketID))
		compareProperties(t, name, &p.Properties, properties)
		filters := want["subscriptions"].([]any)
		for i, s := range p.Subscriptions {
			w := filters[i].(map[string]any)
			if w["topic"] != string(s.TopicFilter) || w["qos"] != float64(s.Options.QoS) || w["nl"] != nil && w["nl"] != s.Options.NoLocal {
				t.Errorf("%s: subscription %+v, want %v", name, s, w)
			}
		}
	case *Suback:
		number("messageId", int(p.PacketID))
		compareProperties(t, name, &p.Properties, properties)
		compareCodes(t, name, p.ReasonCodes, want["granted"])
	case *Unsubscribe:
		number("messageId", int(p.PacketID))
		compareProperties(t, name, &p.Properties, properties)
		for i, w := range want["unsubscriptions"].([]any) {
			if w != string(p.TopicFilters[i]) {
				t.Errorf("%s: filter %q, want %v", name, p.TopicFilters[i], w)
			}
		}
	case *Unsuback:
		number("messageId", int(p.PacketID))
		compareProperties(t, name, &p.Properties, properties)
		compareCodes(t, name, p.ReasonCodes, want["granted"])
	case *Disconnect:
		number("reasonCode", int(p.ReasonCode))
		compareProperties(t, name, &p.Properties, properties)
	case *Auth:
		number("reasonCode", int(p.ReasonCode))
		compareProperties(t, name, &p.Properties, properties)
	}
}

func compareCodes(t *testing.T, name string, got []ReasonCode, want any) {
	t.Helper()
	codes, _ := want.([]any)
	for i, w := range codes {
		if w != float64(got[i]) {
			t.Errorf("%s: code %v, want %v", name, got[i], w)
		}
	}
}

// compareProperties compares some of each kind, and how many there are.
func compareProperties(t *testing.T, name string, p *Properties, want map[string]any) {
	t.Helper()
	for field, id := range map[string]PropertyID{
		"sessionExpiryInterval": PropSessionExpiryInterval, "willDelayInterval": PropWillDelayInterval,
		"messageExpiryInterval": PropMessageExpiryInterval, "maximumPacketSize": PropMaximumPacketSize,
		"subscriptionIdentifier": PropSubscriptionIdentifier,
	} {
		if w, ok := want[field].(float64); ok != p.Present.Has(id) || ok && uint32(w) != *p.fourByteField(id) {
			t.Errorf("%s: %s: got %d (present %v), want %v", name, field, *p.fourByteField(id), p.Present.Has(id), want[field])
		}
	}
	for field, id := range map[string]PropertyID{
		"receiveMaximum": PropReceiveMaximum, "topicAliasMaximum": PropTopicAliasMaximum, "serverKeepAlive": PropServerKeepAlive,
	} {
		if w, ok := want[field].(float64); ok != p.Present.Has(id) || ok && uint16(w) != *p.twoByteField(id) {
			t.Errorf("%s: %s: got %d, want %v", name, field, *p.twoByteField(id), want[field])
		}
	}
	for field, id := range map[string]PropertyID{
		"authenticationMethod": PropAuthenticationMethod, "contentType": PropContentType, "responseTopic": PropResponseTopic,
		"assignedClientIdentifier": PropAssignedClientIdentifier, "reasonString": PropReasonString,
		"responseInformation": PropResponseInformation, "serverReference": PropServerReference,
	} {
		if w, ok := want[field].(string); ok != p.Present.Has(id) || ok && w != string(*p.bytesField(id)) {
			t.Errorf("%s: %s: got %q, want %v", name, field, *p.bytesField(id), want[field])
		}
	}
}
