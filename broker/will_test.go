package broker_test

import (
	"testing"
	"time"

	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// E06, E13: [v5 MQTT-3.1.2-8] [v5 MQTT-3.14.4-3] [v3.1.1 MQTT-3.1.2-8] [v3.1.1 MQTT-3.14.4-3]
func TestWill_ends(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.1.2-7", "v5 MQTT-3.1.2-8", "v5 MQTT-3.1.2-9", "v5 MQTT-3.1.2-16", "v5 MQTT-3.1.2-17",
		"v5 MQTT-3.14.4-3", "v3.1.1 MQTT-3.1.2-8", "v3.1.1 MQTT-3.1.2-9", "v3.1.1 MQTT-3.1.2-10", "v3.1.1 MQTT-3.1.2-16",
		"v3.1.1 MQTT-3.1.2-17", "v3.1.1 MQTT-3.14.4-3",
	)
	for name, x := range map[string]struct {
		end  func(b *mt.Broker, c *mt.Client)
		will bool
		v5   bool
	}{
		"DISCONNECT":       {func(_ *mt.Broker, c *mt.Client) { c.Disconnect() }, false, false},
		"close":            {func(_ *mt.Broker, c *mt.Client) { c.Close() }, true, false},
		"malformed packet": {func(_ *mt.Broker, c *mt.Client) { c.Raw([]byte{0x36, 0}); _, _ = c.Next() }, true, false},
		"protocol error":   {func(_ *mt.Broker, c *mt.Client) { c.Raw([]byte{0x20, 2, 0, 0}); _, _ = c.Next() }, true, false},
		"DISCONNECT with will": {func(_ *mt.Broker, c *mt.Client) {
			c.Send(&packets.Disconnect{ReasonCode: packets.DisconnectWithWill})
			c.ExpectClose()
		}, true, true},
		"DISCONNECT 0x80": {func(_ *mt.Broker, c *mt.Client) {
			c.Send(&packets.Disconnect{ReasonCode: packets.UnspecifiedError})
			c.ExpectClose()
		}, true, true},
		"keep alive":           {func(b *mt.Broker, _ *mt.Client) { b.Clock.Advance(20 * time.Second) }, true, false},
		"malformed DISCONNECT": {func(_ *mt.Broker, c *mt.Client) { c.Raw([]byte{0xe1, 0}); _, _ = c.Next() }, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v packets.Version) {
				if x.v5 && v < packets.V5 {
					v = packets.V5
				}
				for qos := range packets.QoS(3) {
					b := start(t)
					s := b.Connect(t, v, "s")
					s.Subscribe("will", 2)
					retain := func(w *packets.Will) { w.Retain = qos == 1 }
					c := b.Connect(t, v, "c", mt.KeepAlive(10), mt.Will("will", "gone", qos, retain))
					x.end(b, c)
					b.Eventually("its end", func() bool { return b.Stats().Connections == 1 })
					if x.will {
						want(t, "RETAIN", s.Take("will", "gone", qos).Retain, false)
					}
					s.ExpectNothing()
					s.Unsubscribe("will")
					s.Subscribe("will", 2)
					if x.will && qos == 1 { // [v5 MQTT-3.1.2-17]
						want(t, "RETAIN", s.Take("will", "gone", qos).Retain, true)
					}
					s.ExpectNothing() // [v5 MQTT-3.1.2-16]
				}
			})
		})
	}
}

// [v5 MQTT-3.1.2-8] [v5 MQTT-3.1.2-26]: the delay, the end of the session before it, and the client that comes back.
func TestWill_delay(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-8")
	for _, store := range []bool{false, true} {
		for name, x := range map[string]struct {
			delay, expiry uint32
			sooner, later time.Duration
		}{
			"delay":                       {10, 60, 8 * time.Second, 3 * time.Second},
			"session ends first":          {60, 10, 8 * time.Second, 3 * time.Second},
			"no session":                  {10, 0, 0, 0},
			"no delay":                    {0, 60, 0, 0},
			"session expiry equals delay": {10, 10, 8 * time.Second, 3 * time.Second},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := mt.NewBroker(t, mt.Options{Store: store})
				s := b.Connect(t, packets.V5, "s")
				s.Subscribe("will", 2)
				c := b.Connect(t, packets.V5, "c", mt.Resume(x.expiry), mt.Will("will", "gone", 1, mt.WillDelay(x.delay)))
				c.Close()
				b.WaitOffline(1)
				if x.sooner > 0 {
					b.Clock.Advance(x.sooner)
					s.ExpectNothing()
				}
				b.Clock.Advance(x.later)
				s.Take("will", "gone", 1)
				s.ExpectNothing()
				b.Eventually("the will is counted", func() bool { return b.Stats().WillsPublished == 1 })
			})
		}
	}
}

