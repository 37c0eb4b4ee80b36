package store

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"nightjar/packets"
	"nightjar/sessions"
)

func testConfig(t testing.TB) Config {
	cfg := DefaultConfig()
	cfg.Dir = filepath.Join(t.TempDir(), "a b?c#d%20é") // what would confuse a URI
	return cfg
}

func mustOpen(t testing.TB, cfg Config) *SQLite {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t testing.TB, s *SQLite) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// message makes the Publish of a message to one session's queue.
func message(session, seq uint64, payload int) sessions.Op {
	st := &sessions.Stored{Message: &packets.Message{TopicName: "devices/0815/state", Payload: make([]byte, payload), QoS: 1, PublisherID: "device-0815"}}
	return sessions.Op{Kind: sessions.Publish, Stored: st, Rows: []*sessions.Row{{Session: session, Seq: seq, Stored: st, QoS: 1}}}
}

func session(id uint64) sessions.Op {
	return sessions.Op{Kind: sessions.PutSession, Session: id, Record: &sessions.Record{ClientID: "c", ExpiryInterval: 60}}
}

// TestStruck proves that what was acknowledged while it waited costs nothing: not even a transaction.
func TestStruck(t *testing.T) {
	both(t, func(t *testing.T, open func(fatal) *harness) {
		h := open(t)
		h.Append(session(1))
		gone, half := message(1, 1, 10), message(1, 2, 10)
		half.Rows = append(half.Rows, &sessions.Row{Session: 1, Seq: 3, Stored: half.Stored, QoS: 1})
		for _, op := range []sessions.Op{gone, half} {
			h.Append(op)
			h.Append(sessions.Op{Kind: sessions.Sent, Row: op.Rows[0], PacketID: 5})
			h.Append(sessions.Op{Kind: sessions.Released, Row: op.Rows[0]})
			h.Append(sessions.Op{Kind: sessions.Done, Row: op.Rows[0]})
		}
		h.start().commit()
		if gone.Stored.ID != 0 || gone.Rows[0].Written || half.Rows[0].Written || !half.Rows[1].Written {
			t.Errorf("written: %v %v %v %v", gone.Stored.ID, gone.Rows[0].Written, half.Rows[0].Written, half.Rows[1].Written)
		}
		h, m := h.reload(t)
		if rows := m.snapshot().Rows; len(rows) != 1 || rows[0].Seq != 3 {
			t.Errorf("got rows %+v, want the one with Seq 3", rows)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingToWrite proves that a batch in which all is struck becomes durable without a transaction.
func TestNothingToWrite(t *testing.T) {
	s := mustOpen(t, testConfig(t))
	log := s.Stats().WALBytes
	op := message(1, 1, 10)
	s.Append(op)
	ticket := s.Append(sessions.Op{Kind: sessions.Done, Row: op.Rows[0]})
	durable := make(chan uint64, 1)
	s.Start(nil, func(ticket uint64, err error) { durable <- ticket })
	s.Kick(0)
	if got := <-durable; got != ticket || s.Durable() != ticket {
		t.Errorf("got ticket %d, want %d", got, ticket)
	}
	if st := s.Stats(); st.Commits != 0 || st.Ops != 2 || st.Rows != 0 || st.WALBytes != log {
		t.Errorf("got %+v, want two operations and no commit", st)
	}
	mustClose(t, s)
}

// TestTickets proves that tickets come in order, each once, from many goroutines, without and with a Kick.
func TestTickets(t *testing.T) {
	cfg := testConfig(t)
	cfg.Window = time.Millisecond
	s := mustOpen(t, cfg)
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	var last uint64
	s.Start(nil, func(ticket uint64, err error) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil || ticket != last+1 || s.Durable() != ticket {
			t.Errorf("got ticket %d (%v) after %d, Durable is %d", ticket, err, last, s.Durable())
		}
		last = ticket
		changed.Broadcast()
	})
	wait := func(ticket uint64) {
		mu.Lock()
		defer mu.Unlock()
		for last < ticket {
			changed.Wait()
		}
	}
	wait(s.Append(session(1))) // nobody kicks: within 100 ms
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			for i := range uint64(50) {
				ticket := s.Append(message(1, g*1000+i, 100))
				s.Kick(0)
				wait(ticket)
			}
		})
	}
	wg.Wait()
	if st := s.Stats(); st.Ops != 201 || st.Rows != 401 || st.Pending != 0 || st.Commits == 0 || st.LastCommit == 0 {
		t.Errorf("got %+v", st)
	}
	mustClose(t, s)
	if err := s.Close(); err == nil {
		t.Error("the second Close returned no error")
	}
	if ticket := s.Append(session(2)); ticket <= s.Durable() || s.Pending() != 0 {
		t.Errorf("Append after Close: ticket %d, durable %d, pending %d", ticket, s.Durable(), s.Pending())
	}
}

