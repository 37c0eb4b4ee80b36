package node

import "sync"

// goroutines counts the goroutines of a Node, and starts none once it ends.
type goroutines struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	closing bool
}

// start runs fn in a goroutine that wait waits for, unless it is too late.
func (g *goroutines) start(fn func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return
	}
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		fn()
	}()
}

// wait refuses new goroutines and waits for the running ones.
func (g *goroutines) wait() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.wg.Wait()
}
