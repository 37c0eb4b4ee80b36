package hostile

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// publishing is table C.
var publishing = []row{
	{id: "C01", what: "QoS 3", in: []string{`36 'topic' 1234 {} "x"`}, v3: "close", v5: "D:81"},
	{id: "C02", what: "DUP at QoS 0", in: []string{`38 'topic' {} "x"`}, v3: "close", v5: "D:81 or D:82"},
	{id: "C03", what: "packet identifier 0", in: []string{`32 'topic' 0000 {} "x"`, `34 'topic' 0000 {} "x"`}, v3: "close", v5: "D:82"},
	{id: "C04", what: "end after the topic", in: []string{"32 'topic'", "32 'topic' 00"}, v3: "close", v5: "D:81"},
	{id: "C05", what: "topic over the packet", in: []string{`30 00ff "topic"`}, v3: "close", v5: "D:81"},
	{id: "C06", what: "empty topic", in: []string{`30 '' {} "x"`}, v3: "close", v5: "D:82 or D:81"},
	{id: "C07", what: "topic with a wildcard", v3: "close", v5: "D:90 or D:81 or D:82", in: []string{
		`30 'a/#' {} "x"`, `32 'a/+/b' 0001 {} "x"`, `34 '+' 0001 {} "x"`, `30 'a+' {} "x"`,
	}},
	{id: "C08", what: "topic that is not UTF-8", v3: "close", v5: "D:81", in: []string{
		"30 'to\x00p' {}", "30 'to\xed\xa0\x80p' {}", "30 'to\xc0\x80' {}", "30 'to\xe0\x80\xaf' {}", "30 'to\xf4\x90\x80\x80' {}",
		"30 'to\xf8\x88\x80\x80\x80' {}", "30 'to\xe2\x82' {}", "30 'to\x80' {}",
	}},
	{id: "C09", what: "topic of 65,535 separators", large: true, in: []string{"30 '" + strings.Repeat("/", 65535) + "' {}"}, v3: "close or open", v5: "D:90 or open"},
	{id: "C10", what: "topic of too many levels", in: []string{"32 'a" + strings.Repeat("/a", 64) + "' 0001 {}"}, v3: "close", v5: "A:90"},
	{id: "C10", what: "the same at QoS 2", in: []string{"34 'a" + strings.Repeat("/a", 64) + "' 0001 {}"}, v3: "close", v5: "R:90"},
	{id: "C11", what: "topic under $SYS", in: []string{`32 '$SYS/x' 0001 {} "x"`}, v3: "A:00 or close", v5: "A:87", drops: true},
	{id: "C12", what: "topic under $share", in: []string{`32 '$share/g/t' 0001 {} "x"`}, v3: "A:00 or close", v5: "A:87 or A:90", drops: true},
	{id: "C13", what: "topic under another $", in: []string{`34 '$other/x' 0001 {} "x"`}, v3: "R:00", v5: "R:87 or R:10", drops: true},
	{id: "C14", what: "packet over the maximum", large: true, in: []string{"=30 81808040", "=30 ffffff7f", "=82 81808040"}, v3: "close", v5: "D:95"},
	{id: "C15", what: "topic alias 0", in: []string{`30 't' {230000} "x"`}, v5: "D:94"},
	{id: "C16", what: "topic alias above the maximum", in: []string{`30 't' {23ffff} "x"`, `30 't' {23000b} "x"`}, v5: "D:94"},
	{id: "C17", what: "unknown topic alias", in: []string{`30 '' {230001} "x"`}, v5: "D:82 or D:94"},
	{id: "C18", what: "topic alias of an earlier connection", only: packets.V5, moves: disconnects, script: func(x *run) {
		topic := x.id("c18")
		w := x.watch(topic)
		c := x.connect(x.id("alias"), mt.Resume(60))
		c.Publish(topic, "x", 0, mt.Alias(1))
		c.Publish("", "y", 0, mt.Alias(1))
		w.Take(topic, "x", 0)
		w.Take(topic, "y", 0)
		c.Close()
		c = x.connect(x.id("alias"), mt.Resume(60))
		x.ask(c, `30 '' {230001} "z"`, "", "D:82 or D:94")
		w.ExpectNothing()
		x.connect(x.id("alias")).Disconnect()
	}},
	{id: "C19", what: "all topic aliases of many", only: packets.V5, whole: true, large: true, script: func(x *run) {
		long := strings.Repeat("t", 4000)
		for i := range 50 {
			c := x.connect(x.id(fmt.Sprint("alias", i)))
			for n := range uint16(10) {
				c.SendPublish(fmt.Sprint(long, i, n), "", 0, mt.Alias(n+1))
			}
			c.Ping()
		}
	}},
	{id: "C19", what: "many long topics", whole: true, large: true, kinds: []string{"tcp", "wss"}, script: func(x *run) {
		long := strings.Repeat("t", 4000)
		c := x.connect(x.id("long"))
		for i := range 10_000 {
			c.SendPublish(fmt.Sprint(long, i), "", 0)
		}
		c.Ping()
	}},
	{id: "C20", what: "Subscription Identifier", in: []string{`30 't' {0b01} "x"`}, v5: "D:82"},
	{id: "C21", what: "Response Topic with a wildcard", in: []string{`30 't' {08 'a/#'} "x"`}, v5: "D:82 or D:81 or D:90"},
	{id: "C22", what: "payload that is not UTF-8", in: []string{"32 't' 0001 {0101} fffe"}, v5: "A:99"},
	{id: "C22", what: "the same at QoS 2", in: []string{"34 't' 0001 {0101} fffe"}, v5: "R:99"},
	{id: "C22", what: "the same at QoS 0", in: []string{"30 't' {0101} fffe"}, v5: "D:99"},
	{id: "C23", what: "Payload Format 2", in: []string{`30 't' {0102} "x"`}, v5: "D:82 or D:81"},
	{id: "C23", what: "Message Expiry twice", in: []string{`30 't' {0200000001 0200000001} "x"`}, v5: "D:82 or D:81"},
	{id: "C24", what: "expiry over a restart", whole: true, only: packets.V5, kinds: []string{"tcp"}, script: expiryOverRestart},
	{id: "C25", what: "property length of five bytes", in: []string{`30 't' 8080808001 "x"`}, v5: "D:81"},
	{id: "C25", what: "property identifier of five bytes", in: []string{`30 't' {8080808001} "x"`}, v5: "D:81"},
	{id: "C26", what: "flood of retained messages", whole: true, script: retainedFlood},
	{id: "C27", what: "more than Receive Maximum", only: packets.V5, moves: disconnects, script: func(x *run) {
		c := x.connect(x.id("c27"))
		for i := range 101 {
			_ = c.TryRaw(c.Encode(&packets.Publish{TopicName: []byte("t"), QoS: 2, PacketID: uint16(i + 1)}))
		}
		for range 100 {
			mt.Expect[*packets.Ack](c)
		}
		c.ExpectDisconnect(packets.ReceiveMaximumExceeded)
	}},
	{id: "C27", what: "more than Receive Maximum before 5", only: packets.V311, script: func(x *run) { // departure
		c := x.connect(x.id("c27"))
		for i := range 300 {
			c.ExpectAck(packets.PUBREC, c.SendPublish("t", "", 2, mt.PacketID(uint16(i+1))).PacketID)
		}
		c.Ping()
	}},
	{id: "C28", what: "one QoS 2 message again and again", whole: true, large: true, script: func(x *run) {
		topic := x.id("c28")
		w := x.watch(topic)
		c := x.connect(x.id("again"))
		for i := range 5000 {
			p := c.SendPublish(topic, fmt.Sprint(i), 2, mt.PacketID(7), func(p *packets.Publish) { p.Dup = i%2 == 1 })
			if code := c.ExpectAck(packets.PUBREC, p.PacketID); code != packets.Success {
				x.t.Fatalf("PUBREC %v", code)
			}
		}
		w.Take(topic, "0", 2)
		w.ExpectNothing()
	}},
	{id: "C29", what: "65,535 QoS 2 messages without PUBREL", whole: true, large: true, kinds: []string{"tcp", "wss"}, script: heldForEver},
	{id: "C30", what: "publish rate", whole: true, script: publishRate},
	{id: "C31", what: "RETAIN where there is none", missing: "Retain Available cannot be configured: retained messages are always served"},
	{id: "C32", what: "QoS above the server's", missing: "Maximum QoS cannot be configured: QoS 2 is always served"},
	{id: "C33", what: "denied, at QoS 0", in: []string{`30 'secret/x' {} "x"`}, v3: "open", v5: "open", drops: true},
	{id: "C33", what: "denied, at QoS 1", in: []string{`32 'secret/x' 0001 {} "x"`}, v3: "A:00", v5: "A:87", drops: true},
	{id: "C33", what: "denied, at QoS 2", in: []string{`34 'secret/x' 0001 {} "x"`}, v3: "R:00", v5: "R:87", drops: true},
	{id: "C33", what: "denied, where that closes", whole: true, only: packets.V311, script: func(x *run) {
		b := small(x, func(c *broker.Config) { c.DeniedPublishCloses = true })
		for _, in := range []string{`30 'secret/x' "x"`, `32 'secret/x' 0001 "x"`, `34 'secret/x' 0001 "x"`} {
			c := b.dialAs(x)
			x.greet(c, "p")
			x.ask(c, in, "close", "")
		}
		if n := b.Stats().Disconnects; n != 3 {
			x.t.Errorf("%d are counted", n)
		}
	}},
	{id: "C34", what: "PUBREL of an unknown identifier", in: []string{"62 0009"}, v3: "P:00", v5: "P:92", moves: unknownAcks},
	{id: "C35", what: "PUBREL with flags 0", in: []string{"60 0001"}, v3: "close", v5: "D:81 or D:82"},
	{id: "C36", what: "acknowledgement of another QoS", moves: disconnects, script: func(x *run) {
		for _, s := range []struct {
			qos packets.QoS
			ack string
		}{{2, "40"}, {1, "50"}, {1, "70"}, {2, "70"}} {
			topic := x.id("c36")
			c := x.connect(x.id("flow"))
			c.Subscribe(topic, s.qos)
			x.watch().Publish(topic, "x", s.qos)
			p := c.Receive(topic, "x", s.qos)
			x.ask(c, fmt.Sprintf("%s %04x", s.ack, p.PacketID), "close", "D:82")
		}
	}},
	{id: "C37", what: "PUBACK of an unknown identifier", in: []string{"40 ffff", "70 ffff"}, v3: "open", v5: "open", moves: unknownAcks},
	{id: "C38", what: "PUBACK 0", in: []string{"40 0000"}, v3: "close", v5: "D:82"},
	{id: "C38", what: "PUBACK of another length", in: []string{"40", "40 00", "40 000100 01 00"}, v3: "close", v5: "D:81"},
	{id: "C39", what: "PUBACK with an unknown reason", in: []string{"40 0001 ff 00"}, v5: "D:82 or D:81"},
	{id: "C40", what: "PUBREC with a failure", only: packets.V5, script: func(x *run) {
		topic := x.id("c40")
		c := x.connect(x.id("fails"), mt.ReceiveMaximum(1))
		c.Subscribe(topic, 2)
		w := x.watch()
		for i := range 3 { // with a window of one, the next comes only when the last is done with
			w.Publish(topic, fmt.Sprint(i), 2)
			c.Ack(packets.PUBREC, c.Receive(topic, fmt.Sprint(i), 2).PacketID, packets.NotAuthorized)
			c.ExpectNothing()
		}
	}},
}

