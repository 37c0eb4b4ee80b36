package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// [v5 MQTT-3.3.1-5] to [v5 MQTT-3.3.1-9] [v3.1.1 MQTT-3.3.1-5] to [v3.1.1 MQTT-3.3.1-11]
func TestRetained(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.1-5", "v5 MQTT-3.3.1-6", "v5 MQTT-3.3.1-7", "v5 MQTT-3.3.1-8", "v5 MQTT-3.3.1-9",
		"v3.1.1 MQTT-3.3.1-5", "v3.1.1 MQTT-3.3.1-6", "v3.1.1 MQTT-3.3.1-7", "v3.1.1 MQTT-3.3.1-8",
		"v3.1.1 MQTT-3.3.1-9", "v3.1.1 MQTT-3.3.1-10", "v3.1.1 MQTT-3.3.1-11", "v3.1.1 MQTT-3.3.1-12",
	)
	for _, store := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Store: store})
			p := b.Connect(t, v, "p")
			s := b.Connect(t, v, "s")
			s.Subscribe("t/+", 2)
			for qos := range packets.QoS(3) {
				p.Publish(fmt.Sprint("t/", qos), "old", qos, mt.Retain)
				want(t, "RETAIN of a live message", s.Take(fmt.Sprint("t/", qos), "old", qos).Retain, false)
				p.Publish(fmt.Sprint("t/", qos), "kept", qos, mt.Retain)
				s.Take(fmt.Sprint("t/", qos), "kept", qos)
				p.Publish(fmt.Sprint("t/", qos), "not kept", qos)
				s.Take(fmt.Sprint("t/", qos), "not kept", qos)
			}
			if store {
				b.Restart()
				p = b.Connect(t, v, "p")
			}
			for sub := range packets.QoS(3) {
				n := b.Connect(t, v, "n")
				for qos := range packets.QoS(3) {
					n.Subscribe(fmt.Sprint("t/", qos), sub)
					want(t, "RETAIN", n.Take(fmt.Sprint("t/", qos), "kept", min(qos, sub)).Retain, true)
				}
				n.Disconnect()
			}
			for qos := range packets.QoS(3) {
				p.Publish(fmt.Sprint("t/", qos), "", qos, mt.Retain)
			}
			want(t, "retained", b.Stats().RetainedMessages, 0)
			n := b.Connect(t, v, "n")
			n.Subscribe("t/+", 2)
			n.ExpectNothing()
			p.Publish("t/0", "", 0, mt.Retain) // [v5 MQTT-3.3.1-6]: forwarded like any other
			n.Take("t/0", "", 0)
		})
	}
}

// [v5 MQTT-3.3.1-9] to [v5 MQTT-3.3.1-13] [v5 MQTT-3.8.4-4]
func TestRetainHandling(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.1-9", "v5 MQTT-3.3.1-10", "v5 MQTT-3.3.1-11", "v5 MQTT-3.3.1-12", "v5 MQTT-3.3.1-13",
		"v5 MQTT-3.8.4-4",
	)
	b := start(t)
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "kept", 1, mt.Retain)
	for handling, times := range [][3]bool{{true, true, true}, {true, false, true}, {false, false, false}} {
		c := b.Connect(t, packets.V5, "c")
		for i, sent := range times {
			if i == 2 {
				c.Unsubscribe("t")
			}
			c.Subscribe("t", 1, mt.RetainHandling(byte(handling)), mt.SubscriptionID(7))
			if sent {
				m := c.Take("t", "kept", 1)
				want(t, "RETAIN", m.Retain, true)
				want(t, "identifier", m.SubscriptionIdentifiers[0], 7)
			}
			c.ExpectNothing()
		}
		c.Disconnect()
	}
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("t/+", 1, mt.RetainAsPublished)
	for _, o := range [][]func(*packets.Publish){{mt.Retain}, nil} {
		for qos := range packets.QoS(2) {
			p.Publish("t/x", "x", qos, o...)
			want(t, "RETAIN", c.Take("t/x", "x", qos).Retain, o != nil)
		}
	}
	p.Publish("t/x", "", 1, mt.Retain)
	want(t, "RETAIN of a message that clears", c.Take("t/x", "", 1).Retain, true)
}

