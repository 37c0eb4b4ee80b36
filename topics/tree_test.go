package topics

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// checkTree holds the invariants of the structure: nothing empty is kept, every
// index agrees with its list, and the counts are right.
func checkTree[T comparable](t interface{ Errorf(string, ...any) }, tree *Tree[T]) {
	count := 0
	leaf := func(at string, l *leaf[T]) {
		if l.empty() {
			t.Errorf("%q: empty leaf", at)
		}
		if l.many == nil {
			count++
			return
		}
		if len(l.many.groups) == 0 && len(l.many.list) <= 1 {
			t.Errorf("%q: crowd for %d entries", at, len(l.many.list))
		}
		count += checkSet(t, at, &l.many.set)
		for i, g := range l.many.groups {
			n := checkSet(t, at, &g.members)
			if n == 0 || g.position != i || g.filter != at || tree.groups.entries[sharedSubscription{g.share, at}] != g {
				t.Errorf("%q: group %q: %d members, position %d, want %d", at, g.share, n, g.position, i)
			}
			count += n
		}
	}
	for filter, l := range tree.exact.entries {
		leaf(filter, &l)
	}
	var walk func(path string, n *node[T])
	walk = func(path string, n *node[T]) {
		if n != &tree.root && n.len() == 0 && n.here == nil && n.hash == nil {
			t.Errorf("%q: empty node", path)
		}
		if n.here != nil {
			leaf(strings.TrimSuffix(path, "/"), n.here)
		}
		if n.hash != nil {
			leaf(path+"#", n.hash)
		}
		if n.plus != nil {
			walk(path+"+/", n.plus)
		}
		if n.kids == nil {
			return
		}
		for _, c := range n.kids.few {
			walk(path+c.level+"/", c.node)
		}
		if n.kids.many != nil {
			if len(n.kids.few) > 0 {
				t.Errorf("%q: children in both a slice and a map", path)
			}
			for level, c := range n.kids.many.entries {
				walk(path+level+"/", c)
			}
		}
	}
	walk("", &tree.root)
	if count != tree.Len() {
		t.Errorf("Len: got %d, want %d", tree.Len(), count)
	}
}

func checkSet[T comparable](t interface{ Errorf(string, ...any) }, at string, s *set[T]) int {
	if s.index != nil && len(s.index) != len(s.list) {
		t.Errorf("%q: index of %d for %d entries", at, len(s.index), len(s.list))
	}
	for i, e := range s.list {
		if s.position(e.Subscriber) != i {
			t.Errorf("%q: entry %v found at %d, want %d", at, e, s.position(e.Subscriber), i)
		}
	}
	return len(s.list)
}

// model is the obvious broker: every subscription in one map.
type model map[subscription]Options

type subscription struct {
	share, filter string
	sub           int
}

// match lists what matches, as text, sorted.
func (m model) match(name string) []string {
	var found []string
	for s, o := range m {
		if Match(s.filter, name) {
			found = append(found, line(s.share, Entry[int]{s.sub, o}))
		}
	}
	slices.Sort(found)
	return found
}

// all lists the subscriptions in an order that a replay repeats.
func (m model) all() []subscription {
	return slices.SortedFunc(maps.Keys(m), func(a, b subscription) int {
		return cmp.Or(cmp.Compare(a.filter, b.filter), cmp.Compare(a.share, b.share), cmp.Compare(a.sub, b.sub))
	})
}

func line(share string, e Entry[int]) string {
	return fmt.Sprintf("%s %d %+v", share, e.Subscriber, e.Options)
}

// lines turns matches into the form of model.match.
func lines(m *Matches[int]) []string {
	var found []string
	for _, e := range m.Entries {
		found = append(found, line("", e))
	}
	for _, g := range m.Groups {
		for _, e := range g.Members() {
			found = append(found, line(g.Share(), e))
		}
	}
	slices.Sort(found)
	return found
}

var (
	// Few levels, so that filters share nodes; c0 to c11 are more than fewMax.
	anyLevel  = rapid.SampledFrom([]string{"", "a", "a", "b", "$x", "c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"})
	anyName   = rapid.Map(rapid.SliceOfN(anyLevel, 1, 4), join)
	anyFilter = rapid.Custom(func(t *rapid.T) string {
		levels := rapid.SliceOfN(rapid.OneOf(anyLevel, rapid.Just("+")), 0, 3).Draw(t, "levels")
		last := rapid.OneOf(anyLevel, rapid.Just("+"), rapid.Just("#")).Draw(t, "last")
		return join(append(levels, last))
	}).Filter(func(s string) bool { return s != "" })
)

