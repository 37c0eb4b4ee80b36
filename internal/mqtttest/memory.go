package mqtttest

import (
	"sync"
	"time"

	"nightjar/store"
)

// memory is the memory store with a committer that a test can hold back.
type memory struct {
	*store.Memory
	kick chan struct{}
	done chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex // held while a batch is committed, and by Hold
	held bool       // guarded by mu
}

func newMemory(m *store.Memory) *memory {
	return &memory{Memory: m, kick: make(chan struct{}, 1), done: make(chan struct{})}
}

// run starts the committer.
func (m *memory) run() {
	m.wg.Go(func() {
		for {
			select {
			case <-m.kick:
				m.commit(false)
			case <-m.done:
				return
			}
		}
	})
}

func (m *memory) stop() {
	close(m.done)
	m.wg.Wait()
}

// Kick implements broker.Store.
func (m *memory) Kick(time.Duration) {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *memory) commit(release bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if release {
		m.held = false
	}
	if !m.held {
		m.Commit()
	}
}

// Hold has the store make nothing durable until Release.
func (b *Broker) Hold() {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	b.memory.held = true
}

// Release ends Hold, and makes durable what waits.
func (b *Broker) Release() { b.memory.commit(true) }

// Crash ends the broker, keeping nothing that was not durable, and starts one with what was.
func (b *Broker) Crash() {
	b.t.Helper()
	b.Hold()
	b.Stop()
	b.start(b.Addr)
}
