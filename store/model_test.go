package store

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"nightjar/packets"
	"nightjar/sessions"
)

// model is the naive store: it applies each Op at once, knows no batches and strikes nothing. As a Loader it
// collects what a store brings.
type model struct {
	sessions      map[uint64]sessions.Record
	subscriptions map[subscriptionKey]sessions.Subscription
	rows          map[place]modelRow
	held          map[heldKey]bool
	wills         map[string]sessions.Will
	retained      map[string]*packets.Message
	last          place // of the last row loaded
}

// modelRow is a row as it was handed over, which is fixed, with what Sent and Released have made of it.
type modelRow struct {
	*sessions.Row
	packetID uint16
	released bool
}

func newModelRow(r *sessions.Row) modelRow { return modelRow{r, r.PacketID, r.Released} }

type subscriptionKey struct {
	Session     uint64
	TopicFilter string
}

type heldKey struct {
	Session  uint64
	PacketID uint16
}

func newModel() *model {
	return &model{
		sessions: make(map[uint64]sessions.Record), subscriptions: make(map[subscriptionKey]sessions.Subscription),
		rows: make(map[place]modelRow), held: make(map[heldKey]bool), wills: make(map[string]sessions.Will),
		retained: make(map[string]*packets.Message),
	}
}

func (m *model) Session(id uint64, r sessions.Record) error {
	m.sessions[id] = r
	return nil
}

func (m *model) Subscription(session uint64, s sessions.Subscription) error {
	m.subscriptions[subscriptionKey{session, s.TopicFilter}] = s
	return nil
}

func (m *model) Row(r *sessions.Row) error {
	at := place{r.Session, r.Seq}
	if at.session < m.last.session || at.session == m.last.session && at.seq <= m.last.seq {
		return fmt.Errorf("row %v after row %v", at, m.last)
	}
	if _, found := m.sessions[r.Session]; !found || !r.Written || r.Stored.ID == 0 {
		return fmt.Errorf("row before its session, or not Written, or without ID: %v, %v, %v", at, r.Written, r.Stored)
	}
	m.last, m.rows[at] = at, newModelRow(r)
	return nil
}

func (m *model) Held(session uint64, packetID uint16) error {
	m.held[heldKey{session, packetID}] = true
	return nil
}

func (m *model) Will(w sessions.Will) error {
	m.wills[w.ClientID] = w
	return nil
}

func (m *model) Retained(msg *packets.Message) error {
	m.retained[msg.TopicName] = msg
	return nil
}

func (m *model) apply(op sessions.Op) {
	switch op.Kind {
	case sessions.PutSession:
		m.sessions[op.Session] = *op.Record
	case sessions.DeleteSession:
		delete(m.sessions, op.Session)
		maps.DeleteFunc(m.rows, func(at place, _ modelRow) bool { return at.session == op.Session })
		maps.DeleteFunc(m.held, func(k heldKey, _ bool) bool { return k.Session == op.Session })
		maps.DeleteFunc(m.subscriptions, func(k subscriptionKey, _ sessions.Subscription) bool { return k.Session == op.Session })
	case sessions.PutSubscription:
		m.subscriptions[subscriptionKey{op.Session, op.Subscription.TopicFilter}] = *op.Subscription
	case sessions.DeleteSubscription:
		delete(m.subscriptions, subscriptionKey{op.Session, op.Subscription.TopicFilter})
	case sessions.Publish:
		rows := op.Rows
		if op.Row != nil {
			rows = append(slices.Clip(rows), op.Row)
		}
		for _, r := range rows {
			m.rows[place{r.Session, r.Seq}] = newModelRow(r)
		}
		if op.PacketID > 0 {
			m.held[heldKey{op.Session, op.PacketID}] = true
		}
		if op.Retain {
			m.retain(op.Stored.Message)
		}
	case sessions.Done:
		delete(m.rows, place{op.Row.Session, op.Row.Seq})
	case sessions.Sent, sessions.Released:
		at := place{op.Row.Session, op.Row.Seq}
		if r, found := m.rows[at]; found {
			if op.Kind == sessions.Sent {
				r.packetID = op.PacketID
			} else {
				r.released = true
			}
			m.rows[at] = r
		}
	case sessions.HoldPacketID:
		m.held[heldKey{op.Session, op.PacketID}] = true
	case sessions.FreePacketID:
		delete(m.held, heldKey{op.Session, op.PacketID})
	case sessions.PutWill:
		m.wills[op.Will.ClientID] = *op.Will
	case sessions.DeleteWill:
		delete(m.wills, op.ClientID)
	case sessions.PutRetained:
		m.retain(op.Stored.Message)
	case sessions.DeleteRetained:
		delete(m.retained, op.TopicName)
	}
}

func (m *model) retain(msg *packets.Message) {
	if len(msg.Payload) == 0 {
		delete(m.retained, msg.TopicName)
	} else {
		m.retained[msg.TopicName] = msg
	}
}

// snapshot is all of a model in a form that can be compared.
type snapshot struct {
	Sessions      map[uint64]sessions.Record
	Subscriptions map[subscriptionKey]sessions.Subscription
	Rows          []rowView
	Held          map[heldKey]bool
	Wills         map[string]sessions.Will
	Retained      map[string]*packets.Message
}

// rowView is a row; Copy numbers the messages in the order in which rows refer to them, Refs counts those rows.
type rowView struct {
	Session, Seq    uint64
	SubscriptionIDs []uint32
	PacketID        uint16
	QoS             packets.QoS
	Retain          bool
	Released        bool
	Message         packets.Message
	Copy, Refs      int
}

// snapshot leaves out what belongs to no session.
func (m *model) snapshot() snapshot {
	s := snapshot{Sessions: m.sessions, Subscriptions: m.subscriptions, Held: m.held, Wills: m.wills, Retained: m.retained}
	gone := func(session uint64) bool { _, found := m.sessions[session]; return !found }
	maps.DeleteFunc(m.subscriptions, func(k subscriptionKey, _ sessions.Subscription) bool { return gone(k.Session) })
	maps.DeleteFunc(m.held, func(k heldKey, _ bool) bool { return gone(k.Session) })
	maps.DeleteFunc(m.rows, func(at place, _ modelRow) bool { return gone(at.session) })
	order := m.order()
	copies, refs := make(map[*sessions.Stored]int), make(map[*sessions.Stored]int)
	for _, r := range order {
		if refs[r.Stored]++; refs[r.Stored] == 1 {
			copies[r.Stored] = len(copies)
		}
	}
	for _, r := range order {
		s.Rows = append(s.Rows, rowView{
			Session: r.Session, Seq: r.Seq, SubscriptionIDs: r.SubscriptionIDs, PacketID: r.packetID, QoS: r.QoS,
			Retain: r.Retain, Released: r.released, Message: *r.Stored.Message, Copy: copies[r.Stored], Refs: refs[r.Stored],
		})
	}
	return s
}

func (m *model) order() []modelRow {
	return slices.SortedFunc(maps.Values(m.rows), func(a, b modelRow) int {
		return cmp.Or(cmp.Compare(a.Session, b.Session), cmp.Compare(a.Seq, b.Seq))
	})
}
