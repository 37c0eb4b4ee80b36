package model

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"nightjar/internal/mqtttest"
	"nightjar/packets"
)

// checks is how many scenarios there are without -rapid.checks: about 20 seconds of them.
const checks = "200"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", checks); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

// Random clients get from the broker what they get from the model. A failure prints the seed: -rapid.seed replays it, and
// -rapid.checks has more scenarios than usual.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRun(t, rt)
		act := func(f func(*player)) func(*rapid.T) {
			return func(rt *rapid.T) {
				r.rt = rt
				if open := r.connected(); len(open) > 0 {
					f(rapid.SampledFrom(open).Draw(rt, "client"))
				} else {
					r.connect()
				}
				r.settle()
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"connect":    func(rt *rapid.T) { r.rt = rt; r.connect(); r.settle() },
			"advance":    func(rt *rapid.T) { r.rt = rt; r.advance(); r.settle() },
			"close":      act(r.close),
			"disconnect": act(r.disconnect),
			"fault":      act(r.fault),
			"subscribe":  act(r.subscribe), "subscribe more": act(r.subscribe),
			"unsubscribe": act(r.unsubscribe),
			"publish":     act(r.publish), "publish more": act(r.publish), "publish much": act(r.publish),
			"pubrel":      act(r.pubrel),
			"acknowledge": act(r.acknowledge), "acknowledge more": act(r.acknowledge),
			"unknown": act(r.unknown),
		})
		r.audit()
	})
}

var names = []string{"one", "two", "three", "four"}

// wants draws a boolean.
func (r *run) wants(what string) bool { return rapid.Bool().Draw(r.rt, what) }

// period draws so many thousands of seconds, and a part that no other period of the run has: nothing is due at the
// time at which the test looks, nor two things at once.
func (r *run) period(what string, most int) uint32 {
	r.periods = r.periods%40 + 1
	return uint32(1000*rapid.IntRange(0, most).Draw(r.rt, what) + 100 + 20*r.periods)
}

func (r *run) connect() {
	id := rapid.SampledFrom(names).Draw(r.rt, "client")
	v := rapid.SampledFrom([]packets.Version{packets.V311, packets.V5}).Draw(r.rt, "version")
	clean := r.wants("clean")
	var expiry uint32
	window := uint16(100)
	if v == packets.V5 {
		if r.wants("keep the session") {
			expiry = r.period("session expiry", 4)
		}
		window = rapid.SampledFrom([]uint16{100, 1, 2}).Draw(r.rt, "window")
	} else if !clean {
		expiry = 7 * 24 * 3600
	}
	r.open(id, v, clean, expiry, window, r.drawWill(v))
}

func (r *run) drawWill(v packets.Version) *Will {
	if !r.wants("will") {
		return nil
	}
	w := &Will{Message: Message{
		Topic: rapid.SampledFrom([]string{"w/1", "w/2"}).Draw(r.rt, "will topic"), Payload: r.payload(),
		QoS: packets.QoS(rapid.IntRange(0, 2).Draw(r.rt, "will qos")), Retain: r.wants("will retain"),
	}}
	if v == packets.V5 && r.wants("will delay") {
		w.Delay = r.period("will delay", 3)
	}
	return w
}

// open connects, on both sides.
func (r *run) open(id string, v packets.Version, clean bool, expiry uint32, window uint16, will *Will) {
	p := &player{id: id, Client: r.broker.Dial(r, v), conn: &Conn{Version: v, Window: int(window), Aliases: map[uint16]string{}}}
	p.SendConnect(id, func(c *packets.Connect) {
		c.CleanStart = clean
		if v == packets.V5 && expiry > 0 {
			mqtttest.Resume(expiry)(c)
			c.CleanStart = clean
		}
		if v == packets.V5 && window < 100 {
			mqtttest.ReceiveMaximum(window)(c)
		}
		if will != nil {
			will.From = id
			mqtttest.Will(will.Topic, will.Payload, will.QoS, func(w *packets.Will) {
				w.Retain = will.Retain
				if will.Delay > 0 {
					mqtttest.WillDelay(will.Delay)(w)
				}
			})(c)
		}
	})
	r.players = append(r.players, p)
	r.model.Connect(p.conn, id, clean, expiry, will)
}

