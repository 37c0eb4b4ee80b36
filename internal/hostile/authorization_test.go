package hostile

import (
	"fmt"
	"strings"

	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// authorization is table G. Rights change while its broker runs: each case begins and ends with userRules.
var authorization = []row{
	{id: "G01", what: "Client Identifiers that could be more than a level", script: literal("+", "#", "a/b", "../x", "$x", "")},
	{id: "G02", what: "Client Identifiers that are regular expressions", script: literal(".*", "a|b", "(", "%c", "%u")},
	{id: "G03", what: "right gone when the will is due", whole: true, moves: dropped, script: func(x *run) {
		topic := "will/" + x.id("g03")
		w := x.watch(topic)
		for _, delay := range []uint32{0, 5} {
			c := x.connect(x.id("c"), ann, mt.Resume(60), mt.Will(topic, "gone", 1, mt.WillDelay(delay)))
			restore := x.rules("user bob\ntopic read a/#\n")
			c.Close()
			x.quiet(3)
			x.Clock.Advance(6e9)
			w.ExpectNothing()
			restore()
		}
		x.connect(x.id("c"), ann).Disconnect()
	}},
	{id: "G04", what: "publisher of a retained message has lost the right", whole: true, moves: dropped, script: func(x *run) {
		topic := "a/" + x.id("g04")
		p := x.connect(x.id("p"), ann)
		p.Publish(topic, "x", 1, mt.Retain)
		restore := x.rules("user bob\ntopic read a/#\n")
		s := x.connect(x.id("s"), bob)
		s.Subscribe(topic, 1)
		s.Subscribe("a/#", 1)
		s.ExpectNothing()
		restore()
		p.Publish(topic, "", 1, mt.Retain)
	}},
	{id: "G05", what: "subscriber has lost the right while offline", whole: true, moves: dropped, script: func(x *run) {
		topic := "a/" + x.id("g05")
		s := x.connect(x.id("s"), bob, mt.Resume(60))
		s.Subscribe(topic, 2)
		s.Close()
		x.quiet(2)
		p := x.connect(x.id("p"), ann)
		for qos := range packets.QoS(3) {
			p.Publish(topic, fmt.Sprint(qos), qos)
		}
		restore := x.rules("user ann\ntopic write a/#\n")
		x.connect(x.id("s"), bob, mt.Resume(60)).ExpectNothing()
		restore()
		x.connect(x.id("s"), bob).Disconnect()
	}},
	{id: "G06", what: "publisher loses the right before PUBREL", whole: true, moves: dropped, script: func(x *run) { // departure
		topic := "a/" + x.id("g06")
		s := x.connect(x.id("s"), bob)
		s.Subscribe(topic, 0)
		p := x.connect(x.id("p"), ann)
		m := p.SendPublish(topic, "x", 2)
		p.ExpectAck(packets.PUBREC, m.PacketID)
		s.Take(topic, "x", 0)
		defer x.rules("user bob\ntopic read a/#\n")()
		p.SendPublish(topic, "x", 2, mt.PacketID(m.PacketID), mt.Dup) // is not taken for a new message
		mt.Expect[*packets.Ack](p)
		p.Ack(packets.PUBREL, m.PacketID)
		if code := p.ExpectAck(packets.PUBCOMP, m.PacketID); code != packets.Success {
			x.t.Errorf("PUBCOMP %v", code)
		}
		m = p.SendPublish(topic, "y", 2)
		x.want(token(mt.Expect[*packets.Ack](p), x.v), "R:00", "R:87")
		p.Ack(packets.PUBREL, m.PacketID)
		mt.Expect[*packets.Ack](p)
		s.ExpectNothing()
	}},
	{id: "G07", what: "retained message of a denied topic", whole: true, moves: dropped, script: func(x *run) {
		topic := "a/secret/" + x.id("g07")
		p := x.connect(x.id("p"), ann)
		p.Publish(topic, "x", 1, mt.Retain)
		s := x.connect(x.id("s"), bob)
		for _, f := range []string{"a/#", "a/+/+"} {
			s.Subscribe(f, 1)
			p.Publish(topic, "live", 1)
			s.ExpectNothing()
		}
		x.want(x.query(s, "82 0009 {} '"+topic+"' 00"), "S:80", "S:87")
		p.Publish(topic, "", 1, mt.Retain)
	}},
	{id: "G08", what: "the same after a restart", whole: true, only: packets.V5, kinds: []string{"tcp"}, script: func(x *run) {
		const first = "user ann\ntopic readwrite a/#\nuser bob\ntopic read a/#\n"
		b := newBench(x.t, mt.Options{Store: true, Users: users, ACL: first})
		s := b.Connect(x.t, x.v, "s", bob, mt.Resume(3600))
		s.Subscribe("a/#", 2)
		s.Close()
		b.WaitOffline(0)
		p := b.Connect(x.t, x.v, "p", ann)
		for qos := range packets.QoS(3) {
			p.Publish("a/secret", fmt.Sprint(qos), qos, mt.Retain)
		}
		b.ReloadACL(first + "topic deny a/secret\n")
		b.Restart()
		s = b.Connect(x.t, x.v, "s", bob, mt.Resume(3600))
		s.ExpectNothing()
		s.Subscribe("a/+", 2)
		s.ExpectNothing()
	}},
	{id: "G09", what: "filters that reach over what is allowed", whole: true, script: func(x *run) {
		defer x.rules("user ann\ntopic write a/#\nuser bob\ntopic read a/+\ntopic deny a/secret/+\n")()
		p, s := x.connect(x.id("p"), ann), x.connect(x.id("s"), bob)
		for _, f := range []string{"a/#", "+/+/+", "a/+", "#", "$share/g/a/+"} {
			s.Subscribe(f, 1)
		}
		p.Publish("a/secret/"+x.id("g09"), "x", 1)
		s.ExpectNothing()
	}},
	{id: "G10", what: "# by other names", moves: refusedSubs, script: func(x *run) {
		s := x.connect(x.id("s"), bob)
		for _, f := range []string{"#", "$share/g/#", "+/#", "/#", "$queue/#", "+", "$share/g/+/#"} {
			x.want(x.query(s, "82 0001 {} '"+f+"' 00"), "S:80", "S:87")
		}
	}},
	{id: "G11", what: "one denied filter of twenty", whole: true, moves: refusedSubs, script: func(x *run) {
		s := x.connect(x.id("s"), bob)
		for at := range 20 {
			text, want := "82 0001 {} ", []string{}
			for i := range 20 {
				if i == at {
					text, want = text+"'b/x' 01 ", append(want, map[bool]string{true: "87", false: "80"}[x.v >= packets.V5])
					continue
				}
				text, want = text+fmt.Sprintf("'a/%d' 01 ", i), append(want, "01")
			}
			all := "S:" + strings.Join(want, ",")
			x.want(x.query(s, text), all, all)
		}
	}},
	{id: "G12", what: "every action under every rule", whole: true, moves: dropped, script: everyRule},
	{id: "G13", what: "ban", missing: "there is no list of the banned yet, and no connection of a user who is taken out of the password file is ended"},
}

// rules replaces the rights of all but the control pair, and returns what restores them.
func (x *run) rules(text string) (restore func()) {
	x.t.Helper()
	x.ReloadACL("user control\ntopic read never\ntopic readwrite control\ntopic readwrite t/#\ntopic readwrite will/#\n" + text)
	return func() { x.ReloadACL(userRules) }
}

// literal is a script: a Client Identifier in the rule of dev/%c/# stands for itself, or, where it could be more than one
// level, for nothing.
func literal(ids ...string) func(*run) {
	return func(x *run) {
		for _, id := range ids {
			c := x.connect(id, bob)
			own := strings.IndexAny(id, "+#/$") != 0 && !strings.Contains(id, "/") && id != ""
			for _, topic := range []string{"dev/victim/x", "dev/" + x.id("other") + "/x", "dev/x/x"} {
				x.want(x.query(c, "32 '"+topic+"' 0001 {}"), "A:00", "A:87")
				x.want(x.query(c, "82 0001 {} '"+topic+"' 00"), "S:80", "S:87")
			}
			for _, f := range []string{"dev/+/x", "dev/#", "dev/+/#", "$share/g/dev/+/x", "$share/g/dev/#"} {
				x.want(x.query(c, "82 0001 {} '"+f+"' 00"), "S:80", "S:87")
			}
			if id != "" && !strings.ContainsAny(id, "+#") {
				v3, v5 := "S:80", "S:87"
				if own {
					v3, v5 = "S:00", "S:00"
				}
				x.want(x.query(c, "82 0001 {} 'dev/"+id+"/x' 00"), v3, v5)
			}
			c.Disconnect()
		}
	}
}

// everyRule is G12: what the broker does is what a look at the rules says.
func everyRule(x *run) {
	topic := "m/" + x.id("g12")
	p := x.connect(x.id("p"), ann)
	s := x.connect(x.id("s"), bob)
	defer x.ReloadACL(userRules)
	for _, narrow := range []string{"", "read", "write", "readwrite", "deny"} {
		for _, wide := range []string{"", "read", "write", "readwrite"} {
			var rules string
			for _, user := range []string{"ann", "bob"} {
				rules += "user " + user + "\ntopic read other\n"
				if narrow != "" {
					rules += "topic " + narrow + " " + topic + "\n"
				}
				if wide != "" {
					rules += "topic " + wide + " m/#\n"
				}
			}
			x.rules(rules)
			may := func(word string) bool {
				return narrow != "deny" && (strings.Contains(narrow, word) || strings.Contains(wide, word))
			}
			x.matrix(p, s, topic, may("write"), may("read"), fmt.Sprintf("%q with %q on m/#", narrow, wide))
		}
	}
}

// matrix publishes at each QoS, retained and not, and subscribes to the topic.
func (x *run) matrix(p, s *mt.Client, topic string, write, read bool, what string) {
	x.t.Helper()
	refused := packets.NotAuthorized
	if x.v < packets.V5 {
		refused = packets.UnspecifiedError
	}
	for qos := range packets.QoS(3) {
		code := s.Subscribe(topic, qos)
		if read && code != packets.ReasonCode(qos) || !read && code != refused {
			x.t.Fatalf("%s: SUBACK %v", what, code)
		}
		for _, retain := range []bool{false, true} {
			code := p.Publish(topic, "x", qos, func(m *packets.Publish) { m.Retain = retain })
			if qos > 0 && x.v >= packets.V5 && (code == packets.NotAuthorized) == write {
				x.t.Fatalf("%s: QoS %d, retain %v: %v", what, qos, retain, code)
			}
			if write && read {
				s.Take(topic, "x", qos)
			}
			s.ExpectNothing()
		}
		if kept := x.Stats().RetainedMessages > 0; kept != write {
			x.t.Fatalf("%s: retained %v", what, kept)
		}
		if write {
			p.Publish(topic, "", 0, mt.Retain)
			if read {
				s.Take(topic, "", 0)
			}
		}
		s.Unsubscribe(topic)
	}
}
