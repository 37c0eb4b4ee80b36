package topics

import (
	"fmt"
	"testing"
)

// BenchmarkMatch: one filter of many matches, and none. The second must not
// depend on the number of filters.
func BenchmarkMatch(b *testing.B) {
	for _, k := range kinds {
		for _, count := range []int{1_000, 100_000, 1_000_000} {
			tree, subs := NewTree[*int](), make([]int, count)
			for i := range subs {
				tree.Subscribe("", k.filter(i), &subs[i], Options{})
			}
			names := make([]string, 1024)
			for i := range names {
				names[i] = k.name(i * 7919 % count)
			}
			b.Run(fmt.Sprintf("%s/%d/hit", k.kind, count), func(b *testing.B) { benchmarkMatch(b, tree, names, 1) })
			b.Run(fmt.Sprintf("%s/%d/miss", k.kind, count), func(b *testing.B) {
				benchmarkMatch(b, tree, []string{"t/1/none/x/y"}, 0)
			})
		}
	}
}

func benchmarkMatch(b *testing.B, tree *Tree[*int], names []string, want int) {
	var m Matches[*int]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Reset()
		tree.Match(names[i%len(names)], &m)
		if len(m.Entries) != want {
			b.Fatalf("got %d matches, want %d", len(m.Entries), want)
		}
	}
}

func BenchmarkSubscribeUnsubscribe(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.kind, func(b *testing.B) {
			tree, subs, filters := NewTree[*int](), make([]int, 100_000), make([]string, 100_000)
			for i := range filters {
				filters[i] = k.filter(i)
				if i >= 1024 {
					tree.Subscribe("", filters[i], &subs[i], Options{})
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				n := i % 1024
				tree.Subscribe("", filters[n], &subs[n], Options{})
				tree.Unsubscribe("", filters[n], &subs[n])
			}
		})
	}
}

func BenchmarkCheckName(b *testing.B) {
	topic := []byte("sensors/building7/floor3/room42/temperature")
	b.ReportAllocs()
	b.SetBytes(int64(len(topic)))
	for b.Loop() {
		if err := CheckName(topic, wide); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNaiveMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !Match("sensors/+/floor3/room42/#", "sensors/building7/floor3/room42/temperature") {
			b.Fatal("no match")
		}
	}
}
