package retained

// index finds node numbers by hash: open addressing with linear probing, 8 bytes a slot,
// between 1/8 and 3/4 full. It is cut in shards so that none takes long to grow.
type index struct {
	shards [64]shard
}

// shard is one hash table. Its length is 0 or a power of two.
type shard struct {
	slots []uint64 // hash in the upper half, node number in the lower; 0: empty
	used  int
}

// slotsMin is the smallest length of a shard that holds something.
const slotsMin = 8

// of returns the shard for hash: the upper bits choose it, the lower ones the slot in it.
func (x *index) of(hash uint32) *shard { return &x.shards[hash>>26] }

// probe walks the nodes of one hash.
type probe struct {
	slots []uint64
	hash  uint32
	at    uint32
}

// probe starts a walk; the index must not change meanwhile.
func (x *index) probe(hash uint32) probe {
	return probe{slots: x.of(hash).slots, hash: hash, at: hash}
}

// next returns a further node with the hash, none at the end.
func (p *probe) next() uint32 {
	if len(p.slots) == 0 {
		return none
	}
	for {
		slot := p.slots[p.at&uint32(len(p.slots)-1)]
		p.at++
		if slot == 0 {
			return none
		}
		if uint32(slot>>32) == p.hash {
			return uint32(slot)
		}
	}
}

// add enters node id, which is not in the index.
func (x *index) add(hash, id uint32) {
	s := x.of(hash)
	if (s.used+1)*4 > len(s.slots)*3 {
		s.resize(max(slotsMin, len(s.slots)*2))
	}
	s.used++
	s.put(uint64(hash)<<32 | uint64(id))
}

// replace enters node id in place of node old.
func (x *index) replace(hash, old, id uint32) {
	s := x.of(hash)
	s.slots[s.position(hash, old)] = uint64(hash)<<32 | uint64(id)
}

// remove takes node id out, which is in the index.
func (x *index) remove(hash, id uint32) {
	s := x.of(hash)
	mask := uint32(len(s.slots) - 1)
	hole := s.position(hash, id)
	// Move up what a search would no longer find behind the hole.
	for i := (hole + 1) & mask; s.slots[i] != 0; i = (i + 1) & mask {
		home := uint32(s.slots[i]>>32) & mask
		if (i-home)&mask >= (i-hole)&mask {
			s.slots[hole] = s.slots[i]
			hole = i
		}
	}
	s.slots[hole] = 0
	s.used--
	switch {
	case s.used == 0:
		s.slots = nil
	case len(s.slots) > slotsMin && s.used*8 < len(s.slots):
		s.resize(len(s.slots) / 2)
	}
}

// position returns where node id stands, which is in the shard.
func (s *shard) position(hash, id uint32) uint32 {
	mask := uint32(len(s.slots) - 1)
	want := uint64(hash)<<32 | uint64(id)
	i := hash & mask
	for s.slots[i] != want {
		i = (i + 1) & mask
	}
	return i
}

// put writes slot to the first empty place from its home on.
func (s *shard) put(slot uint64) {
	mask := uint32(len(s.slots) - 1)
	i := uint32(slot>>32) & mask
	for s.slots[i] != 0 {
		i = (i + 1) & mask
	}
	s.slots[i] = slot
}

// resize moves everything to a table of the given length.
func (s *shard) resize(length int) {
	old := s.slots
	s.slots = make([]uint64, length)
	for _, slot := range old {
		if slot != 0 {
			s.put(slot)
		}
	}
}
