package broker

import (
	"time"

	"nightjar/transports"
)

const (
	timerInterval = 500 * time.Millisecond
	shardsPerTick = 4    // shards whose sessions are looked at in a tick: all of them in 8 s
	expiresMax    = 4096 // retained messages that expire in one tick at most
)

// runTimers does what is due: wills, sessions and retained messages that expire.
func (b *Broker) runTimers() {
	tick := time.NewTicker(timerInterval)
	defer tick.Stop()
	next := 0
	for {
		select {
		case <-b.done:
			return
		case <-tick.C:
		}
		b.server.Do(func(t *transports.Turn) {
			w := b.worker(t)
			w.publishDueWills()
			for range shardsPerTick {
				w.expireSessions(&b.registry.shards[next%shardsMax])
				next++
			}
			w.expireRetained()
		})
	}
}
