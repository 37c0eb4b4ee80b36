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

// [v5 MQTT-3.1.2-4] to [v5 MQTT-3.1.2-6] [v5 MQTT-3.2.2-3] [v5 MQTT-4.5.0-1] [v3.1.1 MQTT-3.1.2-4] to [v3.1.1 MQTT-3.1.2-6]
func TestSession_resume(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-4", "v5 MQTT-3.1.2-5", "v5 MQTT-3.1.2-6", "v5 MQTT-3.1.2-25", "v5 MQTT-3.1.4-4",
		"v5 MQTT-3.2.2-2", "v5 MQTT-3.2.2-3", "v5 MQTT-4.1.0-1", "v5 MQTT-4.5.0-1", "v3.1.1 MQTT-3.1.2-4",
		"v3.1.1 MQTT-3.1.2-5", "v3.1.1 MQTT-3.1.2-6", "v3.1.1 MQTT-3.1.4-3", "v3.1.1 MQTT-3.2.2-1",
		"v3.1.1 MQTT-3.2.2-2", "v3.1.1 MQTT-3.2.2-3", "v3.1.1 MQTT-4.1.0-1", "v3.1.1 MQTT-4.5.0-1",
	)
	for _, store := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Store: store})
			p := b.Connect(t, v, "p")
			s := b.Connect(t, v, "s", mt.Resume(60))
			want(t, "session present", s.Connack.SessionPresent, false)
			for i := range 3 {
				s.Subscribe(fmt.Sprint("t/", i), packets.QoS(i))
			}
			s.Disconnect()
			b.WaitOffline(1)
			for i := range 3 {
				p.Publish(fmt.Sprint("t/", i), "x", 2)
			}
			if store {
				b.Restart()
				p = b.Connect(t, v, "p")
			}
			s = b.Connect(t, v, "s", mt.Resume(60))
			want(t, "session present", s.Connack.SessionPresent, true)
			s.Take("t/1", "x", 1)
			s.Take("t/2", "x", 2)
			s.ExpectNothing()
			p.Publish("t/0", "y", 2)
			s.Take("t/0", "y", 0)
			s.Disconnect()
			b.WaitOffline(1)
			p.Publish("t/2", "z", 2)
			s = b.Connect(t, v, "s")
			want(t, "session present", s.Connack.SessionPresent, false)
			p.Publish("t/2", "z", 2)
			s.ExpectNothing()
			s.Disconnect()
			b.WaitOffline(1)
			s = b.Connect(t, v, "s", mt.Resume(60)) // the clean session has left nothing
			want(t, "session present", s.Connack.SessionPresent, false)
		})
	}
}

// [v5 MQTT-3.1.2-23] [v5 MQTT-4.1.0-2]: the interval counts from the end of the connection.
func TestSessionExpiry(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-25", "v5 MQTT-4.1.0-2")
	t.Parallel()
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.SessionExpiryMax = 100 * time.Second }})
	c := b.Connect(t, packets.V5, "c", mt.Resume(10))
	b.Clock.Advance(20 * time.Second)
	c.Ping()
	c.Close()
	b.WaitOffline(0)
	b.Clock.Advance(9 * time.Second)
	c = b.Connect(t, packets.V5, "c", mt.Resume(10))
	want(t, "session present", c.Connack.SessionPresent, true)
	c.Close()
	b.WaitOffline(0)
	b.Clock.Advance(11 * time.Second)
	c = b.Connect(t, packets.V5, "c", mt.Resume(10))
	want(t, "session present", c.Connack.SessionPresent, false)
	c.Close()
	b.WaitOffline(0)
	b.Clock.Advance(11 * time.Second)
	b.Eventually("its end", func() bool { return b.Stats().Sessions == 0 })
	// The longest that the broker grants is told.
	for asked, told := range map[uint32]bool{99: false, 100: false, 101: true, 0xFFFFFFFF: true} {
		p := b.Connect(t, packets.V5, "d", mt.Resume(asked)).Connack.Properties
		want(t, "present", p.Present.Has(packets.PropSessionExpiryInterval), told)
		if told {
			want(t, "session expiry interval", p.SessionExpiryInterval, 100)
		}
	}
}

