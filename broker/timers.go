package broker

import (
	"time"

	"nightjar/transports"
)

const (
	timerInterval = 500 * time.Millisecond
	shardsPerTick = 4  // shards whose sessions are looked at in a tick: all of them in 8 s
	expiresMax    = 64 // retained messages that expire under one lock at most
	expireChunks  = 64 // and so often in one tick
)

// runTimers does what is due, again and again.
func (b *Broker) runTimers() {
	tick := time.NewTicker(timerInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.done:
			return
		case <-tick.C:
		}
		b.RunTimers()
	}
}

// RunTimers does once what is due: wills, sessions and retained messages that expire. The broker calls it every half
// second once it is started; a simulator calls it in place of Start. One goroutine at a time, and not in a turn.
func (b *Broker) RunTimers() {
	b.server.Do(func(t *transports.Turn) {
		w := b.worker(t)
		w.publishDueWills()
		for range shardsPerTick {
			w.expireSessions(&b.registry.shards[b.nextShard%shardsMax])
			b.nextShard++
		}
		w.expireRetained()
	})
}
