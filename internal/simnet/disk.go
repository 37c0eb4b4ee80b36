package simnet

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"nightjar/store"
)

// Disk is the memory store with a committer in virtual time. It implements broker.Store.
type Disk struct {
	*store.Memory
	// Latency is how long a commit takes at most.
	Latency time.Duration
	// Stalled holds all commits back.
	Stalled bool

	s     *Scheduler
	actor int
	rand  *rand.Rand
	due   int64 // when the next commit is to be, in microseconds; 0: none is asked for
	asked int   // counts what was asked for, so that what it replaced does nothing
	dead  bool
}

// NewDisk runs a store. Start is to follow.
func NewDisk(s *Scheduler, actor int, m *store.Memory) *Disk {
	return &Disk{Memory: m, s: s, actor: actor, rand: s.Rand(actor), Latency: 5 * time.Millisecond}
}

// Start is as in store.Memory, but that onCommit is told a little after what it tells is so.
func (d *Disk) Start(gate sync.Locker, onCommit func(ticket uint64, err error)) {
	d.Memory.Start(gate, func(ticket uint64, err error) {
		d.s.After(d.latency()/4, d.actor, func() {
			if !d.dead {
				onCommit(ticket, err)
			}
		})
	})
}

func (d *Disk) latency() time.Duration { return time.Duration(d.rand.Int64N(int64(d.Latency) + 1)) }

// Kick implements broker.Store.
func (d *Disk) Kick(within time.Duration) {
	wait := within + d.latency()
	at := d.s.now + wait.Microseconds()
	if d.dead || d.due != 0 && d.due <= at {
		return
	}
	d.due = at
	d.asked++
	mine := d.asked
	d.s.After(wait, d.actor, func() {
		if mine == d.asked {
			d.due = 0
			d.commit()
		}
	})
}

func (d *Disk) commit() {
	switch {
	case d.dead:
	case d.Stalled:
		d.Kick(10 * time.Millisecond)
	default:
		d.s.Note(d.actor, "commit", nil)
		d.Commit()
	}
}

// Break is a write that fails.
func (d *Disk) Break() {
	d.s.Note(d.actor, "store fails", nil)
	d.Fail(errors.New("input/output error"))
}

// Crash ends the store, and returns what a restarted broker finds.
func (d *Disk) Crash() *store.Memory {
	d.dead = true
	return d.Memory.Crash()
}
