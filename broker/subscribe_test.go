package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// [v5 MQTT-3.8.4-5] [v5 MQTT-3.8.4-6] [v5 MQTT-3.9.3-1] [v3.1.1 MQTT-3.8.4-4]: a code for each filter, in their order.
func TestSubscribe_codes(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-2.2.1-6", "v5 MQTT-3.8.4-1", "v5 MQTT-3.8.4-2", "v5 MQTT-3.8.4-5", "v5 MQTT-3.8.4-6", "v5 MQTT-3.8.4-7",
		"v5 MQTT-3.9.3-1", "v5 MQTT-3.9.3-2", "v5 MQTT-4.7.1-1", "v5 MQTT-4.7.1-2", "v5 MQTT-4.8.2-1", "v5 MQTT-4.8.2-2",
		"v3.1.1 MQTT-2.3.1-7", "v3.1.1 MQTT-3.8.3-2", "v3.1.1 MQTT-3.8.4-1", "v3.1.1 MQTT-3.8.4-2",
		"v3.1.1 MQTT-3.8.4-4", "v3.1.1 MQTT-3.8.4-5", "v3.1.1 MQTT-3.9.3-1", "v3.1.1 MQTT-3.9.3-2",
		"v3.1.1 MQTT-4.7.1-2", "v3.1.1 MQTT-4.7.1-3",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.TopicLevels, c.Limits.TopicBytes = 5, 40 }})
		c := b.Connect(t, v, "c")
		var p packets.Subscribe
		p.PacketID = 99
		var wanted []packets.ReasonCode
		for filter, ok := range map[string]bool{
			"a": true, "a/+/b": true, "#": true, "+": true, "/": true, "a/#": true, "+/+": true, "$share/g/t": true, "$share/g/#": true,
			"a#": false, "a/#/b": false, "ab/+e": false, "+a": false, "$share/": false, "$share/g": false, "$share/g/": false,
			"$share//t": false, "$share/+/t": false, "$share/g#/t": false, "a\r\n": false,
			"1/2/3/4/5": true, "1/2/3/4/5/6": false, strings.Repeat("x", 40): true, strings.Repeat("x", 41): false,
		} {
			x := packets.Subscription{TopicFilter: []byte(filter), Options: packets.SubscriptionOptions{QoS: packets.QoS(len(wanted) % 3)}}
			p.Subscriptions = append(p.Subscriptions, x)
			switch {
			case ok:
				wanted = append(wanted, packets.ReasonCode(x.Options.QoS))
			case v >= packets.V5:
				wanted = append(wanted, packets.TopicFilterInvalid)
			default:
				wanted = append(wanted, packets.UnspecifiedError) // 0x80 on the wire
			}
		}
		c.Send(&p)
		a := mt.Expect[*packets.Suback](c)
		want(t, "packet identifier", a.PacketID, 99)
		if !slices.Equal(a.ReasonCodes, wanted) {
			t.Errorf("codes %v, want %v", a.ReasonCodes, wanted)
		}
	})
}

// D11: [v5 MQTT-3.8.3-4]
func TestSubscribe_sharedNoLocal(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.8.3-4")
	b := start(t)
	c := b.Connect(t, packets.V5, "c")
	c.SendSubscribe("$share/g/t", 0, mt.NoLocal)
	c.ExpectDisconnect(packets.ProtocolError)
}

// Limits of subscriptions: limit, and one more; a change of one that is there is none more.
func TestSubscribe_limit(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.10.4-5", "v3.1.1 MQTT-3.10.4-5")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.Subscriptions, c.Limits.Filters = 3, 4 }})
		c := b.Connect(t, v, "c")
		for i := range 3 {
			wantCode(t, "SUBACK", c.Subscribe(fmt.Sprint(i), 1), 1)
		}
		refused := packets.QuotaExceeded
		if v < packets.V5 {
			refused = packets.UnspecifiedError
		}
		wantCode(t, "one more", c.Subscribe("3", 1), refused)
		wantCode(t, "again", c.Subscribe("2", 2), 2)
		c.Unsubscribe("0")
		wantCode(t, "in its place", c.Subscribe("3", 1), 1)
		c.Unsubscribe("a", "b", "c", "d")
		p := &packets.Unsubscribe{PacketID: 1, TopicFilters: [][]byte{{'a'}, {'b'}, {'c'}, {'d'}, {'e'}}}
		c.Send(p)
		c.ExpectDisconnect(packets.QuotaExceeded)
	})
}

