package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/sessions"
)

const (
	// openMax is how long an open batch waits when nobody kicks.
	openMax = 100 * time.Millisecond
	// keptOps is the size of an emptied batch, in Ops, above which its memory is given back.
	keptOps = 1 << 14
)

// SQLite is the store in a data folder.
type SQLite struct {
	cfg  Config
	lock *os.File
	// db belongs to whoever opens and loads, then to the committer, then to Close.
	db *database

	gate     sync.Locker                    // set by Start; may be nil
	onCommit func(ticket uint64, err error) // set by Start
	wake     chan struct{}                  // one place: the open batch, or closing, has changed
	done     chan struct{}                  // closed when the committer has ended
	durable  atomic.Uint64
	pending  atomic.Int64
	lag      atomic.Int64 // bytes that the pending operations hold, about

	mu      sync.Mutex
	open    []sessions.Op // the batch that fills; guarded by mu
	spare   []sessions.Op // an empty batch to use next; guarded by mu
	ticket  uint64        // of the open batch; guarded by mu
	due     time.Time     // when the open batch is to be committed; zero while it is empty; guarded by mu
	started bool          // guarded by mu
	closing bool          // guarded by mu
	failure error         // the first error, which is final; guarded by mu
	stats   Stats         // guarded by mu
}

// Stats is what the metrics show.
type Stats struct {
	Mode        Mode
	Commits     uint64        // transactions
	Ops         uint64        // operations applied, the struck ones included
	Rows        uint64        // rows of the database written, changed or deleted
	LastCommit  time.Duration // how long the last transaction took
	TotalCommit time.Duration // how long all transactions took
	WALBytes    int64         // size of the write-ahead log; it does not shrink while the broker runs
	DBBytes     int64         // size of the database file
	Pending     int           // operations that are not durable yet
}

// LastSession returns the highest session id that was ever stored; ids are never reused.
func (s *SQLite) LastSession() uint64 { return s.db.lastSession.Load() }

// Load streams everything that is stored. It must be called before Start.
func (s *SQLite) Load(l Loader) error { return s.db.load(l) }

// Start starts the committer. It calls onCommit, one call at a time, after each batch with its number; when a
// batch fails, once with the error, and then never again. The number is then that of the first batch that will not
// become durable.
//
// gate, where it is not nil, is held while the committer takes the open batch: what a turn of the broker appends
// under it is in one transaction.
func (s *SQLite) Start(gate sync.Locker, onCommit func(ticket uint64, err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started || s.closing {
		return
	}
	s.started, s.gate, s.onCommit = true, gate, onCommit
	s.goroutine(s.run)
}

// Append adds op to the open batch and returns the batch's number. The order of Appends is the order in which
// the operations are applied. It never blocks on the disk.
func (s *SQLite) Append(op sessions.Op) (ticket uint64) {
	if op.Kind == sessions.Done {
		op.Row.Gone.Store(true) // so that a row that leaves in the batch in which it came is never written
	}
	s.mu.Lock()
	ticket = s.ticket
	if s.failure != nil || s.closing {
		s.mu.Unlock()
		return ticket
	}
	s.open = append(s.open, op)
	first := len(s.open) == 1
	if first {
		s.due = time.Now().Add(openMax)
	}
	s.pending.Add(1)
	s.lag.Add(weight(&op))
	s.mu.Unlock()
	if first {
		s.signal()
	}
	return ticket
}

// Kick tells that somebody waits for the open batch: it is committed as soon as the committer is free, but it may
// wait that long, and Config.Window, for more. Without, it is committed within 100 ms.
func (s *SQLite) Kick(within time.Duration) {
	due := time.Now().Add(max(within, s.cfg.Window))
	s.mu.Lock()
	kick := len(s.open) > 0 && due.Before(s.due)
	if kick {
		s.due = due
	}
	s.mu.Unlock()
	if kick {
		s.signal()
	}
}

func (s *SQLite) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Durable returns the highest ticket that is durable.
func (s *SQLite) Durable() uint64 { return s.durable.Load() }

// Pending returns the number of operations that are not durable yet. The store takes them without a bound:
// it is for the broker to slow its clients down.
func (s *SQLite) Pending() int { return int(s.pending.Load()) }

// Lag returns about how many bytes of memory the operations hold that are not durable yet.
func (s *SQLite) Lag() int64 { return s.lag.Load() }

// opBytes is about what an operation and what it points to take beside a retained message.
const opBytes = 256

// weight is about what an operation holds, in bytes. Messages in queues count in the limits of the queues.
func weight(op *sessions.Op) int64 {
	if op.Kind == sessions.PutRetained {
		m := op.Stored.Message
		return opBytes + int64(len(m.TopicName)+len(m.Payload)+len(m.Properties))
	}
	return opBytes
}

// Stats returns the figures for the metrics.
func (s *SQLite) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	s.mu.Unlock()
	st.Mode = s.cfg.Mode
	st.Pending = s.Pending()
	st.WALBytes = fileSize(s.path(walFile))
	st.DBBytes = fileSize(s.path(dbFile))
	return st
}

// fileSize asks without opening: closing a second descriptor of a database in use would drop its locks.
func fileSize(path string) int64 {
	info, err := os.Lstat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func (s *SQLite) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// Close commits what is open, checkpoints, and gives the data folder free. After a failed batch it touches
// the database no more, so that a restart finds it as it was, and returns the error. Close is called once.
func (s *SQLite) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return errors.New("store is closed already")
	}
	s.closing = true
	started := s.started
	s.mu.Unlock()
	if started {
		s.signal()
		<-s.done
	} else {
		s.commit()
	}
	defer s.lock.Close() // and with it the lock
	s.mu.Lock()
	err := s.failure
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.db.close(); err != nil {
		return fmt.Errorf("close %s: %w", s.path(dbFile), err)
	}
	return nil
}
