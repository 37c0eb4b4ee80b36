package auth

import (
	"fmt"
	"testing"
)

// benchRules are ten rules for alice, of every shape, and two patterns.
const benchRules = `user alice
topic read site/1/+/temperature
topic read site/1/+/humidity
topic readwrite site/2/#
topic write site/3/commands
topic deny site/2/secret/#
topic read public/#
topic read alerts/+/critical
topic write logs/alice/#
topic read config/alice
topic read firmware/+/+/latest
pattern readwrite devices/%c/#
pattern write telemetry/%u/+/raw
`

func BenchmarkAuthorize(b *testing.B) {
	a := open(b, "", benchRules)
	id := &Identity{UserName: "alice", ClientID: "sensor-0042"}
	for _, c := range []struct {
		name, topic string
		act         Action
	}{
		{"FirstRule", "site/1/floor-3/temperature", ActionReceive},
		{"LastRule", "firmware/acme/x1/latest", ActionReceive},
		{"Exact", "config/alice", ActionReceive},
		{"Deny", "site/2/secret/x", ActionPublish},
		{"PatternClient", "devices/sensor-0042/state/battery", ActionPublish},
		{"PatternUser", "telemetry/alice/7/raw", ActionPublish},
		{"NoRule", "elsewhere/1/2/3", ActionPublish},
		{"Subscribe", "site/1/+/temperature", ActionSubscribe},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Authorize(id, c.act, c.topic)
			}
		})
	}
}

func BenchmarkAuthorizeByRules(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		text := "user alice\n"
		for i := range n {
			text += fmt.Sprintf("topic site/%d/+/temperature\n", i)
		}
		a := open(b, "", text)
		id, topic := &Identity{UserName: "alice"}, fmt.Sprintf("site/%d/x/temperature", n-1)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.Authorize(id, ActionPublish, topic)
			}
		})
	}
}

func BenchmarkFastCached(b *testing.B) {
	a := open(b, twoUsers(), "")
	c := login("alice", "secret")
	if _, err := a.Authenticate(b.Context(), c, false); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := a.Fast(c, false); !ok {
			if _, err := a.Authenticate(b.Context(), c, false); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkVerifyArgon2id(b *testing.B) {
	hash, err := HashPassword([]byte("secret"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := VerifyPassword(hash, []byte("secret")); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// Authorize is on the path of every message: it must not allocate.
func TestAuthorizeDoesNotAllocate(t *testing.T) {
	a := open(t, "", benchRules)
	id := &Identity{UserName: "alice", ClientID: "sensor-0042"}
	for _, topic := range []string{"firmware/acme/x1/latest", "devices/sensor-0042/x", "elsewhere", "telemetry/alice/7/raw"} {
		if n := testing.AllocsPerRun(100, func() { a.Authorize(id, ActionReceive, topic) }); n != 0 {
			t.Errorf("%s: %v allocations", topic, n)
		}
	}
}