// A client that comes back within the delay has no will, if its session goes on.
func TestWill_cancelled(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.1.2-10", "v5 MQTT-3.1.2-26")
	for _, store := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			b := mt.NewBroker(t, mt.Options{Store: store})
			s := b.Connect(t, packets.V5, "s")
			s.Subscribe("will", 1)
			o := []func(*packets.Connect){mt.Resume(60), mt.Will("will", "gone", 1, mt.WillDelay(10))}
			c := b.Connect(t, packets.V5, "c", o...)
			c.Close()
			b.WaitOffline(1)
			c = b.Connect(t, packets.V5, "c", mt.Resume(60))
			c.Close()
			b.WaitOffline(1)
			c = b.Connect(t, packets.V5, "c", o...)
			second := b.Connect(t, packets.V5, "c", mt.Resume(60)) // takes over
			c.ExpectDisconnect(packets.SessionTakenOver)
			b.Clock.Advance(20 * time.Second)
			second.ExpectNothing()
			second.Disconnect()
			c = b.Connect(t, packets.V5, "c", o...)
			c.Close()
			b.WaitOffline(1)
			s.ExpectNothing()
			// With Clean Start the session ends, and the will is due.
			c = b.Connect(t, packets.V5, "c")
			s.Take("will", "gone", 1)
			// A delayed will is gone for good once it was sent.
			b.Clock.Advance(20 * time.Second)
			c.ExpectNothing()
			s.ExpectNothing()
		})
	}
}

// Will properties; the expiry counts from when the will is published.
func TestWill_properties(t *testing.T) {
	t.Parallel()
	b := start(t)
	s := b.Connect(t, packets.V5, "s")
	s.Subscribe("will", 1)
	c := b.Connect(t, packets.V5, "c", mt.Resume(60), mt.Will("will", "gone", 1, mt.WillDelay(10), func(w *packets.Will) {
		w.Properties.ContentType, w.Properties.MessageExpiryInterval, w.Properties.PayloadFormatIndicator = []byte("text"), 30, 1
		w.Properties.UserProperties = []packets.UserProperty{{Name: []byte("a"), Value: []byte("1")}}
		w.Properties.ResponseTopic, w.Properties.CorrelationData = []byte("r"), []byte("c")
		w.Properties.Present.Add(packets.PropContentType, packets.PropMessageExpiryInterval, packets.PropPayloadFormatIndicator,
			packets.PropUserProperty, packets.PropResponseTopic, packets.PropCorrelationData)
	}))
	c.Close()
	b.WaitOffline(1)
	b.Clock.Advance(11 * time.Second)
	m := s.Take("will", "gone", 1)
	want(t, "expiry", m.MessageExpiryInterval, 30)
	want(t, "payload format indicator", m.PayloadFormatIndicator, 1)
	want(t, "response topic", string(m.ResponseTopic), "r")
}

// A delayed will survives a restart, and so does the cancelling.
func TestWill_restart(t *testing.T) {
	t.Parallel()
	b := mt.NewBroker(t, mt.Options{Store: true})
	s := b.Connect(t, packets.V5, "s", mt.Resume(600))
	s.Subscribe("will/+", 1)
	for _, id := range []string{"a", "b"} {
		b.Connect(t, packets.V5, id, mt.Resume(600), mt.Will("will/"+id, id, 1, mt.WillDelay(60))).Close()
	}
	b.WaitOffline(1)
	b.Restart()
	s = b.Connect(t, packets.V5, "s", mt.Resume(600))
	want(t, "session present", b.Connect(t, packets.V5, "b", mt.Resume(600)).Connack.SessionPresent, true)
	s.ExpectNothing()
	b.Clock.Advance(61 * time.Second)
	s.Take("will/a", "a", 1)
	s.ExpectNothing()
}
