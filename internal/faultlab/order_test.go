package faultlab_test

import (
	"context"
	"testing"
	"time"

	"nightjar/internal/faultlab"
	"nightjar/packets"
)

// TestOrderAfterKill has a subscriber leave without reading what it was sent: first messages that waited in its queue, then
// ones that went straight to it. After a crash they must come in that order [v5 MQTT-4.6.0-1].
func TestOrderAfterKill(t *testing.T) {
	for _, qos := range []packets.QoS{1, 2} {
		r := newRun(t, 1)
		r.start()
		publisher, subscriber := r.publishers[7], r.subscribers[1]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		until := func(done func() bool) {
			for !done() {
				select {
				case <-ctx.Done():
					t.Fatal(ctx.Err())
				case <-time.After(time.Millisecond):
				}
			}
		}
		publish := func() {
			for range 5 {
				until(func() bool { return publisher.Publish(qos) })
			}
			until(publisher.Idle)
		}
		publisher.Online()
		subscriber.Online()
		until(subscriber.Idle)
		subscriber.Offline(true)
		publish()
		subscriber.Stall()
		subscriber.Online()
		until(subscriber.Connected)
		publish()
		r.must(r.broker.Kill())
		subscriber.Offline(false)
		r.start()
		subscriber.Online()
		until(func() bool { return len(faultlab.Check(r.journal.Events()).Lost) == 0 })
		if report := faultlab.Check(r.journal.Events()); report.Faults() > 0 || report.AckedCount != 10 {
			t.Errorf("QoS %d: %v", qos, report)
		}
	}
}