// TestErrorIsFinal proves that after an error nothing is committed, and that it is told once. The disk is full.
func TestErrorIsFinal(t *testing.T) {
	cfg := testConfig(t)
	s := mustOpen(t, cfg)
	if err := s.db.script("PRAGMA max_page_count = 40"); err != nil {
		t.Fatal(err)
	}
	type call struct {
		ticket uint64
		err    error
	}
	calls := make(chan call, 100)
	s.Start(nil, func(ticket uint64, err error) { calls <- call{ticket, err} })
	s.Append(session(1))
	good := s.Append(message(1, 1, 100))
	s.Kick(0)
	if got := <-calls; got != (call{good, nil}) {
		t.Fatalf("got %v", got)
	}
	bad := s.Append(message(1, 2, 1<<20))
	s.Kick(0)
	if got := <-calls; got.ticket != bad || got.err == nil || !strings.Contains(got.err.Error(), "restart the broker") {
		t.Fatalf("got %v", got)
	}
	for seq := range uint64(10) {
		if ticket := s.Append(message(1, 3+seq, 1)); ticket <= s.Durable() {
			t.Errorf("ticket %d is durable", ticket)
		}
		s.Kick(0)
	}
	if s.Pending() != 0 || s.Durable() != good {
		t.Errorf("pending %d, durable %d, want 0 and %d", s.Pending(), s.Durable(), good)
	}
	if err := s.Close(); err == nil {
		t.Error("Close returned no error")
	}
	if len(calls) != 0 {
		t.Errorf("onCommit was called after the error: %v", <-calls)
	}
	s = mustOpen(t, cfg)
	m := newModel()
	if err := s.Load(m); err != nil || len(m.rows) != 1 {
		t.Errorf("after restart: %v, %d rows, want 1", err, len(m.rows))
	}
	mustClose(t, s)
}