// [v5 MQTT-3.14.2-2], E05
func TestSessionExpiry_disconnect(t *testing.T) {
	b := start(t)
	leave := func(c *mt.Client, seconds uint32) {
		d := &packets.Disconnect{}
		d.Properties.SessionExpiryInterval = seconds
		d.Properties.Present.Add(packets.PropSessionExpiryInterval)
		c.Send(d)
	}
	for _, x := range []struct {
		first, then uint32
		after       time.Duration
		present     bool
	}{{60, 0, 0, false}, {60, 600, 100 * time.Second, true}, {60, 5, 10 * time.Second, false}, {0, 0, 0, false}} {
		c := b.Connect(t, packets.V5, "c", mt.Resume(x.first))
		leave(c, x.then)
		c.ExpectClose()
		b.WaitOffline(0)
		b.Clock.Advance(x.after)
		c = b.Connect(t, packets.V5, "c", mt.Resume(60))
		want(t, fmt.Sprint(x, " session present"), c.Connack.SessionPresent, x.present)
		leave(c, 0)
		c.ExpectClose()
		b.WaitOffline(0)
	}
	c := b.Connect(t, packets.V5, "c")
	leave(c, 1)
	c.ExpectDisconnect(packets.ProtocolError)
}

// A session that was kept and is resumed with Session Expiry Interval 0 ends with this connection.
func TestSessionExpiry_shortened(t *testing.T) {
	for _, store := range []bool{false, true} {
		b := mt.NewBroker(t, mt.Options{Store: store})
		p := b.Connect(t, packets.V5, "p")
		c := b.Connect(t, packets.V5, "c", mt.Resume(60))
		c.Subscribe("t", 2)
		p.Publish("t", "0", 2)
		c.Receive("t", "0", 2)
		c.Close()
		b.WaitOffline(1)
		for i := 1; i < 4; i++ {
			p.Publish("t", fmt.Sprint(i), 2)
		}
		c = b.Connect(t, packets.V5, "c", mt.Resume(0))
		want(t, "session present", c.Connack.SessionPresent, true)
		for i := range 4 {
			c.Take("t", fmt.Sprint(i), 2)
		}
		p.Publish("t", "live", 2)
		c.Take("t", "live", 2)
		p.Publish("t", "live", 2)
		c.Receive("t", "live", 2)
		c.Close()
		b.WaitOffline(1)
		want(t, "subscriptions", b.Stats().Subscriptions, 0)
		c = b.Connect(t, packets.V5, "c", mt.Resume(60))
		want(t, "session present", c.Connack.SessionPresent, false)
		c.ExpectNothing()
		if store {
			b.Restart()
			c = b.Connect(t, packets.V5, "c", mt.Resume(60))
			want(t, "session present", c.Connack.SessionPresent, true)
			c.ExpectNothing()
		}
	}
}

// [v5 MQTT-3.3.2-5] [v5 MQTT-3.3.2-6]: what waits expires, and the rest of the time is told.
func TestMessageExpiry(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.2-5", "v5 MQTT-3.3.2-6")
	for _, store := range []bool{false, true} {
		b := mt.NewBroker(t, mt.Options{Store: store})
		p := b.Connect(t, packets.V5, "p")
		live := b.Connect(t, packets.V5, "live")
		live.Subscribe("t", 1)
		s := b.Connect(t, packets.V5, "s", mt.Resume(600))
		s.Subscribe("t", 1)
		s.Close()
		b.WaitOffline(2)
		for _, seconds := range []uint32{5, 100} {
			p.Publish("t", fmt.Sprint(seconds), 1, mt.Expiry(seconds))
			want(t, "live", live.Take("t", fmt.Sprint(seconds), 1).MessageExpiryInterval, seconds)
		}
		p.Publish("t", "never", 1)
		want(t, "live", live.Take("t", "never", 1).HasMessageExpiryInterval, false)
		b.Clock.Advance(10 * time.Second)
		if store {
			b.Restart()
		}
		s = b.Connect(t, packets.V5, "s", mt.Resume(600))
		if n := s.Take("t", "100", 1).MessageExpiryInterval; n < 85 || n > 90 {
			t.Errorf("message expiry interval %d, want about 90", n)
		}
		s.Take("t", "never", 1)
		s.ExpectNothing()
		if !store {
			want(t, "expired", b.Stats().Dropped["expired"], 1)
		}
	}
}

