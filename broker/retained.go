package broker

import (
	"slices"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
)

// backlog is the retained messages that a session is still to be sent. They are sent as the client takes
// them, so that a subscription to a million of them holds nobody up.
type backlog struct {
	parts []backlogPart
}

// backlogPart is what one subscription brought.
type backlogPart struct {
	filter   string
	messages []*packets.Message
	ids      []uint32
	qos      packets.QoS
	ticket   uint64 // of the subscription: SUBACK goes first
	packet   uint64 // the worker's count of the SUBSCRIBE that brought it
}

// backlogMax is how many retained messages a session may still have to be sent when it asks for more.
const backlogMax = 1 << 20

// full tells whether so much is still to be sent that the session may not ask for more.
func (b *backlog) full() bool {
	n := 0
	for i := range b.parts {
		n += len(b.parts[i].messages)
	}
	return n >= backlogMax
}

// of returns what a filter has brought already with the same SUBSCRIBE: a filter that is repeated in it a thousand times is
// looked for once. Nothing of it is sent before the whole packet is handled. b may be nil.
func (b *backlog) of(filter string, packet uint64) (messages []*packets.Message, ok bool) {
	if b == nil {
		return nil, false
	}
	for i := range b.parts {
		if x := &b.parts[i]; x.filter == filter && x.packet == packet {
			return x.messages, true
		}
	}
	return nil, false
}

// remember adds the retained messages that match a new subscription to the backlog [v5 MQTT-3.3.1-9]. s is locked.
func (w *worker) remember(s *session, filter string, sub sessions.Subscription, ticket uint64) {
	found, again := s.backlog.of(filter, w.subscribes)
	if !again {
		found = w.b.retainedOf(filter).Match(filter, w.now, nil)
	}
	if len(found) == 0 {
		return
	}
	part := backlogPart{filter: filter, messages: found, qos: sub.Options.QoS, ticket: ticket, packet: w.subscribes}
	if sub.ID != 0 {
		part.ids = []uint32{sub.ID}
	}
	if s.backlog == nil {
		s.backlog = &backlog{}
	}
	// A client that asks again before all has come begins anew, so that asking often needs no more memory.
	s.backlog.parts = slices.DeleteFunc(s.backlog.parts, func(x backlogPart) bool { return x.filter == filter })
	s.backlog.parts = append(s.backlog.parts, part)
}

// pumpBacklogLocked sends retained messages, as many as the client takes, and reports whether none is left. s is locked.
func (w *worker) pumpBacklogLocked(s *session, c *client) (empty bool) {
	for len(s.backlog.parts) > 0 {
		part := &s.backlog.parts[0]
		if !w.durable(part.ticket) {
			c.wantsSafe.Store(true)
			if !w.durable(part.ticket) { // still: it will be told
				return false
			}
		}
		for len(part.messages) > 0 {
			m := w.b.retainedOf(part.messages[0].TopicName).Get(part.messages[0].TopicName) // it may have been replaced or cleared meanwhile
			if m == nil {
				part.messages = part.messages[1:]
				continue
			}
			qos := min(m.QoS, part.qos)
			if c.congested(w) {
				c.pumpLater()
				return false
			}
			if qos > 0 && !s.CanSend(int(c.window)) {
				return false
			}
			part.messages[0] = nil
			part.messages = part.messages[1:]
			w.sendRetainedLocked(s, c, m, qos, part.ids)
		}
		s.backlog.parts[0] = backlogPart{}
		s.backlog.parts = s.backlog.parts[1:]
	}
	s.backlog = nil
	return true
}

// sendRetainedLocked sends one retained message, if its publisher may still publish it and the
// client may have it. s is locked.
func (w *worker) sendRetainedLocked(s *session, c *client, m *packets.Message, qos packets.QoS, ids []uint32) {
	if m.Expiry != 0 && m.Expiry <= w.now {
		return
	}
	if !w.mayReceive(s, m.TopicName) || !w.mayStillPublish(m) {
		w.drop(dropNotAuthorized, s.ClientID, m.TopicName)
		return
	}
	if qos == 0 {
		d := packets.Delivery{Retain: true, SubscriptionIDs: ids}
		d.ExpirySeconds, d.HasExpiry = remaining(m, w.now)
		if !c.fits(m.Size(c.version, &d)) {
			w.drop(dropTooLarge, s.ClientID, m.TopicName)
			return
		}
		w.transmit(c, m, &d, 0)
		return
	}
	it := sessions.Item{Message: m, QoS: qos, Retain: true, SubscriptionIDs: ids}
	var ticket uint64
	if s.Durable() && w.b.store != nil {
		it.Row = &sessions.Row{
			Session: s.ID, Seq: s.NextSeq(), Stored: &sessions.Stored{Message: m}, SubscriptionIDs: ids,
			QoS: qos, Retain: true, PacketID: s.NextPacketID(),
		}
		ticket = w.commit(sessions.Op{Kind: sessions.Publish, Stored: it.Row.Stored, Row: it.Row})
	}
	w.sendLocked(s, c, it, ticket)
}

// mayStillPublish tells whether the publisher of a retained message still has the right to.
func (w *worker) mayStillPublish(m *packets.Message) bool {
	if w.b.auth.Unrestricted() || m.TopicName[0] == '$' {
		return true
	}
	id := &auth.Identity{UserName: m.PublisherUser, ClientID: m.PublisherID, Anonymous: m.PublisherUser == ""}
	return w.b.auth.Authorize(id, auth.ActionPublish, m.TopicName)
}

// expireRetained removes retained messages whose time is over, a few at a time, so that publishers get their turn.
func (w *worker) expireRetained() {
	for range expireChunks {
		if !w.expireSome() {
			return
		}
	}
}

func (w *worker) expireSome() (more bool) {
	w.b.retaining.Lock()
	defer w.b.retaining.Unlock()
	w.expired = w.b.retained.Expire(w.now, expiresMax, w.expired[:0])
	for _, m := range w.expired {
		w.count[countRetainedExpired]++
		w.b.users.moveRetained(m, nil)
		w.put(sessions.Op{Kind: sessions.DeleteRetained, TopicName: m.TopicName})
	}
	clear(w.expired)
	return len(w.expired) == expiresMax
}
