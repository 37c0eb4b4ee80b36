package broker

import (
	"encoding/binary"
	"strings"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
	"nightjar/transports"
)

// deliver gives the worker's publication to everybody on the route.
func (w *worker) deliver(r *route) {
	w.work += len(r.receivers) + len(r.groups) + 1
	p := &w.pub
	for i := range r.receivers {
		x := &r.receivers[i]
		if (x.noLocal || x.mixed) && x.s.ClientID == p.view.PublisherID { // [v5 MQTT-3.8.3-3]
			w.deliverLocal(r, x)
			continue
		}
		w.give(x.s, min(p.view.QoS, x.qos), p.view.Retain && x.retainAsPublished, x.ids)
	}
	for _, g := range r.groups {
		w.deliverShared(g)
	}
}

// deliverLocal gives a message to its own publisher, for those subscriptions that are not No Local.
func (w *worker) deliverLocal(r *route, x *receiver) {
	if x.noLocal {
		w.pub.reached++ // it does match
		return
	}
	var own receiver
	found := false
	w.matches.Reset()
	w.b.tree.Match(r.topic, &w.matches)
	for _, e := range w.matches.Entries {
		if e.Subscriber == x.s && !e.Options.NoLocal {
			own.add(topics.Options{QoS: e.Options.QoS, RetainAsPublished: e.Options.RetainAsPublished, ID: e.Options.ID})
			found = true
		}
	}
	if found {
		p := &w.pub
		w.give(x.s, min(p.view.QoS, own.qos), p.view.Retain && own.retainAsPublished, own.ids)
	}
}

// deliverShared gives a message to one member of a shared subscription: in turn, those first that can
// take it now, then those that are connected, then those that will come back.
func (w *worker) deliverShared(g *topics.Group[*session]) {
	members := g.Members()
	if len(members) == 0 {
		return
	}
	p := &w.pub
	start := int(g.Next() % uint32(len(members)))
	best, bestRank := -1, 0
	for i := range members {
		at := (start + i) % len(members)
		m := &members[at]
		rank := w.rank(m.Subscriber, min(p.view.QoS, packets.QoS(m.Options.QoS)))
		if rank > bestRank && w.mayReceive(m.Subscriber, p.view.TopicName) {
			best, bestRank = at, rank
			if rank == rankReady {
				break
			}
		}
	}
	if best < 0 {
		w.drop(dropNoShareMember, p.view.PublisherID, p.view.TopicName)
		return
	}
	m := &members[best]
	var ids []uint32
	if m.Options.ID != 0 {
		ids = []uint32{m.Options.ID}
	}
	w.give(m.Subscriber, min(p.view.QoS, packets.QoS(m.Options.QoS)), p.view.Retain && m.Options.RetainAsPublished, ids)
}

// How well a member of a shared subscription can take a message.
const (
	rankFull    = iota + 1 // its queue is full: the message is lost, unless the policy makes room
	rankOffline            // it will be queued for when the member comes back
	rankBusy               // it will be queued behind others
	rankReady
)

func (w *worker) rank(s *session, qos packets.QoS) int {
	c := s.client.Load()
	if c == nil {
		if qos == 0 {
			return 0
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case !s.Durable() || s.Ended() || s.expired(w.now):
			return 0
		case w.queueFull(s):
			return rankFull
		}
		return rankOffline
	}
	if c.congested(w) {
		return rankBusy
	}
	if qos > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case w.queueFull(s):
			return rankFull
		case s.Queued() > 0 || !s.CanSend(int(c.window)):
			return rankBusy
		}
	}
	return rankReady
}

// queueFull tells whether the queue of a session is at its limits. s is locked.
func (w *worker) queueFull(s *session) bool {
	return s.Queued() >= w.b.queueLimits.Messages || s.QueuedBytes() >= w.b.queueLimits.Bytes
}

// mayReceive is the check of every delivery that does not come from a route.
func (w *worker) mayReceive(s *session, topic string) bool {
	return w.authorize(s, auth.ActionReceive, topic)
}

// authorize asks whether a session may do something.
func (w *worker) authorize(s *session, action auth.Action, topic string) bool {
	if w.b.auth.Unrestricted() && topic[0] != '$' {
		return true
	}
	id := s.identity()
	return w.b.allows(&id, action, topic)
}

