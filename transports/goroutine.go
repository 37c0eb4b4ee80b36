package transports

import "sync"

// goroutines counts the goroutines of a Server, and starts none once closing has begun.
type goroutines struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	closing bool
}

// start runs fn in a goroutine that wait waits for. It reports false when it is too late.
func (g *goroutines) start(fn func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		fn()
	}()
	return true
}

// wait refuses new goroutines and waits for the running ones.
func (g *goroutines) wait() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.wg.Wait()
}
