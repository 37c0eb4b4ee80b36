package sessions

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"nightjar/packets"
)

func item(name string, qos packets.QoS) Item {
	return Item{Message: &packets.Message{TopicName: name}, QoS: qos}
}

// modelSlot is what is in flight, in the plainest form.
type modelSlot struct {
	id    uint16
	name  string
	qos   packets.QoS
	phase phase
	sent  bool
}

// model is a Session as the standard tells it, without any ring.
type model struct {
	queue  []string
	qos    map[string]packets.QoS
	flight []modelSlot
	next   uint16
}

func (m *model) find(id uint16) *modelSlot {
	for i := range m.flight {
		if m.flight[i].id == id {
			return &m.flight[i]
		}
	}
	return nil
}

func (m *model) remove(id uint16) {
	m.flight = slices.DeleteFunc(m.flight, func(x modelSlot) bool { return x.id == id })
}

// TestModel compares a Session with the model, over all that can happen to what is sent.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{ExpiryInterval: 60}
		first := rapid.SampledFrom([]uint16{0, 1, 100, ids - 20, ids - 1}).Draw(t, "first")
		s.more().next = first
		m := &model{qos: map[string]packets.QoS{}, next: first}
		window := rapid.IntRange(1, 12).Draw(t, "window")
		limits := Limits{Messages: 20, Bytes: 1 << 20}
		names := 0
		id := func(t *rapid.T) uint16 {
			if len(m.flight) > 0 && rapid.IntRange(0, 9).Draw(t, "known") > 0 {
				return m.flight[rapid.IntRange(0, len(m.flight)-1).Draw(t, "place")].id
			}
			return rapid.Uint16().Draw(t, "id")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				names++
				name, qos := fmt.Sprint(names), packets.QoS(rapid.IntRange(1, 2).Draw(t, "qos"))
				it := item(name, qos)
				if full := s.Full(&it, limits); full != (len(m.queue) >= limits.Messages) {
					t.Fatalf("full %t with %d in the queue", full, len(m.queue))
				} else if full {
					oldest, ok := s.DropOldest()
					if !ok || oldest.Message.TopicName != m.queue[0] {
						t.Fatalf("dropped %+v, want %s", oldest, m.queue[0])
					}
					m.queue = m.queue[1:]
				}
				s.Add(it)
				m.queue, m.qos[name] = append(m.queue, name), qos
			},
			"send": func(t *rapid.T) {
				for s.CanSend(window) {
					it, ok := s.Next(1, nil)
					if !ok {
						break
					}
					if it.Message.TopicName != m.queue[0] {
						t.Fatalf("next %s, want %s", it.Message.TopicName, m.queue[0])
					}
					want := m.next + 1
					m.next = uint16((int(m.next) + 1) % ids)
					if s.NextPacketID() != want {
						t.Fatalf("next identifier %d, want %d", s.NextPacketID(), want)
					}
					if got := s.Start(it); got != want || got == 0 || m.find(got) != nil {
						t.Fatalf("identifier %d, want %d", got, want)
					}
					ph := wantPuback
					if it.QoS == 2 {
						ph = wantPubrec
					}
					m.flight = append(m.flight, modelSlot{want, m.queue[0], it.QoS, ph, true})
					m.queue = m.queue[1:]
				}
			},
			"puback": func(t *rapid.T) {
				x := id(t)
				it, ok, known := s.Puback(x)
				sl := m.find(x)
				checkAck(t, it, ok, known, sl, sl != nil && sl.phase == wantPuback)
				if ok {
					m.remove(x)
				}
			},
			"pubrec": func(t *rapid.T) {
				x, refused := id(t), rapid.Bool().Draw(t, "refused")
				it, ok, known := s.Pubrec(x, refused)
				sl := m.find(x)
				checkAck(t, it, ok, known, sl, sl != nil && sl.phase != wantPuback)
				switch {
				case ok && refused && sl.phase == wantPubrec:
					m.remove(x)
				case ok:
					sl.phase = wantPubcomp
				}
			},
			"pubcomp": func(t *rapid.T) {
				x := id(t)
				it, ok, known := s.Pubcomp(x)
				sl := m.find(x)
				checkAck(t, it, ok, known, sl, sl != nil && sl.phase == wantPubcomp)
				if ok {
					m.remove(x)
				}
			},
			"abandon": func(t *rapid.T) {
				x := id(t)
				s.Abandon(x)
				m.remove(x)
			},
			"reattach": func(*rapid.T) {
				s.Reattach()
				for i := range m.flight {
					m.flight[i].sent = false
				}
			},
			"resend": func(t *rapid.T) {
				for {
					got, it, released, ok := s.Resend(window)
					sent := 0
					var next *modelSlot
					for i := range m.flight {
						if m.flight[i].sent {
							sent++
						} else if next == nil {
							next = &m.flight[i]
						}
					}
					if ok != (next != nil && sent < window) {
						t.Fatalf("resend %t with %d sent of %d, window %d", ok, sent, len(m.flight), window)
					}
					if !ok {
						return
					}
					if got != next.id || released != (next.phase == wantPubcomp) || !released && it.Message.TopicName != next.name {
						t.Fatalf("resent %d %t %+v, want %+v", got, released, it, *next)
					}
					next.sent = true
				}
			},
			"": func(t *rapid.T) { checkModel(t, s, m, window) },
		})
	})
}