// expiryOverRestart is C24.
func expiryOverRestart(x *run) {
	b := newBench(x.t, mt.Options{Store: true})
	s := b.Connect(x.t, x.v, "s", mt.Resume(3600))
	s.Subscribe("t", 1)
	s.Close()
	b.WaitOffline(0)
	p := b.Connect(x.t, x.v, "p")
	p.Publish("t", "short", 1, mt.Expiry(1))
	p.Publish("t", "long", 1, mt.Expiry(100))
	b.Clock.Advance(2e9)
	b.Restart()
	s = b.Connect(x.t, x.v, "s", mt.Resume(3600))
	if got := s.Take("t", "long", 1).MessageExpiryInterval; got > 98 {
		x.t.Errorf("message expiry interval %d", got)
	}
	s.ExpectNothing()
	if b.Stats().Dropped["expired"] != 1 {
		x.t.Errorf("dropped: %v", b.Stats().Dropped)
	}
}

// retainedFlood is C26.
func retainedFlood(x *run) {
	b := small(x, func(c *broker.Config) { c.Limits.RetainedMessages = 5 })
	w := b.Connect(x.t, x.v, "w")
	w.Subscribe("r/#", 0)
	c := b.dialAs(x)
	x.greet(c, "flood")
	for i := range 10 {
		topic := fmt.Sprint("r/", i)
		code := c.Publish(topic, "x", 1, mt.Retain)
		if want := packets.QuotaExceeded; i >= 5 && x.v >= packets.V5 && code != want {
			x.t.Fatalf("PUBACK %v, want %v", code, want)
		}
		w.Receive(topic, "x", 0)
	}
	s := b.Stats()
	if s.RetainedMessages != 5 || s.Dropped["retained_full"] != 5 {
		x.t.Errorf("%d are retained, %d dropped", s.RetainedMessages, s.Dropped["retained_full"])
	}
}

