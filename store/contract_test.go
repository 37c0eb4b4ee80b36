package store

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nightjar/packets"
	"nightjar/sessions"
)

// tested is what both implementations do.
type tested interface {
	Load(Loader) error
	LastSession() uint64
	Start(sync.Locker, func(ticket uint64, err error))
	Append(sessions.Op) uint64
	Kick(within time.Duration)
	Durable() uint64
	Pending() int
	Stats() Stats
	Close() error
}

// harness is a store under test, with what differs between the implementations.
type harness struct {
	tested
	commits chan uint64 // what onCommit was called with
	errs    chan error
	commit  func()          // commits the open batch and waits for it
	reopen  func() *harness // ends it and opens it again
	verify  func(fatal)     // looks for what must not be in the files; after Load, before Start
}

type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (h *harness) start() *harness {
	h.commits, h.errs = make(chan uint64, 10000), make(chan error, 10)
	h.Start(nil, func(ticket uint64, err error) {
		if err != nil {
			h.errs <- err
		}
		h.commits <- ticket
	})
	return h
}

func sqliteHarness(t fatal, cfg Config) *harness {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	h := &harness{tested: s}
	h.commit = func() {
		if ticket := s.Append(sessions.Op{Kind: sessions.DeleteWill, ClientID: "nobody"}); ticket > s.Durable() {
			s.Kick(0)
			for s.Durable() < ticket {
				<-h.commits
			}
		}
	}
	h.reopen = func() *harness {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		return sqliteHarness(t, cfg)
	}
	h.verify = func(t fatal) { verifyFile(t, s) }
	return h
}

func memoryHarness(m *Memory) *harness {
	return &harness{
		tested: m, commit: m.Commit, verify: func(fatal) {},
		reopen: func() *harness { return memoryHarness(m.Crash()) },
	}
}

// verifyFile looks for messages without rows, rows without message, and wrong counts.
func verifyFile(t fatal, s *SQLite) {
	t.Helper()
	for query, want := range map[string]int64{
		`SELECT count(*) FROM message WHERE id NOT IN (SELECT message FROM queue)`:                                0,
		`SELECT count(*) FROM queue WHERE message NOT IN (SELECT id FROM message)`:                                0,
		`SELECT count(*) FROM message WHERE shared=0 AND (SELECT count(*) FROM queue WHERE message=message.id)>1`: 0,
		`SELECT count(*) FROM (SELECT 1 FROM queue GROUP BY message HAVING count(*)>1)`:                           int64(len(s.db.shared)),
		`SELECT count(*) FROM pragma_integrity_check WHERE integrity_check<>'ok'`:                                 0,
	} {
		if got, err := s.db.number(query); err != nil || got != want {
			t.Fatalf("%s: got %d, %v, want %d", query, got, err, want)
		}
	}
}

// both runs a test over both implementations.
func both(t *testing.T, test func(t *testing.T, open func(fatal) *harness)) {
	t.Run("sqlite", func(t *testing.T) {
		test(t, func(f fatal) *harness {
			cfg := DefaultConfig()
			cfg.Dir = t.TempDir()
			return sqliteHarness(f, cfg)
		})
	})
	t.Run("memory", func(t *testing.T) {
		test(t, func(fatal) *harness { return memoryHarness(NewMemory()) })
	})
}

// reload ends the store, opens it again and returns what it holds, not started.
func (h *harness) reload(t fatal) (*harness, *model) {
	t.Helper()
	h = h.reopen()
	m := newModel()
	if err := h.Load(m); err != nil {
		t.Fatalf("load: %v", err)
	}
	h.verify(t)
	for _, row := range m.snapshot().Rows {
		if refs := m.rows[place{row.Session, row.Seq}].Stored.Refs; refs != row.Refs {
			t.Fatalf("row %d of session %d: Refs is %d, want %d", row.Seq, row.Session, refs, row.Refs)
		}
	}
	return h, m
}

// machine drives a store and the model side by side.
type machine struct {
	*harness
	model   *model
	live    []uint64 // sessions
	ended   []uint64 // sessions that have ended
	last    uint64   // session id
	seq     uint64
	waiting []*sessions.Row // gone, with their Done still to come
}

