package retained

import (
	"nightjar/packets"
	"nightjar/topics"
)

// Match appends to dst the messages whose Topic Name matches filter, in no particular order,
// without those that have expired at now. A filter that starts with a wildcard does not match
// topics that start with $ [v5 MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1]. The filter is a valid
// Topic Filter, not shared. It allocates only where dst has no room, or where the filter
// has many `+`. The lock is not held any more when it returns.
//
// The cost is that of the branches that match: `a/+/b` does not look at the children of a
// that have no b, but `+/+/b` looks at every node of the first level.
func (s *Store) Match(filter string, now packets.Instant, dst []*packets.Message) []*packets.Message {
	w := walk{store: s, filter: filter, now: now, dst: dst}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case filter == "#":
		w.everything()
	case !topics.HasWildcard(filter):
		if id := s.find(filter); id != none {
			w.emit(s.nodes.at(id))
		}
	default:
		w.noSystem = filter[0] == '+' || filter[0] == '#'
		w.run()
	}
	return w.dst
}

// walk is one wildcard match.
type walk struct {
	store    *Store
	filter   string
	now      packets.Instant
	dst      []*packets.Message
	noSystem bool // `$` topics are left out
}

// chain says which nodes a step goes on with.
type chain uint8

const (
	alone chain = iota
	siblings
	cousins
)

// step is a chain of nodes that have matched the filter up to byte rest.
type step struct {
	id    uint32 // the node to take next
	chain chain
	rest  int
}

// run walks the trie. The steps still to take are on a stack of its own: at most
// plainMax+1 for each level of the filter.
func (w *walk) run() {
	var room [32]step
	stack := append(room[:0], step{})
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		id, rest := top.id, top.rest
		n := w.store.nodes.at(id)
		switch top.chain {
		case siblings:
			top.id = n.next
		case cousins:
			top.id = n.nextCousin
		case alone:
			top.id = none
		}
		if top.id == none {
			stack = stack[:len(stack)-1]
		}
		if !n.system || !w.noSystem {
			stack = w.expand(stack, id, rest)
		}
	}
}

// expand takes node id, which matched up to byte rest of the filter, one level further:
// it emits messages, or adds steps to the stack.
func (w *walk) expand(stack []step, id uint32, rest int) []step {
	s := w.store
	n := s.nodes.at(id)
	if rest > len(w.filter) {
		w.emit(n)
		return stack
	}
	level, next := cut(w.filter, rest)
	switch level {
	case "#":
		w.subtree(id)
	case "+":
		if next <= len(w.filter) {
			after, behind := cut(w.filter, next)
			if after != "+" && after != "#" {
				return w.hop(stack, id, after, behind)
			}
		}
		if n.first != none {
			stack = append(stack, step{n.first, siblings, next})
		}
	default:
		if child := s.child(id, level); child != none {
			stack = append(stack, step{child, alone, next})
		}
	}
	return stack
}

// hop adds the grandchildren of node id that are called level.
func (w *walk) hop(stack []step, id uint32, level string, rest int) []step {
	s := w.store
	for c := s.nodes.at(id).first; c != none; c = s.nodes.at(c).next {
		if !s.nodes.at(c).plain {
			if head := s.cousin(id, level); head != none {
				stack = append(stack, step{head, cousins, rest})
			}
			break
		}
		if found := s.child(c, level); found != none {
			stack = append(stack, step{found, alone, rest})
		}
	}
	return stack
}

// subtree emits node top and all below it.
func (w *walk) subtree(top uint32) {
	nodes := &w.store.nodes
	id := top
	for {
		n := nodes.at(id)
		w.emit(n)
		if n.first != none {
			id = n.first
			continue
		}
		for id != top && n.next == none {
			id = n.parent
			n = nodes.at(id)
		}
		if id == top {
			return
		}
		id = n.next
	}
}

// everything emits all messages but those of `$` topics, in the order of memory: twice as
// fast as subtree.
func (w *walk) everything() {
	for _, nodes := range w.store.nodes.nodes {
		if nodes == nil {
			continue
		}
		for i := range nodes {
			if n := &nodes[i]; !n.system {
				w.emit(n)
			}
		}
	}
}

// emit appends the message of n, if it has one that has not expired.
func (w *walk) emit(n *node) {
	if n.message != nil && (n.due == 0 || n.message.Expiry > w.now) {
		w.dst = append(w.dst, n.message)
	}
}