func (r *run) advance() {
	seconds := int64(1000 * rapid.IntRange(1, 3).Draw(r.rt, "thousand seconds"))
	r.move(seconds)
	r.model.Advance(seconds)
}

func (r *run) close(p *player) {
	p.Close()
	r.model.End(p.conn, true)
}

func (r *run) disconnect(p *player) {
	d, withWill, expiry := &packets.Disconnect{}, false, int64(-1)
	if p.Version == packets.V5 {
		if withWill = r.wants("with will"); withWill {
			d.ReasonCode = packets.DisconnectWithWill
		}
		if r.wants("new expiry") {
			expiry = 0
			if r.wants("expires later") {
				expiry = int64(r.period("session expiry", 4))
			}
			d.Properties.SessionExpiryInterval = uint32(expiry)
			d.Properties.Present.Add(packets.PropSessionExpiryInterval)
		}
	}
	p.Send(d)
	r.model.Disconnect(p.conn, withWill, expiry)
}

// faults break the protocol, each in its way.
var faults = []struct {
	name  string
	bytes string
	code  packets.ReasonCode
	since packets.Version
}{
	{"second CONNECT", "\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x", packets.ProtocolError, packets.V311},
	{"topic with wildcard", "\x30\x06\x00\x03a/+\x00", packets.TopicNameInvalid, packets.V311},
	{"QoS 3", "\x36\x06\x00\x01a\x00\x01\x00", packets.MalformedPacket, packets.V311},
	{"SUBSCRIBE flags", "\x80\x07\x00\x01\x00\x00\x01a\x00", packets.MalformedPacket, packets.V311},
	{"PINGRESP", "\xd0\x00", packets.ProtocolError, packets.V311},
	{"SUBSCRIBE without identifier", "\x82\x07\x00\x00\x00\x00\x01a\x00", packets.ProtocolError, packets.V5},
	{"no filter", "\x82\x03\x00\x01\x00", packets.ProtocolError, packets.V5},
	{"empty filter", "\x82\x06\x00\x01\x00\x00\x00\x00", packets.ProtocolError, packets.V5},
	{"no local on shared", "\x82\x10\x00\x01\x00\x00\x0a$share/g/a\x05", packets.ProtocolError, packets.V5},
	{"unknown alias", "\x30\x06\x00\x00\x03\x23\x00\x07", packets.ProtocolError, packets.V5},
	{"alias 0", "\x30\x07\x00\x01a\x03\x23\x00\x00", packets.TopicAliasInvalid, packets.V5},
	{"AUTH", "\xf0\x00", packets.ProtocolError, packets.V5},
}

func (r *run) fault(p *player) {
	f := rapid.SampledFrom(faults).Draw(r.rt, "fault")
	if f.since > p.Version {
		f = faults[0]
	}
	p.Raw([]byte(f.bytes))
	r.model.Fault(p.conn, f.code)
}

var filters = []string{
	"a", "a/b", "a/+", "+", "+/+", "#", "a/#", "b/", "w/#", "+/b", "w/1", "$share/g/s/+", "$share/h/u/#",
	"a/#/b", "a+", "$share/g#/a", "$share/g",
}

func (r *run) drawFilters() []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(filters), 1, 3, rapid.ID[string]).Draw(r.rt, "filters")
}

func (r *run) subscribe(p *player) {
	list := r.drawFilters()
	s := &packets.Subscribe{PacketID: 1000 + p.PacketID()}
	var options []packets.SubscriptionOptions
	var id uint32
	if p.Version == packets.V5 && r.wants("identifier") {
		id = uint32(rapid.IntRange(1, 300).Draw(r.rt, "subscription identifier"))
		mqtttest.SubscriptionID(id)(s)
	}
	for _, filter := range list {
		o := packets.SubscriptionOptions{QoS: packets.QoS(rapid.IntRange(0, 2).Draw(r.rt, "qos"))}
		if sub, _ := parse(filter); p.Version == packets.V5 {
			o.NoLocal = sub.Share == "" && r.wants("no local")
			o.RetainAsPublished = r.wants("retain as published")
			o.RetainHandling = byte(rapid.IntRange(0, 2).Draw(r.rt, "retain handling"))
			if p.conn.Window < 100 && o.QoS > 0 {
				o.RetainHandling = 2 // else nobody knows which of the retained messages fill the window
			}
		}
		options = append(options, o)
		s.Subscriptions = append(s.Subscriptions, packets.Subscription{TopicFilter: []byte(filter), Options: o})
	}
	p.Send(s)
	r.model.Subscribe(p.conn, s.PacketID, list, options, id)
}