// denied says in the log what was denied, and by which rule.
func (w *worker) denied(id auth.Identity, action auth.Action, topic string) {
	w.b.log.denied(id, action, topic, func() string {
		_, rule := w.b.auth.Explain(&id, action, topic)
		return rule
	})
}

// allows tells whether a client may do something. Nobody may publish to $share, which begins Topic Filters: no
// subscription would match.
func (b *Broker) allows(id *auth.Identity, action auth.Action, topic string) bool {
	return (action != auth.ActionPublish || !strings.HasPrefix(topic, "$share/")) && b.auth.Authorize(id, action, topic)
}

// give gives the worker's publication to one session.
func (w *worker) give(s *session, qos packets.QoS, retain bool, ids []uint32) {
	if qos == 0 {
		w.give0(s, retain, ids)
		return
	}
	s.mu.Lock()
	w.giveLocked(s, qos, retain, ids)
	s.mu.Unlock()
}

// give0 sends at QoS 0: at most once, so to who is connected and takes it.
func (w *worker) give0(s *session, retain bool, ids []uint32) {
	p := &w.pub
	p.reached++ // it matches, whether or not the client is there
	c := s.client.Load()
	if c == nil {
		return
	}
	if len(ids) > 0 && c.version >= packets.V5 || c.aliases != nil {
		w.give0Own(c, retain, ids)
		return
	}
	f := p.frame(c.version, 0, retain)
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return
	}
	if out, ok = w.roomFor(c, out, len(f.bytes)); ok {
		out = append(out, f.bytes...)
		w.count[countMessagesSent]++
	}
	c.conn.End(w.turn, out)
}

// roomFor tells whether a QoS 0 message of the worker's publication, of size bytes, may be appended to the outbox;
// otherwise it is dropped. The outbox is locked.
func (w *worker) roomFor(c *client, out []byte, size int) ([]byte, bool) {
	if !c.fits(size) { // [v5 MQTT-3.1.2-28]
		w.drop(dropTooLarge, c.session.ClientID, w.pub.view.TopicName)
		return out, false
	}
	most := w.b.cfg.Limits.OutboxBytes
	if c.conn.BufferedLocked(out)+size <= most {
		return out, true
	}
	out = c.conn.PressLocked(w.turn, out)
	if waiting := c.conn.BufferedLocked(out); waiting == 0 || waiting+size <= most {
		return out, true
	}
	w.drop(dropSlow, c.session.ClientID, w.pub.view.TopicName)
	c.pumpLater() // its owner begins to look how slow it is
	return out, false
}

// give0Own is give0 where the receiver's frame is its own: Subscription Identifiers or a Topic Alias.
func (w *worker) give0Own(c *client, retain bool, ids []uint32) {
	p := &w.pub
	d := packets.Delivery{Retain: retain, SubscriptionIDs: ids, HasExpiry: p.hasExpiry, ExpirySeconds: p.expirySeconds}
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return
	}
	c.alias(&d, &p.view)
	if out, ok = w.roomFor(c, out, p.view.Size(c.version, &d)); ok {
		out = p.view.Append(out, c.version, &d)
		w.count[countMessagesSent]++
	} else {
		c.aliases.undo(&d)
	}
	c.conn.End(w.turn, out)
}

// giveLocked gives at QoS 1 or 2: sends it now, or leaves it in the session until it can be sent
// [v5 MQTT-4.5.0-1]. s is locked.
func (w *worker) giveLocked(s *session, qos packets.QoS, retain bool, ids []uint32) {
	p := &w.pub
	c := s.client.Load()
	durable := s.Durable() && !s.Ended()
	if s.Ended() || s.owner == nil && !durable { // an owner without a client gets it after its CONNACK
		return
	}
	p.reached++
	it := sessions.Item{QoS: qos, Retain: retain, SubscriptionIDs: ids}
	if durable && w.b.store != nil {
		it.Row = &sessions.Row{
			Session: s.ID, Seq: s.NextSeq(), Stored: p.store(), SubscriptionIDs: ids, QoS: qos, Retain: retain,
		}
	}
	if c != nil && s.Queued() == 0 && s.backlog == nil && s.CanSend(int(c.window)) && !c.congested(w) {
		w.sendNewLocked(s, c, it)
		return
	}
	it.Message = p.message()
	if !w.makeRoomLocked(s, &it) {
		w.drop(dropQueueFull, s.ClientID, p.view.TopicName)
		return
	}
	s.Add(it)
	w.count[countMessagesQueued]++
	w.persist(it.Row, false)
	if c != nil && c.congested(w) {
		c.pumpLater()
	}
}

