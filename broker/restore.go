package broker

import (
	"fmt"

	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
)

// Restore takes over what the store has kept. It implements store.Loader, and is used before Start.
type Restore struct {
	b    *Broker
	byID map[uint64]*session
	now  packets.Instant
}

// Restore begins to take over what the store has kept; last is the highest session number ever given.
func (b *Broker) Restore(last uint64) *Restore {
	b.nextSession.Store(last)
	return &Restore{b: b, byID: map[uint64]*session{}, now: b.clock()}
}

// Session takes a session. One that was connected when the broker ended counts as disconnected from now.
func (r *Restore) Session(id uint64, rec sessions.Record) error {
	s := &session{}
	s.ID, s.ClientID, s.UserName = id, rec.ClientID, rec.UserName
	s.ExpiryInterval = rec.ExpiryInterval
	s.DisconnectedAt = rec.DisconnectedAt
	if s.DisconnectedAt == 0 || s.DisconnectedAt > r.now {
		s.DisconnectedAt = r.now
	}
	if r.b.registry.shard(s.ClientID).sessions[s.ClientID] != nil {
		return fmt.Errorf("session %d: client identifier %q is there twice", id, s.ClientID)
	}
	r.add(s)
	r.byID[id] = s
	return nil
}

func (r *Restore) add(s *session) {
	r.b.registry.shard(s.ClientID).sessions[s.ClientID] = s
	r.b.registry.count.Add(1)
	r.b.users.change(s.UserName, 1, 0)
}

// Subscription takes a subscription.
func (r *Restore) Subscription(id uint64, sub sessions.Subscription) error {
	s, err := r.session(id)
	if err != nil {
		return err
	}
	share, filter, _, err := topics.SplitShared(sub.TopicFilter)
	if err != nil {
		return fmt.Errorf("session %d: filter %q: %w", id, sub.TopicFilter, err)
	}
	s.Subscribe(sub)
	r.b.subscribe(s, share, filter, &sub)
	return nil
}

// Row takes a message in a queue.
func (r *Restore) Row(row *sessions.Row) error {
	s, err := r.session(row.Session)
	if err != nil {
		return err
	}
	s.Session.Restore(sessions.Item{
		Message: row.Stored.Message, Row: row, SubscriptionIDs: row.SubscriptionIDs, QoS: row.QoS, Retain: row.Retain,
	})
	return nil
}

// Held takes the Packet Identifier of a QoS 2 message that waits for its PUBREL.
func (r *Restore) Held(id uint64, packetID uint16) error {
	s, err := r.session(id)
	if err != nil {
		return err
	}
	s.Hold(packetID)
	return nil
}

// Will takes a will. That of a client which was connected is due after its delay from now; at once where no
// session remains to come back to.
func (r *Restore) Will(will sessions.Will) error {
	s := r.b.registry.shard(will.ClientID).sessions[will.ClientID]
	if s == nil {
		// Its session ended with the connection. It has a place until the will is published, or the client takes it over:
		// a new will of the client would take the place of this one in the store.
		s = &session{}
		s.ClientID, s.UserName, s.DisconnectedAt = will.ClientID, will.UserName, r.now
		r.add(s)
		will.Due = r.now
	}
	if will.Due == 0 {
		will.Due = r.now + packets.Instant(will.DelayInterval)*1000
	}
	s.will = &will
	r.b.wills.add(s, will.Due)
	return nil
}

// Retained takes a retained message. One that has expired meanwhile goes with the next tick.
func (r *Restore) Retained(m *packets.Message) error {
	if err := r.b.retained.Set(m); err != nil {
		r.b.log.Warn("retained message not loaded: it stays stored, and is loaded once limits allow it", keyTopic, m.TopicName, keyError, err)
		return nil
	}
	r.b.users.moveRetained(nil, m)
	return nil
}

func (r *Restore) session(id uint64) (*session, error) {
	if s := r.byID[id]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("session %d is not there", id)
}
