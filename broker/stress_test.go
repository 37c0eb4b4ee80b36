package broker_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"nightjar/broker"
	mt "nightjar/internal/mqtttest"
	"nightjar/packets"
)

// TestStress has clients connect, take over, subscribe, publish and vanish on all loops at once. What it holds is that the
// broker goes on, that its numbers agree in the end, and, with the race detector, its locks.
func TestStress(t *testing.T) {
	for name, o := range map[string]mt.Options{
		"loops": {}, "store": {Store: true}, "goroutines": {Loops: -1}, "memory": {Memory: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Config = func(c *broker.Config) {
				c.Limits.QueueMessages, c.Limits.InFlight, c.Limits.OutboxBytes = 20, 5, 4096
			}
			o.ACL = "pattern readwrite #\npattern readwrite %c/x\n"
			b := mt.NewBroker(t, o)
			var wg sync.WaitGroup
			for n := range 8 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(n), 1))
					for range 25 {
						stress(t, b, rng)
					}
				})
			}
			for range 10 {
				b.ReloadACL("pattern readwrite #\npattern read %c/x\n")
			}
			wg.Wait()
			b.Connect(t, packets.V5, "last").Ping()
		})
	}
}

// stress is one connection that does something of everything, and may be taken over at any moment.
func stress(t *testing.T, b *mt.Broker, rng *rand.Rand) {
	v := packets.V311 + packets.Version(rng.IntN(2))
	c := b.Dial(t, v)
	defer c.Close()
	p := &packets.Connect{Version: v, CleanStart: rng.IntN(4) == 0, ClientID: fmt.Append(nil, "c", rng.IntN(6))}
	if v == packets.V5 && !p.CleanStart {
		mt.Resume(uint32(rng.IntN(3)))(p)
	}
	if rng.IntN(2) == 0 {
		mt.Will("t/w", "will", packets.QoS(rng.IntN(3)))(p)
	}
	all := c.Encode(p)
	for i := range 30 {
		topic := fmt.Append(nil, "t/", rng.IntN(4))
		id := uint16(1 + i)
		switch rng.IntN(6) {
		case 0:
			f := []string{"t/+", "#", "t/1", "$share/g/t/#"}[rng.IntN(4)]
			all = append(all, c.Encode(&packets.Subscribe{PacketID: id, Subscriptions: []packets.Subscription{{TopicFilter: []byte(f), Options: packets.SubscriptionOptions{QoS: packets.QoS(rng.IntN(3))}}}})...)
		case 1:
			all = append(all, c.Encode(&packets.Unsubscribe{PacketID: id, TopicFilters: [][]byte{[]byte("#")}})...)
		default:
			all = append(all, c.Encode(&packets.Publish{TopicName: topic, Payload: make([]byte, rng.IntN(300)), QoS: packets.QoS(rng.IntN(3)), PacketID: id, Retain: rng.IntN(4) == 0})...)
		}
	}
	if c.TryRaw(all) != nil {
		return
	}
	for range rng.IntN(60) {
		x, err := c.Next()
		if err != nil {
			return
		}
		var answer []byte
		switch m := x.(type) {
		case *packets.Publish:
			switch m.QoS {
			case 1:
				answer = packets.AppendAck(nil, packets.PUBACK, m.PacketID)
			case 2:
				answer = packets.AppendAck(nil, packets.PUBREC, m.PacketID)
			}
		case *packets.Ack:
			switch m.Type {
			case packets.PUBREC:
				answer = packets.AppendAck(nil, packets.PUBREL, m.PacketID)
			case packets.PUBREL:
				answer = packets.AppendAck(nil, packets.PUBCOMP, m.PacketID)
			}
		}
		if c.TryRaw(answer) != nil {
			return
		}
		if rng.IntN(20) == 0 && c.TryRaw(packets.AppendPingreq(nil)) != nil {
			return
		}
	}
	if rng.IntN(2) == 0 {
		_ = c.TryRaw([]byte{0xe0, 0})
	}
}

// Nothing at QoS 1 and 2 is lost or doubled between many publishers and a subscriber that comes and goes.
func TestExactlyOnce(t *testing.T) {
	for name, o := range map[string]mt.Options{"loops": {}, "store": {Store: true}, "goroutines": {Loops: -1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mt.NewBroker(t, o)
			s := b.Connect(t, packets.V5, "s", mt.Resume(600))
			s.Subscribe("t/+", 2)
			const publishers, each = 4, 100
			var done atomic.Int32
			for n := range publishers {
				go func() { // ends with the test: done is waited for
					defer done.Add(1)
					p := b.Connect(t, packets.V5, fmt.Sprint("p", n))
					for i := range each {
						p.Publish(fmt.Sprint("t/", n), fmt.Sprint(i), 2)
					}
					p.Close()
				}()
			}
			next := [publishers]int{}
			held := map[uint16]bool{} // between PUBLISH and PUBREL, as a receiver keeps it
			rng := rand.New(rand.NewPCG(3, 4))
			for total := 0; total < publishers*each; {
				x, err := s.Next()
				if err != nil {
					t.Error(err)
					return
				}
				switch m := x.(type) {
				case *packets.Publish:
					if !held[m.PacketID] {
						held[m.PacketID] = true
						n := int(m.TopicName[2] - '0')
						want(t, string(m.TopicName), string(m.Payload), fmt.Sprint(next[n]))
						next[n]++
						total++
					}
					s.Ack(packets.PUBREC, m.PacketID)
				case *packets.Ack:
					delete(held, m.PacketID)
					s.Ack(packets.PUBCOMP, m.PacketID)
				}
				if rng.IntN(40) == 0 {
					s.Close()
					s = b.Connect(t, packets.V5, "s", mt.Resume(600))
					want(t, "session present", s.Connack.SessionPresent, true)
				}
			}
			b.Eventually("the publishers", func() bool { return done.Load() == publishers })
			s.Close()
		})
	}
}
