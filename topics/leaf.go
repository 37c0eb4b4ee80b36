package topics

// indexMin is the number of subscriptions from which a set keeps an index. It is
// dropped when a set has shrunk to a quarter.
const indexMin = 32

// leaf is what one filter leads to. The zero value is empty.
type leaf[T comparable] struct {
	one  Entry[T]  // the only subscription, unless many is in use or one is zero
	many *crowd[T] // several subscriptions, or shared ones; or nil
}

// crowd is what a leaf holds when one entry is not enough.
type crowd[T comparable] struct {
	set[T]
	groups []*Group[T]
}

func (l *leaf[T]) empty() bool {
	var none T
	return l.many == nil && l.one.Subscriber == none
}

// add adds or replaces an ordinary subscription and tells whether it is new.
func (l *leaf[T]) add(e Entry[T]) (isNew bool) {
	switch {
	case l.many != nil:
		return l.many.add(e)
	case l.empty():
		l.one = e
		return true
	case l.one.Subscriber == e.Subscriber:
		l.one = e
		return false
	}
	l.grow()
	return l.many.add(e)
}

// remove removes an ordinary subscription and tells whether there was one.
func (l *leaf[T]) remove(sub T) bool {
	if l.many != nil {
		found := l.many.remove(sub)
		l.shrink()
		return found
	}
	if l.empty() || l.one.Subscriber != sub {
		return false
	}
	l.one = Entry[T]{}
	return true
}

// attach adds a shared subscription, which l has not.
func (l *leaf[T]) attach(g *Group[T]) {
	if l.many == nil {
		l.grow()
	}
	g.position = len(l.many.groups)
	l.many.groups = append(l.many.groups, g)
}

// detach removes a shared subscription, which l has.
func (l *leaf[T]) detach(g *Group[T]) {
	groups, last := l.many.groups, len(l.many.groups)-1
	groups[g.position] = groups[last]
	groups[g.position].position = g.position
	groups[last] = nil
	l.many.groups = groups[:last]
	l.shrink()
}

// grow moves the one subscription, if any, to a new crowd.
func (l *leaf[T]) grow() {
	many := &crowd[T]{}
	if !l.empty() {
		many.add(l.one)
	}
	*l = leaf[T]{many: many}
}

// shrink gives up the crowd if one entry is enough again.
func (l *leaf[T]) shrink() {
	if len(l.many.groups) > 0 || len(l.many.list) > 1 {
		return
	}
	var one Entry[T]
	if len(l.many.list) == 1 {
		one = l.many.list[0]
	}
	*l = leaf[T]{one: one}
}

// appendTo appends everything in l, which is not empty, to m.
func (l *leaf[T]) appendTo(m *Matches[T]) {
	if l.many == nil {
		m.Entries = append(m.Entries, l.one)
		return
	}
	m.Entries = append(m.Entries, l.many.list...)
	m.Groups = append(m.Groups, l.many.groups...)
}

// set is a set of subscriptions, one per subscriber, in no order. To come and to
// go takes constant time, amortised.
type set[T comparable] struct {
	list  []Entry[T]
	index map[T]int32 // position in list; nil while list is short
}

// add adds or replaces the subscription of e.Subscriber and tells whether it is new.
func (s *set[T]) add(e Entry[T]) (isNew bool) {
	if i := s.position(e.Subscriber); i >= 0 {
		s.list[i] = e
		return false
	}
	s.list = append(s.list, e)
	switch {
	case s.index != nil:
		s.index[e.Subscriber] = int32(len(s.list) - 1)
	case len(s.list) >= indexMin:
		s.reindex()
	}
	return true
}

// remove moves the last entry to the place of the one of sub, and gives memory
// back when three quarters of it are unused.
func (s *set[T]) remove(sub T) bool {
	i := s.position(sub)
	if i < 0 {
		return false
	}
	last := len(s.list) - 1
	s.list[i] = s.list[last]
	s.list[last] = Entry[T]{}
	s.list = s.list[:last]
	if s.index != nil {
		delete(s.index, sub)
		if i < last {
			s.index[s.list[i].Subscriber] = int32(i)
		}
	}
	if cap(s.list) >= indexMin && 4*len(s.list) <= cap(s.list) {
		s.list = append(make([]Entry[T], 0, 2*len(s.list)), s.list...)
		s.index = nil
		if len(s.list) >= indexMin {
			s.reindex()
		}
	}
	return true
}

// position returns where in the list sub stands, or -1.
func (s *set[T]) position(sub T) int {
	if s.index != nil {
		if i, ok := s.index[sub]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.list {
		if s.list[i].Subscriber == sub {
			return i
		}
	}
	return -1
}

// reindex builds the index of a list that has none.
func (s *set[T]) reindex() {
	s.index = make(map[T]int32, len(s.list))
	for i := range s.list {
		s.index[s.list[i].Subscriber] = int32(i)
	}
}
