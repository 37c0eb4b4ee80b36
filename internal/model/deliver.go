package model

import (
	"maps"
	"slices"

	"nightjar/packets"
)

// route gives a message to everybody who subscribed to it, and tells whether there was anybody.
func (b *Broker) route(m *Message) (reached bool) {
	if m.Retain { // [v5 MQTT-3.3.1-5] [v5 MQTT-3.3.1-6]
		b.Retained[m.Topic] = m
		if m.Payload == "" {
			delete(b.Retained, m.Topic)
		}
	}
	groups := map[string][]*Session{}
	for _, id := range slices.Sorted(maps.Keys(b.Sessions)) {
		s := b.Sessions[id]
		var f *Flight
		for _, filter := range slices.Sorted(maps.Keys(s.Subscriptions)) {
			sub := s.Subscriptions[filter]
			switch {
			case !matches(sub.Filter, m.Topic):
			case sub.Share != "":
				groups[filter] = append(groups[filter], s)
			case sub.Options.NoLocal && m.From == s.ClientID: // [v5 MQTT-3.8.3-3]
				reached = true
			default: // one copy for all [v5 MQTT-3.3.4-2] [v5 MQTT-3.3.4-4]
				f = sub.add(f, m)
			}
		}
		if f != nil {
			reached = true
			s.give(f, b.Now)
		}
	}
	for _, filter := range slices.Sorted(maps.Keys(groups)) {
		best, _ := rank(filter, m, groups[filter])
		if len(best) == 0 {
			continue
		}
		reached = true
		s := best[0]
		if len(best) > 1 {
			s = b.Choose(m, best) // [v5 MQTT-4.8.2-4]
		}
		s.give(s.Subscriptions[filter].add(nil, m), b.Now)
	}
	return reached
}

// add joins a subscription to what a session receives.
func (s Subscription) add(f *Flight, m *Message) *Flight {
	if f == nil {
		f = &Flight{Message: m}
	}
	f.QoS = max(f.QoS, min(m.QoS, s.Options.QoS))
	f.Retain = f.Retain || m.Retain && s.Options.RetainAsPublished // [v5 MQTT-3.3.1-12] [v5 MQTT-3.3.1-13]
	f.IDs = append(f.IDs, s.ids()...)
	return f
}

// rank is the members of a shared subscription that come first: those that are ready, or else those that are connected, or else
// those that will come back.
func rank(filter string, m *Message, members []*Session) (best []*Session, ready bool) {
	var busy, offline []*Session
	for _, s := range members {
		atMostOnce := min(m.QoS, s.Subscriptions[filter].Options.QoS) == 0
		switch {
		case s.Conn != nil && (atMostOnce || len(s.queue) == 0 && s.canSend()):
			best = append(best, s)
		case s.Conn != nil:
			busy = append(busy, s)
		case !atMostOnce:
			offline = append(offline, s)
		}
	}
	switch {
	case len(best) > 0:
		return best, true
	case len(busy) > 0:
		return busy, false
	}
	return offline, false
}

// Ambiguous tells whether a message would go to one of several members of a shared subscription that do not receive
// it at once, so that nobody can tell which.
func (b *Broker) Ambiguous(m *Message) bool {
	groups := map[string][]*Session{}
	for _, s := range b.Sessions {
		for filter, sub := range s.Subscriptions {
			if sub.Share != "" && matches(sub.Filter, m.Topic) {
				groups[filter] = append(groups[filter], s)
			}
		}
	}
	for filter, members := range groups {
		if best, ready := rank(filter, m, members); len(best) > 1 && !ready {
			return true
		}
	}
	return false
}

// give sends a message to a session, or keeps it.
func (s *Session) give(f *Flight, now int64) {
	switch {
	case f.QoS == 0:
		if s.Conn != nil {
			s.Conn.send(Packet{Type: packets.PUBLISH, Message: f.Message, Retain: f.Retain, IDs: f.IDs})
		}
	case s.Conn != nil || s.expiry > 0:
		s.queue = append(s.queue, f)
		s.pump(now)
	}
}

// canSend tells whether one more message may be in flight [v5 MQTT-3.3.4-9].
func (s *Session) canSend() bool {
	switch {
	case len(s.Flights) == 0:
		return true
	case slices.ContainsFunc(s.Flights, func(f *Flight) bool { return !f.Sent }):
		return false
	}
	return len(s.Flights) < s.Conn.Window && s.places-s.Flights[0].place < spanFactor*s.Conn.Window
}

// start puts a message in flight.
func (s *Session) start(f *Flight) *Flight {
	f.Sent, f.place = true, s.places
	s.places++
	s.Flights = append(s.Flights, f)
	return f
}

// pump sends what the client takes: first again what is in flight [v5 MQTT-4.4.0-1], then what waits.
func (s *Session) pump(now int64) {
	if s.Conn == nil {
		return
	}
	sent := 0
	for _, f := range s.Flights {
		if f.Sent {
			sent++
		}
	}
	for _, f := range s.Flights {
		if f.Sent || sent >= s.Conn.Window {
			continue
		}
		f.Sent = true
		sent++
		p := Packet{Type: packets.PUBLISH, Dup: true, Message: f.Message, QoS: f.QoS, Retain: f.Retain, IDs: f.IDs, Flight: f}
		if f.Released {
			p = Packet{Type: packets.PUBREL, PacketID: f.PacketID, Codes: []packets.ReasonCode{0}}
		}
		s.Conn.send(p)
	}
	for len(s.queue) > 0 && s.canSend() {
		f := s.queue[0]
		s.queue = s.queue[1:]
		if !f.Message.gone(now) { // [v5 MQTT-3.3.2-5]
			s.start(f)
			s.Conn.send(Packet{Type: packets.PUBLISH, Message: f.Message, QoS: f.QoS, Retain: f.Retain, IDs: f.IDs, Flight: f})
		}
	}
}

// last says that a message went into flight after all others.
func (s *Session) last(f *Flight) {
	s.Flights = slices.DeleteFunc(s.Flights, func(other *Flight) bool { return other == f })
	s.start(f)
}
