package broker_test

import (
	"slices"
	"testing"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/internal/speccov"
	"nightjar/packets"
)

// rules is the ACL that most of these tests begin with: ann publishes, bob receives.
const rules = `
user ann
topic readwrite a/#
topic readwrite will/#
user bob
topic read a/#
topic read will/#
`

func access(t *testing.T, o mt.Options) *mt.Broker {
	t.Helper()
	o.Users = map[string]string{"ann": "a", "bob": "b", "adm": "x"}
	o.Admins = []string{"adm"}
	if o.ACL == "" {
		o.ACL = rules
	}
	return mt.NewBroker(t, o)
}

var (
	ann = mt.Login("ann", "a")
	bob = mt.Login("bob", "b")
	adm = mt.Login("adm", "x")
)

// C33, D24, G11, G12
func TestAccess_live(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-3.3.5-2", "v3.1.1 MQTT-3.9.3-2")
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := access(t, mt.Options{})
		s := b.Connect(t, v, "s", bob)
		s.Send(&packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{TopicFilter: []byte("a/#")}, {TopicFilter: []byte("b/#")}, {TopicFilter: []byte("#")}, {TopicFilter: []byte("$SYS/#")}}})
		refused := packets.NotAuthorized
		if v < packets.V5 {
			refused = packets.UnspecifiedError
		}
		a := mt.Expect[*packets.Suback](s)
		if w := []packets.ReasonCode{0, refused, refused, refused}; !slices.Equal(a.ReasonCodes, w) {
			t.Errorf("SUBACK %v, want %v", a.ReasonCodes, w)
		}
		p := b.Connect(t, v, "p", ann)
		for qos := range packets.QoS(3) {
			p.Publish("a/x", "x", qos)
			s.Take("a/x", "x", 0)
			got := p.Publish("b/x", "x", qos)
			if qos > 0 {
				wantCode(t, "PUBACK", got, code(v, packets.NotAuthorized))
				wantCode(t, "PUBACK", s.Publish("a/x", "x", qos), code(v, packets.NotAuthorized))
			}
			s.ExpectNothing()
		}
		b.Connect(t, v, "adm", adm).Subscribe("$SYS/#", 0)
	})
}

// A denied publish of an older client ends its connection, where that is configured.
func TestAccess_closes(t *testing.T) {
	speccov.Covers(t, "v3.1.1 MQTT-3.3.5-2")
	for qos := range packets.QoS(3) {
		b := access(t, mt.Options{Config: func(c *broker.Config) { c.DeniedPublishCloses = true }})
		s := b.Connect(t, packets.V311, "s", ann)
		s.Subscribe("will/#", 0)
		p := b.Connect(t, packets.V311, "p", ann, mt.Will("will/p", "gone", 0))
		p.SendPublish("b/x", "x", qos)
		p.ExpectClose()
		s.Take("will/p", "gone", 0)
		five := b.Connect(t, packets.V5, "five", ann)
		five.Publish("b/x", "x", qos)
		five.Ping()
	}
}

// G09: a filter that covers denied topics is granted, and they are never delivered. G10: behind $share as well.
func TestAccess_overlap(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := access(t, mt.Options{ACL: rules + "topic deny a/secret/#\nuser adm\ntopic readwrite #\n"})
		p := b.Connect(t, v, "p", ann)
		p.Publish("a/secret/x", "kept", 1, mt.Retain)
		s := b.Connect(t, v, "s", bob, mt.Resume(60))
		wantCode(t, "SUBACK", s.Subscribe("a/#", 1), 1)
		wantCode(t, "SUBACK", s.Subscribe("$share/g/a/#", 1), 1)
		refused := packets.NotAuthorized
		if v < packets.V5 {
			refused = packets.UnspecifiedError
		}
		wantCode(t, "SUBACK", s.Subscribe("$share/g/a/secret/#", 1), refused)
		wantCode(t, "SUBACK", s.Subscribe("$share/g/#", 1), refused)
		p.Publish("a/secret/x", "live", 1)
		s.ExpectNothing()
		s.Close()
		b.WaitOffline(1)
		p.Publish("a/secret/x", "queued", 1)
		s = b.Connect(t, v, "s", bob, mt.Resume(60))
		s.ExpectNothing()
	})
}

// G03: the right to publish the will is asked for when it is published, too.
func TestAccess_will(t *testing.T) {
	t.Parallel()
	b := access(t, mt.Options{})
	s := b.Connect(t, packets.V5, "s", bob)
	s.Subscribe("will/#", 0)
	for delay := range uint32(2) {
		c := b.Connect(t, packets.V5, "c", ann, mt.Resume(60), mt.Will("will/c", "gone", 0, mt.WillDelay(delay)))
		b.ReloadACL("user bob\ntopic read will/#\n")
		c.Close()
		b.WaitOffline(1)
		b.Clock.Advance(2 * time.Second)
		b.Eventually("the drop", func() bool { return b.Stats().Dropped["not_authorized"] == uint64(delay+1) })
		s.ExpectNothing()
		b.ReloadACL(rules)
	}
}

