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

// Acknowledged is durable: no answer leaves before what it promises is safe, and answers keep their order.
func TestDurable_answersWait(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.3.2-4", "v5 MQTT-4.3.3-8", "v3.1.1 MQTT-4.3.2-2", "v3.1.1 MQTT-4.3.3-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Memory: true})
		s := b.Connect(t, v, "s", mt.Resume(60))
		p := b.Connect(t, v, "p", mt.Resume(60))
		b.Hold()
		sub := s.SendSubscribe("t", 2)
		s.ExpectNothing()
		b.Release()
		want(t, "SUBACK", mt.Expect[*packets.Suback](s).PacketID, sub)
		s.Close()
		b.WaitOffline(1)
		b.Hold()
		one := p.SendPublish("t", "1", 1)
		two := p.SendPublish("t", "2", 2)
		p.SendPublish("nobody", "3", 0)
		p.ExpectNothing()
		b.Release()
		p.ExpectAck(packets.PUBACK, one.PacketID)
		p.ExpectAck(packets.PUBREC, two.PacketID)
		b.Hold()
		p.Ack(packets.PUBREL, two.PacketID)
		p.ExpectNothing()
		b.Release()
		p.ExpectAck(packets.PUBCOMP, two.PacketID)
		b.Hold()
		s = b.Dial(t, v)
		s.SendConnect("s", mt.Resume(60))
		kept := p.SendPublish("r", "kept", 1, mt.Retain)
		p.ExpectNothing()
		b.Release()
		p.ExpectAck(packets.PUBACK, kept.PacketID)
		want(t, "session present", mt.Expect[*packets.Connack](s).SessionPresent, true)
		s.Take("t", "1", 1)
		s.Take("t", "2", 2)
	})
}

// A PUBREC is stored before its PUBREL, and a QoS 2 PUBLISH leaves with its identifier stored.
func TestDurable_qos2Out(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Memory: true})
		s := b.Connect(t, v, "s", mt.Resume(60))
		s.Subscribe("t", 2)
		p := b.Connect(t, v, "p")
		b.Hold()
		m := p.SendPublish("t", "x", 2)
		p.ExpectNothing()
		s.ExpectNothing()
		b.Release()
		p.ExpectAck(packets.PUBREC, m.PacketID)
		id := s.Receive("t", "x", 2).PacketID
		b.Hold()
		s.Ack(packets.PUBREC, id)
		s.ExpectNothing()
		b.Release()
		s.ExpectAck(packets.PUBREL, id)
		b.Crash()
		s = b.Connect(t, v, "s", mt.Resume(60))
		want(t, "session present", s.Connack.SessionPresent, true)
		s.ExpectAck(packets.PUBREL, id)
		s.Ack(packets.PUBCOMP, id)
		s.ExpectNothing()
	})
}

// After a crash there is all that was acknowledged, once; a repeat of what was not acknowledged is no second message.
func TestDurable_crash(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Memory: true})
		s := b.Connect(t, v, "s", mt.Resume(600))
		s.Subscribe("t/#", 2)
		s.Close()
		b.WaitOffline(0)
		p := b.Connect(t, v, "p", mt.Resume(600))
		for i := range 6 {
			p.Publish(fmt.Sprint("t/", i), "x", packets.QoS(i%3))
		}
		m := p.SendPublish("t/held", "x", 2)
		p.ExpectAck(packets.PUBREC, m.PacketID)
		b.Hold()
		p.SendPublish("t/lost", "x", 1, mt.Retain)
		p.ExpectNothing()
		b.Crash()
		p = b.Connect(t, v, "p", mt.Resume(600))
		want(t, "session present", p.Connack.SessionPresent, true)
		p.SendPublish("t/held", "x", 2, mt.PacketID(m.PacketID), mt.Dup)
		p.ExpectAck(packets.PUBREC, m.PacketID)
		p.Ack(packets.PUBREL, m.PacketID)
		wantCode(t, "PUBCOMP", p.ExpectAck(packets.PUBCOMP, m.PacketID), packets.Success)
		s = b.Connect(t, v, "s", mt.Resume(600))
		got := map[packets.QoS]string{}
		for range 5 {
			m := mt.Expect[*packets.Publish](s)
			got[m.QoS] += string(m.TopicName) + " "
			s.Answer(m)
		}
		want(t, "QoS 1", got[1], "t/1 t/4 ")
		want(t, "QoS 2", got[2], "t/2 t/5 t/held ")
		s.ExpectNothing()
		want(t, "retained", b.Stats().RetainedMessages, 0)
	})
}

