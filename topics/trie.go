package topics

import "strings"

const (
	// fewMax is the number of children a node keeps in a slice; above it there
	// is a map, and again a slice from fewAgain down.
	fewMax   = 8
	fewAgain = 4

	// keptFilterBytes: from a filter longer than this a new node copies its
	// level. Else a node that outlives the subscription that made it would hold
	// that whole filter, up to 64 KiB for each level of another filter.
	keptFilterBytes = 256
)

// node is a place in the trie of filters with wildcards: all filters that begin
// with the same levels. It is kept small (32 bytes), for there is one per filter
// at least.
type node[T comparable] struct {
	here *leaf[T]     // the filter that ends here, or nil
	hash *leaf[T]     // the filter that goes on with "/#", or nil
	plus *node[T]     // the filters that go on with "/+", or nil
	kids *children[T] // the filters that go on with another level, or nil
}

// children are the literal next levels of a node, never empty.
type children[T comparable] struct {
	few  []child[T]               // at most fewMax, in no order, unless many is in use
	many *table[string, *node[T]] // or nil
}

type child[T comparable] struct {
	level string
	node  *node[T]
}

// find returns the place of the leaf of filter below the root n. Without create
// it returns nil if a node on the way is missing.
func (n *node[T]) find(filter string, create bool) **leaf[T] {
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" {
			return &n.hash
		}
		next := n.child(level)
		if next == nil {
			if !create {
				return nil
			}
			if len(filter) > keptFilterBytes {
				level = strings.Clone(level)
			}
			next = &node[T]{}
			n.add(level, next)
		}
		n = next
	}
	return &n.here
}

// prune removes the nodes below the root n that lead to filter, whose leaf has
// gone, and to nothing else. They hang on one edge: the one below the last node
// on the way that has something else.
func (n *node[T]) prune(filter string) {
	root, keep, cut := n, n, ""
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" {
			break
		}
		if n == root || n.here != nil || n.hash != nil || n.len() > 1 {
			keep, cut = n, level
		}
		n = n.child(level)
	}
	if n != root && n.here == nil && n.hash == nil && n.len() == 0 {
		keep.remove(cut)
	}
}

// len is the number of nodes directly below n.
func (n *node[T]) len() int {
	count := 0
	if n.plus != nil {
		count++
	}
	switch {
	case n.kids == nil:
	case n.kids.many != nil:
		count += len(n.kids.many.entries)
	default:
		count += len(n.kids.few)
	}
	return count
}

// child returns the node at a level of a filter, which may be "+", or nil.
func (n *node[T]) child(level string) *node[T] {
	if level == "+" {
		return n.plus
	}
	return n.literal(level)
}

// literal returns the child that a level of a Topic Name leads to, or nil.
func (n *node[T]) literal(level string) *node[T] {
	switch k := n.kids; {
	case k == nil:
	case k.many != nil:
		return k.many.entries[level]
	default:
		for i := range k.few {
			if k.few[i].level == level {
				return k.few[i].node
			}
		}
	}
	return nil
}

// add puts next below n, which has no such child.
func (n *node[T]) add(level string, next *node[T]) {
	if level == "+" {
		n.plus = next
		return
	}
	if n.kids == nil {
		n.kids = &children[T]{}
	}
	k := n.kids
	if k.many == nil && len(k.few) < fewMax {
		k.few = append(k.few, child[T]{level, next})
		return
	}
	if k.many == nil {
		k.many = &table[string, *node[T]]{}
		for _, c := range k.few {
			k.many.set(c.level, c.node)
		}
		k.few = nil
	}
	k.many.set(level, next)
}

// remove takes the child at level away from n, which has it.
func (n *node[T]) remove(level string) {
	if level == "+" {
		n.plus = nil
		return
	}
	k := n.kids
	if k.many != nil {
		k.many.delete(level)
		if len(k.many.entries) > fewAgain {
			return
		}
		for l, c := range k.many.entries {
			k.few = append(k.few, child[T]{l, c})
		}
		k.many = nil
		return
	}
	for i := range k.few {
		if k.few[i].level == level {
			last := len(k.few) - 1
			k.few[i], k.few[last] = k.few[last], child[T]{}
			k.few = k.few[:last]
			break
		}
	}
	if len(k.few) == 0 {
		n.kids = nil
	}
}

// place is where a walk stands: at a node, with the rest of the Topic Name from
// byte next on, or behind its end if next is greater than its length.
type place[T comparable] struct {
	node *node[T]
	next int
}

// match appends to m what matches name below the root n. It follows the literal
// level first and puts the + aside in m.pending.
func (n *node[T]) match(name string, m *Matches[T]) {
	at := place[T]{node: n}
	if hidden(name) {
		level, next := levelAt(name, 0)
		at = place[T]{n.literal(level), next}
	}
	for {
		for at.node != nil {
			at = at.node.step(name, at.next, m)
		}
		last := len(m.pending) - 1
		if last < 0 {
			return
		}
		at, m.pending = m.pending[last], m.pending[:last]
	}
}

// step appends to m what matches at n itself and returns where the next literal
// level leads, which may be nowhere.
func (n *node[T]) step(name string, next int, m *Matches[T]) place[T] {
	if n.hash != nil {
		n.hash.appendTo(m)
	}
	if next > len(name) {
		if n.here != nil {
			n.here.appendTo(m)
		}
		return place[T]{}
	}
	level, next := levelAt(name, next)
	if n.plus != nil {
		m.pending = append(m.pending, place[T]{n.plus, next})
	}
	return place[T]{n.literal(level), next}
}

// levelAt returns the level of name that begins at byte from, and where the next
// one begins: behind the end of name if it was the last.
func levelAt(name string, from int) (level string, next int) {
	if i := strings.IndexByte(name[from:], '/'); i >= 0 {
		return name[from : from+i], from + i + 1
	}
	return name[from:], len(name) + 1
}
