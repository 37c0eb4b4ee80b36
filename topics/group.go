package topics

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Group is one shared subscription: a ShareName together with a Topic Filter.
// Its methods may be called from any goroutine, and also on a
// Group from an earlier match: one that has lost its last member stays empty, and
// the next subscription makes a new Group.
type Group[T comparable] struct {
	share, filter string // immutable
	position      int    // in the groups of its leaf; guarded by the mu of the Tree
	turn          atomic.Uint32
	snapshot      atomic.Pointer[[]Entry[T]] // copy of members.list; nil after a change

	mu      sync.Mutex
	members set[T] // guarded by mu
}

// Share is the ShareName.
func (g *Group[T]) Share() string { return g.share }

// Filter is the Topic Filter without $share and ShareName.
func (g *Group[T]) Filter() string { return g.filter }

// Next counts 0, 1, 2 ... over all callers and wraps around: modulo the number of
// members it is a round robin.
func (g *Group[T]) Next() uint32 { return g.turn.Add(1) - 1 }

// Members returns the members as they are now. The slice is never changed, and
// must not be: it may be kept, and all callers get the same one until a member
// comes or goes. Members keep their order only until one goes.
func (g *Group[T]) Members() []Entry[T] {
	if s := g.snapshot.Load(); s != nil {
		return *s
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := slices.Clone(g.members.list)
	g.snapshot.Store(&s)
	return s
}

// add adds or replaces a member and tells whether it is new.
func (g *Group[T]) add(e Entry[T]) (isNew bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot.Store(nil)
	return g.members.add(e)
}

// remove removes a member and tells whether there was one, and whether it was
// the last.
func (g *Group[T]) remove(sub T) (found, empty bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot.Store(nil)
	found = g.members.remove(sub)
	return found, len(g.members.list) == 0
}