// makeRoomLocked makes room in the queue by its policy, and reports whether the new item may stay. s is locked.
func (w *worker) makeRoomLocked(s *session, it *sessions.Item) bool {
	for s.Full(it, w.b.queueLimits) {
		if !w.b.cfg.Limits.QueueDropOldest || w.b.queueLimits.Exceeds(it) {
			return false
		}
		oldest, ok := s.DropOldest()
		if !ok {
			return false
		}
		w.drop(dropQueueFull, s.ClientID, oldest.Message.TopicName)
		w.forget(oldest)
	}
	return true
}

// persist stores a row; the publisher's answer waits for it. A receiver that is sent the message at QoS 1 now
// will probably acknowledge it before a commit is done: then nothing has to be written, and so the commit may wait a little.
func (w *worker) persist(row *sessions.Row, sentNow bool) {
	if row == nil {
		return
	}
	row.Stored.Left.Add(1)
	op := sessions.Op{Kind: sessions.Publish, Stored: row.Stored, Row: row}
	if sentNow && row.QoS == 1 {
		w.pub.ticket = w.commitSoon(op)
		return
	}
	w.pub.ticket = w.commit(op)
}

// forget takes an item that will not be sent any more out of the store.
func (w *worker) forget(it sessions.Item) {
	if it.Row == nil {
		return
	}
	if !it.Row.Gone.Swap(true) {
		w.takenBy(it.Row.Stored)
	}
	w.put(sessions.Op{Kind: sessions.Done, Row: it.Row})
}

// takenBy counts that one of those who kept a publisher's answer back has done its part.
func (w *worker) takenBy(m *sessions.Stored) {
	if m.Left.Add(-1) == 0 {
		if c, ok := m.Publisher.(*client); ok {
			w.early = append(w.early, c)
		}
	}
}

// pumpLater has the session's messages sent when the outbox, which is congested now, has been written. Drained comes only
// after an outbox that the socket did not take at once.
func (c *client) pumpLater() {
	if c.pumping.Swap(true) {
		return
	}
	c.conn.Post(func(t *transports.Turn) {
		w := c.b.worker(t)
		c.pumping.Store(false)
		if c.state != stateReady {
			return
		}
		if c.congested(w) {
			c.wantsSafe.Store(true)
			c.hurry(w) // Drained will come, or another turn is about to write
			return
		}
		c.pump(w)
	})
}

// congested tells whether so much waits for the client that QoS 1 and 2 stay in the session.
func (c *client) congested(w *worker) bool {
	most := w.b.cfg.Limits.OutboxBytes / 2
	return c.conn.Press(w.turn, most)+int(c.waitingBytes.Load()) >= most
}

// sendNewLocked sends the worker's publication at once. s is locked.
func (w *worker) sendNewLocked(s *session, c *client, it sessions.Item) {
	p := &w.pub
	if it.Row != nil || len(it.SubscriptionIDs) > 0 && c.version >= packets.V5 || c.aliases != nil {
		it.Message = p.message()
		if it.Row != nil && it.QoS == 2 { // at QoS 1 it would overtake, after a crash, those that were sent from the queue
			it.Row.PacketID = s.NextPacketID()
		}
		w.persist(it.Row, true)
		w.sendLocked(s, c, it, p.ticket)
		return
	}
	f := p.frame(c.version, it.QoS, it.Retain)
	if !c.fits(len(f.bytes)) { // [v5 MQTT-3.1.2-28]
		w.drop(dropTooLarge, s.ClientID, p.view.TopicName)
		return
	}
	if s.Durable() {
		it.Message = p.message()
	}
	id := s.Start(it)
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return // it is in flight: it is sent again on the next connection
	}
	at := len(out) + f.id
	out = append(out, f.bytes...)
	binary.BigEndian.PutUint16(out[at:], id)
	w.count[countMessagesSent]++
	c.conn.End(w.turn, out)
}

