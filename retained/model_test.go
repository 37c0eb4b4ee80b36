package retained

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"nightjar/packets"
	"nightjar/topics"

	"pgregory.net/rapid"
)

// model is a Store that is slow and obvious.
type model struct {
	limits   Limits
	messages map[string]*packets.Message
}

func (m *model) bytes() int64 {
	sum := int64(0)
	for _, message := range m.messages {
		sum += Size(message)
	}
	return sum
}

// set says whether the message was retained.
func (m *model) set(message *packets.Message) bool {
	old, had := m.messages[message.TopicName]
	after := m.bytes() + Size(message)
	if had {
		after -= Size(old)
	}
	grows := !had || Size(message) > Size(old)
	if (!had && len(m.messages) >= m.limits.Messages) || (grows && after > m.limits.Bytes) {
		return false
	}
	m.messages[message.TopicName] = message
	return true
}

func (m *model) match(filter string, now packets.Instant) []string {
	out := []string{}
	for name, message := range m.messages {
		if topics.Match(filter, name) && (message.Expiry == 0 || message.Expiry > now) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// topicNames draws from few levels, so that topics share some, and enough that nodes have
// more than plainMax children.
func topicNames() *rapid.Generator[string] {
	level := rapid.OneOf(rapid.StringMatching(`[a-o]?`), rapid.StringMatching(`[ab]`), rapid.SampledFrom([]string{"$", "$SYS", "a"}))
	return rapid.Map(rapid.SliceOfN(level, 1, 5), func(levels []string) string { return strings.Join(levels, "/") }).
		Filter(func(name string) bool { return name != "" })
}

func filters() *rapid.Generator[string] {
	level := rapid.OneOf(rapid.StringMatching(`[a-o]?`), rapid.SampledFrom([]string{"+", "+", "a", "b", "$SYS"}))
	return rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(level, 0, 5).Draw(t, "levels")
		if len(levels) == 0 || rapid.Bool().Draw(t, "multi") {
			levels = append(levels, "#")
		}
		return strings.Join(levels, "/")
	}).Filter(func(filter string) bool { return filter != "" })
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Messages: rapid.SampledFrom([]int{1, 10, 1000}).Draw(t, "messages"), Bytes: rapid.SampledFrom([]int64{1000, 10000, 1 << 20}).Draw(t, "bytes")}
		s, m := New(limits), &model{limits, map[string]*packets.Message{}}
		now := packets.Instant(1)
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				for _, name := range rapid.SliceOfN(topicNames(), 1, 60).Draw(t, "topics") {
					message := message(name, strings.Repeat("p", rapid.IntRange(0, 100).Draw(t, "payload")))
					message.Expiry = rapid.SampledFrom([]packets.Instant{0, 0, now + 3, now + 1, now + 9}).Draw(t, "expiry")
					if got, want := s.Set(message) == nil, m.set(message); got != want {
						t.Fatalf("set %q: got %v, want %v", name, got, want)
					}
				}
			},
			"clear": func(t *rapid.T) {
				name := topicNames().Draw(t, "topic")
				if all := names(s.Match("+/#", 0, nil)); len(all) > 0 && rapid.Bool().Draw(t, "existing") {
					name = rapid.SampledFrom(all).Draw(t, "topic")
				}
				_, want := m.messages[name]
				if got := s.Clear(name); got != want {
					t.Fatalf("clear %q: got %v, want %v", name, got, want)
				}
				delete(m.messages, name)
			},
			"expire": func(t *rapid.T) {
				now += packets.Instant(rapid.IntRange(0, 4).Draw(t, "later"))
				limit := rapid.IntRange(0, 10).Draw(t, "limit")
				removed := s.Expire(now, limit, nil)
				due := 0
				for _, message := range m.messages {
					if message.Expiry != 0 && message.Expiry <= now {
						due++
					}
				}
				if len(removed) != min(limit, due) {
					t.Fatalf("removed %d, want %d of %d", len(removed), min(limit, due), due)
				}
				for _, gone := range removed {
					name := gone.TopicName
					if message := m.messages[name]; message == nil || message.Expiry == 0 || message.Expiry > now {
						t.Fatalf("removed %q, which has not expired", name)
					}
					delete(m.messages, name)
				}
			},
			"match": func(t *rapid.T) {
				filter := filters().Draw(t, "filter")
				if got, want := names(s.Match(filter, now, nil)), m.match(filter, now); !slices.Equal(got, want) {
					t.Fatalf("match %q: got %q, want %q", filter, got, want)
				}
			},
			"": func(t *rapid.T) {
				if s.Len() != len(m.messages) || s.Bytes() != m.bytes() {
					t.Fatalf("got %d messages, %d bytes, want %d, %d", s.Len(), s.Bytes(), len(m.messages), m.bytes())
				}
				for name, want := range m.messages {
					if got := s.Get(name); got != want {
						t.Fatalf("get %q: got %v, want %v", name, got, want)
					}
				}
				wantConsistent(t, s)
			},
		})
		for name := range m.messages {
			s.Clear(name)
		}
		wantNothing(t, s)
	})
}