func checkAck(t *rapid.T, it Item, ok, known bool, sl *modelSlot, want bool) {
	if ok != want || known != (sl != nil) {
		t.Fatalf("ok %t, known %t; want %t of %+v", ok, known, want, sl)
	}
	if ok && sl.phase != wantPubcomp && it.Message.TopicName != sl.name {
		t.Fatalf("item %s, want %s", it.Message.TopicName, sl.name)
	}
}

func checkModel(t *rapid.T, s *Session, m *model, window int) {
	if s.Queued() != len(m.queue) || s.InFlight() != len(m.flight) {
		t.Fatalf("%d queued, %d in flight; want %d and %d", s.Queued(), s.InFlight(), len(m.queue), len(m.flight))
	}
	var flight, waiting []string
	s.Flight(func(id uint16, it Item) { flight = append(flight, fmt.Sprint(id, it.QoS)) })
	s.Waiting(func(it Item) { waiting = append(waiting, it.Message.TopicName) })
	for i, x := range m.flight {
		if flight[i] != fmt.Sprint(x.id, x.qos) {
			t.Fatalf("in flight %v, want %+v", flight, m.flight)
		}
	}
	if !slices.Equal(waiting, m.queue) {
		t.Fatalf("waiting %v, want %v", waiting, m.queue)
	}
	bytes := 0
	for _, name := range m.queue {
		bytes += len(name) + itemOverhead
	}
	unsent := slices.ContainsFunc(m.flight, func(x modelSlot) bool { return !x.sent })
	if s.QueuedBytes() != bytes {
		t.Fatalf("%d bytes queued, want %d", s.QueuedBytes(), bytes)
	}
	if s.CanSend(window) && (unsent || len(m.flight) >= window) {
		t.Fatalf("may send with %d in flight, unsent %t, window %d", len(m.flight), unsent, window)
	}
	if !s.CanSend(window) && len(m.flight) == 0 {
		t.Fatal("nothing is in flight and nothing may be sent")
	}
}

// Restored items come in the order of the queue, which need not be that of the identifiers: retained messages of a
// subscription go before what waits.
func TestRestore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]int{0, 5, ids - 4, ids - 1}).Draw(t, "base")
		given := rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 0, 20, rapid.ID[int]).Draw(t, "identifiers")
		s := &Session{ExpiryInterval: 60}
		for i, x := range given {
			it := item(fmt.Sprint(x), 2)
			it.Row = &Row{Seq: uint64(i + 1), PacketID: uint16((base+x)%ids) + 1, Released: x%3 == 0}
			s.Restore(it)
		}
		late := item("late", 1)
		late.Row = &Row{Seq: 100}
		s.Restore(late)
		s.Reattach()
		if len(given) > 0 && s.CanSend(100) {
			t.Fatal("may send before all is sent again")
		}
		slices.Sort(given)
		for _, x := range given {
			id, it, released, ok := s.Resend(100)
			if want := uint16((base+x)%ids) + 1; !ok || id != want || it.Message.TopicName != fmt.Sprint(x) || released != (x%3 == 0) {
				t.Fatalf("resent %d %v %t %t, want %d", id, it.Message, released, ok, want)
			}
		}
		if o := s.flow(); len(o.ring) > 64 {
			t.Fatalf("a ring of %d", len(o.ring))
		}
		it, ok := s.Next(1, nil)
		if !ok || it.Message.TopicName != "late" || s.NextSeq() != 101 {
			t.Fatal("what waits does not follow")
		}
		if id := s.Start(it); len(given) > 0 && id != uint16((base+given[len(given)-1]+1)%ids)+1 {
			t.Fatalf("identifier %d is not the next one", id)
		}
	})
}

