package store

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"nightjar/packets"
	"nightjar/sessions"
)

// Memory is the store for tests and simulation. It commits when told, on the caller's goroutine, and can crash.
type Memory struct {
	mu       sync.Mutex
	onCommit func(ticket uint64, err error) // guarded by mu, as all below
	open     []sessions.Op
	ticket   uint64 // of the open batch
	durable  uint64
	dead     error // crashed, failed or closed
	stats    Stats
	disk     disk
}

// disk is what is durable.
type disk struct {
	sessions      map[uint64]sessions.Record
	subscriptions map[uint64]map[string]sessions.Subscription
	rows          map[place]diskRow
	held          map[uint64]map[uint16]bool
	wills         map[string]sessions.Will
	retained      map[string]*packets.Message
	lastSession   uint64
	lastMessage   int64
}

// place is where a row stands.
type place struct{ session, seq uint64 }

// diskRow is a row as Load gives it back; id names its Stored.
type diskRow struct {
	id              int64
	message         *packets.Message
	subscriptionIDs []uint32
	packetID        uint16
	qos             packets.QoS
	retain          bool
	released        bool
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{ticket: 1, disk: disk{
		sessions:      make(map[uint64]sessions.Record),
		subscriptions: make(map[uint64]map[string]sessions.Subscription),
		rows:          make(map[place]diskRow),
		held:          make(map[uint64]map[uint16]bool),
		wills:         make(map[string]sessions.Will),
		retained:      make(map[string]*packets.Message),
	}}
}

// Load is as in SQLite.
func (m *Memory) Load(l Loader) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disk.load(l)
}

// LastSession is as in SQLite.
func (m *Memory) LastSession() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.disk.lastSession
}

// Start is as in SQLite, but that onCommit is called by Commit, Fail and Close.
func (m *Memory) Start(_ sync.Locker, onCommit func(ticket uint64, err error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onCommit = onCommit
}

// Append is as in SQLite.
func (m *Memory) Append(op sessions.Op) (ticket uint64) {
	if op.Kind == sessions.Done {
		op.Row.Gone.Store(true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead == nil {
		m.open = append(m.open, op)
	}
	return m.ticket
}

// Lag is 0: Memory keeps everything anyway.
func (m *Memory) Lag() int64 { return 0 }

// Kick does nothing: Memory commits when told.
func (m *Memory) Kick(time.Duration) {}

// Durable is as in SQLite.
func (m *Memory) Durable() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.durable
}

// Pending is as in SQLite.
func (m *Memory) Pending() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.open)
}

// Stats is as in SQLite, without times and sizes.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	st := m.stats
	st.Pending = len(m.open)
	return st
}

// Commit makes the open batch durable, if there is something in it.
func (m *Memory) Commit() {
	m.mu.Lock()
	if len(m.open) == 0 {
		m.mu.Unlock()
		return
	}
	for i := range m.open {
		m.disk.apply(&m.open[i])
	}
	m.stats.Commits++
	m.stats.Ops += uint64(len(m.open))
	ticket, onCommit := m.ticket, m.onCommit
	m.open, m.durable = nil, ticket
	m.ticket++
	m.mu.Unlock()
	if onCommit != nil {
		onCommit(ticket, nil)
	}
}

// Fail is a store error: what is open is lost, and nothing more is committed.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	first, ticket, onCommit := m.dead == nil, m.durable+1, m.onCommit
	if first {
		m.dead, m.open = err, nil
	}
	m.mu.Unlock()
	if first && onCommit != nil {
		onCommit(ticket, err)
	}
}

// Crash loses what is not durable and returns the store as a restarted broker finds it, to be loaded and started.
// The old one is of no more use.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead, m.open, m.onCommit = errors.New("store has crashed"), nil, nil
	restarted := NewMemory()
	restarted.disk, m.disk = m.disk, restarted.disk
	return restarted
}

// Close commits what is open, or returns the error that ended the store.
func (m *Memory) Close() error {
	m.Commit()
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.dead
	if err == nil {
		m.dead = errors.New("store is closed already")
	}
	return err
}