// G04: a retained message is not delivered once its publisher may not publish it any more.
func TestAccess_retained(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := access(t, mt.Options{})
		p := b.Connect(t, v, "p", ann)
		p.Publish("a/x", "kept", 1, mt.Retain)
		s := b.Connect(t, v, "s", bob)
		s.Subscribe("a/x", 0)
		s.Take("a/x", "kept", 0)
		b.ReloadACL("user ann\ntopic read a/#\nuser bob\ntopic read a/#\n")
		s.Subscribe("a/x", 0)
		s.ExpectNothing()
		b.ReloadACL(rules)
		s.Subscribe("a/x", 0)
		s.Take("a/x", "kept", 0)
	})
}

// G05, G07, G08, G13: what a client may receive is asked at each delivery: live, queued, in flight and shared.
func TestAccess_revoked(t *testing.T) {
	for _, shared := range []string{"", "$share/g/"} {
		for _, store := range []bool{false, true} {
			eachVersion(t, func(t *testing.T, v packets.Version) {
				b := access(t, mt.Options{Store: store})
				p := b.Connect(t, v, "p", ann)
				s := b.Connect(t, v, "s", bob, mt.Resume(600))
				s.Subscribe(shared+"a/#", 2)
				p.Publish("a/x", "in flight", 2)
				s.Receive("a/x", "in flight", 2)
				s.Close()
				b.WaitOffline(1)
				p.Publish("a/x", "queued", 1)
				b.ReloadACL("user ann\ntopic readwrite a/#\nuser bob\ntopic read other/#\n")
				p.Publish("a/x", "after", 1)
				s = b.Connect(t, v, "s", bob, mt.Resume(600))
				s.ExpectNothing()
				for qos := range packets.QoS(3) {
					p.Publish("a/x", "live", qos)
				}
				s.ExpectNothing()
				b.ReloadACL(rules)
				for qos := range packets.QoS(3) {
					p.Publish("a/x", "live", qos)
					s.Take("a/x", "live", qos)
				}
			})
		}
	}
}

// The right to publish is asked again after a reload, for the topic that was allowed last.
func TestAccess_publishRevoked(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := access(t, mt.Options{})
		s := b.Connect(t, v, "s", bob)
		s.Subscribe("a/#", 0)
		p := b.Connect(t, v, "p", ann)
		for range 3 {
			p.Publish("a/x", "x", 1)
			s.Take("a/x", "x", 0)
			b.ReloadACL("user bob\ntopic read a/#\n")
			wantCode(t, "PUBACK", p.Publish("a/x", "x", 1), code(v, packets.NotAuthorized))
			wantCode(t, "PUBREC", p.Publish("a/x", "x", 2), code(v, packets.NotAuthorized))
			s.ExpectNothing()
			b.ReloadACL(rules)
		}
	})
}

// G01, G02: a Client Identifier never widens a pattern.
func TestAccess_patterns(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := access(t, mt.Options{ACL: "pattern readwrite dev/%c/#\n"})
		for id, ok := range map[string]bool{"dev1": true, "+": false, "#": false, "a/b": false, ".*": true, "(": true} {
			c := b.Connect(t, v, id, ann)
			got := c.Publish("dev/"+"dev1"+"/x", "x", 1) != packets.NotAuthorized
			if v >= packets.V5 {
				want(t, id+" publishes", got, id == "dev1")
			}
			if id == "a/b" || !ok {
				want(t, id+" subscribes", c.Subscribe("dev/+/x", 0).IsError(), true)
				continue
			}
			wantCode(t, "SUBACK", c.Subscribe("dev/"+id+"/#", 0), 0)
			c.Publish("dev/"+id+"/x", "own", 0)
			c.Take("dev/"+id+"/x", "own", 0)
		}
	})
}

// An administrator's session goes on as one after a restart, and its rights are those of who connects.
func TestAccess_adminRestart(t *testing.T) {
	eachVersion(t, func(t *testing.T, v packets.Version) {
		b := mt.NewBroker(t, mt.Options{Store: true, Users: map[string]string{"adm": "x"}, Admins: []string{"adm"}})
		s := b.Connect(t, v, "s", adm, mt.Resume(600))
		wantCode(t, "SUBACK", s.Subscribe("$x/#", 1), 1)
		b.Restart()
		p := b.Connect(t, v, "p", adm)
		p.Publish("$x/y", "before", 1)
		s = b.Connect(t, v, "s", adm, mt.Resume(600))
		want(t, "session present", s.Connack.SessionPresent, true)
		p.Publish("$x/y", "after", 1)
		m := mt.Expect[*packets.Publish](s)
		s.Answer(m)
		if string(m.Payload) == "before" {
			m = mt.Expect[*packets.Publish](s)
		}
		want(t, "message", string(m.Payload), "after")
		wantCode(t, "SUBACK", s.Subscribe("$SYS/#", 1), 1)
	})
}
