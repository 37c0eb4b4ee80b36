package broker_test

import (
	"fmt"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// Round robin over members, each group on its own, ordinary subscribers beside them.
func TestShared_roundRobin(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.8.2-3")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		var one, two [3]*mt.Client
		for i := range 3 {
			one[i] = b.Connect(t, v, fmt.Sprint("one", i))
			wantCode(t, "SUBACK", one[i].Subscribe("$share/one/t/+", 2), 2)
			two[i] = b.Connect(t, v, fmt.Sprint("two", i))
			two[i].Subscribe("$share/two/t/#", 1)
		}
		all := b.Connect(t, v, "all")
		all.Subscribe("t/x", 0)
		p := b.Connect(t, v, "p")
		for i := range 9 {
			p.Publish("t/x", fmt.Sprint(i), 2)
			all.Take("t/x", fmt.Sprint(i), 0)
		}
		for i := range 9 { // members in the order of subscribing
			one[i%3].Take("t/x", fmt.Sprint(i), 2)
			two[i%3].Take("t/x", fmt.Sprint(i), 1) // [v5 MQTT-4.8.2-3]
		}
		for i := range 3 {
			one[i].ExpectNothing()
			two[i].ExpectNothing()
		}
	})
}

// Members that are offline are left out while another is there; with nobody there, the session of one keeps it.
func TestShared_offline(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		kept := b.Connect(t, v, "kept", mt.Resume(60))
		kept.Subscribe("$share/g/t", 1)
		live := b.Connect(t, v, "live")
		live.Subscribe("$share/g/t", 1)
		p := b.Connect(t, v, "p")
		kept.Close()
		b.WaitOffline(2)
		for qos := range packets.QoS(2) {
			for range 4 {
				p.Publish("t", "x", qos)
				live.Take("t", "x", qos)
			}
		}
		live.Close()
		b.WaitOffline(1)
		p.Publish("t", "lost", 0)
		wantCode(t, "PUBACK", p.Publish("t", "later", 1), packets.Success)
		kept = b.Connect(t, v, "kept", mt.Resume(60))
		kept.Take("t", "later", 1)
		kept.ExpectNothing()
	})
}

// A member whose session has expired gets nothing, though its session has not been taken away yet.
func TestShared_expired(t *testing.T) {
	b := start(t)
	for id, expiry := range map[string]uint32{"short": 1, "long": 1000} {
		c := b.Connect(t, packets.V5, id, mt.Resume(expiry))
		c.Subscribe("$share/g/t", 1)
		c.Close()
	}
	p := b.Connect(t, packets.V5, "p")
	b.WaitOffline(1)
	b.Clock.Advance(10 * time.Second)
	p.Publish("t", "1", 1)
	p.Publish("t", "2", 1)
	c := b.Connect(t, packets.V5, "long", mt.Resume(1000))
	c.Take("t", "1", 1)
	c.Take("t", "2", 1)
}

// A member whose window is full is left out while another has room; when all are full, messages wait.
func TestShared_full(t *testing.T) {
	b := start(t)
	slow := b.Connect(t, packets.V5, "slow", mt.ReceiveMaximum(1))
	slow.Subscribe("$share/g/t", 1)
	fast := b.Connect(t, packets.V5, "fast")
	fast.Subscribe("$share/g/t", 1)
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "0", 1)
	m := slow.Receive("t", "0", 1)
	for i := range 6 {
		p.Publish("t", fmt.Sprint(i), 1)
		fast.Take("t", fmt.Sprint(i), 1)
	}
	fast.Unsubscribe("$share/g/t")
	p.Publish("t", "waits", 1)
	slow.ExpectNothing()
	slow.Answer(m)
	slow.Take("t", "waits", 1)
}

// [v5 MQTT-4.8.2-4] [v5 MQTT-4.8.2-5] [v5 MQTT-4.8.2-6]: what was sent to a member stays its own.
func TestShared_started(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.8.2-4", "v5 MQTT-4.8.2-6")
	b := start(t)
	a := b.Connect(t, packets.V5, "a", mt.Resume(60))
	a.Subscribe("$share/g/t", 2)
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "x", 2)
	m := a.Receive("t", "x", 2)
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("$share/g/t", 2)
	a.Close()
	b.WaitOffline(2)
	c.ExpectNothing()
	a = b.Connect(t, packets.V5, "a", mt.Resume(60))
	again := a.Receive("t", "x", 2)
	want(t, "packet identifier", again.PacketID, m.PacketID)
	a.Ack(packets.PUBREC, m.PacketID, packets.UnspecifiedError)
	a.ExpectNothing()
	c.ExpectNothing()
}

// D28: shared and ordinary subscriptions to one topic, and their ends. Retained messages are not sent to shared ones.
func TestShared_unsubscribe(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "c", mt.Resume(60))
		p := b.Connect(t, v, "p")
		p.Publish("t", "kept", 1, mt.Retain)
		c.Subscribe("$share/g/t", 1)
		c.ExpectNothing()
		c.Subscribe("t", 1)
		want(t, "RETAIN", c.Take("t", "kept", 1).Retain, true)
		p.Publish("t", "x", 1)
		c.Take("t", "x", 1)
		c.Take("t", "x", 1)
		c.Unsubscribe("t")
		p.Publish("t", "y", 1)
		c.Take("t", "y", 1)
		c.Close()
		b.WaitOffline(1)
		c = b.Connect(t, v, "c", mt.Resume(60))
		p.Publish("t", "z", 1)
		c.Take("t", "z", 1)
		codes := c.Unsubscribe("$share/h/t", "$share/g/t", "$share/g/t")
		if v >= packets.V5 {
			want(t, "UNSUBACK", fmt.Sprint(codes), fmt.Sprint([]packets.ReasonCode{packets.NoSubscriptionExisted, 0, packets.NoSubscriptionExisted}))
		}
		p.Publish("t", "z", 1)
		c.ExpectNothing()
	})
}

// Identifiers of shared subscriptions, and a slow member.
func TestShared_identifier(t *testing.T) {
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.OutboxBytes = 4096 }})
	c := b.Connect(t, packets.V5, "c")
	c.Subscribe("$share/g/t", 1, mt.SubscriptionID(3), mt.RetainAsPublished)
	c.Publish("t", "x", 1, mt.Retain)
	m := c.Take("t", "x", 1)
	want(t, "identifiers", fmt.Sprint(m.SubscriptionIdentifiers), "[3]")
	want(t, "RETAIN", m.Retain, true)
}