// [v5 MQTT-3.10.4-1] [v5 MQTT-3.10.4-4] [v5 MQTT-3.11.3-1] [v3.1.1 MQTT-3.10.4-5]
func TestUnsubscribe(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.10.4-1", "v5 MQTT-3.10.4-2", "v5 MQTT-3.10.4-4", "v5 MQTT-3.10.4-5", "v5 MQTT-3.10.4-6",
		"v5 MQTT-3.11.3-1", "v5 MQTT-3.11.3-2", "v3.1.1 MQTT-3.10.4-1", "v3.1.1 MQTT-3.10.4-2", "v3.1.1 MQTT-3.10.4-4",
		"v3.1.1 MQTT-3.10.4-6",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "c")
		for i := range 40 {
			c.Subscribe(fmt.Sprint("t/", i), 1)
		}
		c.Subscribe("t/+", 1)
		codes := c.Unsubscribe("t/+", "t/#", "t/1", "t/1", "T/2", "t/3")
		if v >= packets.V5 {
			none := packets.NoSubscriptionExisted
			if w := []packets.ReasonCode{0, none, 0, none, none, 0}; !slices.Equal(codes, w) {
				t.Errorf("UNSUBACK %v, want %v", codes, w)
			}
		}
		c.Publish("t/1", "x", 1)
		c.Publish("t/3", "x", 1)
		c.ExpectNothing()
		c.Publish("t/2", "x", 1)
		c.Take("t/2", "x", 1)
		want(t, "subscriptions", b.Stats().Subscriptions, 38)
	})
}

// [v5 MQTT-3.10.4-3] [v3.1.1 MQTT-3.10.4-3]: what is in flight completes.
func TestUnsubscribe_inFlight(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.10.4-3", "v3.1.1 MQTT-3.10.4-3")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "c")
		c.Subscribe("t", 2)
		c.Publish("t", "x", 2)
		m := c.Receive("t", "x", 2)
		c.Unsubscribe("t")
		c.Answer(m)
		c.Publish("t", "y", 2)
		c.ExpectNothing()
	})
}

// [v5 MQTT-3.3.4-2] to [v5 MQTT-3.3.4-4] [v3.1.1 MQTT-3.3.5-1]: one copy at the highest QoS with all identifiers.
func TestSubscribe_overlapping(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.3.4-2", "v5 MQTT-3.3.4-3", "v5 MQTT-3.3.4-4", "v3.1.1 MQTT-3.3.5-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		s := b.Connect(t, v, "s")
		filters := []string{"t/x", "t/+", "t/#", "#", "+/x"}
		for i, f := range filters {
			var o []func(*packets.Subscribe)
			if v >= packets.V5 && i < 3 {
				o = append(o, mt.SubscriptionID(uint32(100*i+1)))
			}
			s.Subscribe(f, packets.QoS(i%3), o...)
		}
		p := b.Connect(t, v, "p")
		for qos := range packets.QoS(3) {
			p.Publish("t/x", "m", qos)
			m := s.Take("t/x", "m", qos)
			ids := slices.Sorted(slices.Values(m.SubscriptionIdentifiers))
			if v >= packets.V5 && !slices.Equal(ids, []uint32{1, 101, 201}) {
				t.Errorf("subscription identifiers %v", ids)
			}
			s.ExpectNothing()
		}
	})
}

// A subscription that is replaced has the new identifier, or none, and the new QoS [v5 MQTT-3.8.4-3].
func TestSubscribe_replaced(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.8.4-3")
	b := start(t)
	s := b.Connect(t, packets.V5, "s", mt.Resume(60))
	s.Subscribe("t", 2, mt.SubscriptionID(1))
	s.Subscribe("t", 1, mt.SubscriptionID(268435455))
	p := b.Connect(t, packets.V5, "p")
	p.Publish("t", "x", 2)
	m := s.Take("t", "x", 1)
	if !slices.Equal(m.SubscriptionIdentifiers, []uint32{268435455}) {
		t.Errorf("subscription identifiers %v", m.SubscriptionIdentifiers)
	}
	s.Close()
	b.WaitOffline(1)
	p.Publish("t", "y", 2)
	s = b.Connect(t, packets.V5, "s", mt.Resume(60))
	m = s.Take("t", "y", 1)
	if !slices.Equal(m.SubscriptionIdentifiers, []uint32{268435455}) {
		t.Errorf("subscription identifiers of a queued message %v", m.SubscriptionIdentifiers)
	}
	s.Subscribe("t", 0)
	p.Publish("t", "z", 2)
	want(t, "identifiers", len(s.Take("t", "z", 0).SubscriptionIdentifiers), 0)
}