// Many retained messages: more than a window, more than an outbox, with a client that reads late.
func TestRetained_many(t *testing.T) {
	for qos := range packets.QoS(3) {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.OutboxBytes, c.Limits.InFlight = 20_000, 10 }})
			p := b.Connect(t, v, "p")
			payload := strings.Repeat("x", 1000)
			for i := range 500 {
				p.Publish(fmt.Sprint("t/", i), payload, qos, mt.Retain)
			}
			s := b.Connect(t, v, "s")
			s.Subscribe("t/#", qos)
			seen := map[string]bool{}
			for range 500 {
				m := mt.Expect[*packets.Publish](s)
				seen[string(m.TopicName)] = true
				s.Answer(m)
			}
			want(t, "topics", len(seen), 500)
			s.ExpectNothing()
		})
	}
}

// [v5 MQTT-3.3.2-5] [v5 MQTT-3.3.2-6]: what is kept expires, and the rest of the time is told.
func TestRetained_expiry(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.2-5", "v5 MQTT-3.3.2-6")
	b := start(t)
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "x", 1, mt.Retain, mt.Expiry(100))
	b.Clock.Advance(60 * time.Second)
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("t", 1)
	m := c.Take("t", "x", 1)
	if n := m.MessageExpiryInterval; !m.HasMessageExpiryInterval || n < 38 || n > 40 {
		t.Errorf("message expiry interval %d, want about 40", n)
	}
	b.Clock.Advance(41 * time.Second)
	c.Ping()
	c.Unsubscribe("t")
	c.Subscribe("t", 1)
	c.ExpectNothing()
	b.Eventually("its end", func() bool { return b.Stats().RetainedMessages == 0 })
}

// C26: over the limit a message is delivered and not retained, and that is said.
func TestRetained_limits(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.RetainedMessages = 2 }})
		c := b.Connect(t, v, "c")
		c.Subscribe("#", 1)
		for i, w := range []packets.ReasonCode{0, 0, packets.QuotaExceeded} {
			topic := fmt.Sprint("t", i)
			wantCode(t, "PUBACK", c.Publish(topic, "x", 1, mt.Retain), code(v, w))
			c.Take(topic, "x", 1)
		}
		wantCode(t, "PUBREC", c.Publish("t3", "x", 2, mt.Retain), code(v, packets.QuotaExceeded))
		c.Take("t3", "x", 1)
		c.Publish("t0", "", 1, mt.Retain)
		c.Take("t0", "", 1)
		wantCode(t, "PUBACK", c.Publish("t3", "x", 1, mt.Retain), packets.Success)
		want(t, "dropped", b.Stats().Dropped["retained_full"], 2)
	})
}

// A filter that is repeated in one SUBSCRIBE brings its retained messages once.
func TestRetained_repeatedFilter(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		p := b.Connect(t, v, "p")
		p.Publish("r/1", "one", 1, mt.Retain)
		p.Publish("r/2", "two", 1, mt.Retain)
		c := b.Connect(t, v, "c")
		sub := packets.Subscribe{PacketID: 9}
		for range 100 {
			sub.Subscriptions = append(sub.Subscriptions, packets.Subscription{TopicFilter: []byte("r/#")})
		}
		c.Send(&sub)
		want(t, "codes", len(mt.Expect[*packets.Suback](c).ReasonCodes), 100)
		got := map[string]int{}
		for range 2 {
			got[string(mt.Expect[*packets.Publish](c).TopicName)]++
		}
		want(t, "messages", fmt.Sprint(got), "map[r/1:1 r/2:1]")
		c.ExpectNothing()
	})
}