// heldForEver is C29: in 3.1.1 the identifiers are all that there can be, and a set of them is small; in 5 no connection
// gets beyond Receive Maximum.
func heldForEver(x *run) {
	id, most := x.id("held"), 65535
	if x.v >= packets.V5 {
		most = 100
	}
	for round := range 2 {
		c := x.connect(id, mt.Resume(60))
		if x.v >= packets.V5 && round > 0 { // the first ones are repeats, which count no more
			most += 100
		}
		for from := 1; from <= most; from += 100 {
			var all []byte
			last := min(from+99, most)
			for i := from; i <= last; i++ {
				all = append(all, c.Encode(&packets.Publish{TopicName: []byte("t"), QoS: 2, PacketID: uint16(i)})...)
			}
			c.Raw(all)
			for i := from; i <= last; i++ {
				c.ExpectAck(packets.PUBREC, uint16(i))
			}
		}
		if x.v >= packets.V5 {
			x.ask(c, "34 't' 7fff {}", "", "D:93")
		}
		c.Close()
	}
	x.connect(id).Disconnect()
}

// publishRate is C30: reading pauses at first, and who goes on far beyond is disconnected.
func publishRate(x *run) {
	b := small(x, func(c *broker.Config) { c.Limits.PublishRate = 10 })
	c := b.dialAs(x)
	x.greet(c, "fast")
	var all []byte
	for range 30 {
		all = append(all, c.Encode(&packets.Publish{TopicName: []byte("t")})...)
	}
	_ = c.TryRaw(all)
	eventually(x.t, "a pause", func() bool { return b.Stats().Throttled > 0 })
	if n := b.Stats().MessagesReceived; n > 15 {
		x.t.Errorf("%d messages are taken at a rate of 10", n)
	}
	eventually(x.t, "the rest", func() bool {
		b.Clock.Advance(time.Second)
		return b.Stats().MessagesReceived == 30
	})
	c.Close()
}