func (d *disk) apply(op *sessions.Op) {
	switch op.Kind {
	case sessions.PutSession:
		d.sessions[op.Session] = *op.Record
		d.lastSession = max(d.lastSession, op.Session)
	case sessions.DeleteSession:
		delete(d.sessions, op.Session)
		delete(d.subscriptions, op.Session)
		delete(d.held, op.Session)
		maps.DeleteFunc(d.rows, func(at place, _ diskRow) bool { return at.session == op.Session })
	case sessions.PutSubscription:
		if d.subscriptions[op.Session] == nil {
			d.subscriptions[op.Session] = make(map[string]sessions.Subscription)
		}
		d.subscriptions[op.Session][op.Subscription.TopicFilter] = *op.Subscription
	case sessions.DeleteSubscription:
		delete(d.subscriptions[op.Session], op.Subscription.TopicFilter)
	case sessions.Publish:
		d.publish(op)
	case sessions.Done, sessions.Sent, sessions.Released:
		d.change(op)
	case sessions.HoldPacketID:
		d.hold(op)
	case sessions.FreePacketID:
		delete(d.held[op.Session], op.PacketID)
	case sessions.PutWill:
		d.wills[op.Will.ClientID] = *op.Will
	case sessions.DeleteWill:
		delete(d.wills, op.ClientID)
	case sessions.PutRetained:
		d.retain(op.Stored.Message)
	case sessions.DeleteRetained:
		delete(d.retained, op.TopicName)
	}
}

func (d *disk) publish(op *sessions.Op) {
	rows := op.Rows
	if op.Row != nil {
		rows = append(slices.Clip(rows), op.Row)
	}
	for _, row := range rows {
		if row.Gone.Load() {
			continue
		}
		if op.Stored.ID == 0 {
			d.lastMessage++
			op.Stored.ID = d.lastMessage
		}
		d.rows[place{row.Session, row.Seq}] = diskRow{
			id: op.Stored.ID, message: op.Stored.Message, subscriptionIDs: row.SubscriptionIDs,
			packetID: row.PacketID, qos: row.QoS, retain: row.Retain, released: row.Released,
		}
		row.Written = true
	}
	if op.PacketID > 0 {
		d.hold(op)
	}
	if op.Retain {
		d.retain(op.Stored.Message)
	}
}

// change applies Done, Sent and Released.
func (d *disk) change(op *sessions.Op) {
	at := place{op.Row.Session, op.Row.Seq}
	row, found := d.rows[at]
	switch {
	case !found:
	case op.Kind == sessions.Done:
		delete(d.rows, at)
	case !op.Row.Gone.Load():
		if op.Kind == sessions.Sent {
			row.packetID = op.PacketID
		} else {
			row.released = true
		}
		d.rows[at] = row
	}
}

func (d *disk) hold(op *sessions.Op) {
	if d.held[op.Session] == nil {
		d.held[op.Session] = make(map[uint16]bool)
	}
	d.held[op.Session][op.PacketID] = true
}

func (d *disk) retain(m *packets.Message) {
	if len(m.Payload) == 0 {
		delete(d.retained, m.TopicName)
	} else {
		d.retained[m.TopicName] = m
	}
}

// load gives everything to l, in an order that is always the same. What belongs to no session is left out.
func (d *disk) load(l Loader) error {
	for _, id := range slices.Sorted(maps.Keys(d.sessions)) {
		if err := l.Session(id, d.sessions[id]); err != nil {
			return err
		}
		for _, filter := range slices.Sorted(maps.Keys(d.subscriptions[id])) {
			if err := l.Subscription(id, d.subscriptions[id][filter]); err != nil {
				return err
			}
		}
		for _, packetID := range slices.Sorted(maps.Keys(d.held[id])) {
			if err := l.Held(id, packetID); err != nil {
				return err
			}
		}
	}
	if err := d.loadRows(l); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(d.wills)) {
		if err := l.Will(d.wills[id]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.retained)) {
		if err := l.Retained(d.retained[name]); err != nil {
			return err
		}
	}
	return nil
}

func (d *disk) loadRows(l Loader) error {
	order := slices.SortedFunc(maps.Keys(d.rows), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.seq, b.seq))
	})
	stored := make(map[int64]*sessions.Stored)
	for _, at := range order {
		if _, found := d.sessions[at.session]; !found {
			continue
		}
		r := d.rows[at]
		if stored[r.id] == nil {
			stored[r.id] = &sessions.Stored{ID: r.id, Message: r.message}
		}
		stored[r.id].Refs++
		err := l.Row(&sessions.Row{
			Session: at.session, Seq: at.seq, Stored: stored[r.id], SubscriptionIDs: r.subscriptionIDs,
			PacketID: r.packetID, QoS: r.qos, Retain: r.retain, Released: r.released, Written: true,
		})
		if err != nil {
			return err
		}
	}
	return nil
}