// Queue limits: limit, and one more, by both policies, in messages and bytes.
func TestQueue_limits(t *testing.T) {
	for name, set := range map[string]func(*broker.Limits){
		"messages": func(l *broker.Limits) { l.QueueMessages = 3 },
		"bytes":    func(l *broker.Limits) { l.QueueBytes = 3*(128+1+1) + 1 },
	} {
		for _, oldest := range []bool{false, true} {
			for _, store := range []bool{false, true} {
				t.Run(fmt.Sprint(name, oldest, store), func(t *testing.T) {
					eachVersion(t, func(t *testing.T, v packets.Version) {
						b := mt.NewBroker(t, mt.Options{Store: store, Config: func(c *broker.Config) {
							set(&c.Limits)
							c.Limits.QueueDropOldest = oldest
						}})
						p := b.Connect(t, v, "p")
						s := b.Connect(t, v, "s", mt.Resume(60))
						s.Subscribe("t", 1)
						s.Close()
						b.WaitOffline(1)
						for i := range 5 {
							wantCode(t, "PUBACK", p.Publish("t", fmt.Sprint(i), 1), packets.Success)
							want(t, "dropped", b.Stats().Dropped["queue_full"], uint64(max(i-2, 0)))
						}
						if store {
							b.Restart()
						}
						s = b.Connect(t, v, "s", mt.Resume(60))
						first := 0
						if oldest {
							first = 2
						}
						for i := range 3 {
							s.Take("t", fmt.Sprint(first+i), 1)
						}
						s.ExpectNothing()
					})
				})
			}
		}
	}
}

// A large message takes the place of as many old ones as it needs; one that never fits takes nobody's.
func TestQueue_bytes(t *testing.T) {
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.QueueBytes, c.Limits.QueueDropOldest = 1000, true }})
	p := b.Connect(t, packets.V5, "p")
	s := b.Connect(t, packets.V5, "s", mt.Resume(60))
	s.Subscribe("t", 1)
	s.Close()
	b.WaitOffline(1)
	for i := range 7 {
		p.Publish("t", fmt.Sprint(i), 1)
	}
	p.Publish("t", strings.Repeat("x", 600), 1)
	p.Publish("t", strings.Repeat("x", 2000), 1)
	s = b.Connect(t, packets.V5, "s", mt.Resume(60))
	s.Take("t", "5", 1)
	s.Take("t", "6", 1)
	s.Take("t", strings.Repeat("x", 600), 1)
	s.ExpectNothing()
}

// A slow consumer: QoS 0 is dropped and counted, QoS 1 waits, and nobody else is slower for it.
func TestSlowConsumer(t *testing.T) {
	for _, resume := range []bool{false, true} {
		eachVersion(t, func(t *testing.T, v packets.Version) {
			b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.OutboxBytes = 100_000 }})
			var o []func(*packets.Connect)
			if resume {
				o = append(o, mt.Resume(60))
			}
			s := b.Connect(t, v, "s", o...)
			s.Subscribe("t", 1)
			p := b.Connect(t, v, "p")
			payload := strings.Repeat("x", 50_000)
			zero := 0
			for ; b.Stats().Dropped["slow_consumer"] < 10; zero++ {
				p.Publish("t", payload, 0)
			}
			for i := range 20 {
				p.Publish("t", fmt.Sprint(i), 1)
			}
			next := 0
			for next < 20 {
				m := mt.Expect[*packets.Publish](s)
				s.Answer(m)
				if m.QoS == 1 {
					want(t, "message", string(m.Payload), fmt.Sprint(next))
					next++
				} else {
					zero--
				}
			}
			want(t, "dropped", b.Stats().Dropped["slow_consumer"], uint64(zero))
			s.ExpectNothing()
		})
	}
}

// A connection that takes nothing for too long is ended.
func TestSlowConsumer_timeout(t *testing.T) {
	t.Parallel()
	b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.OutboxBytes = 100_000 }})
	s := b.Connect(t, packets.V5, "s", mt.Resume(60))
	s.Subscribe("t", 1)
	p := b.Connect(t, packets.V5, "p")
	for b.Stats().Dropped["slow_consumer"] == 0 {
		p.Publish("t", strings.Repeat("x", 50_000), 0)
	}
	b.Eventually("its end", func() bool {
		b.Clock.Advance(time.Second)
		return b.Stats().Connections == 1
	})
}

// What a burst leaves in the session is sent when the burst has been written, without another event.
func TestBurst(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.OutboxBytes = 8192 }})
		s := b.Connect(t, v, "s")
		s.Subscribe("t", 1)
		p := b.Connect(t, v, "p")
		zero := p.Encode(&packets.Publish{TopicName: []byte("t"), Payload: []byte(strings.Repeat("x", 6000))})
		for i := range 20 {
			p.Raw(append(zero, p.Encode(&packets.Publish{TopicName: []byte("t"), Payload: fmt.Append(nil, i), QoS: 1, PacketID: uint16(i + 1)})...))
			for {
				if m := mt.Expect[*packets.Publish](s); m.QoS == 1 {
					want(t, "message", string(m.Payload), fmt.Sprint(i))
					s.Answer(m)
					break
				}
			}
		}
	})
}

