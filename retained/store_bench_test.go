package retained

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"nightjar/packets"
)

const million = 1_000_000

// fleet holds a million topics a/<id>/state, one a/<id>/b, and one of $SYS.
var fleet = sync.OnceValue(func() *Store {
	s := big()
	for i := range million {
		_ = s.Set(message(fmt.Sprintf("a/%d/state", i), "12345678"))
	}
	_ = s.Set(message("a/777777/b", "12345678"))
	_ = s.Set(message("$SYS/uptime", "1"))
	return s
})

// BenchmarkGet1M reads topics in random order; the strings asked for are not those retained.
func BenchmarkGet1M(b *testing.B) {
	s := fleet()
	r := rand.New(rand.NewPCG(1, 2))
	asked := make([]string, 1<<16)
	for i := range asked {
		asked[i] = fmt.Sprintf("a/%d/state", r.IntN(million))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if s.Get(asked[i&(len(asked)-1)]) == nil {
			b.Fatal("not found")
		}
		i++
	}
}

func BenchmarkMatch1M(b *testing.B) {
	s := fleet()
	for _, c := range []struct {
		filter string
		hits   int
	}{
		{"a/+/b", 1},
		{"+/+/b", 1},
		{"a/777777/#", 2},
		{"a/+/nothing", 0},
		{"a/+/state", million},
		{"a/+/+", million + 1},
		{"a/#", million + 1},
		{"#", million + 1},
	} {
		b.Run(c.filter, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]*packets.Message, 0, million+2)
			for b.Loop() {
				if dst = s.Match(c.filter, 0, dst[:0]); len(dst) != c.hits {
					b.Fatalf("got %d, want %d", len(dst), c.hits)
				}
			}
			if c.hits > 1000 {
				b.ReportMetric(float64(b.N)*float64(c.hits)/b.Elapsed().Seconds()/1e6, "Mmsg/s")
			}
		})
	}
}

// BenchmarkSet1M replaces, and sets and clears, among a million.
func BenchmarkSet1M(b *testing.B) {
	s := fleet()
	b.Run("replace", func(b *testing.B) {
		b.ReportAllocs()
		m := message("a/5/state", "87654321")
		for b.Loop() {
			_ = s.Set(m)
		}
	})
	b.Run("new+clear", func(b *testing.B) {
		b.ReportAllocs()
		m := message("a/5/new/topic", "87654321")
		for b.Loop() {
			_ = s.Set(m)
			s.Clear(m.TopicName)
		}
	})
}

// BenchmarkExpire1M removes 100 expired messages among a million, half of which expire later.
func BenchmarkExpire1M(b *testing.B) {
	s := big()
	for i := range million {
		_ = s.Set(expiring(fmt.Sprintf("a/%d/state", i), packets.Instant(i%2*(million+i))))
	}
	messages := make([]*packets.Message, 100)
	for i := range messages {
		messages[i] = expiring(fmt.Sprintf("a/%d/soon", i), 5)
	}
	removed := make([]*packets.Message, 0, 100)
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range messages {
			_ = s.Set(m)
		}
		if removed = s.Expire(5, 1000, removed[:0]); len(removed) != 100 {
			b.Fatalf("removed %d, want 100", len(removed))
		}
	}
}

// heap is the memory in use after a collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemory prints and bounds what a Store takes per message beyond the message itself.
func TestMemory(t *testing.T) {
	const count = 100_000
	for _, c := range []struct {
		shape    string
		topic    func(i int) string
		expiry   packets.Instant
		bytesMax int64
	}{
		{"flat, t<id>", func(i int) string { return fmt.Sprint("t", i) }, 0, 110},
		{"one topic a device, a/<id>/state", func(i int) string { return fmt.Sprintf("a/%d/state", i) }, 0, 220},
		{"five topics a device, a/<id>/<n>", func(i int) string { return fmt.Sprintf("a/%d/%d", i/5, i%5) }, 0, 130},
		{"unique below many, a/<group>/<id>", func(i int) string { return fmt.Sprintf("a/%d/%d", i%1000, i) }, 0, 150},
		{"five topics a device, all expire", func(i int) string { return fmt.Sprintf("a/%d/%d", i/5, i%5) }, 1, 160},
	} {
		messages := make([]*packets.Message, count)
		for i := range messages {
			messages[i] = message(c.topic(i), "12345678")
			messages[i].Expiry = packets.Instant(i+1) * c.expiry
		}
		s := big()
		before, slowest := heap(), time.Duration(0)
		for _, m := range messages {
			start := time.Now()
			mustSet(t, s, m)
			slowest = max(slowest, time.Since(start))
		}
		each := (heap() - before) / count
		t.Logf("%-36s %4d bytes per message; slowest Set %v", c.shape, each, slowest)
		if each > c.bytesMax {
			t.Errorf("%s: got %d bytes per message, want at most %d", c.shape, each, c.bytesMax)
		}
		runtime.KeepAlive(messages)
		runtime.KeepAlive(s)
	}
}
