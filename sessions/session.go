package sessions

import (
	"slices"

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
	// DisconnectedAt is when the connection ended; 0 while there is one.
	DisconnectedAt packets.Instant

	subscriptions []Subscription
	index         map[string]int // filter to place in subscriptions, from indexFrom on; nil below
	out           *outbound      // nil while nothing waits or is in flight
	held          *idSet         // Packet Identifiers of QoS 2 messages from the client; nil while none
	next          uint16         // last Packet Identifier given less one, mod 65,535
	seq           uint64         // last place in the queue given
}

// indexFrom is the number of subscriptions from which look-ups go through a map.
const indexFrom = 16

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
	case s.index != nil:
		s.index[sub.TopicFilter] = n - 1
	case n == indexFrom:
		s.index = make(map[string]int, 2*indexFrom)
		for i := range s.subscriptions {
			s.index[s.subscriptions[i].TopicFilter] = i
		}
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
	if s.index != nil {
		delete(s.index, filter)
		if i != last {
			s.index[s.subscriptions[last].TopicFilter] = i
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
	if s.index != nil {
		if i, ok := s.index[filter]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.subscriptions, func(x Subscription) bool { return x.TopicFilter == filter })
}

// Hold remembers the Packet Identifier of a QoS 2 message from the client, and reports
// false when it is held already: the message is a repeat [v5 MQTT-4.3.3-10].
func (s *Session) Hold(id uint16) bool {
	if s.held == nil {
		s.held = &idSet{}
	}
	return s.held.add(id)
}

// Free forgets a held Packet Identifier, and reports whether it was held.
func (s *Session) Free(id uint16) bool {
	if s.held == nil || !s.held.remove(id) {
		return false
	}
	if s.held.len() == 0 {
		s.held = nil
	}
	return true
}

// Held is the number of Packet Identifiers of QoS 2 messages that wait for their PUBREL.
func (s *Session) Held() int {
	if s.held == nil {
		return 0
	}
	return s.held.len()
}
