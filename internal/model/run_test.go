package model

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"nightjar/internal/mqtttest"
	"nightjar/packets"
)

// player is a client on both sides.
type player struct {
	*mqtttest.Client
	id    string
	conn  *Conn
	inbox []any // came, and has not been compared
	ended bool  // the broker has closed the connection
}

// run is one scenario. As a testing.TB it fails the scenario, so that it is replayed and made smaller.
type run struct {
	testing.TB
	rt      *rapid.T
	broker  *mqtttest.Broker
	model   *Broker
	players []*player
	ordered bool // nothing waits for a store, so that all packets come in order
	serial  int  // payloads given
	periods int
}

func newRun(t *testing.T, rt *rapid.T) *run {
	r := &run{TB: t, rt: rt, model: New()}
	r.ordered = !rapid.Bool().Draw(rt, "with a store")
	r.broker = mqtttest.NewBroker(r, mqtttest.Options{Memory: !r.ordered, Loops: rapid.SampledFrom([]int{1, 2, -1}).Draw(rt, "loops")})
	r.model.Choose = r.choose
	return r
}

func (r *run) Helper()                           {}
func (r *run) Cleanup(f func())                  { r.rt.Cleanup(f) }
func (r *run) Error(args ...any)                 { r.rt.Error(args...) }
func (r *run) Errorf(format string, args ...any) { r.rt.Errorf(format, args...) }
func (r *run) Fatal(args ...any)                 { r.rt.Fatal(args...) }
func (r *run) Fatalf(format string, args ...any) { r.rt.Fatalf(format, args...) }

func (r *run) payload() string {
	r.serial++
	return fmt.Sprint("m", r.serial)
}

func (r *run) connected() (list []*player) {
	for _, p := range r.players {
		if !p.conn.Closed {
			list = append(list, p)
		}
	}
	return list
}

func (r *run) move(seconds int64) { r.broker.Clock.Advance(time.Duration(seconds) * time.Second) }

// collect takes in what has come for a client. The answer to a PINGREQ tells that this is all, but for what waits for
// the store; of a connection that is to end, the end does.
func (p *player) collect() {
	if p.ended || !p.conn.Closed && p.TryRaw(packets.AppendPingreq(nil)) != nil {
		return
	}
	for {
		x, err := p.Next()
		if err != nil {
			p.ended = true
			return
		}
		if _, ok := x.(mqtttest.Pingresp); ok {
			return
		}
		p.inbox = append(p.inbox, x)
	}
}

// choose waits until one of the members has got one copy more than the model has sent it.
func (r *run) choose(m *Message, ready []*Session) (got *Session) {
	r.broker.Eventually("a message for one member of a shared subscription", func() bool {
		for _, p := range r.connected() {
			at := slices.Index(ready, p.conn.Session)
			if at < 0 {
				continue
			}
			p.collect()
			copies := 0
			for _, x := range p.inbox {
				if x, ok := x.(*packets.Publish); ok && string(x.TopicName) == m.Topic && string(x.Payload) == m.Payload {
					copies++
				}
			}
			for _, x := range p.conn.Out {
				if x.Type == packets.PUBLISH && x.Message == m {
					copies--
				}
			}
			if copies > 0 {
				got = ready[at]
				return true
			}
		}
		return false
	})
	return got
}

// settle compares what both sides have done since the last time.
func (r *run) settle() {
	for _, p := range r.players {
		if p.conn.Closed {
			p.collect()
			p.Close()
		}
	}
	r.broker.WaitOffline(len(r.connected()))
	r.broker.Eventually("wills", func() bool { return r.broker.Stats().WillsPublished >= uint64(r.model.Wills) })
	if n := r.broker.Stats().WillsPublished; n != uint64(r.model.Wills) {
		r.Fatalf("%d wills have been published, want %d", n, r.model.Wills)
	}
	for _, p := range r.players {
		p.collect() // from then on the broker has handled all that was sent to it
	}
	for _, p := range r.players {
		p.collect()
		if len(p.inbox) < len(p.conn.Out) && !p.ended && !r.ordered {
			r.broker.Eventually(fmt.Sprintf("%d packets for %s: %+v", len(p.conn.Out), p.id, p.conn.Out), func() bool {
				p.collect()
				return p.ended || len(p.inbox) >= len(p.conn.Out)
			})
		}
		if p.ended && !p.conn.Closed {
			r.Errorf("%s: the broker has closed the connection", p.id)
		}
		r.compare(p)
	}
	r.players = r.connected()
}

// compare compares what has come for one client with what the model has sent it.
func (r *run) compare(p *player) {
	want := p.conn.Out
	for _, got := range p.inbox {
		at := slices.IndexFunc(want, func(w Packet) bool { return r.ordered || lane(got) == lane(w) })
		for i := at; i >= 0 && i < len(want) && (i == at || want[at].Batch > 0 && want[i].Batch == want[at].Batch); i++ {
			if same(got, want[i], p, r.model.Now) == "" {
				at = i
				break
			}
		}
		if at < 0 {
			r.Fatalf("%s: got %+v, want nothing more", p.id, got)
		}
		if difference := same(got, want[at], p, r.model.Now); difference != "" {
			r.Fatalf("%s: %s: got %T %+v\nwant %+v", p.id, difference, got, got, want[at])
		}
		if x, ok := got.(*packets.Publish); ok && x.QoS > 0 {
			want[at].Flight.PacketID = x.PacketID
			if want[at].Batch > 0 {
				p.conn.Session.last(want[at].Flight)
			}
		}
		want = slices.Delete(want, at, at+1)
	}
	if len(want) > 0 {
		r.Fatalf("%s: did not get %v %+v of %d", p.id, want[0].Type, want[0], len(want))
	}
	p.inbox, p.conn.Out = nil, nil
}

