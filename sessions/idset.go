package sessions

import "slices"

// smallIDs is up to how many identifiers a plain list is kept.
const smallIDs = 64

// idSet is a set of Packet Identifiers: a list while small, a bitmap when not.
type idSet struct {
	list  []uint16
	bits  *[1 << 16 / 64]uint64
	count int // in bits
}

func (s *idSet) len() int { return len(s.list) + s.count }

func (s *idSet) has(id uint16) bool {
	if s.bits == nil {
		return slices.Contains(s.list, id)
	}
	return s.bits[id/64]&(1<<(id%64)) != 0
}

func (s *idSet) add(id uint16) bool {
	if s.bits == nil {
		if slices.Contains(s.list, id) {
			return false
		}
		if len(s.list) < smallIDs {
			s.list = append(s.list, id)
			return true
		}
		s.bits = new([1 << 16 / 64]uint64)
		for _, x := range s.list {
			s.bits[x/64] |= 1 << (x % 64)
		}
		s.count, s.list = len(s.list), nil
	}
	word, bit := &s.bits[id/64], uint64(1)<<(id%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	s.count++
	return true
}

func (s *idSet) remove(id uint16) bool {
	if s.bits == nil {
		i := slices.Index(s.list, id)
		if i < 0 {
			return false
		}
		last := len(s.list) - 1
		s.list[i] = s.list[last]
		s.list = s.list[:last]
		return true
	}
	word, bit := &s.bits[id/64], uint64(1)<<(id%64)
	if *word&bit == 0 {
		return false
	}
	*word &^= bit
	if s.count--; s.count == 0 {
		s.bits = nil
	}
	return true
}