func join(levels []string) string {
	if len(levels) == 1 && levels[0] == "" {
		return "/"
	}
	return strings.Join(levels, "/")
}

// TestTreeModel runs random sequences of operations on a Tree and on the model,
// and compares what both answer, and the structure of the Tree, after each.
func TestTreeModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree, want := NewTree[int](), model{}
		var m Matches[int]
		options := rapid.Custom(func(t *rapid.T) Options {
			return Options{
				QoS: byte(rapid.IntRange(0, 2).Draw(t, "qos")), NoLocal: rapid.Bool().Draw(t, "no local"),
				ID: rapid.Uint32Range(0, 9).Draw(t, "id"),
			}
		})
		share := rapid.SampledFrom([]string{"", "", "g", "h"})
		subscribe := func(t *rapid.T, s subscription, o Options) {
			_, had := want[s]
			want[s] = o
			if got := tree.Subscribe(s.share, s.filter, s.sub, o); got != !had {
				t.Fatalf("Subscribe(%+v): got new %v, want %v", s, got, !had)
			}
		}
		unsubscribe := func(t *rapid.T, s subscription) {
			_, had := want[s]
			delete(want, s)
			if got := tree.Unsubscribe(s.share, s.filter, s.sub); got != had {
				t.Fatalf("Unsubscribe(%+v): got %v, want %v", s, got, had)
			}
		}
		draw := func(t *rapid.T) subscription {
			return subscription{share.Draw(t, "share"), anyFilter.Draw(t, "filter"), rapid.IntRange(1, 5).Draw(t, "sub")}
		}
		// known draws a subscription that exists, else any.
		known := func(t *rapid.T) subscription {
			if len(want) == 0 {
				return draw(t)
			}
			return rapid.SampledFrom(want.all()).Draw(t, "known")
		}
		t.Repeat(map[string]func(*rapid.T){
			"subscribe":   func(t *rapid.T) { subscribe(t, draw(t), options.Draw(t, "options")) },
			"resubscribe": func(t *rapid.T) { subscribe(t, known(t), options.Draw(t, "options")) },
			"unsubscribe": func(t *rapid.T) { unsubscribe(t, known(t)) },
			"unsubscribe any": func(t *rapid.T) {
				unsubscribe(t, draw(t))
			},
			"crowd": func(t *rapid.T) {
				s, o := draw(t), options.Draw(t, "options")
				for s.sub = range rapid.IntRange(1, 80).Draw(t, "to") {
					s.sub++
					subscribe(t, s, o)
				}
			},
			"siblings": func(t *rapid.T) {
				s, o := draw(t), options.Draw(t, "options")
				for i := range 12 {
					subscribe(t, subscription{s.share, fmt.Sprintf("a/c%d/+", i), s.sub}, o)
				}
			},
			"clear": func(t *rapid.T) {
				f := known(t).filter
				for _, s := range want.all() {
					if s.filter == f || s.filter[0] == f[0] {
						unsubscribe(t, s)
					}
				}
			},
			"": func(t *rapid.T) {
				for range 3 {
					n := anyName.Draw(t, "name")
					m.Reset()
					tree.Match(n, &m)
					if got, want := lines(&m), want.match(n); !slices.Equal(got, want) {
						t.Fatalf("Match(%q): got %q, want %q", n, got, want)
					}
				}
				checkTree(t, tree)
			},
		})
		for _, s := range want.all() {
			unsubscribe(t, s)
		}
		checkEmpty(t, tree)
	})
}

// checkEmpty is checkTree for a tree that must have nothing left.
func checkEmpty[T comparable](t interface{ Errorf(string, ...any) }, tree *Tree[T]) {
	checkTree(t, tree)
	if tree.Len() != 0 || len(tree.exact.entries) != 0 || len(tree.groups.entries) != 0 ||
		tree.root != (node[T]{}) || tree.opened != (leaf[T]{}) {
		t.Errorf("left in the tree: %d subscriptions, root %+v", tree.Len(), tree.root)
	}
}

