package mqtttest

import (
	"sync/atomic"
	"time"

	"nightjar/broker"
)

// Clock is the clock of a Broker: it runs like the real one, and a test can move it on.
type Clock struct {
	real  func() int64
	ahead atomic.Int64 // milliseconds
}

// NewClock makes a Clock.
func NewClock() *Clock { return &Clock{real: broker.Clock()} }

// Now is the time in milliseconds since the Unix epoch.
func (c *Clock) Now() int64 { return c.real() + c.ahead.Load() }

// Advance moves the clock on. Loops and timers see it within half a second of real time, or with their next packet.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(d.Milliseconds()) }
