package simnet

import (
	"container/heap"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Scheduler is the virtual time, and what is to happen in it.
type Scheduler struct {
	// Trace, where it is not nil, is given a line for each thing that happens.
	Trace func(line string)

	seed   uint64
	now    int64 // microseconds since the start
	events queue
	count  uint64 // of events ever added
	steps  int
	hash   uint64
}

// epoch is the time at which every run begins, in milliseconds since the Unix epoch.
const epoch = 1_800_000_000_000

// NewScheduler begins a run.
func NewScheduler(seed uint64) *Scheduler {
	return &Scheduler{seed: seed, hash: 14695981039346656037}
}

// Rand makes the random source of an actor.
func (s *Scheduler) Rand(actor int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(actor))) }

// Clock is the time in milliseconds since the Unix epoch: the clock of the broker.
func (s *Scheduler) Clock() int64 { return epoch + s.now/1000 }

// Elapsed is the virtual time since the start of the run.
func (s *Scheduler) Elapsed() time.Duration { return time.Duration(s.now) * time.Microsecond }

// Steps is how many events have run.
func (s *Scheduler) Steps() int { return s.steps }

// After has fn run once the time has moved on by d.
func (s *Scheduler) After(d time.Duration, actor int, fn func()) {
	s.count++
	heap.Push(&s.events, event{at: s.now + max(d.Microseconds(), 0), actor: actor, order: s.count, fn: fn})
}

// Step runs the next event, and reports false when there is none.
func (s *Scheduler) Step() bool {
	if len(s.events) == 0 {
		return false
	}
	e := heap.Pop(&s.events).(event)
	s.now = e.at
	s.steps++
	e.fn()
	return true
}

// Note adds to the hash of the run, and to its trace, that an actor did something with data. what is a constant.
func (s *Scheduler) Note(actor int, what string, data []byte) {
	s.mix(uint64(s.now))
	s.mix(uint64(actor))
	h := fnv.New64a()
	_, _ = h.Write([]byte(what))
	_, _ = h.Write(data)
	s.mix(h.Sum64())
	if s.Trace != nil {
		s.Trace(fmt.Sprintf("%11.6f  %-4d %s", s.Elapsed().Seconds(), actor, what+describe(data)))
	}
}

// describe shows the start of data.
func describe(data []byte) string {
	const most = 60
	switch {
	case len(data) == 0:
		return ""
	case len(data) > most:
		return fmt.Sprintf(" %q… %d bytes", data[:most], len(data))
	}
	return fmt.Sprintf(" %q", data)
}

func (s *Scheduler) mix(x uint64) { s.hash = (s.hash ^ x) * 1099511628211 }

// Hash is the same for two runs only if the same things happened at the same times.
func (s *Scheduler) Hash() uint64 { return s.hash }

// event is something that is to happen.
type event struct {
	at    int64 // microseconds
	actor int
	order uint64
	fn    func()
}

// queue implements heap.Interface.
type queue []event

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	switch {
	case a.at != b.at:
		return a.at < b.at
	case a.actor != b.actor:
		return a.actor < b.actor
	}
	return a.order < b.order
}

// Push implements heap.Interface.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = event{}
	*q = (*q)[:last]
	return e
}
