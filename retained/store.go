package retained

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"

	"nightjar/packets"
)

// Store holds retained messages, `$` topics like all others. It is safe for concurrent use;
// its lock is a leaf: nothing is called while it is held. Make it with New.
type Store struct {
	limits               Limits // immutable
	fullCount, fullBytes error  // immutable: ErrFull with the limit that was met
	seed                 maphash.Seed

	mu       sync.RWMutex // guards all below
	nodes    pages
	exact    index // nodes with a message, by the hash of the Topic Name
	children index // every node but the root, by the hash of (parent, level)
	cousins  index // the first node of every cousin chain, by the hash of (grandparent, level)
	due      []dueEntry
	messages int
	bytes    int64 // Invariant: the sum of Size over all messages
}

// New makes an empty Store.
func New(lim Limits) *Store {
	lim.Bytes = min(lim.Bytes, bytesMax)
	s := &Store{
		limits:    lim,
		fullCount: fmt.Errorf("%w: the limit is %d messages", ErrFull, lim.Messages),
		fullBytes: fmt.Errorf("%w: the limit is %d bytes", ErrFull, lim.Bytes),
		seed:      maphash.MakeSeed(),
	}
	s.nodes.take() // the root, number 0
	return s
}

// Set retains m in place of what was retained for its Topic Name. The error wraps ErrFull
// where a new topic, or a message larger than the one it replaces, would exceed a limit:
// then the store is as before. A payload of zero bytes has no special meaning here: the
// caller calls Clear [v5 MQTT-3.3.1-6] [v3.1.1 MQTT-3.3.1-10].
func (s *Store) Set(m *packets.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.find(m.TopicName)
	grown := Size(m)
	if id == none && s.messages >= s.limits.Messages {
		return s.fullCount
	}
	if id != none {
		grown -= Size(s.nodes.at(id).message)
	}
	if grown > 0 && s.bytes+grown > s.limits.Bytes {
		return s.fullBytes
	}
	if id == none {
		id = s.makePath(m.TopicName)
		s.exact.add(s.hash(0, m.TopicName), id)
		s.messages++
	}
	s.bytes += grown
	n := s.nodes.at(id)
	n.message = m
	n.text, n.start = m.TopicName, uint32(strings.LastIndexByte(m.TopicName, '/')+1)
	s.setDue(id, m.Expiry)
	return nil
}

// Clear removes the message retained for topicName and says whether there was one.
func (s *Store) Clear(topicName string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.find(topicName)
	if id == none {
		return false
	}
	s.remove(id)
	return true
}

// Get returns the message retained for topicName, or nil. It may have expired: see its Expiry.
func (s *Store) Get(topicName string) *packets.Message {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if id := s.find(topicName); id != none {
		return s.nodes.at(id).message
	}
	return nil
}

// Len is the number of messages, expired ones that Expire has not met yet included.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.messages
}

// Bytes is the sum of Size over all messages.
func (s *Store) Bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.bytes
}

// Each calls fn for every message, in no particular order, until fn returns false. The lock
// is not held meanwhile, so fn may call the Store. What is set or cleared during the walk may
// be met or not, and a topic that is cleared and set again may be met twice.
func (s *Store) Each(fn func(*packets.Message) bool) {
	batch := make([]*packets.Message, 0, 4*pageSize)
	for page := 0; page >= 0; {
		batch, page = s.batch(batch[:0], page)
		for _, m := range batch {
			if !fn(m) {
				return
			}
		}
	}
}

// batch appends the messages of the pages from page on until dst is full. It returns the
// page to go on with, negative at the end.
func (s *Store) batch(dst []*packets.Message, page int) ([]*packets.Message, int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for ; page < len(s.nodes.nodes); page++ {
		nodes := s.nodes.nodes[page]
		if nodes == nil {
			continue
		}
		if cap(dst)-len(dst) < pageSize {
			return dst, page
		}
		for i := range nodes {
			if m := nodes[i].message; m != nil {
				dst = append(dst, m)
			}
		}
	}
	return dst, -1
}

// remove takes the message off node id, and the nodes away that only it needed.
func (s *Store) remove(id uint32) {
	n := s.nodes.at(id)
	s.setDue(id, 0)
	s.exact.remove(s.hash(0, n.text), id)
	s.messages--
	s.bytes -= Size(n.message)
	n.message = nil
	if n.first != none {
		// It stays as a level of longer topics, and must not hold the whole text.
		n.text, n.start = strings.Clone(n.level()), 0
		return
	}
	s.prune(id)
}