// A connected client that the crash cut off has its session, its will and its time.
func TestDurable_crashConnected(t *testing.T) {
	t.Parallel()
	b := mt.NewBroker(t, mt.Options{Memory: true})
	watch := b.Connect(t, packets.V5, "watch", mt.Resume(600))
	watch.Subscribe("will/+", 1)
	watch.Close()
	b.Connect(t, packets.V5, "clean", mt.Will("will/clean", "x", 1))
	b.Connect(t, packets.V5, "delay", mt.Resume(600), mt.Will("will/delay", "x", 1, mt.WillDelay(30)))
	b.Connect(t, packets.V5, "short", mt.Resume(10))
	b.Crash()
	watch = b.Connect(t, packets.V5, "watch", mt.Resume(600))
	watch.Take("will/clean", "x", 1)
	watch.ExpectNothing()
	b.Eventually("three sessions", func() bool { return b.Stats().Sessions == 3 })
	b.Clock.Advance(11 * time.Second)
	want(t, "short", b.Connect(t, packets.V5, "short", mt.Resume(10)).Connack.SessionPresent, false)
	b.Clock.Advance(20 * time.Second)
	watch.Take("will/delay", "x", 1)
}

// Retained messages that came in while others waited keep their identifiers over a restart, and none is used twice.
func TestDurable_retainedInFlight(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Store: true})
		p := b.Connect(t, v, "p")
		for i := range 3 {
			p.Publish(fmt.Sprint("r/", i), "kept", 2, mt.Retain)
		}
		s := b.Connect(t, v, "s", mt.Resume(600))
		s.Subscribe("t", 2)
		s.Close()
		b.WaitOffline(1)
		for i := range 150 { // more than fit in flight
			p.Publish("t", fmt.Sprint(i), 2)
		}
		s = b.Connect(t, v, "s", mt.Resume(600))
		ids := map[uint16]string{}
		for i := range 100 {
			m := s.Receive("t", fmt.Sprint(i), 2)
			ids[m.PacketID] = string(m.Payload)
		}
		s.Subscribe("r/+", 2)
		for i := range 10 { // room for retained messages and some that wait
			id := uint16(i + 1)
			delete(ids, id)
			s.Ack(packets.PUBREC, id)
			s.ExpectAck(packets.PUBREL, id)
			s.Ack(packets.PUBCOMP, id)
		}
		s.Ping()
		for range 10 {
			m := mt.Expect[*packets.Publish](s)
			if _, used := ids[m.PacketID]; used {
				t.Fatalf("packet identifier %d is in use", m.PacketID)
			}
			ids[m.PacketID] = string(m.TopicName) + string(m.Payload)
		}
		b.Restart()
		s = b.Connect(t, v, "s", mt.Resume(600))
		last := uint16(0)
		for range 100 {
			m := mt.Expect[*packets.Publish](s)
			if _, ok := ids[m.PacketID]; !ok || !m.Dup || m.PacketID <= last {
				t.Fatalf("packet identifier %d, DUP %t after %d", m.PacketID, m.Dup, last)
			}
			last = m.PacketID
			delete(ids, last)
			s.Answer(m)
		}
		left := 150 + 3 - 10 - 100
		for range left {
			m := mt.Expect[*packets.Publish](s)
			want(t, "DUP", m.Dup, false)
			s.Answer(m)
		}
		s.ExpectNothing()
	})
}

// A connection that is taken over, or closed, before its CONNACK is safe gets none; the last one has the session.
func TestDurable_takeoverBeforeConnack(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Memory: true, Config: func(c *broker.Config) { c.Limits.ConnectTimeout = time.Minute }})
		watch := b.Connect(t, v, "watch")
		watch.Subscribe("will", 0)
		b.Hold()
		gone := b.Dial(t, v)
		gone.SendConnect("a", mt.Resume(60))
		b.Eventually("the session", func() bool { return b.Stats().Sessions == 2 })
		gone.Reset()
		b.WaitOffline(1)
		packetsBefore := b.Stats().PacketsReceived
		first := b.Dial(t, v)
		first.SendConnect("a", mt.Resume(60))
		first.Send(&packets.Publish{TopicName: []byte("t")})
		b.Eventually("its CONNECT", func() bool { return b.Stats().PacketsReceived > packetsBefore }) // else it may be the second
		second := b.Dial(t, v)
		second.SendConnect("a", mt.Resume(60))
		b.Eventually("the takeover", func() bool { return b.Stats().Takeovers == 1 })
		first.ExpectClose()
		b.Release()
		want(t, "session present", mt.Expect[*packets.Connack](second).SessionPresent, true)
		second.Ping()
		want(t, "messages of the first", b.Stats().MessagesReceived, 0)
		watch.ExpectNothing()
	})
}

// What waits for the store when a client leaves is done all the same.
func TestDurable_leavesWhileHeld(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Memory: true})
		s := b.Connect(t, v, "s", mt.Resume(60))
		s.Subscribe("t", 2)
		s.Disconnect()
		p := b.Connect(t, v, "p", mt.Resume(60))
		b.Hold()
		m := p.SendPublish("t", "x", 2)
		p.Ping()
		p.Close()
		b.WaitOffline(0)
		b.Release()
		p = b.Connect(t, v, "p", mt.Resume(60))
		p.SendPublish("t", "x", 2, mt.PacketID(m.PacketID), mt.Dup)
		p.ExpectAck(packets.PUBREC, m.PacketID)
		s = b.Connect(t, v, "s", mt.Resume(60))
		s.Take("t", "x", 2)
		s.ExpectNothing()
	})
}
