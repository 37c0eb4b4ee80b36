package broker_test

import (
	"testing"

	"go.uber.org/goleak"

	"nightjar/internal/mqtttest"
	"nightjar/packets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eachVersion runs a test for 3.1.1 and 5.
func eachVersion(t *testing.T, fn func(t *testing.T, v packets.Version)) {
	t.Helper()
	for _, v := range []packets.Version{packets.V311, packets.V5} {
		t.Run("v"+v.String(), func(t *testing.T) {
			t.Parallel()
			fn(t, v)
		})
	}
}

// start starts a broker with the default options.
func start(t *testing.T) *mqtttest.Broker {
	t.Helper()
	return mqtttest.NewBroker(t, mqtttest.Options{})
}

// code is c in v5, and Success before, where no Reason Code is sent.
func code(v packets.Version, c packets.ReasonCode) packets.ReasonCode {
	if v < packets.V5 {
		return packets.Success
	}
	return c
}

// wantCode compares Reason Codes.
func wantCode(t *testing.T, what string, got, want packets.ReasonCode) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: 0x%02x (%v), want 0x%02x (%v)", what, byte(got), got, byte(want), want)
	}
}

// want compares anything else.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}
