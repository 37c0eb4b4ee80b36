package retained

import (
	"hash/maphash"
	"strings"
)

// plainMax is how many children of a node are plain. More of them save memory where nodes
// have few children, and cost a look-up each where a filter asks for `+/b`.
const plainMax = 8

// hash is that of the node called level below a node with hash parent. The seed is secret,
// so nobody can make topics that collide.
func (s *Store) hash(parent uint32, level string) uint32 {
	h := maphash.String(s.seed, level) ^ uint64(parent)*0x9e3779b97f4a7c15
	return uint32(h * 0xd6e8feb86659fd93 >> 32)
}

// cut returns the level of topic that starts at byte from, and where the next one starts:
// beyond the end of topic after the last.
func cut(topic string, from int) (level string, next int) {
	if i := strings.IndexByte(topic[from:], '/'); i >= 0 {
		return topic[from : from+i], from + i + 1
	}
	return topic[from:], len(topic) + 1
}

// find returns the node of the message retained for topicName.
func (s *Store) find(topicName string) uint32 {
	p := s.exact.probe(s.hash(0, topicName))
	for id := p.next(); id != none; id = p.next() {
		if n := s.nodes.at(id); n.text == topicName {
			return id
		}
	}
	return none
}

// child returns the child of node parent that is called level.
func (s *Store) child(parent uint32, level string) uint32 {
	p := s.children.probe(s.hash(s.nodes.at(parent).hash, level))
	for id := p.next(); id != none; id = p.next() {
		if n := s.nodes.at(id); n.parent == parent && n.level() == level {
			return id
		}
	}
	return none
}

// cousin returns the first in the chain of grandchildren of node id that are called level.
func (s *Store) cousin(id uint32, level string) uint32 {
	p := s.cousins.probe(s.hash(s.nodes.at(id).hash, level))
	for c := p.next(); c != none; c = p.next() {
		if n := s.nodes.at(c); s.nodes.at(n.parent).parent == id && n.level() == level {
			return c
		}
	}
	return none
}

// makePath returns the node for topicName and makes what is missing on the way.
func (s *Store) makePath(topicName string) uint32 {
	id := uint32(none)
	for from := 0; from <= len(topicName); {
		var level string
		level, from = cut(topicName, from)
		child := s.child(id, level)
		if child == none {
			if from <= len(topicName) {
				level = strings.Clone(level) // the node may outlive this message
			}
			child = s.add(id, level, strings.HasPrefix(topicName, "$"))
		}
		id = child
	}
	return id
}

// add makes the child of node parent that is called level, and keeps that string.
func (s *Store) add(parent uint32, level string, system bool) uint32 {
	id := s.nodes.take()
	n, p := s.nodes.at(id), s.nodes.at(parent)
	*n = node{
		text:   level,
		hash:   s.hash(p.hash, level),
		parent: parent,
		plain:  p.plainChildren < plainMax,
		system: system,
	}
	if n.plain {
		p.plainChildren++
	}
	s.linkSibling(id)
	s.children.add(n.hash, id)
	if parent != none && !p.plain {
		s.linkCousin(id)
	}
	return id
}

// prune removes node id and those above it, as long as they hold nothing.
func (s *Store) prune(id uint32) {
	for id != none {
		n := s.nodes.at(id)
		if n.message != nil || n.first != none {
			return
		}
		parent := n.parent
		p := s.nodes.at(parent)
		if n.plain {
			p.plainChildren--
		}
		if parent != none && !p.plain {
			s.unlinkCousin(id)
		}
		s.children.remove(n.hash, id)
		s.unlinkSibling(id)
		s.nodes.release(id)
		id = parent
	}
}

// linkSibling enters node id with its siblings: first if plain, else last.
func (s *Store) linkSibling(id uint32) {
	n := s.nodes.at(id)
	p := s.nodes.at(n.parent)
	if p.first == none {
		p.first, n.prev = id, id
		return
	}
	first := s.nodes.at(p.first)
	n.prev = first.prev
	if n.plain {
		n.next, p.first = p.first, id
	} else {
		s.nodes.at(first.prev).next = id
	}
	first.prev = id
}

// unlinkSibling takes node id from among its siblings.
func (s *Store) unlinkSibling(id uint32) {
	n := s.nodes.at(id)
	p := s.nodes.at(n.parent)
	switch {
	case n.next != none:
		s.nodes.at(n.next).prev = n.prev
	case p.first != id:
		s.nodes.at(p.first).prev = n.prev
	}
	if p.first == id {
		p.first = n.next
	} else {
		s.nodes.at(n.prev).next = n.next
	}
}

// linkCousin puts node id at the head of its cousin chain.
func (s *Store) linkCousin(id uint32) {
	n := s.nodes.at(id)
	grandparent := s.nodes.at(n.parent).parent
	hash := s.hash(s.nodes.at(grandparent).hash, n.level())
	head := s.cousin(grandparent, n.level())
	if head == none {
		s.cousins.add(hash, id)
		return
	}
	n.nextCousin = head
	s.nodes.at(head).prevCousin = id
	s.cousins.replace(hash, head, id)
}

// unlinkCousin takes node id out of its cousin chain.
func (s *Store) unlinkCousin(id uint32) {
	n := s.nodes.at(id)
	if n.nextCousin != none {
		s.nodes.at(n.nextCousin).prevCousin = n.prevCousin
	}
	if n.prevCousin != none {
		s.nodes.at(n.prevCousin).nextCousin = n.nextCousin
		return
	}
	grandparent := s.nodes.at(n.parent).parent
	hash := s.hash(s.nodes.at(grandparent).hash, n.level())
	if n.nextCousin != none {
		s.cousins.replace(hash, id, n.nextCousin)
	} else {
		s.cousins.remove(hash, id)
	}
}