func (m *machine) do(op sessions.Op) {
	m.model.apply(op)
	m.Append(op)
}

func (m *machine) row(t *rapid.T) *sessions.Row {
	rows := m.model.order()
	if len(rows) == 0 {
		t.Skip("no row")
	}
	return rows[rapid.IntRange(0, len(rows)-1).Draw(t, "row")].Row
}

// session draws a session, now and then one that has ended.
func (m *machine) session(t *rapid.T) uint64 {
	if len(m.ended) > 0 && rapid.IntRange(0, 9).Draw(t, "ended") == 0 {
		return rapid.SampledFrom(m.ended).Draw(t, "session")
	}
	if len(m.live) == 0 {
		t.Skip("no session")
	}
	return rapid.SampledFrom(m.live).Draw(t, "session")
}

var (
	names    = rapid.SampledFrom([]string{"", "a", "a/b", "ünï/+", "$share/g/#", "x' OR 1=1;--"})
	instants = rapid.SampledFrom([]packets.Instant{0, 1, 1_800_000_000_000})
	seconds  = rapid.SampledFrom([]uint32{0, 1, sessions.ExpiryNever})
	packetID = rapid.SampledFrom([]uint16{1, 2, 65535})
	blobs    = rapid.SampledFrom([][]byte{nil, {0}, []byte("payload"), make([]byte, 9000)})
	messages = rapid.Custom(func(t *rapid.T) *packets.Message {
		return &packets.Message{
			TopicName: names.Draw(t, "topic"), Payload: blobs.Draw(t, "payload"), Properties: blobs.Draw(t, "properties"),
			Expiry: instants.Draw(t, "expiry"), QoS: packets.QoS(rapid.IntRange(0, 2).Draw(t, "qos")),
			Retain: rapid.Bool().Draw(t, "retain"), PublisherID: names.Draw(t, "publisher"), PublisherUser: names.Draw(t, "user"),
		}
	})
)

// actions are what the machine can do; each is one or more Ops.
func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"put session": func(t *rapid.T) {
			id := m.last + uint64(rapid.IntRange(1, 3).Draw(t, "gap"))
			if len(m.live) > 0 && rapid.Bool().Draw(t, "change") {
				id = rapid.SampledFrom(m.live).Draw(t, "session")
			} else {
				m.last, m.live = id, append(m.live, id)
			}
			m.do(sessions.Op{Kind: sessions.PutSession, Session: id, Record: &sessions.Record{
				ClientID: names.Draw(t, "client"), UserName: names.Draw(t, "user"),
				ExpiryInterval: seconds.Draw(t, "expiry"), DisconnectedAt: instants.Draw(t, "at"),
			}})
		},
		"delete session": func(t *rapid.T) {
			id := m.session(t)
			m.live = slices.DeleteFunc(m.live, func(x uint64) bool { return x == id })
			m.ended = append(m.ended, id)
			m.do(sessions.Op{Kind: sessions.DeleteSession, Session: id})
		},
		"put subscription": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.PutSubscription, Session: m.session(t), Subscription: &sessions.Subscription{
				TopicFilter: names.Draw(t, "filter"), ID: uint32(rapid.IntRange(0, 1<<28-1).Draw(t, "id")),
				Options: decodeOptions(int64(rapid.IntRange(0, 63).Draw(t, "options"))),
			}})
		},
		"delete subscription": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.DeleteSubscription, Session: m.session(t), Subscription: &sessions.Subscription{
				TopicFilter: names.Draw(t, "filter"),
			}})
		},
		"publish":       func(t *rapid.T) { m.publish(t, &sessions.Stored{Message: messages.Draw(t, "message")}) },
		"publish again": func(t *rapid.T) { m.publish(t, m.row(t).Stored) },
		"done": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.Done, Row: m.row(t)})
		},
		"done twice": func(t *rapid.T) {
			r := m.row(t)
			m.do(sessions.Op{Kind: sessions.Done, Row: r})
			m.do(sessions.Op{Kind: sessions.Done, Row: r})
		},
		"gone": func(t *rapid.T) {
			r := m.row(t)
			r.Gone.Store(true)
			m.waiting = append(m.waiting, r)
		},
		"sent": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.Sent, Row: m.row(t), PacketID: packetID.Draw(t, "id")})
		},
		"released": func(t *rapid.T) { m.do(sessions.Op{Kind: sessions.Released, Row: m.row(t)}) },
		"hold": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.HoldPacketID, Session: m.session(t), PacketID: packetID.Draw(t, "id")})
		},
		"free": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.FreePacketID, Session: m.session(t), PacketID: packetID.Draw(t, "id")})
		},
		"put will": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.PutWill, Will: &sessions.Will{
				ClientID: names.Draw(t, "client"), UserName: names.Draw(t, "user"), DelayInterval: seconds.Draw(t, "delay"),
				Due: instants.Draw(t, "due"), ExpiryInterval: seconds.Draw(t, "expiry"), Message: messages.Draw(t, "message"),
			}})
		},
		"delete will": func(t *rapid.T) { m.do(sessions.Op{Kind: sessions.DeleteWill, ClientID: names.Draw(t, "client")}) },
		"put retained": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.PutRetained, Stored: &sessions.Stored{Message: messages.Draw(t, "message")}})
		},
		"delete retained": func(t *rapid.T) {
			m.do(sessions.Op{Kind: sessions.DeleteRetained, TopicName: names.Draw(t, "topic")})
		},
		"commit": func(*rapid.T) { m.commit() },
		"reload": m.check,
	}
}

