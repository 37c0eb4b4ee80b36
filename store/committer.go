package store

import (
	"fmt"
	"time"

	"nightjar/sessions"
)

// run is the committer: it commits the open batch when it is due, and in Relaxed fsyncs when that is due.
func (s *SQLite) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		due, closing := s.state()
		if closing {
			s.commit()
			return
		}
		now := time.Now()
		if !due.IsZero() && !due.After(now) {
			s.commit()
			continue
		}
		if syncDue := s.db.syncDue; !syncDue.IsZero() && !syncDue.After(now) {
			s.fail(s.db.sync())
			continue
		}
		wait := time.Hour
		for _, t := range []time.Time{due, s.db.syncDue} {
			if !t.IsZero() {
				wait = min(wait, t.Sub(now))
			}
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		}
	}
}

func (s *SQLite) state() (due time.Time, closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.due, s.closing
}

// commit makes the open batch durable.
func (s *SQLite) commit() {
	ops, ticket := s.take()
	if len(ops) == 0 {
		return
	}
	start := time.Now()
	rows, err := s.db.commit(ops)
	held := int64(0)
	for i := range ops {
		held += weight(&ops[i])
	}
	took := time.Since(start)
	s.give(ops)
	if err != nil {
		s.fail(err)
		return
	}
	s.mu.Lock()
	s.stats.Ops += uint64(len(ops))
	if rows > 0 {
		s.stats.Commits++
		s.stats.Rows += uint64(rows)
		s.stats.LastCommit = took
		s.stats.TotalCommit += took
	}
	s.mu.Unlock()
	s.pending.Add(-int64(len(ops)))
	s.lag.Add(-held)
	s.durable.Store(ticket)
	if s.onCommit != nil {
		s.onCommit(ticket, nil)
	}
	s.fail(s.db.checkpointIfLong())
}

// take closes the open batch and opens the next one.
func (s *SQLite) take() (ops []sessions.Op, ticket uint64) {
	if s.gate != nil {
		s.gate.Lock()
		defer s.gate.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ops, ticket = s.open, s.ticket
	if len(ops) > 0 && s.failure == nil {
		s.open, s.spare = s.spare, nil
		s.ticket++
		s.due = time.Time{}
		return ops, ticket
	}
	return nil, 0
}

// give hands the memory of a batch back.
func (s *SQLite) give(ops []sessions.Op) {
	clear(ops)
	if cap(ops) > keptOps {
		return
	}
	s.mu.Lock()
	s.spare = ops[:0]
	s.mu.Unlock()
}

// fail ends the store, if err is one: nothing is committed any more.
func (s *SQLite) fail(err error) {
	if err == nil {
		return
	}
	err = fmt.Errorf("store in %s: %w; nothing more is stored, restart the broker", s.cfg.Dir, err)
	s.mu.Lock()
	first := s.failure == nil
	if first {
		s.failure = err
	}
	s.open, s.spare, s.due = nil, nil, time.Time{}
	s.mu.Unlock()
	s.db.syncDue = time.Time{}
	s.pending.Store(0)
	s.lag.Store(0)
	if first && s.onCommit != nil {
		s.onCommit(s.durable.Load()+1, err)
	}
}
