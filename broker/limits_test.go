package broker_test

import (
	"fmt"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// Every limit has a range, and all that is wrong is told at once.
func TestLimits_validate(t *testing.T) {
	l := broker.DefaultLimits()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	var none broker.Limits
	if err := none.Validate(); err == nil {
		t.Error("0 is no limit")
	}
}

// The number of connections of one address, and how many may come in a second: limit, and one more.
func TestLimits_address(t *testing.T) {
	for name, x := range map[string]struct {
		set    func(*broker.Limits)
		others bool // other addresses are not concerned
		v5     packets.ReasonCode
	}{
		"per address": {func(l *broker.Limits) { l.ConnectionsPerAddress = 2 }, true, packets.ServerBusy},
		"rate":        {func(l *broker.Limits) { l.ConnectRate, l.ConnectBurst = 1, 2 }, false, packets.ConnectionRateExceeded},
	} {
		for _, v := range []packets.Version{packets.V311, packets.V5} {
			t.Run(name+v.String(), func(t *testing.T) {
				b := mt.NewBroker(t, mt.Options{Proxy: true, Config: func(c *broker.Config) { x.set(&c.Limits) }})
				refused := x.v5
				if v < packets.V5 {
					refused = packets.ServerUnavailable
				}
				connect := func(addr string, code packets.ReasonCode) *mt.Client {
					t.Helper()
					c := b.DialFrom(t, v, addr)
					c.SendConnect("")
					wantCode(t, "CONNACK", mt.Expect[*packets.Connack](c).ReasonCode, code)
					if code != packets.Success {
						c.ExpectClose()
					}
					return c
				}
				first := connect("198.51.100.1", packets.Success)
				connect("198.51.100.1", packets.Success)
				connect("198.51.100.1", refused)
				if !x.others {
					connect("198.51.100.2", refused)
					return
				}
				connect("198.51.100.2", packets.Success)
				connect("127.0.0.1", packets.Success)
				first.Disconnect()
				b.WaitOffline(3)
				connect("198.51.100.1", packets.Success)
				connect("198.51.100.1", refused)
			})
		}
	}
}

// What one user may keep: limit, and one more.
func TestLimits_user(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Store: true, Users: map[string]string{"ann": "a", "bob": "b"}, Config: func(c *broker.Config) {
			c.Limits.SessionsPerUser, c.Limits.RetainedPerUser = 2, 2
		}})
		full := packets.QuotaExceeded
		if v < packets.V5 {
			full = packets.ServerUnavailable
		}
		one := b.Connect(t, v, "1", ann, mt.Resume(60))
		b.Connect(t, v, "2", ann)
		wantCode(t, "CONNACK", b.Refused(t, v, "3", ann), full)
		one.Disconnect()
		b.WaitOffline(1)
		wantCode(t, "CONNACK", b.Refused(t, v, "3", ann), full)
		b.Connect(t, v, "b", bob)
		c := b.Connect(t, v, "1", ann) // in place of its old one
		for i, w := range []packets.ReasonCode{packets.NoMatchingSubscribers, packets.NoMatchingSubscribers, packets.QuotaExceeded} {
			wantCode(t, "PUBACK", c.Publish(fmt.Sprint("t", i), "x", 1, mt.Retain), code(v, w))
		}
		none := code(v, packets.NoMatchingSubscribers)
		wantCode(t, "in place of its own", c.Publish("t1", "y", 1, mt.Retain), none)
		c.Publish("t1", "", 1, mt.Retain)
		wantCode(t, "PUBACK", c.Publish("t2", "x", 1, mt.Retain), none)
		d := b.Connect(t, v, "b", bob)
		wantCode(t, "by another user", d.Publish("t2", "x", 1, mt.Retain), none)
		wantCode(t, "PUBACK", c.Publish("t1", "x", 1, mt.Retain), none)
		b.Restart()
		c = b.Connect(t, v, "1", ann)
		wantCode(t, "after a restart", c.Publish("t3", "x", 1, mt.Retain), code(v, packets.QuotaExceeded))
		want(t, "retained", b.Stats().RetainedMessages, 3)
	})
}

// C30: who publishes too fast is not read for a while, and who goes on and on is disconnected.
func TestLimits_publishRate(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Loops: 1, Config: func(c *broker.Config) { c.Limits.PublishRate = 10 }})
		c := b.Connect(t, v, "c")
		c.Subscribe("t", 0)
		for i := range 10 {
			c.Publish("t", fmt.Sprint(i), 0)
		}
		for i := range 10 {
			c.Take("t", fmt.Sprint(i), 0)
		}
		c.SendPublish("t", "a", 0)
		c.SendPublish("t", "b", 0)
		b.Clock.Advance(5 * time.Second)
		c.Take("t", "a", 0)
		c.Take("t", "b", 0)
		c.Ping()
		other := b.Connect(t, v, "other")
		for i := 0; b.Stats().Disconnects == 0; i++ {
			if i == 200 {
				t.Fatal("not disconnected")
			}
			for range 20 {
				_ = c.TryRaw(c.Encode(&packets.Publish{TopicName: []byte("u")}))
			}
			b.Clock.Advance(1500 * time.Millisecond)
			other.Ping() // wakes the loop
		}
		if v >= packets.V5 {
			c.ExpectDisconnect(packets.MessageRateTooHigh)
		} else {
			c.ExpectClose()
		}
	})
}

// A disk that is nearly full holds back QoS 1 and 2, and nothing is lost by it.
func TestPressure_disk(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.Connect(t, packets.V5, "c", mt.KeepAlive(5))
	c.Subscribe("t", 1)
	b.SetDisk(broker.PressureHard)
	c.Publish("t", "zero", 0)
	c.Take("t", "zero", 0)
	m := c.SendPublish("t", "one", 1)
	other := b.Connect(t, packets.V5, "other")
	b.Clock.Advance(20 * time.Second) // longer than the Keep Alive: it is the broker that does not read
	other.Ping()
	b.SetDisk(broker.PressureNone)
	wantCode(t, "PUBACK", c.ExpectAck(packets.PUBACK, m.PacketID), packets.Success)
	c.Take("t", "one", 1)
	c.ExpectNothing()
}

// Without memory nobody new comes in, and then publishers wait.
func TestPressure_memory(t *testing.T) {
	t.Parallel()
	b := start(t)
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("t", 0)
	b.SetMemory(broker.PressureSoft)
	wantCode(t, "CONNACK", b.Refused(t, packets.V5, "d"), packets.ServerBusy)
	wantCode(t, "CONNACK", b.Refused(t, packets.V311, "d"), packets.ServerUnavailable)
	c.Publish("t", "soft", 0)
	c.Take("t", "soft", 0)
	b.SetMemory(broker.PressureHard)
	c.SendPublish("t", "hard", 0)
	b.SetMemory(broker.PressureNone)
	c.Take("t", "hard", 0)
	b.Connect(t, packets.V5, "d")
}
