package retained

import (
	"slices"

	"nightjar/packets"
)

// dueEntry is a message that expires. Store.due is a binary heap of them, the earliest
// first; a node knows the position of its entry.
type dueEntry struct {
	expiry packets.Instant
	id     uint32
}

// Expire removes up to limit messages that have expired at now, the earliest first, and
// appends them to removed [v5 MQTT-3.3.2-5]. Its cost depends on how many it
// removes, not on how many are retained.
func (s *Store) Expire(now packets.Instant, limit int, removed []*packets.Message) []*packets.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; limit > 0 && len(s.due) > 0 && s.due[0].expiry <= now; limit-- {
		id := s.due[0].id
		removed = append(removed, s.nodes.at(id).message)
		s.remove(id)
	}
	return removed
}

// setDue notes when the message of node id expires; 0: never.
func (s *Store) setDue(id uint32, expiry packets.Instant) {
	n := s.nodes.at(id)
	entry := dueEntry{expiry, id}
	switch {
	case expiry == 0 && n.due != 0:
		s.dropDue(int(n.due - 1))
		n.due = 0
	case expiry != 0 && n.due == 0:
		s.due = append(s.due, entry)
		s.siftDue(len(s.due)-1, entry)
	case expiry != 0:
		s.siftDue(int(n.due-1), entry)
	}
}

// dropDue takes out the entry at position i.
func (s *Store) dropDue(i int) {
	last := len(s.due) - 1
	entry := s.due[last]
	s.due = s.due[:last]
	if i < last {
		s.siftDue(i, entry)
	}
	if cap(s.due) > 64 && len(s.due) < cap(s.due)/4 {
		s.due = slices.Clone(s.due)
	}
}

// siftDue puts entry into the heap, where position i is free for it.
func (s *Store) siftDue(i int, entry dueEntry) {
	for i > 0 && entry.expiry < s.due[(i-1)/2].expiry {
		s.placeDue(i, s.due[(i-1)/2])
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child+1 < len(s.due) && s.due[child+1].expiry < s.due[child].expiry {
			child++
		}
		if child >= len(s.due) || entry.expiry <= s.due[child].expiry {
			break
		}
		s.placeDue(i, s.due[child])
		i = child
	}
	s.placeDue(i, entry)
}

// placeDue writes entry at position i and tells its node.
func (s *Store) placeDue(i int, entry dueEntry) {
	s.due[i] = entry
	s.nodes.at(entry.id).due = uint32(i + 1)
}