func TestSubscribeReplaces(t *testing.T) {
	t.Parallel()
	for _, share := range []string{"", "g"} {
		for _, f := range []string{"a/b", "a/+", "#"} {
			tree := NewTree[int]()
			first, second := Options{QoS: 1, ID: 7}, Options{QoS: 2, RetainAsPublished: true}
			if !tree.Subscribe(share, f, 1, first) || tree.Subscribe(share, f, 1, second) {
				t.Errorf("%q: the first is not new, or the second is", f)
			}
			var m Matches[int]
			tree.Match("a/b", &m)
			if got, want := lines(&m), []string{line(share, Entry[int]{1, second})}; !slices.Equal(got, want) {
				t.Errorf("%q: got %q, want %q", f, got, want)
			}
		}
	}
}

func TestGeneration(t *testing.T) {
	t.Parallel()
	tree := NewTree[int]()
	seen := map[uint64]bool{tree.Generation(): true}
	for _, change := range []func(){
		func() { tree.Subscribe("", "a", 1, Options{}) },
		func() { tree.Subscribe("", "a", 1, Options{QoS: 1}) },
		func() { tree.Subscribe("g", "a/#", 1, Options{}) },
		func() { tree.Subscribe("g", "a/#", 2, Options{}) },
		func() { tree.Unsubscribe("g", "a/#", 2) },
		func() { tree.Unsubscribe("", "a", 1) },
	} {
		change()
		if seen[tree.Generation()] {
			t.Errorf("generation %d came again", tree.Generation())
		}
		seen[tree.Generation()] = true
	}
}

func TestZeroSubscriberIsABug(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewTree[*int]().Subscribe("", "a", nil, Options{})
}

func TestGroup(t *testing.T) {
	t.Parallel()
	tree := NewTree[int]()
	group := func() *Group[int] {
		var m Matches[int]
		tree.Match("a/b", &m)
		if len(m.Groups) != 1 {
			t.Fatalf("got %d groups, want 1", len(m.Groups))
		}
		return m.Groups[0]
	}
	tree.Subscribe("g", "a/+", 1, Options{QoS: 1})
	tree.Subscribe("g", "a/+", 2, Options{QoS: 2})
	g := group()
	if g.Share() != "g" || g.Filter() != "a/+" {
		t.Errorf("got %q %q", g.Share(), g.Filter())
	}
	for want := range uint32(3) {
		if got := g.Next(); got != want {
			t.Errorf("Next: got %d, want %d", got, want)
		}
	}
	before := g.Members()
	if again := g.Members(); &before[0] != &again[0] {
		t.Error("two snapshots without a change between them")
	}
	tree.Unsubscribe("g", "a/+", 1)
	tree.Subscribe("g", "a/+", 2, Options{QoS: 0})
	if want := []Entry[int]{{1, Options{QoS: 1}}, {2, Options{QoS: 2}}}; !slices.Equal(before, want) {
		t.Errorf("the snapshot changed: got %v, want %v", before, want)
	}
	if got, want := g.Members(), []Entry[int]{{2, Options{}}}; !slices.Equal(got, want) {
		t.Errorf("members: got %v, want %v", got, want)
	}
	tree.Unsubscribe("g", "a/+", 2)
	if len(g.Members()) != 0 {
		t.Errorf("members of the emptied group: %v", g.Members())
	}
	tree.Subscribe("g", "a/+", 3, Options{})
	if group() == g {
		t.Error("the emptied group came back")
	}
}

// TestLongFiltersAreLetGo: the nodes of a live filter must not keep long dead
// filters, by which they were made, in memory.
func TestLongFiltersAreLetGo(t *testing.T) {
	tree, used := NewTree[int](), heapBytes()
	path := ""
	for i := range 60 {
		path += fmt.Sprintf("l%d/", i)
		long := path + strings.Repeat("x", 60_000) + "/#"
		tree.Subscribe("", long, 1, Options{})
		tree.Subscribe("", path+"#", 1, Options{})
		tree.Unsubscribe("", long, 1)
	}
	if kept := heapBytes() - used; kept > 100_000 {
		t.Errorf("%d bytes are kept for 60 short filters", kept)
	}
	checkTree(t, tree)
}