// [v5 MQTT-3.8.3-3]
func TestNoLocal(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-3.8.3-3")
	b := start(t)
	c := b.Connect(t, packets.V5, "c", mt.Will("t", "will", 1), mt.Resume(60))
	other := b.Connect(t, packets.V5, "other")
	other.Subscribe("t", 1, mt.NoLocal)
	c.Subscribe("t", 2, mt.NoLocal)
	for qos := range packets.QoS(3) {
		c.Publish("t", "x", qos)
		c.ExpectNothing()
		other.Take("t", "x", min(qos, 1))
	}
	other.Publish("t", "y", 1)
	c.Take("t", "y", 1)
	// Another subscription that is local, with its own QoS and identifier.
	c.Subscribe("+", 1, mt.SubscriptionID(5))
	c.Publish("t", "z", 2)
	m := c.Take("t", "z", 1)
	want(t, "identifier", m.SubscriptionIdentifiers[0], 5)
	c.ExpectNothing()
	c.Unsubscribe("+")
	// Its own will, which is published when the client has gone.
	other.Take("t", "z", 1)
	c.Send(&packets.Disconnect{ReasonCode: packets.DisconnectWithWill})
	c.ExpectClose()
	other.Take("t", "will", 1)
	c = b.Connect(t, packets.V5, "c", mt.Resume(60))
	want(t, "session present", c.Connack.SessionPresent, true)
	c.ExpectNothing()
}

// [v5 MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1], live and retained; C11 to C13, D20.
func TestDollarTopics(t *testing.T) {
	speccov.Covers(t, "v5 MQTT-4.7.2-1", "v3.1.1 MQTT-4.7.2-1")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := start(t)
		c := b.Connect(t, v, "c")
		c.Publish("$other/x", "kept", 1, mt.Retain)
		for _, f := range []string{"#", "+/x", "+/#", "$share/g/#"} {
			c.Subscribe(f, 1)
		}
		c.Publish("$other/x", "live", 1)
		c.ExpectNothing()
		c.Subscribe("$other/#", 1)
		c.Take("$other/x", "kept", 1)
		c.Publish("$other/x", "live", 1)
		c.Take("$other/x", "live", 1)
		c.Subscribe("$SYS/#", 0)
		for _, topic := range []string{"$SYS/broker/x", "$SYS", "$share/g/t"} {
			for qos := range packets.QoS(3) {
				got := c.Publish(topic, "x", qos)
				if qos > 0 {
					wantCode(t, topic, got, code(v, packets.NotAuthorized))
				}
				c.ExpectNothing()
			}
		}
	})
}

// C07 to C10
func TestPublish_badTopic(t *testing.T) {
	speccov.Covers(t,
		"v5 MQTT-3.3.2-2", "v5 MQTT-4.7.0-1", "v5 MQTT-4.7.3-4", "v3.1.1 MQTT-3.3.2-2", "v3.1.1 MQTT-4.7.1-1",
		"v3.1.1 MQTT-4.7.3-4",
	)
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Config: func(c *broker.Config) { c.Limits.TopicLevels, c.Limits.TopicBytes = 5, 40 }})
		for topic, qos1 := range map[string]bool{
			"a/#": false, "+": false, "1/2/3/4/5/6": true, strings.Repeat("x", 41): true, "a\x02b": true,
		} {
			c := b.Connect(t, v, "c")
			if qos1 && v >= packets.V5 {
				wantCode(t, topic, c.Publish(topic, "", 1), packets.TopicNameInvalid)
				wantCode(t, topic, c.Publish(topic, "", 2), packets.TopicNameInvalid)
			}
			c.SendPublish(topic, "", 0)
			c.ExpectDisconnect(packets.TopicNameInvalid)
		}
		c := b.Connect(t, v, "c")
		c.Subscribe("#", 1)
		for _, topic := range []string{"1/2/3/4/5", strings.Repeat("x", 40), "/", "//", " ", ".*>", "x' UNION --", "é\ufeff"} { // [v5 MQTT-4.7.3-4]
			c.Publish(topic, "", 1)
			c.Take(topic, "", 1)
		}
	})
}