// TestIndexModel fills and empties one shard, where chains wrap around and hashes are equal.
func TestIndexModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var x index
		hashes := map[uint32]uint32{} // by node number
		hash := rapid.SampledFrom([]uint32{5, 6, 7, 7, 13, 15, 255, 1 << 20, 1<<20 + 7})
		fresh := uint32(1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 30).Draw(t, "count") {
					hashes[fresh] = hash.Draw(t, "hash")
					x.add(hashes[fresh], fresh)
					fresh++
				}
			},
			"remove": func(t *rapid.T) {
				if len(hashes) == 0 {
					t.Skip("nothing to remove")
				}
				ids := []uint32{}
				for id := range hashes {
					ids = append(ids, id)
				}
				slices.Sort(ids)
				for range rapid.IntRange(1, len(ids)).Draw(t, "count") {
					i := rapid.IntRange(0, len(ids)-1).Draw(t, "at")
					x.remove(hashes[ids[i]], ids[i])
					delete(hashes, ids[i])
					ids = slices.Delete(ids, i, i+1)
				}
			},
			"replace": func(t *rapid.T) {
				for id, hash := range hashes {
					x.replace(hash, id, fresh)
					hashes[fresh] = hash
					delete(hashes, id)
					fresh++
					return
				}
			},
			"": func(t *rapid.T) {
				if x.len() != len(hashes) {
					t.Fatalf("len: got %d, want %d", x.len(), len(hashes))
				}
				for id, hash := range hashes {
					p := x.probe(hash)
					got := p.next()
					for got != id && got != none {
						got = p.next()
					}
					if got != id {
						t.Fatalf("node %d with hash %d is not found", id, hash)
					}
				}
			},
		})
	})
}

// TestConcurrent has writers, readers and expiry at work together; it is for -race.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := New(Limits{Messages: 500, Bytes: 1 << 20})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				name := fmt.Sprintf("c/%d/%d", (i*worker)%50, i%20)
				switch {
				case worker == 3:
					s.Expire(packets.Instant(i), 5, nil)
					s.Each(func(m *packets.Message) bool { return m.TopicName != name })
				case i%3 == 0:
					s.Clear(name)
				default:
					_ = s.Set(expiring(name, packets.Instant(i%7*i))) // full at times
				}
			}
		})
		wg.Go(func() {
			var dst []*packets.Message
			for i := range 1000 {
				for _, filter := range []string{"c/+/5", "c/7/#", "#", "c/1/1"} {
					dst = s.Match(filter, packets.Instant(i), dst[:0])
					for _, m := range dst {
						if !topics.Match(filter, m.TopicName) || (m.Expiry != 0 && m.Expiry <= packets.Instant(i)) {
							t.Errorf("match %q at %d: got %q, expiry %d", filter, i, m.TopicName, m.Expiry)
						}
					}
				}
				if m := s.Get("c/1/1"); m != nil && m.TopicName != "c/1/1" {
					t.Errorf("get: got %q", m.TopicName)
				}
				if s.Len() > 500 || s.Bytes() > 1<<20 {
					t.Errorf("over the limit: %d messages, %d bytes", s.Len(), s.Bytes())
				}
			}
		})
	}
	wg.Wait()
	wantConsistent(t, s)
}
