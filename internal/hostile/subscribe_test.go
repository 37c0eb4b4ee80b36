package hostile

import (
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// subscribing is table D.
var subscribing = []row{
	{id: "D01", what: "flags", v3: "close", v5: "D:81", in: []string{
		"80 0001 {} 'p' 00", "83 0001 {} 'p' 00", "84 0001 {} 'p' 00", "86 0001 {} 'p' 00", "8a 0001 {} 'p' 00",
	}},
	{id: "D02", what: "no filter", in: []string{"82 0001 {}"}, v3: "close", v5: "D:82 or D:81"},
	{id: "D03", what: "options that are not there", v3: "close", v5: "D:81", in: []string{
		"82 0001 {} 'p'", "82 0001 {} '" + strings.Repeat("p", 1024-7) + "'",
	}},
	{id: "D04", what: "QoS 3", in: []string{"82 0001 {} 'p' 03"}, v3: "close", v5: "D:82 or D:81"},
	{id: "D05", what: "reserved option bits", in: []string{"82 0001 {} 'p' 40", "82 0001 {} 'p' 80"}, v3: "close", v5: "D:81"},
	{id: "D06", what: "Retain Handling 3", in: []string{"82 0001 {} 'p' 30"}, v3: "close", v5: "D:82 or D:81"},
	{id: "D07", what: "packet identifier 0", in: []string{"82 0000 {} 'p' 00"}, v3: "close", v5: "D:82 or D:81"},
	{id: "D08", what: "empty filter", v3: "close", v5: "D:82 or D:81 or S:8F", in: []string{ // departure
		"82 0001 {} '' 00 'q' 00", "82 0001 {} 'q' 00 '' 00", "82 0001 {} '' 00 '' 00",
	}},
	{id: "D09", what: "wildcard where none may be", v3: "S:80 or close", v5: "S:8F or D:8F or D:81", in: []string{
		"82 0001 {} 'ab/+e' 00", "82 0001 {} 'a#' 00", "82 0001 {} 'a/#/b' 00", "82 0001 {} '#/a' 00", "82 0001 {} '+a' 00", "82 0001 {} 'a+/b' 00",
	}},
	{id: "D10", what: "malformed $share", v3: "S:80", v5: "S:8F or D:82", in: []string{
		"82 0001 {} '$share/' 00", "82 0001 {} '$share/g' 00", "82 0001 {} '$share/g/' 00", "82 0001 {} '$share//t' 00",
		"82 0001 {} '$share/+/t' 00", "82 0001 {} '$share/g#/t' 00",
	}},
	{id: "D11", what: "No Local on a shared subscription", in: []string{"82 0001 {} '$share/g/t' 04"}, v5: "D:82"},
	{id: "D12", what: "Subscription Identifier 0", in: []string{"82 0001 {0b00} 'p' 00"}, v5: "D:82"},
	{id: "D13", what: "Subscription Identifier of five bytes", in: []string{"82 0001 {0b8080808001} 'p' 00"}, v5: "D:81"},
	{id: "D14", what: "two Subscription Identifiers", in: []string{"82 0001 {0b010b01} 'p' 00"}, v5: "D:82"},
	{id: "D15", what: "property of another packet", v5: "D:81", in: foreignProperties()},
	{id: "D16", what: "filter of 65,535 separators, or of too many levels", large: true, v3: "S:80", v5: "S:8F or S:97", in: []string{
		"82 0001 {} '" + strings.Repeat("/", 65535) + "' 00", "82 0001 {} 'a" + strings.Repeat("/a", 64) + "' 00",
	}},
	{id: "D17", what: "10,000 filters", large: true, v3: "close", v5: "D:97", in: []string{ // departure
		"82 0001 {} " + strings.Repeat("'q' 00 ", 10000),
	}},
	{id: "D17", what: "more filters than the quota", whole: true, script: filterQuota},
	{id: "D18", what: "one filter again and again", whole: true, large: true, script: func(x *run) {
		c := x.connect(x.id("d18"))
		x.quiet(3)
		have := x.Stats().Subscriptions
		p := &packets.Subscribe{PacketID: 1}
		for range 1000 {
			p.Subscriptions = append(p.Subscriptions, packets.Subscription{TopicFilter: []byte(x.id("d18"))})
		}
		for range 20 {
			c.Send(p)
			mt.Expect[*packets.Suback](c)
		}
		if n := x.Stats().Subscriptions - have; n != 1 {
			x.t.Errorf("%d subscriptions", n)
		}
	}},
	{id: "D19", what: "all filters of + and a over 15 levels", whole: true, large: false, kinds: []string{"tcp", "wss"}, only: packets.V5, script: func(x *run) {
		b := small(x, func(c *broker.Config) { c.Limits.Subscriptions = 1 << 15 })
		c := b.dialAs(x)
		x.greet(c, "blow up")
		for from := 0; from < 1<<15; from += 1000 {
			p := &packets.Subscribe{PacketID: 1}
			for n := from; n < min(from+1000, 1<<15); n++ {
				var levels []string
				for bit := range 15 {
					levels = append(levels, []string{"a", "+"}[n>>bit&1])
				}
				p.Subscriptions = append(p.Subscriptions, packets.Subscription{TopicFilter: []byte(strings.Join(levels, "/"))})
			}
			c.Send(p)
			mt.Expect[*packets.Suback](c)
		}
		pub := b.Connect(x.t, x.v, "pub")
		topic := strings.TrimSuffix(strings.Repeat("a/", 15), "/")
		for range 3 {
			began := time.Now()
			pub.Publish(topic, "x", 1)
			if d := time.Since(began); d > 500*time.Millisecond {
				x.t.Errorf("a message took %v", d)
			}
			c.Receive(topic, "x", 0) // one copy for all
		}
		c.ExpectNothing()
	}},
	{id: "D20", what: "filters that begin with a wildcard, and $SYS", whole: true, script: func(x *run) {
		b := newBench(x.t, mt.Options{Users: users, Admins: admins, ACL: "user bob\ntopic readwrite #\n", Config: limits})
		s := b.dialAs(x)
		s.SendConnect("bob", bob)
		mt.Expect[*packets.Connack](s)
		for _, f := range []string{"#", "+/#", "+/broker/#", "+/broker/uptime"} {
			if code := s.Subscribe(f, 0); code != 0 {
				x.t.Fatalf("SUBACK %v", code)
			}
		}
		a := b.Connect(x.t, x.v, "adm", adm)
		a.Subscribe("$SYS/#", 0)
		for live := 0; live < 3; { // retained ones first, then live ones
			if !mt.Expect[*packets.Publish](a).Retain {
				live++
			}
		}
		s.ExpectNothing()
	}},
	{id: "D21", what: "$SYS by an ordinary client", in: []string{"82 0001 {} '$SYS/#' 00", "82 0001 {} '$SYS' 00"}, v3: "S:80", v5: "S:87"},
	{id: "D22", what: "denied filter behind $share", in: []string{"82 0001 {} '$share/g/secret/#' 00", "82 0001 {} '$share/g/$SYS/#' 00"}, v3: "S:80", v5: "S:87"},
	{id: "D23", what: "$queue, $stream, $delayed, $exclusive", v3: "S:80", v5: "S:87", in: []string{
		"82 0001 {} '$queue/t' 00", "82 0001 {} '$stream/x' 00", "82 0001 {} '$delayed/5/t' 00", "82 0001 {} '$exclusive/t' 00",
	}},
	{id: "D24", what: "one filter allowed, the next denied", in: []string{"82 0001 {} 'q' 00 'secret/x' 00"}, v3: "S:00,80", v5: "S:00,87"},
	{id: "D25", what: "UNSUBSCRIBE of an unknown filter", in: []string{"a2 0001 {} 'p'"}, v3: "U:", v5: "U:11"},
	{id: "D25", what: "UNSUBSCRIBE of no filter", in: []string{"a2 0001 {}"}, v3: "close", v5: "D:82 or D:81"},
	{id: "D25", what: "flags of UNSUBSCRIBE", in: []string{"a0 0001 {} 'p'"}, v3: "close", v5: "D:81"},
	{id: "D26", what: "line breaks in a filter", in: []string{"82 0001 {} 'a\r\nPUB x 1\r\n' 00", "82 0001 {} 'a\tb' 00"}, v3: "S:80", v5: "S:8F"},
	{id: "D26", what: "space, dot, star and angle, without a cluster", script: exact("a b.c*d>e", "a.>", "*", ">")},
	{id: "D26", what: "the same in a cluster", missing: "there is no cluster mode yet"},
	{id: "D27", what: "SQL in a filter", script: exact("x' UNION SELECT zeroblob(1),4 --", `50%/a_b/c\d;e"f`)},
	{id: "D28", what: "shared and normal subscription to one topic", script: func(x *run) {
		topic := x.id("d28")
		have := x.Stats()
		c := x.connect(x.id("s"), mt.Resume(60))
		c.Subscribe("$share/g/"+topic, 1)
		c.Subscribe(topic, 1)
		c.Unsubscribe(topic)
		w := x.watch()
		w.Publish(topic, "x", 1)
		c.Take(topic, "x", 1)
		c.ExpectNothing()
		c.Disconnect()
		c = x.connect(x.id("s"), mt.Resume(60))
		w.Publish(topic, "y", 1)
		c.Take(topic, "y", 1)
		c.Disconnect()
		x.connect(x.id("s")).Disconnect()
		eventually(x.t, "the end of its subscriptions", func() bool { return x.Stats().Subscriptions == have.Subscriptions })
	}},
	{id: "D29", what: "subscribe and unsubscribe in all orders", script: func(x *run) {
		topic := x.id("d29")
		c := x.connect(x.id("s"))
		for _, f := range []string{topic, topic + "/#", "$share/g/" + topic, "+/" + topic, topic + "/+/x"} {
			c.Subscribe(f, 2)
			c.Subscribe(f, 0)
			c.Unsubscribe(f)
			c.Unsubscribe(f)
			c.Subscribe(f, 1)
		}
		x.watch().Publish(topic, "x", 0)
		c.Unsubscribe(topic, topic+"/#", "$share/g/"+topic, "+/"+topic, topic+"/+/x", topic)
		c.Ping()
	}},
	{id: "D30", what: "# with many retained messages and a slow reader", whole: true, script: slowReader},
}

// foreignProperties are SUBSCRIBE packets with each property that SUBSCRIBE has not.
func foreignProperties() (list []string) {
	for _, p := range []string{
		"0100", "0200000001", "03 't'", "08 't'", "09 'd'", "1100000001", "12 't'", "130001", "15 't'", "16 'd'", "1700", "1800000001",
		"1900", "1a 't'", "1c 't'", "1f 't'", "210001", "220001", "230001", "2400", "2500", "2700000001", "2800", "2900", "2a00",
	} {
		list = append(list, "82 0001 {"+p+"} 'p' 00")
	}
	return list
}

// filterQuota is D17: what goes beyond the quota is refused, filter by filter.
func filterQuota(x *run) {
	b := small(x, func(c *broker.Config) { c.Limits.Subscriptions = 100 })
	c := b.dialAs(x)
	x.greet(c, "d17")
	p := &packets.Subscribe{PacketID: 1}
	for i := range 1000 {
		p.Subscriptions = append(p.Subscriptions, packets.Subscription{TopicFilter: []byte(fmt.Sprint(i))})
	}
	c.Send(p)
	a := mt.Expect[*packets.Suback](c)
	want := packets.QuotaExceeded
	if x.v < packets.V5 {
		want = packets.UnspecifiedError
	}
	for i, code := range a.ReasonCodes {
		if i < 100 && code != 0 || i >= 100 && code != want {
			x.t.Fatalf("filter %d: %v", i, code)
		}
	}
	if n := b.Stats().SubscriptionsRefused; n != 900 {
		x.t.Errorf("%d are counted", n)
	}
}

// exact is a script: what is published to topics comes to filters of the same name, and to no others.
func exact(names ...string) func(*run) {
	return func(x *run) {
		c := x.connect(x.id("exact"))
		for _, name := range names {
			c.Subscribe(x.id(name), 0)
		}
		w := x.watch()
		for _, name := range names {
			w.Publish(x.id(name), name, 0)
			c.Receive(x.id(name), name, 0)
		}
		c.ExpectNothing()
	}
}

// slowReader is D30: the retained messages go out as they are taken, and nobody else waits.
func slowReader(x *run) {
	const many, size = 2000, 10 << 10
	b := small(x, nil)
	p := b.Connect(x.t, x.v, "p")
	for i := range many {
		p.SendPublish(fmt.Sprint("r/", i), strings.Repeat("x", size), 0, mt.Retain)
	}
	p.Ping()
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what the garbage collector has not come to yet is no growth
	before := settle()
	slow := b.dialAs(x)
	x.greet(slow, "slow")
	slow.SendSubscribe("#", 0) // and it reads nothing
	p.Subscribe("live", 1)
	for range 50 {
		p.Publish("live", "x", 1)
		p.Take("live", "x", 1)
	}
	if grown := peak() - before; before > 0 && !raceEnabled && grown > growthMax {
		x.t.Errorf("memory grew by %d KiB", grown>>10)
	}
	mt.Expect[*packets.Suback](slow)
	got := map[string]bool{}
	for len(got) < many {
		m := mt.Expect[*packets.Publish](slow)
		if strings.HasPrefix(string(m.TopicName), "r/") {
			got[string(m.TopicName)] = true
		}
	}
	slow.Disconnect()
}
