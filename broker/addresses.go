package broker

import (
	"net/netip"
	"sync"
)

// addressCounts counts the connections of each source address. Loopback is not counted: on it
// everybody has the same one.
type addressCounts struct {
	mu     sync.Mutex
	counts map[netip.Addr]*addressCount // guarded by mu
}

type addressCount struct {
	addr netip.Addr
	n    int // guarded by addressCounts.mu
}

func (a *addressCounts) init() { a.counts = map[netip.Addr]*addressCount{} }

// add counts a connection, and reports false when there are too many; it is counted all the same.
func (a *addressCounts) add(c *client, most int) bool {
	addr := c.conn.RemoteAddr().Addr()
	if !addr.IsValid() || addr.IsLoopback() {
		return true
	}
	c.more().tooFast = !c.b.connects.Allow()
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.counts[addr]
	if n == nil {
		n = &addressCount{addr: addr}
		a.counts[addr] = n
	}
	n.n++
	c.more().address = n
	return n.n <= most
}

// remove takes a connection out of the count.
func (a *addressCounts) remove(c *client) {
	if c.rare == nil || c.rare.address == nil {
		return
	}
	n := c.rare.address
	a.mu.Lock()
	defer a.mu.Unlock()
	if n.n--; n.n == 0 {
		delete(a.counts, n.addr)
	}
	c.rare.address = nil
}