func (r *run) unsubscribe(p *player) {
	list := r.drawFilters()
	u := &packets.Unsubscribe{PacketID: 1000 + p.PacketID()}
	for _, filter := range list {
		u.TopicFilters = append(u.TopicFilters, []byte(filter))
	}
	p.Send(u)
	r.model.Unsubscribe(p.conn, u.PacketID, list)
}

func (r *run) publish(p *player) {
	m := &Message{
		Topic:   rapid.SampledFrom([]string{"a", "a/b", "a/c", "b/", "x/b", "s/a", "s/b", "u/a/b", "$x"}).Draw(r.rt, "topic"),
		Payload: r.payload(), QoS: packets.QoS(rapid.IntRange(0, 2).Draw(r.rt, "qos")), Retain: r.wants("retain"), From: p.id,
	}
	if m.Retain && r.wants("clear") {
		m.Payload = ""
	}
	wire := &packets.Publish{TopicName: []byte(m.Topic), Payload: []byte(m.Payload), QoS: m.QoS, Retain: m.Retain}
	if m.QoS > 0 {
		wire.PacketID = uint16(rapid.IntRange(1, 4).Draw(r.rt, "packet identifier"))
		held := p.conn.Session.Held[wire.PacketID]
		wire.Dup = held && m.QoS == 2
		if held && m.QoS == 1 {
			wire.PacketID += 4
		}
	}
	if p.Version == packets.V5 && r.wants("expires") {
		seconds := r.period("message expiry", 1)
		mqtttest.Expiry(seconds)(wire)
		m.Expiry = r.model.Now + int64(seconds)
	}
	if r.model.Ambiguous(m) {
		return
	}
	if p.Version == packets.V5 && r.wants("alias") {
		wire.TopicAlias = uint16(rapid.IntRange(1, 3).Draw(r.rt, "topic alias"))
		if p.conn.Aliases[wire.TopicAlias] == m.Topic {
			wire.TopicName = nil
		}
		p.conn.Aliases[wire.TopicAlias] = m.Topic
	}
	p.Send(wire)
	r.model.Publish(p.conn, m, wire.PacketID)
}

func (r *run) pubrel(p *player) {
	id := uint16(rapid.IntRange(1, 4).Draw(r.rt, "packet identifier"))
	p.Ack(packets.PUBREL, id)
	r.model.Pubrel(p.conn, id)
}

// acknowledge answers one of the messages that the client has, in whatever order; seldom with the wrong packet.
func (r *run) acknowledge(p *player) {
	var sent []*Flight
	for _, f := range p.conn.Session.Flights {
		if f.Sent {
			sent = append(sent, f)
		}
	}
	if len(sent) == 0 {
		return
	}
	f := sent[rapid.IntRange(0, len(sent)-1).Draw(r.rt, "message")]
	t, code := answer(f), packets.Success
	switch kind := rapid.IntRange(0, 40).Draw(r.rt, "kind"); {
	case kind == 40 && t == packets.PUBACK:
		t = packets.PUBREC
	case kind == 40:
		t = packets.PUBACK
	case kind > 30 && t == packets.PUBREC && p.Version == packets.V5:
		code = packets.QuotaExceeded
	}
	p.Ack(t, f.PacketID, code)
	r.model.Acknowledge(p.conn, t, f.PacketID, code)
}

// answer is what a client that keeps to the protocol sends next.
func answer(f *Flight) packets.Type {
	switch {
	case f.QoS == 1:
		return packets.PUBACK
	case f.Released:
		return packets.PUBCOMP
	}
	return packets.PUBREC
}

// unknown acknowledges what nobody has sent.
func (r *run) unknown(p *player) {
	t := rapid.SampledFrom([]packets.Type{packets.PUBACK, packets.PUBREC, packets.PUBCOMP}).Draw(r.rt, "type")
	p.Ack(t, 60_000)
	r.model.Acknowledge(p.conn, t, 60_000, 0)
}
