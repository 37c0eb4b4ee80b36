package sessions

import (
	"slices"
	"sync/atomic"

	"nightjar/packets"
)

// Subscription is one subscription of a session.
type Subscription struct {
	TopicFilter string // as the client wrote it, with $share/ if shared
	ID          uint32 // Subscription Identifier; 0: none
	Options     packets.SubscriptionOptions
}

// Session is the Session State of one client [v5 MQTT-4.1.0-1]. It is not safe for
// concurrent use: the broker guards each with a lock.
type Session struct {
	ClientID string
	UserName string // the identity that made it; others are refused
	// ID is the session's number in the store; unique for ever, never 0.
	ID uint64
	// ExpiryInterval is how long the session outlives its connection, in seconds.
	ExpiryInterval uint32
	marks          atomic.Uint32 // markEnded, markAdmin
	// DisconnectedAt is when the connection ended; 0 while there is one.
	DisconnectedAt packets.Instant

	subscriptions []Subscription
	busy          *busy // what only a session needs that has had QoS 1 or 2, or many subscriptions; nil before
}

// busy is the part of a session that an idle one does without.
type busy struct {
	index map[string]int // filter to place in subscriptions, from indexFrom on; nil below
	out   *outbound      // nil while nothing waits or is in flight
	held  *idSet         // Packet Identifiers of QoS 2 messages from the client; nil while none
	next  uint16         // last Packet Identifier given less one, mod 65,535
	seq   uint64         // last place in the queue given
}

// more returns the part of the session that an idle one does without.
func (s *Session) more() *busy {
	if s.busy == nil {
		s.busy = &busy{}
	}
	return s.busy
}

// indexFrom is the number of subscriptions from which look-ups go through a map.
const indexFrom = 16

const (
	markEnded = 1 << iota
	markAdmin
)

// Ended tells whether the broker has given the session up for good.
func (s *Session) Ended() bool { return s.marks.Load()&markEnded != 0 }

// End gives the session up for good.
func (s *Session) End() { s.marks.Or(markEnded) }

// Admin tells whether the client administers the broker. Unlike the other methods it may be called at any time.
func (s *Session) Admin() bool { return s.marks.Load()&markAdmin != 0 }

// SetAdmin says whether the client administers the broker.
func (s *Session) SetAdmin(on bool) {
	if on {
		s.marks.Or(markAdmin)
	} else {
		s.marks.And(^uint32(markAdmin))
	}
}

// Durable tells whether the session outlives its connection.
func (s *Session) Durable() bool { return s.ExpiryInterval > 0 }

// ExpiresAt is when the session ends, or 0 while it is connected or if it never does.
func (s *Session) ExpiresAt() packets.Instant {
	if s.DisconnectedAt == 0 || s.ExpiryInterval == ExpiryNever {
		return 0
	}
	return s.DisconnectedAt + packets.Instant(s.ExpiryInterval)*1000
}

// Record returns the session's row.
func (s *Session) Record() *Record {
	return &Record{
		ClientID: s.ClientID, UserName: s.UserName,
		ExpiryInterval: s.ExpiryInterval, DisconnectedAt: s.DisconnectedAt,
	}
}

// Clear forgets subscriptions, queue and all else, when the session has ended: routes may still refer to it for a while.
func (s *Session) Clear() { s.subscriptions, s.busy = nil, nil }

// Subscribe adds a subscription or replaces the one with the same filter [v5 MQTT-3.8.4-3].
func (s *Session) Subscribe(sub Subscription) (isNew bool) {
	if i := s.find(sub.TopicFilter); i >= 0 {
		sub.TopicFilter = s.subscriptions[i].TopicFilter
		s.subscriptions[i] = sub
		return false
	}
	if s.subscriptions == nil {
		s.subscriptions = make([]Subscription, 0, 1)
	}
	s.subscriptions = append(s.subscriptions, sub)
	switch n := len(s.subscriptions); {
	case s.index() != nil:
		s.index()[sub.TopicFilter] = n - 1
	case n == indexFrom:
		index := make(map[string]int, 2*indexFrom)
		for i := range s.subscriptions {
			index[s.subscriptions[i].TopicFilter] = i
		}
		s.more().index = index
	}
	return true
}

// Unsubscribe removes the subscription with exactly this filter [v5 MQTT-3.10.4-1].
func (s *Session) Unsubscribe(filter string) bool {
	i := s.find(filter)
	if i < 0 {
		return false
	}
	last := len(s.subscriptions) - 1
	if index := s.index(); index != nil {
		delete(index, filter)
		if i != last {
			index[s.subscriptions[last].TopicFilter] = i
		}
	}
	s.subscriptions[i] = s.subscriptions[last]
	s.subscriptions[last] = Subscription{}
	s.subscriptions = s.subscriptions[:last]
	return true
}

// Subscription returns the subscription with exactly this filter.
func (s *Session) Subscription(filter string) (Subscription, bool) {
	if i := s.find(filter); i >= 0 {
		return s.subscriptions[i], true
	}
	return Subscription{}, false
}

// Subscriptions returns all subscriptions; valid until the next change, not to be changed.
func (s *Session) Subscriptions() []Subscription { return s.subscriptions }

func (s *Session) find(filter string) int {
	if index := s.index(); index != nil {
		if i, ok := index[filter]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.subscriptions, func(x Subscription) bool { return x.TopicFilter == filter })
}

// Hold remembers the Packet Identifier of a QoS 2 message from the client, and reports
// false when it is held already: the message is a repeat [v5 MQTT-4.3.3-10].
func (s *Session) Hold(id uint16) bool {
	b := s.more()
	if b.held == nil {
		b.held = &idSet{}
	}
	return b.held.add(id)
}

// Holds tells whether a Packet Identifier is held.
func (s *Session) Holds(id uint16) bool {
	return s.busy != nil && s.busy.held != nil && s.busy.held.has(id)
}

// Free forgets a held Packet Identifier, and reports whether it was held.
func (s *Session) Free(id uint16) bool {
	b := s.busy
	return b != nil && b.held != nil && b.held.remove(id)
}

// Held is the number of Packet Identifiers of QoS 2 messages that wait for their PUBREL.
func (s *Session) Held() int {
	if b := s.busy; b != nil && b.held != nil {
		return b.held.len()
	}
	return 0
}

// index finds subscriptions by their filter, or is nil while there are few.
func (s *Session) index() map[string]int {
	if s.busy == nil {
		return nil
	}
	return s.busy.index
}
