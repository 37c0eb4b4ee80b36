package topics

import (
	"sync"
	"sync/atomic"
)

// Options are the Subscription Options that matter when a message is delivered,
// and the Subscription Identifier. They take 8 bytes.
type Options struct {
	// QoS is the maximum QoS granted, 0 to 2.
	QoS byte
	// NoLocal: not to the ClientID that published [v5 MQTT-3.8.3-3].
	NoLocal bool
	// RetainAsPublished: forward the RETAIN flag as it came [v5 MQTT-3.3.1-13].
	RetainAsPublished bool
	// ID is the Subscription Identifier, 1 to 268,435,455, or 0 for none.
	ID uint32
}

// Entry is one subscription as seen by a match.
type Entry[T comparable] struct {
	Subscriber T
	Options    Options
}

// Matches collects what a [Tree] finds for one Topic Name. It is owned by one
// goroutine, which calls Reset and uses it again: a warm match allocates nothing.
type Matches[T comparable] struct {
	// Entries are the ordinary subscriptions. A subscriber with several matching
	// filters stands there once per filter.
	Entries []Entry[T]
	// Groups are the shared subscriptions: one member of each gets the message.
	Groups []*Group[T]

	// pending are the places where the walk through the trie goes on later. It
	// never holds more than one place per level.
	pending []place[T]
}

// Reset empties m, keeps its memory, and lets go of the subscribers in it.
func (m *Matches[T]) Reset() {
	clear(m.Entries)
	clear(m.Groups)
	clear(m.pending[:cap(m.pending)])
	m.Entries, m.Groups = m.Entries[:0], m.Groups[:0]
}

// Tree holds the subscriptions of all sessions. T is the subscriber, usually a
// pointer; its zero value is not a subscriber. Filters and ShareNames have been
// checked by the caller. All methods may be called from any goroutine.
type Tree[T comparable] struct {
	generation atomic.Uint64

	mu     sync.RWMutex
	len    int                                  // guarded by mu
	exact  table[string, leaf[T]]               // filters without wildcard; no leaf is empty; guarded by mu
	root   node[T]                              // filters with wildcard; guarded by mu
	opened leaf[T]                              // copy of an exact leaf between openLocked and closeLocked; guarded by mu
	groups table[sharedSubscription, *Group[T]] // no group is empty; guarded by mu
}

// sharedSubscription is the identity of a [Group]: the same ShareName with
// another filter is another shared subscription.
type sharedSubscription struct{ share, filter string }

// NewTree returns an empty Tree.
func NewTree[T comparable]() *Tree[T] {
	return &Tree[T]{}
}

// Len is the number of subscriptions, members of shared ones included.
func (t *Tree[T]) Len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.len
}

// Generation changes with every Subscribe and Unsubscribe. A result of Match may
// be used again for as long as the Generation read before that match stays.
func (t *Tree[T]) Generation() uint64 {
	return t.generation.Load()
}

// Subscribe adds the subscription of sub to filter, or replaces its options, and
// tells whether it is new. share is the ShareName, or "" for an ordinary
// subscription; the two are different subscriptions. Both strings are kept, not
// copied.
func (t *Tree[T]) Subscribe(share, filter string, sub T, o Options) (isNew bool) {
	var none T
	if sub == none {
		panic("BUG: topics: the zero value cannot subscribe")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.generation.Add(1)
	e := Entry[T]{Subscriber: sub, Options: o}
	if share != "" {
		isNew = t.shareLocked(sharedSubscription{share, filter}).add(e)
	} else {
		isNew = t.addLocked(filter, e)
	}
	if isNew {
		t.len++
	}
	return isNew
}

// Unsubscribe removes the subscription of sub to filter and tells whether there
// was one. share is as for Subscribe; filter may be kept.
func (t *Tree[T]) Unsubscribe(share, filter string, sub T) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.generation.Add(1)
	var found bool
	if share != "" {
		found = t.leaveLocked(sharedSubscription{share, filter}, sub)
	} else {
		found = t.removeLocked(filter, sub)
	}
	if found {
		t.len--
	}
	return found
}

// addLocked adds an ordinary subscription.
func (t *Tree[T]) addLocked(filter string, e Entry[T]) (isNew bool) {
	l := t.openLocked(filter, true)
	isNew = l.add(e)
	t.closeLocked(filter, l)
	return isNew
}

// removeLocked removes an ordinary subscription.
func (t *Tree[T]) removeLocked(filter string, sub T) bool {
	l := t.openLocked(filter, false)
	if l == nil {
		return false
	}
	found := l.remove(sub)
	t.closeLocked(filter, l)
	return found
}

// shareLocked finds the shared subscription id, or makes it.
func (t *Tree[T]) shareLocked(id sharedSubscription) *Group[T] {
	if g := t.groups.entries[id]; g != nil {
		return g
	}
	g := &Group[T]{share: id.share, filter: id.filter}
	t.groups.set(id, g)
	l := t.openLocked(id.filter, true)
	l.attach(g)
	t.closeLocked(id.filter, l)
	return g
}

// leaveLocked removes a member of the shared subscription id, and that itself
// after its last member.
func (t *Tree[T]) leaveLocked(id sharedSubscription, sub T) bool {
	g := t.groups.entries[id]
	if g == nil {
		return false
	}
	found, empty := g.remove(sub)
	if empty {
		t.groups.delete(id)
		l := t.openLocked(id.filter, false)
		l.detach(g)
		t.closeLocked(id.filter, l)
	}
	return found
}

// openLocked returns the leaf of filter to be changed and then given to
// closeLocked. Without create it returns nil if there is none.
func (t *Tree[T]) openLocked(filter string, create bool) *leaf[T] {
	if !HasWildcard(filter) {
		l, ok := t.exact.entries[filter]
		if !ok && !create {
			return nil
		}
		t.opened = l
		return &t.opened
	}
	at := t.root.find(filter, create)
	if at == nil {
		return nil
	}
	if *at == nil && create {
		*at = &leaf[T]{}
	}
	return *at
}

// closeLocked puts the changed leaf of filter back, or removes it and the nodes
// that led only to it.
func (t *Tree[T]) closeLocked(filter string, l *leaf[T]) {
	switch exact := l == &t.opened; {
	case exact && l.empty():
		t.exact.delete(filter)
	case exact:
		t.exact.set(filter, *l)
	case l.empty():
		*t.root.find(filter, false) = nil
		t.root.prune(filter)
	}
	t.opened = leaf[T]{}
}

// Match appends all subscriptions that match the Topic Name to m. Filters that
// begin with a wildcard do not match a name that begins with $
// [v5 MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1].
func (t *Tree[T]) Match(name string, m *Matches[T]) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if l, ok := t.exact.entries[name]; ok {
		l.appendTo(m)
	}
	t.root.match(name, m)
}
