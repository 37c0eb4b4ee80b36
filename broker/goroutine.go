package broker

import "sync"

// goroutines counts the broker's goroutines and refuses new ones once it stops.
type goroutines struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	closing bool
}

// start runs fn in a goroutine that wait waits for, and reports false when it is too late.
// The name is for who reads the code.
func (g *goroutines) start(_ string, fn func()) bool {
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

func (g *goroutines) wait() {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.wg.Wait()
}