// TestConcurrent runs writers and readers at once: under -race it finds what is
// not guarded, and a subscription that stays must be found by every match.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	tree := NewTree[int]()
	stays := []subscription{{"", "a/b", 1000}, {"", "a/+", 1000}, {"", "#", 1000}, {"g", "a/#", 1000}}
	for _, s := range stays {
		tree.Subscribe(s.share, s.filter, s.sub, Options{})
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			for i := range 3000 {
				sub := w*100 + i%40 + 1
				f := []string{"a/b", "a/+", "+/b", "a/b/#", "#", fmt.Sprintf("a/c%d/+", i%13)}[i%6]
				share := []string{"", "g", "h"}[i%3]
				tree.Subscribe(share, f, sub, Options{QoS: byte(i % 3)})
				if i%2 == 0 {
					tree.Unsubscribe(share, f, sub)
				}
			}
			for i := range 3000 {
				sub := w*100 + i%40 + 1
				f := []string{"a/b", "a/+", "+/b", "a/b/#", "#", fmt.Sprintf("a/c%d/+", i%13)}[i%6]
				tree.Unsubscribe([]string{"", "g", "h"}[i%3], f, sub)
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			var m Matches[int]
			for {
				select {
				case <-done:
					return
				default:
				}
				m.Reset()
				before := tree.Generation()
				tree.Match("a/b", &m)
				if got := stayed(&m); got != len(stays) {
					t.Errorf("found %d of %d", got, len(stays))
					return
				}
				if tree.Generation() < before {
					t.Error("the generation went back")
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	checkTree(t, tree)
	for _, s := range stays {
		tree.Unsubscribe(s.share, s.filter, s.sub)
	}
	checkEmpty(t, tree)
}

// stayed counts the subscriptions of the subscriber 1000 in m.
func stayed(m *Matches[int]) int {
	isIt := func(e Entry[int]) bool { return e.Subscriber == 1000 }
	found := 0
	for _, e := range m.Entries {
		if isIt(e) {
			found++
		}
	}
	for _, g := range m.Groups {
		g.Next()
		if slices.ContainsFunc(g.Members(), isIt) {
			found++
		}
	}
	return found
}

// TestWildcardCombinations is case D19: all 2^15 filters of + and a over 15
// levels. Each node is visited once, so a match is bounded by their number.
func TestWildcardCombinations(t *testing.T) {
	const levels = 15
	tree := NewTree[int]()
	for bits := range 1 << levels {
		parts := make([]string, levels)
		for i := range parts {
			parts[i] = []string{"a", "+"}[bits>>i&1]
		}
		tree.Subscribe("", strings.Join(parts, "/"), 1, Options{})
	}
	deep := strings.TrimSuffix(strings.Repeat("a/", levels), "/")
	var m Matches[int]
	best := fastest(func() {
		m.Reset()
		tree.Match(deep, &m)
	})
	t.Logf("%d subscriptions matched in %v", len(m.Entries), best)
	if len(m.Entries) != 1<<levels {
		t.Errorf("got %d matches, want %d", len(m.Entries), 1<<levels)
	}
	if best > 50*time.Millisecond {
		t.Errorf("the match took %v, want at most 50 ms", best)
	}
	if cap(m.pending) > 2*levels {
		t.Errorf("%d places were put aside, want at most %d", cap(m.pending), 2*levels)
	}
}

func TestWarmMatchDoesNotAllocate(t *testing.T) {
	tree := NewTree[int]()
	for i := range 100 {
		for _, f := range []string{"a/b/c", "a/+/c", "+/+/+", "#", "a/#", "a/b/c/#", fmt.Sprintf("a/c%d/#", i)} {
			tree.Subscribe("", f, i+1, Options{})
			tree.Subscribe("g", f, i+1, Options{})
		}
	}
	var m Matches[int]
	for _, n := range []string{"a/b/c", "a/c50/d/e", "none", "$SYS/x"} {
		match := func() {
			m.Reset()
			tree.Match(n, &m)
			for _, g := range m.Groups {
				members := g.Members()
				_ = members[g.Next()%uint32(len(members))]
			}
		}
		match()
		if got := testing.AllocsPerRun(100, match); got != 0 {
			t.Errorf("Match(%q): got %v allocations, want 0", n, got)
		}
	}
}
