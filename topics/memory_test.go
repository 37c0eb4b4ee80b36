package topics

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// heapBytes is the live heap after a collection.
func heapBytes() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// kinds are the shapes of filter that are measured, one filter per i, and a
// Topic Name that exactly one of them matches.
var kinds = []struct {
	kind   string
	filter func(i int) string
	name   func(i int) string
}{
	{
		"exact", func(i int) string { return fmt.Sprintf("a/%d/b", i) },
		func(i int) string { return fmt.Sprintf("a/%d/b", i) },
	},
	{
		"plus", func(i int) string { return fmt.Sprintf("t/%d/%d/+", i%1000, i) },
		func(i int) string { return fmt.Sprintf("t/%d/%d/x", i%1000, i) },
	},
	{
		"hash", func(i int) string { return fmt.Sprintf("t/%d/%d/#", i%1000, i) },
		func(i int) string { return fmt.Sprintf("t/%d/%d/x", i%1000, i) },
	},
}

// TestMemory holds the budget of 200 bytes per subscription for a million filters,
// without the filters themselves, and that all of it comes back.
func TestMemory(t *testing.T) {
	const count, bytesMax = 1_000_000, 200
	subs := make([]int, count)
	for _, k := range kinds {
		filters := make([]string, count)
		for i := range filters {
			filters[i] = k.filter(i)
		}
		empty := heapBytes()
		tree := NewTree[*int]()
		for i, f := range filters {
			tree.Subscribe("", f, &subs[i], Options{})
		}
		each := float64(heapBytes()-empty) / count
		t.Logf("%s: %.0f bytes per subscription", k.kind, each)
		if each > bytesMax {
			t.Errorf("%s: got %.0f bytes per subscription, want at most %d", k.kind, each, bytesMax)
		}
		for i, f := range filters {
			tree.Unsubscribe("", f, &subs[i])
		}
		checkEmpty(t, tree)
		if left := heapBytes() - empty; left > 200_000 {
			t.Errorf("%s: %d bytes are left after the last has gone", k.kind, left)
		}
		runtime.KeepAlive(filters)
		runtime.KeepAlive(tree)
	}
}

// TestChurn: a million subscriptions that come and go one by one, and D18, one
// that comes a million times, leave nothing behind.
func TestChurn(t *testing.T) {
	const cycles = 250_000
	tree, sub, used := NewTree[*int](), new(int), heapBytes()
	tree.Subscribe("", "a/stays", sub, Options{})
	tree.Subscribe("", "t/stays/#", sub, Options{})
	for i := range cycles {
		for _, k := range kinds {
			f := k.filter(i)
			tree.Subscribe("", f, sub, Options{})
			tree.Unsubscribe("", f, sub)
		}
		tree.Subscribe("g", "t/stays/#", sub, Options{})
		tree.Unsubscribe("g", "t/stays/#", sub)
	}
	for range 4 * cycles {
		tree.Subscribe("", "a/stays", sub, Options{})
	}
	if tree.Len() != 2 {
		t.Errorf("Len: got %d, want 2", tree.Len())
	}
	checkTree(t, tree)
	if left := heapBytes() - used; left > 100_000 {
		t.Errorf("%d bytes are left", left)
	}
	runtime.KeepAlive(tree)
}

// TestCrowd: 100,000 subscribers of one filter come and go in constant time each,
// and give their memory back.
func TestCrowd(t *testing.T) {
	const count = 100_000
	subs := make([]int, count)
	for _, share := range []string{"", "g"} {
		for _, f := range []string{"a/b", "a/+"} {
			used, tree := heapBytes(), NewTree[*int]()
			start := time.Now()
			for i := range subs {
				tree.Subscribe(share, f, &subs[i], Options{})
			}
			for i := range subs[1:] {
				tree.Unsubscribe(share, f, &subs[i])
			}
			t.Logf("share %q, filter %q: %v for each", share, f, time.Since(start)/(2*count))
			checkTree(t, tree)
			if left := heapBytes() - used; tree.Len() != 1 || left > 10_000 {
				t.Errorf("share %q, filter %q: %d subscriptions and %d bytes are left", share, f, tree.Len(), left)
			}
			runtime.KeepAlive(tree)
		}
	}
}
