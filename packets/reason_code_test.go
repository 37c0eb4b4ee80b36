package packets

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// codesOf are the Reason Codes that the standard lists with each packet: sections 3.2.2.2, 3.4.2.1, 3.5.2.1, 3.6.2.1,
// 3.7.2.1, 3.9.3, 3.11.3, 3.14.2.1 and 3.15.2.1 of v5. [v5 MQTT-3.14.2-1] [v5 MQTT-3.15.2-1]
var codesOf = map[Type][]ReasonCode{
	CONNACK: {
		0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99,
		0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
	},
	PUBACK:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	PUBREC:   {0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99},
	PUBREL:   {0x00, 0x92},
	PUBCOMP:  {0x00, 0x92},
	SUBACK:   {0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2},
	UNSUBACK: {0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91},
	DISCONNECT: {
		0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95,
		0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
	},
	AUTH: {0x00, 0x18, 0x19},
}

func TestReasonCodes(t *testing.T) {
	seen := map[string]ReasonCode{}
	for n := range 256 {
		c := ReasonCode(n)
		if c.IsError() != (n >= 128) {
			t.Errorf("%v: IsError is %v", c, c.IsError())
		}
		used := false
		for typ := range Type(20) {
			want := slices.Contains(codesOf[typ], c)
			used = used || want
			if got := c.ValidFor(typ); got != want {
				t.Errorf("0x%02X for %v: got %v, want %v", n, typ, got, want)
			}
		}
		name := c.String()
		if other, twice := seen[name]; twice {
			t.Errorf("0x%02X and 0x%02X are both %q", n, other, name)
		}
		seen[name] = c
		if used == strings.HasPrefix(name, "reason code 0x") {
			t.Errorf("0x%02X is used: %v, but named %q", n, used, name)
		}
	}
}

// TestV3Connack walks all codes: 0 to 5, 0 for no failure alone. [v3.1.1 MQTT-3.2.2-4]
func TestV3Connack(t *testing.T) {
	want := map[ReasonCode]byte{
		0x80: 3, 0x83: 3, 0x84: 1, 0x85: 2, 0x86: 4, 0x88: 3, 0x89: 3, 0x8B: 3, 0x97: 3, 0x9C: 3, 0x9D: 3, 0x9F: 3,
	}
	for n := range 256 {
		c := ReasonCode(n)
		w, ok := want[c]
		if !ok && c.IsError() {
			w = 5
		}
		if got := c.V3Connack(); got != w {
			t.Errorf("%v (0x%02X): got %d, want %d", c, n, got, w)
		}
		frame, err := (&Connack{SessionPresent: true, ReasonCode: c}).Append(nil, V311)
		if present := frame[2]; err != nil || frame[3] != w || present == 1 == c.IsError() {
			t.Errorf("%v: encoded to %x, %v", c, frame, err)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("disk is full")
	e := Errorf(QuotaExceeded, "v5 MQTT-3.1.2-24", "%d messages wait", 7)
	e.Err = cause
	wrapped := fmt.Errorf("read packet: %w", e)
	if got := ReasonCodeOf(wrapped); got != QuotaExceeded {
		t.Errorf("got %v", got)
	}
	if !errors.Is(wrapped, cause) {
		t.Error("the cause is lost")
	}
	if got, want := e.Error(), "quota exceeded (0x97): 7 messages wait [v5 MQTT-3.1.2-24]: disk is full"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ReasonCodeOf(cause); got != UnspecifiedError {
		t.Errorf("an unknown error: got %v", got)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		PUBLISH: "PUBLISH", AUTH: "AUTH", Type(0): "packet type 0x00", Type(16): "packet type 0x10",
		V31: "3.1", V311: "3.1.1", V5: "5.0", Version(9): "level 0x09",
		PropTopicAlias: "topic alias", PropertyID(0): "property 0x00", PropertyID(200): "property 0xC8",
	} {
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !QoS(2).Valid() || QoS(3).Valid() {
		t.Error("QoS is 0, 1 or 2")
	}
}