// [v5 MQTT-3.3.2-5]: expired items are left out and told.
func TestNext_expired(t *testing.T) {
	s := &Session{ExpiryInterval: 60}
	for i, expiry := range []packets.Instant{100, 0, 101, 50} {
		it := item(fmt.Sprint(i), 1)
		it.Message.Expiry = expiry
		s.Add(it)
	}
	var expired, got []string
	for {
		it, ok := s.Next(100, func(it Item) { expired = append(expired, it.Message.TopicName) })
		if !ok {
			break
		}
		got = append(got, it.Message.TopicName)
	}
	if !slices.Equal(got, []string{"1", "2"}) || !slices.Equal(expired, []string{"0", "3"}) {
		t.Errorf("got %v, expired %v", got, expired)
	}
}

// A client that leaves the oldest message unacknowledged stops the others at spanFactor windows.
func TestCanSend_span(t *testing.T) {
	s := &Session{}
	first := s.Start(item("first", 1))
	n := 1
	for ; s.CanSend(10); n++ {
		s.Puback(s.Start(item("x", 1)))
	}
	if n != 10*spanFactor {
		t.Errorf("stopped after %d, want %d", n, 10*spanFactor)
	}
	if s.Puback(first); !s.CanSend(10) || s.InFlight() != 0 {
		t.Error("does not go on")
	}
}

// Large rings and queues are given back.
func TestTidy(t *testing.T) {
	s := &Session{ExpiryInterval: 60}
	for i := range 1000 {
		s.Add(item(fmt.Sprint(i), 1))
	}
	var list []uint16
	for {
		it, ok := s.Next(1, nil)
		if !ok {
			break
		}
		list = append(list, s.Start(it))
	}
	for _, id := range list {
		s.Puback(id)
	}
	if s.flow() != nil {
		t.Error("memory is kept")
	}
}

func TestIDSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{}
		held := map[uint16]bool{}
		n := rapid.SampledFrom([]uint16{10, 80, 65535}).Draw(t, "range")
		t.Repeat(map[string]func(*rapid.T){
			"hold": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "times") {
					id := rapid.Uint16Range(1, n).Draw(t, "id")
					if s.Hold(id) == held[id] {
						t.Fatalf("hold %d: held before: %t", id, held[id])
					}
					held[id] = true
				}
			},
			"free": func(t *rapid.T) {
				id := rapid.Uint16Range(1, n).Draw(t, "id")
				if s.Holds(id) != held[id] || s.Free(id) != held[id] {
					t.Fatalf("free %d: held %t", id, held[id])
				}
				delete(held, id)
			},
			"free all": func(t *rapid.T) {
				for id := range held {
					if !s.Free(id) {
						t.Fatalf("%d is not held", id)
					}
				}
				clear(held)
			},
			"": func(t *rapid.T) {
				if s.Held() != len(held) {
					t.Fatalf("%d held, want %d", s.Held(), len(held))
				}
			},
		})
	})
}

// Subscriptions stay findable through the change from list to map, and back.
func TestSubscriptions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Session{}
		have := map[string]uint32{}
		filter := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("f", rapid.IntRange(0, 40).Draw(t, "filter")) })
		t.Repeat(map[string]func(*rapid.T){
			"subscribe": func(t *rapid.T) {
				f, id := filter.Draw(t, "f"), rapid.Uint32().Draw(t, "id")
				_, was := have[f]
				if s.Subscribe(Subscription{TopicFilter: f, ID: id}) == was {
					t.Fatalf("%s: new, and was there: %t", f, was)
				}
				have[f] = id
			},
			"unsubscribe": func(t *rapid.T) {
				f := filter.Draw(t, "f")
				if _, was := have[f]; s.Unsubscribe(f) != was {
					t.Fatalf("%s: was there: %t", f, was)
				}
				delete(have, f)
			},
			"": func(t *rapid.T) {
				if len(s.Subscriptions()) != len(have) {
					t.Fatalf("%d subscriptions, want %d", len(s.Subscriptions()), len(have))
				}
				for f, id := range have {
					if sub, ok := s.Subscription(f); !ok || sub.ID != id {
						t.Fatalf("%s: %+v %t, want %d", f, sub, ok, id)
					}
				}
			},
		})
	})
}

func TestExpiresAt(t *testing.T) {
	s := &Session{ExpiryInterval: 10}
	if s.ExpiresAt() != 0 {
		t.Error("a connected session expires")
	}
	s.DisconnectedAt = 1000
	if s.ExpiresAt() != 11_000 {
		t.Errorf("expires at %d", s.ExpiresAt())
	}
	if s.ExpiryInterval = ExpiryNever; s.ExpiresAt() != 0 {
		t.Error("a session without end expires")
	}
}

func TestMarks(t *testing.T) {
	s := &Session{}
	s.SetAdmin(true)
	s.End()
	if !s.Admin() || !s.Ended() {
		t.Error("marks are lost")
	}
	if s.SetAdmin(false); s.Admin() || !s.Ended() {
		t.Error("marks are mixed up")
	}
}