// TestOtherProgramHoldsLock proves that the lock of another program is waited for.
func TestOtherProgramHoldsLock(t *testing.T) {
	cfg := testConfig(t)
	var log lockedBuffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := mustOpen(t, cfg)
	if err := s.db.script("PRAGMA busy_timeout = 1"); err != nil {
		t.Fatal(err)
	}
	other, err := openDatabase(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.begin(); err != nil {
		t.Fatal(err)
	}
	durable := make(chan error, 1)
	s.Start(nil, func(_ uint64, err error) { durable <- err })
	s.Append(session(1))
	s.Kick(0)
	for !strings.Contains(log.String(), "another program holds the lock") {
		runtime.Gosched()
	}
	if s.Durable() != 0 {
		t.Error("durable while another program holds the lock")
	}
	other.rollback()
	if err := <-durable; err != nil {
		t.Error(err)
	}
	mustClose(t, s)
	if err := other.close(); err != nil {
		t.Error(err)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestCheckpoint proves that the write-ahead log starts over, and does not grow without bound.
func TestCheckpoint(t *testing.T) {
	cfg := testConfig(t)
	cfg.Mode, cfg.SyncEvery = Relaxed, time.Millisecond
	s := mustOpen(t, cfg)
	s.Append(session(1))
	durable := make(chan error, 1)
	s.Start(nil, func(_ uint64, err error) { durable <- err })
	for round := range uint64(5) {
		for i := range uint64(8) {
			s.Append(message(1, round*8+i, 1<<20))
		}
		s.Kick(0)
		if err := <-durable; err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.WALBytes > 2*checkpointBytes || st.DBBytes < 24<<20 {
		t.Errorf("after 40 MiB: log of %d bytes, database of %d", st.WALBytes, st.DBBytes)
	}
	mustClose(t, s)
	if fileSize(s.path(walFile)) != 0 {
		t.Error("the log is there after Close")
	}
}

// TestInUse proves that a second broker is refused, and told by whom.
func TestInUse(t *testing.T) {
	cfg := testConfig(t)
	s := mustOpen(t, cfg)
	_, err := Open(cfg)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	if runtime.GOOS != "windows" && !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())+" ") {
		t.Errorf("%v: does not name the process", err)
	}
	mustClose(t, s)
	mustClose(t, mustOpen(t, cfg))
}

// TestRefused proves that a database that is newer, another's, damaged or missing is refused as it is.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, s *SQLite, path string)
		is    error
		want  string
	}{
		"newer": {func(t *testing.T, s *SQLite, _ string) {
			if err := s.db.script("PRAGMA user_version = 99"); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
		}, ErrNewer, "schema 99"},
		"another's": {func(t *testing.T, s *SQLite, _ string) {
			if err := s.db.script("PRAGMA application_id = 1"); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
		}, nil, "another program"},
		"no database": {func(t *testing.T, s *SQLite, path string) {
			mustClose(t, s)
			must(t, os.WriteFile(path, bytes.Repeat([]byte("nonsense"), 4096), 0o600))
		}, ErrDamaged, "restore a backup"},
		"page overwritten": {func(t *testing.T, s *SQLite, path string) {
			mustClose(t, s)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for i := pageSize; i < len(data); i += 3 {
				data[i] ^= 0x55
			}
			must(t, os.WriteFile(path, data, 0o600))
		}, ErrDamaged, "restore a backup"},
		"cut off": {func(t *testing.T, s *SQLite, path string) {
			mustClose(t, s)
			must(t, os.Truncate(path, fileSize(path)/2))
		}, ErrDamaged, "restore a backup"},
		"log without database": {func(t *testing.T, s *SQLite, path string) {
			mustClose(t, s)
			must(t, os.Remove(path))
			must(t, os.WriteFile(path+"-wal", []byte("x"), 0o600))
		}, ErrDamaged, "put the file back"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			s := mustOpen(t, cfg)
			for seq := range uint64(1000) {
				s.Append(message(1, seq, 100))
			}
			s.Append(session(1))
			s.commit()
			c.spoil(t, s, s.path(dbFile))
			before, _ := os.ReadFile(s.path(dbFile))
			_, err := Open(cfg)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %v with %q", err, c.is, c.want)
			}
			if after, _ := os.ReadFile(s.path(dbFile)); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestMigrate proves that an older schema is brought up step by step, and that a step that fails leaves no trace.
func TestMigrate(t *testing.T) {
	cfg := testConfig(t)
	s := mustOpen(t, cfg)
	s.Append(session(42))
	s.commit()
	first, err := schemaFiles.ReadFile("schema/1.sql")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		"schema/1.sql": {Data: first},
		"schema/2.sql": {Data: []byte("ALTER TABLE session ADD COLUMN note TEXT; UPDATE session SET note = 'two'")},
		"schema/3.sql": {Data: []byte("UPDATE session SET note = 'three'; INSERT INTO nowhere VALUES (1)")},
	}
	migrate := func() error {
		steps, err := migrations(files)
		if err != nil {
			return err
		}
		version, err := s.db.checkOrigin(len(steps))
		if err != nil {
			return err
		}
		return s.db.migrate(steps, version)
	}
	look := func(wantNote string, wantVersion int64) {
		t.Helper()
		note, err := s.db.text("SELECT note FROM session WHERE id = 42")
		version, err2 := s.db.number("PRAGMA user_version")
		if err != nil || err2 != nil || note != wantNote || version != wantVersion {
			t.Errorf("got %q, %d, %v, %v, want %q, %d", note, version, err, err2, wantNote, wantVersion)
		}
	}
	if err := migrate(); err == nil || !strings.Contains(err.Error(), "schema step 3") {
		t.Errorf("got %v", err)
	}
	look("two", 2)
	files["schema/3.sql"].Data = []byte("UPDATE session SET note = 'three'")
	if err := migrate(); err != nil {
		t.Error(err)
	}
	look("three", 3)
	mustClose(t, s)
	if _, err := Open(cfg); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

// TestConfig proves that each limit is held, and that the names of the modes are read back.
func TestConfig(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"data folder":   func(c *Config) { c.Dir = "" },
		"durability":    func(c *Config) { c.Mode = 2 },
		"sync interval": func(c *Config) { c.SyncEvery = syncEveryMin - 1 },
		"sync":          func(c *Config) { c.SyncEvery = syncEveryMax + 1 },
		"commit":        func(c *Config) { c.Window = -1 },
		"commit window": func(c *Config) { c.Window = windowMax + 1 },
		"log":           func(c *Config) { c.Log = nil },
	} {
		cfg := testConfig(t)
		cfg.Window, cfg.SyncEvery = windowMax, syncEveryMax
		if err := cfg.Validate(); err != nil {
			t.Error(err)
		}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := Open(cfg); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	for _, m := range []Mode{Strict, Relaxed} {
		if got, err := ParseMode(m.String()); err != nil || got != m {
			t.Errorf("%v: got %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("memory"); err == nil {
		t.Error("memory is no mode of this package")
	}
}

// TestMemoryCrash proves that a crash takes the open batch and nothing else, and that an error is final.
func TestMemoryCrash(t *testing.T) {
	m := NewMemory()
	var errs []error
	m.Start(nil, func(_ uint64, err error) { errs = append(errs, err) })
	m.Append(session(1))
	m.Commit()
	m.Append(session(2))
	m = m.Crash()
	if got := m.LastSession(); got != 1 {
		t.Errorf("LastSession: got %d, want 1", got)
	}
	m.Start(nil, func(_ uint64, err error) { errs = append(errs, err) })
	m.Append(session(3))
	full := errors.New("disk full")
	m.Fail(full)
	m.Fail(full)
	if ticket := m.Append(session(4)); ticket <= m.Durable() || m.Pending() != 0 {
		t.Errorf("ticket %d, durable %d, pending %d", ticket, m.Durable(), m.Pending())
	}
	m.Commit()
	if err := m.Close(); !errors.Is(err, full) || len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], full) {
		t.Errorf("Close: %v, onCommit: %v", err, errs)
	}
}

// TestRelaxedSync proves that in relaxed what was committed is synced, also when nothing follows.
func TestRelaxedSync(t *testing.T) {
	cfg := testConfig(t)
	cfg.Mode, cfg.SyncEvery = Relaxed, time.Millisecond
	s := mustOpen(t, cfg)
	synced := make(chan error, 1)
	s.db.syncFile = func(f *os.File) error {
		synced <- f.Sync()
		return nil
	}
	s.Start(nil, func(uint64, error) {})
	for id := range uint64(3) {
		s.Append(session(1 + id))
		s.Kick(0)
		must(t, <-synced)
	}
	mustClose(t, s)
}

// TestSyncErrorIsFinal proves the same as TestErrorIsFinal for a sync that fails.
func TestSyncErrorIsFinal(t *testing.T) {
	cfg := testConfig(t)
	cfg.Mode, cfg.SyncEvery = Relaxed, time.Millisecond
	s := mustOpen(t, cfg)
	s.db.syncFile = func(*os.File) error { return os.ErrInvalid }
	errs := make(chan error, 10)
	s.Start(nil, func(_ uint64, err error) { errs <- err })
	s.Append(session(1))
	s.Kick(0)
	must(t, <-errs)
	if err := <-errs; !errors.Is(err, os.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if ticket := s.Append(session(2)); ticket <= s.Durable() || s.Pending() != 0 {
		t.Errorf("ticket %d, durable %d, pending %d", ticket, s.Durable(), s.Pending())
	}
	if err := s.Close(); !errors.Is(err, os.ErrInvalid) {
		t.Errorf("Close: %v", err)
	}
}

// TestGate proves that what is appended under the gate is in one transaction.
func TestGate(t *testing.T) {
	s := mustOpen(t, testConfig(t))
	var gate sync.RWMutex
	durable := make(chan error, 100)
	s.Start(&gate, func(_ uint64, err error) { durable <- err })
	for i := range uint64(20) {
		gate.RLock()
		first := s.Append(session(1 + i))
		s.Kick(0)
		runtime.Gosched() // the committer is awake, and waits
		last := s.Append(message(1+i, 1, 10))
		gate.RUnlock()
		if first != last {
			t.Errorf("turn %d is in the batches %d and %d", i, first, last)
		}
		s.Kick(0)
		must(t, <-durable)
	}
	mustClose(t, s)
}
