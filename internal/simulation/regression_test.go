package simulation

import (
	"log/slog"
	"net/netip"
	"testing"

	"nightjar/auth"
	"nightjar/broker"
	"nightjar/packets"
	"nightjar/store"
	"nightjar/transports"
)

// What the simulation has found, in a few lines each: a seed finds it only as long as nothing else changes.

// stage is a broker that does one thing after the other, as a test says.
type stage struct {
	t      *testing.T
	now    int64
	store  *store.Memory
	broker *broker.Broker
	server *transports.Server
}

func newStage(t *testing.T) *stage {
	s := &stage{t: t, now: 1_000_000}
	s.start(store.NewMemory())
	return s
}

func (s *stage) start(m *store.Memory) {
	s.t.Helper()
	cfg, log := broker.DefaultConfig(), slog.New(slog.DiscardHandler)
	a, err := auth.Open(auth.DefaultConfig())
	s.must(err)
	clock := func() int64 { return s.now }
	s.store = m
	s.broker, err = broker.New(cfg, a, m, map[string]broker.Listener{"tcp": {AllowAnonymous: true}}, clock, log)
	s.must(err)
	s.must(m.Load(s.broker.Restore(m.LastSession())))
	s.server, err = transports.New(transports.Config{Loops: -1, Clock: clock, Log: log}, s.broker)
	s.must(err)
	s.broker.Attach(s.server)
	m.Start(s.broker.Gate(), s.broker.Durable)
}

func (s *stage) crash() { s.start(s.store.Crash()) }

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// player is one connection. It implements transports.SimulatedSocket.
type player struct {
	stage *stage
	conn  *transports.Simulated
	out   []byte
}

func (s *stage) dial() *player {
	p := &player{stage: s}
	p.conn = s.server.Simulate(transports.ListenerConfig{Name: "tcp", Network: "tcp"}, netip.MustParseAddrPort("127.0.0.1:1"), p)
	return p
}

func (p *player) Write(b []byte) int {
	p.out = append(p.out, b...)
	return len(b)
}
func (p *player) Posted() {}
func (p *player) Closed() {}

// say has a packet arrive, and the store commit what comes of it.
func (p *player) say(b []byte, err error) {
	p.stage.t.Helper()
	p.stage.must(err)
	p.conn.Deliver(b)
	p.stage.store.Commit()
	p.conn.Run()
}

func (p *player) connect(id string, clean bool, will *packets.Will) {
	p.stage.t.Helper()
	c := packets.Connect{Version: packets.V311, ClientID: []byte(id), CleanStart: clean}
	if will != nil {
		c.HasWill, c.Will = true, *will
	}
	p.say(c.Append(nil))
	if len(p.out) != 4 || p.out[3] != 0 {
		p.stage.t.Fatalf("CONNACK is % x", p.out)
	}
}

func (p *player) subscribe(filter string, qos packets.QoS) {
	p.stage.t.Helper()
	sub := packets.Subscribe{PacketID: 1, Subscriptions: []packets.Subscription{{
		TopicFilter: []byte(filter), Options: packets.SubscriptionOptions{QoS: qos},
	}}}
	p.say(sub.Append(nil, packets.V311))
}

// published counts the PUBLISH packets that came with a payload.
func (p *player) published(payload string) (n int) {
	for b := p.out; len(b) > 0; {
		h, err := packets.ParseHeader(b)
		p.stage.must(err)
		var m packets.Publish
		if h.Type == packets.PUBLISH {
			p.stage.must(m.Decode(h, b[h.Size:h.Size+h.Remaining], packets.V311, nil))
		}
		if string(m.Payload) == payload {
			n++
		}
		b = b[h.Size+h.Remaining:]
	}
	return n
}

// A connection that was taken over may still have a message on its way, that the client has sent again on the new one and
// that is done there: it is no second message, though its Packet Identifier is free.
func TestTakeover_lateRepeat(t *testing.T) {
	s := newStage(t)
	sub, old, fresh := s.dial(), s.dial(), s.dial()
	sub.connect("s", true, nil)
	sub.subscribe("t", 2)
	old.connect("c", false, nil)
	c := packets.Connect{Version: packets.V311, ClientID: []byte("c")}
	fresh.say(c.Append(nil))
	m := packets.Publish{TopicName: []byte("t"), Payload: []byte("m"), QoS: 2, PacketID: 1}
	fresh.say(m.Append(nil, packets.V311))
	fresh.say(packets.AppendAck(nil, packets.PUBREL, 1), nil)
	if n := sub.published("m"); n != 1 {
		t.Fatalf("%d messages, want 1", n)
	}
	old.say(m.Append(nil, packets.V311)) // before its owner could tell it that it is taken over
	if n := sub.published("m"); n != 1 {
		t.Errorf("%d messages after the late one, want 1", n)
	}
	if !old.conn.Finished() {
		t.Error("the connection that was taken over is open")
	}
}

// The will that is restored of a session that ended with its connection, and the one of the client's next connection, are
// two: both are published, whatever crashes when.
func TestRestore_twoWills(t *testing.T) {
	for _, tick := range []bool{false, true} {
		s := newStage(t)
		sub := s.dial()
		sub.connect("s", false, nil)
		sub.subscribe("w", 1)
		s.dial().connect("c", true, &packets.Will{TopicName: []byte("w"), Payload: []byte("one"), QoS: 1})
		s.crash()
		s.dial().connect("c", true, &packets.Will{TopicName: []byte("w"), Payload: []byte("two"), QoS: 1})
		if tick {
			s.broker.RunTimers()
			s.store.Commit()
		}
		s.crash()
		s.now += 1000
		s.broker.RunTimers()
		s.store.Commit()
		sub = s.dial()
		c := packets.Connect{Version: packets.V311, ClientID: []byte("s")}
		sub.say(c.Append(nil))
		if one, two := sub.published("one"), sub.published("two"); one != 1 || two != 1 {
			t.Errorf("tick %t: the first will comes %d times, the second %d times", tick, one, two)
		}
	}
}