func (m *machine) publish(t *rapid.T, st *sessions.Stored) {
	op := sessions.Op{Kind: sessions.Publish, Stored: st, Session: m.session(t), Retain: rapid.Bool().Draw(t, "retained")}
	if rapid.Bool().Draw(t, "QoS 2") {
		op.PacketID = packetID.Draw(t, "held")
	}
	for range rapid.IntRange(0, 3).Draw(t, "rows") {
		m.seq++
		op.Rows = append(op.Rows, &sessions.Row{
			Session: m.session(t), Seq: m.seq, Stored: st, PacketID: rapid.SampledFrom([]uint16{0, 9}).Draw(t, "id"),
			SubscriptionIDs: rapid.SampledFrom([][]uint32{nil, {1}, {127, 128, 1<<28 - 1}}).Draw(t, "ids"),
			QoS:             packets.QoS(rapid.IntRange(1, 2).Draw(t, "qos")), Retain: rapid.Bool().Draw(t, "retain"),
			Released: rapid.Bool().Draw(t, "released"),
		})
	}
	if n := len(op.Rows); n > 0 && rapid.Bool().Draw(t, "last row alone") {
		op.Row, op.Rows = op.Rows[n-1], op.Rows[:n-1]
	}
	m.do(op)
}

// check ends the store and compares what the next one loads with the model; then goes on with what was loaded.
func (m *machine) check(t *rapid.T) {
	for _, r := range m.waiting {
		m.do(sessions.Op{Kind: sessions.Done, Row: r})
	}
	m.waiting = nil
	m.commit()
	var loaded *model
	m.harness, loaded = m.reload(t)
	if diff := cmp.Diff(m.model.snapshot(), loaded.snapshot()); diff != "" {
		t.Fatalf("what was loaded is not what was stored (-want +got):\n%s", diff)
	}
	if got := m.LastSession(); got != m.last {
		t.Fatalf("LastSession: got %d, want %d", got, m.last)
	}
	m.model = loaded
	m.start()
}

// TestModel runs random operations against the model: whatever is committed is loaded again, and nothing else.
func TestModel(t *testing.T) {
	both(t, func(t *testing.T, open func(fatal) *harness) {
		rapid.Check(t, func(r *rapid.T) {
			m := &machine{harness: open(r).start(), model: newModel()}
			r.Repeat(m.actions())
			m.check(r)
			if err := m.Close(); err != nil {
				r.Fatalf("close: %v", err)
			}
		})
	})
}