// lane is what packets have in common that come in order even where some wait for the store.
func lane(x any) string {
	switch x := x.(type) {
	case *packets.Publish:
		return fmt.Sprint(packets.PUBLISH, x.QoS)
	case *packets.Ack:
		return x.Type.String()
	case *packets.Connack:
		return packets.CONNACK.String()
	case *packets.Suback:
		return packets.SUBACK.String()
	case *packets.Unsuback:
		return packets.UNSUBACK.String()
	case *packets.Disconnect:
		return packets.DISCONNECT.String()
	case Packet:
		if x.Type == packets.PUBLISH {
			return fmt.Sprint(x.Type, x.QoS)
		}
		return x.Type.String()
	}
	return "?"
}

// same tells in what a packet differs from the model's; "": in nothing.
func same(got any, want Packet, p *player, now int64) string {
	v5 := p.Version == packets.V5
	if x, ok := got.(*packets.Publish); ok && want.Type == packets.PUBLISH {
		return samePublish(x, want, p, now)
	}
	codes, id := []packets.ReasonCode{0}, uint16(0)
	switch x := got.(type) {
	case *packets.Connack:
		codes[0] = x.ReasonCode
		if x.SessionPresent != want.Present {
			return "session present"
		}
	case *packets.Ack:
		codes[0], id = x.ReasonCode, x.PacketID
		if want.Unheard && codes[0] == packets.NoMatchingSubscribers {
			codes[0] = 0
		}
	case *packets.Suback:
		codes, id = x.ReasonCodes, x.PacketID
	case *packets.Unsuback:
		codes, id = x.ReasonCodes, x.PacketID
	case *packets.Disconnect:
		codes[0] = x.ReasonCode
	}
	wantCodes := slices.Clone(want.Codes)
	if !v5 && want.Type == packets.SUBACK {
		for i, code := range wantCodes {
			if code.IsError() {
				wantCodes[i] = packets.UnspecifiedError
			}
		}
	}
	switch {
	case lane(got) != lane(want):
		return "type"
	case id != want.PacketID:
		return "packet identifier"
	case (v5 || want.Type == packets.SUBACK) && !slices.Equal(codes, wantCodes):
		return "reason code"
	}
	return ""
}

func samePublish(x *packets.Publish, want Packet, p *player, now int64) string {
	m := want.Message
	ids, wantIDs := slices.Sorted(slices.Values(x.SubscriptionIdentifiers)), slices.Sorted(slices.Values(want.IDs))
	if p.Version < packets.V5 {
		wantIDs = nil
	}
	left := int64(0)
	if m.Expiry != 0 && p.Version == packets.V5 {
		left = max(m.Expiry-now, 0)
	}
	switch {
	case string(x.TopicName) != m.Topic || string(x.Payload) != m.Payload:
		return "message"
	case x.QoS != want.QoS:
		return "qos"
	case x.Retain != want.Retain:
		return "retain"
	case x.Dup != want.Dup:
		return "dup"
	case !slices.Equal(ids, wantIDs):
		return "subscription identifiers"
	case x.HasMessageExpiryInterval != (m.Expiry != 0 && p.Version == packets.V5):
		return "message expiry interval"
	case int64(x.MessageExpiryInterval) > left || int64(x.MessageExpiryInterval) < left-late:
		return "what is left of the message expiry interval"
	case x.QoS > 0 && want.Flight.PacketID != 0 && want.Flight.PacketID != x.PacketID:
		return "packet identifier of a message that is sent again"
	case x.QoS > 0 && want.Flight.PacketID == 0 && slices.ContainsFunc(p.conn.Session.Flights, func(f *Flight) bool {
		return f.PacketID == x.PacketID
	}):
		return "packet identifier is in use"
	}
	return ""
}

// late is how many seconds a scenario may take in real time, which the broker's clock adds.
const late = 15

// audit looks at all state at the end: every client comes back and takes what is there, and one more takes all retained messages.
func (r *run) audit() {
	for _, id := range names {
		r.open(id, packets.V5, false, 1000, 100, nil)
		r.settle()
		p := r.players[len(r.players)-1]
		for len(p.conn.Session.Flights) > 0 {
			f := p.conn.Session.Flights[0]
			p.Ack(answer(f), f.PacketID)
			r.model.Acknowledge(p.conn, answer(f), f.PacketID, 0)
			r.settle()
		}
	}
	r.open("auditor", packets.V5, true, 0, 100, nil)
	p := r.players[len(r.players)-1]
	for _, filter := range []string{"#", "$x"} {
		id := p.SendSubscribe(filter, 2)
		r.model.Subscribe(p.conn, id, []string{filter}, []packets.SubscriptionOptions{{QoS: 2}}, 0)
		r.settle()
	}
}
