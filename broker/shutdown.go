package broker

import (
	"context"
	"time"

	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/transports"
)

// uptime is how long the broker has run.
func (b *Broker) uptime() time.Duration { return time.Since(b.started) }

// Ready reports whether clients are served: nil, or why not.
func (b *Broker) Ready() error {
	switch {
	case b.Err() != nil:
		return b.Err()
	case b.stopping.Load():
		return errStopping
	}
	return nil
}

var errStopping = packets.Errorf(packets.ServerShuttingDown, "", "the server is shutting down")

// takenOver ends the connection whose session another one has taken [v5 MQTT-3.1.4-3].
func (c *client) takenOver(w *worker) {
	c.conn.Post(func(t *transports.Turn) {
		c.end(c.b.worker(t), errTakenOver)
	})
}

var errTakenOver = packets.Errorf(packets.SessionTakenOver, "v5 MQTT-3.1.4-3", "another connection uses this client identifier")

// Shutdown ends the broker in good order, as far as ctx has time:
//
//  1. no new connections
//  2. DISCONNECT 0x8B to v5 clients; wills without a delay are published, to be queued for sessions that last, and the
//     others wait for the client over the restart
//  3. outboxes are drained
//  4. connections, loops and timers end
//
// The store is the caller's to close afterwards.
func (b *Broker) Shutdown(ctx context.Context) {
	if b.stopping.Swap(true) {
		return
	}
	close(b.done)
	b.server.StopListening()
	b.server.Each(func(t *transports.Turn, c *transports.Conn) {
		if r, ok := c.Receiver().(*client); ok {
			r.end(b.worker(t), errStopping)
		}
	})
	b.drain(ctx)
	b.server.Close()
	b.tasks.wait()
	b.storeFlight()
}

// drain waits until every connection has got what it was sent and is closed.
func (b *Broker) drain(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for b.server.Connections() > 0 && !b.server.Flushed(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// storeFlight stores the Packet Identifiers of QoS 1 messages in flight, so that after a restart in good order
// they are sent again under the same ones. After a crash they get new ones, which QoS 1 allows.
func (b *Broker) storeFlight() {
	if b.store == nil {
		return
	}
	for i := range b.registry.shards {
		sh := &b.registry.shards[i]
		sh.mu.Lock()
		for _, s := range sh.sessions {
			s.mu.Lock()
			s.Flight(func(id uint16, it sessions.Item) {
				if it.Row != nil && it.QoS == 1 {
					b.store.Append(sessions.Op{Kind: sessions.Sent, Row: it.Row, PacketID: id})
				}
			})
			s.mu.Unlock()
		}
		sh.mu.Unlock()
	}
}
