package retained

import "nightjar/packets"

// none is "no node" in every link. It is the number of the root, which nothing links to
// but its children, as their parent.
const none = 0

// node is one topic level. 64 bytes, one cache line.
type node struct {
	message *packets.Message // nil: only a level of longer topics
	// text[start:] is the name of the level. text is the Topic Name of message, so that it
	// keeps no other string alive; without a message it is a copy of the level alone.
	text  string
	start uint32

	hash          uint32
	parent        uint32
	first         uint32 // first child; plain children come first
	next, prev    uint32 // siblings; the prev of the first is the last
	nextCousin    uint32
	prevCousin    uint32 // none: first of its chain, or in no chain
	due           uint32 // position in Store.due plus 1; 0: message never expires
	plainChildren uint8  // 0 to plainMax
	plain         bool   // immutable: the children of this node are in no cousin chain
	system        bool   // immutable: the Topic Name starts with $
}

// level is the name of the topic level.
func (n *node) level() string { return n.text[n.start:] }

// pageSize is the number of nodes that are allocated together: 64 KiB, because to less than 32 KiB Go adds a header.
const pageSize = 1024

// page is the state of pageSize nodes; the free ones are chained by next, as position in the page plus 1.
type page struct {
	used  int    // nodes taken; 0: the nodes were given back to the garbage collector
	fresh int    // nodes from here on were never used
	free  uint32 // head of the chain
	open  int    // position in pages.open, while used < pageSize
}

// pages allots nodes by number.
type pages struct {
	nodes []*[pageSize]node // by page number; nil: given back
	pages []page            // by page number
	open  []uint32          // numbers of the pages with room
	gone  []uint32          // numbers of the pages given back
}

// at returns node id. The pointer is valid until the node is released.
func (p *pages) at(id uint32) *node { return &p.nodes[id/pageSize][id%pageSize] }

// take returns the number of a zero node.
func (p *pages) take() uint32 {
	if len(p.open) == 0 {
		p.grow()
	}
	number := p.open[len(p.open)-1]
	pg := &p.pages[number]
	i := uint32(pg.fresh)
	if pg.free != 0 {
		i = pg.free - 1
		n := &p.nodes[number][i]
		pg.free, n.next = n.next, 0
	} else {
		pg.fresh++
	}
	pg.used++
	if pg.used == pageSize {
		p.close(number)
	}
	return number*pageSize + i
}

// release gives node id back.
func (p *pages) release(id uint32) {
	number, i := id/pageSize, id%pageSize
	pg := &p.pages[number]
	if pg.used == pageSize {
		pg.open = len(p.open)
		p.open = append(p.open, number)
	}
	p.nodes[number][i] = node{next: pg.free}
	pg.free = i + 1
	pg.used--
	if pg.used == 0 {
		p.close(number)
		p.nodes[number] = nil
		p.gone = append(p.gone, number)
	}
}

// grow adds an empty page.
func (p *pages) grow() {
	number := uint32(len(p.pages))
	if last := len(p.gone) - 1; last >= 0 {
		number = p.gone[last]
		p.gone = p.gone[:last]
	} else {
		p.nodes = append(p.nodes, nil)
		p.pages = append(p.pages, page{})
	}
	p.nodes[number] = new([pageSize]node)
	p.pages[number] = page{open: len(p.open)}
	p.open = append(p.open, number)
}

// close takes the page out of those with room.
func (p *pages) close(number uint32) {
	last := len(p.open) - 1
	at := p.pages[number].open
	p.open[at] = p.open[last]
	p.pages[p.open[at]].open = at
	p.open = p.open[:last]
}