// The number of sessions, and of connections: limit, and one more.
func TestSessions_limit(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.Sessions = 2 }})
		a := b.Connect(t, v, "a", mt.Resume(60))
		c := b.Connect(t, v, "c")
		full := packets.QuotaExceeded
		if v < packets.V5 {
			full = packets.ServerUnavailable
		}
		wantCode(t, "CONNACK", b.Refused(t, v, "d"), full)
		a.Close()
		b.WaitOffline(1)
		wantCode(t, "CONNACK", b.Refused(t, v, "d"), full) // its session is still there
		a = b.Connect(t, v, "a")
		c.Close()
		b.WaitOffline(1)
		b.Connect(t, v, "d")
		a.Ping()
	})
}

func TestConnections_limit(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.Connections = 2 }})
		b.Connect(t, v, "a")
		c := b.Connect(t, v, "b")
		busy := packets.ServerBusy
		if v < packets.V5 {
			busy = packets.ServerUnavailable
		}
		wantCode(t, "CONNACK", b.Refused(t, v, "c"), busy)
		c.Disconnect()
		b.WaitOffline(1)
		b.Connect(t, v, "c")
	})
}

// A session may be resumed by the other version of the protocol.
func TestSession_otherVersion(t *testing.T) {
	for _, first := range []packets.Version{packets.V311, packets.V5} {
		b := mt.NewBroker(t, mt.Options{Store: true})
		p := b.Connect(t, packets.V5, "p")
		s := b.Connect(t, first, "s", mt.Resume(600))
		if first == packets.V5 {
			s.Subscribe("t", 2, mt.SubscriptionID(9))
		} else {
			s.Subscribe("t", 2)
		}
		p.Publish("t", "in flight", 2, mt.Expiry(100))
		id := s.Receive("t", "in flight", 2).PacketID
		s.Close()
		b.WaitOffline(1)
		p.Publish("t", "waits", 1, mt.Expiry(100))
		for range 2 {
			first = packets.V311 + packets.V5 - first
			s = b.Connect(t, first, "s", mt.Resume(600))
			want(t, "session present", s.Connack.SessionPresent, true)
			want(t, "packet identifier", s.Receive("t", "in flight", 2).PacketID, id)
			s.Receive("t", "waits", 1)
			s.ExpectNothing()
			s.Close()
			b.WaitOffline(1)
		}
	}
}

// Where no session may be kept, none is, in any version.
func TestSessionExpiry_none(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Store: true, Config: func(c *broker.Config) { c.Limits.SessionExpiryMax = 0 }})
		for range 2 {
			c := b.Connect(t, v, "c", mt.Resume(60))
			want(t, "session present", c.Connack.SessionPresent, false)
			if v >= packets.V5 {
				want(t, "told", c.Connack.Properties.Present.Has(packets.PropSessionExpiryInterval), true)
			}
			c.Close()
			b.WaitOffline(0)
			want(t, "sessions", b.Stats().Sessions, 0)
		}
	})
}

// $SYS has the broker's numbers, retained.
func TestSys(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.SysInterval, c.Version = time.Millisecond, "1.2.3" }})
		c := b.Connect(t, v, "c")
		wantCode(t, "SUBACK", c.Subscribe("$SYS/broker/version", 1), 1)
		c.Take("$SYS/broker/version", "nightjar version 1.2.3", 1) // once, live or retained
		c.Subscribe("$SYS/broker/version", 1)
		want(t, "RETAIN", c.Take("$SYS/broker/version", "nightjar version 1.2.3", 1).Retain, true)
		c.Subscribe("$SYS/broker/clients/connected", 1)
		for string(mt.Expect[*packets.Publish](c).Payload) != "1" {
			continue
		}
	})
}

// A session is taken over by a connection that will not keep it: what comes before its CONNACK, the will of the connection
// that it takes over from the first, is not lost.
func TestSession_takeoverToEnd(t *testing.T) {
	b := start(t)
	old := b.Connect(t, packets.V5, "c", mt.Resume(60), mt.Will("w", "gone", 1))
	old.Subscribe("w", 1)
	c := b.Connect(t, packets.V5, "c", mt.Resume(0))
	want(t, "session present", c.Connack.SessionPresent, true)
	c.Take("w", "gone", 1)
	old.ExpectDisconnect(packets.SessionTakenOver)
}