// sendLocked puts an item in flight and sends it. A QoS 2 message leaves only once its Packet Identifier
// is stored, by ticket: the receiver may hold the identifier beyond a crash of the broker. s is locked.
func (w *worker) sendLocked(s *session, c *client, it sessions.Item, ticket uint64) {
	d := packets.Delivery{QoS: it.QoS, Retain: it.Retain, SubscriptionIDs: it.SubscriptionIDs, PacketID: s.NextPacketID()}
	d.ExpirySeconds, d.HasExpiry = remaining(it.Message, w.now)
	m := it.Message
	if !c.fits(m.Size(c.version, &d)) {
		w.drop(dropTooLarge, s.ClientID, m.TopicName)
		w.forget(it)
		return
	}
	s.Start(it)
	if it.QoS < 2 || it.Row == nil {
		ticket = 0
	}
	w.transmit(c, m, &d, ticket)
}

// transmit appends a PUBLISH to the outbox, or to what waits for ticket.
func (w *worker) transmit(c *client, m *packets.Message, d *packets.Delivery, ticket uint64) {
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return
	}
	w.count[countMessagesSent]++
	if ticket == 0 || c.pending == nil && w.durable(ticket) { // not past another that still waits
		c.alias(d, m)
		out = m.Append(out, c.version, d)
	} else {
		c.waitLocked(w, mark{ticket: ticket}, m.Append(nil, c.version, d))
	}
	c.conn.End(w.turn, out)
}

// pumpLocked sends what is in flight again on a new connection, then retained messages, then what waits in the queue,
// as far as the client takes it. s is locked, and c is its owner.
func (w *worker) pumpLocked(s *session, c *client) {
	if s.client.Load() != c {
		return
	}
	for s.Unsent() > 0 {
		if c.congested(w) {
			c.pumpLater()
			return
		}
		id, it, released, ok := s.Resend(int(c.window))
		if !ok {
			break
		}
		w.resendLocked(s, c, id, it, released)
	}
	if s.backlog != nil && !w.pumpBacklogLocked(s, c) {
		return
	}
	for s.Queued() > 0 && s.CanSend(int(c.window)) {
		if c.congested(w) {
			c.pumpLater()
			return
		}
		it, ok := s.Next(w.now, func(it sessions.Item) {
			w.drop(dropExpired, s.ClientID, it.Message.TopicName)
			w.forget(it)
		})
		if !ok {
			return
		}
		if !w.mayReceive(s, it.Message.TopicName) {
			w.drop(dropNotAuthorized, s.ClientID, it.Message.TopicName)
			w.forget(it)
			continue
		}
		var ticket uint64
		if it.Row != nil && it.QoS == 2 {
			ticket = w.commit(sessions.Op{Kind: sessions.Sent, Row: it.Row, PacketID: s.NextPacketID()})
		}
		w.sendLocked(s, c, it, ticket)
	}
}

// resendLocked sends one message in flight again [v5 MQTT-4.4.0-1].
func (w *worker) resendLocked(s *session, c *client, id uint16, it sessions.Item, released bool) {
	if released {
		c.conn.Write(w.turn, packets.AppendAck(nil, packets.PUBREL, id))
		return
	}
	d := packets.Delivery{QoS: it.QoS, Retain: it.Retain, Dup: true, SubscriptionIDs: it.SubscriptionIDs, PacketID: id}
	d.ExpirySeconds, d.HasExpiry = remaining(it.Message, w.now)
	reason := dropReasons
	if !c.fits(it.Message.Size(c.version, &d)) {
		reason = dropTooLarge
	} else if !w.mayReceive(s, it.Message.TopicName) {
		reason = dropNotAuthorized
	}
	if reason != dropReasons {
		w.drop(reason, s.ClientID, it.Message.TopicName)
		s.Abandon(id)
		w.forget(it)
		return
	}
	w.count[countResent]++
	w.transmit(c, it.Message, &d, 0)
}
