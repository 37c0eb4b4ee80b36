package broker

import (
	"strings"
	"unicode/utf8"

	"nightjar/auth"
	"nightjar/packets"
	"nightjar/sessions"
)

// handlePublish takes a message over from the client and routes it.
func (c *client) handlePublish(w *worker, h packets.Header, body []byte) error {
	in := &w.publish
	if err := in.Decode(h, body, c.version, &w.b.decoder); err != nil {
		return err
	}
	if len(in.SubscriptionIdentifiers) > 0 {
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-3.3.4-6", "subscription identifier in a PUBLISH from a client")
	}
	topic := in.TopicName
	if in.TopicAlias > 0 {
		var err error
		if topic, err = c.resolve(w, in); err != nil {
			return err
		}
	}
	if in.QoS > 0 {
		if err := c.takeCredit(w, in); err != nil {
			return err
		}
	}
	r, err := w.route(topic)
	if err != nil {
		return c.badTopic(w, in, err)
	}
	w.count[countMessagesReceived]++
	if w.b.publishLimited {
		if err := c.meter(w); err != nil {
			return err
		}
	}
	if code, reason := c.mayPublish(w, r, in); code != packets.Success {
		return c.deny(w, in, code, reason)
	}
	if in.QoS == 2 {
		return c.publish2(w, r, in)
	}
	code, ticket := c.route(w, r, in)
	if in.QoS == 1 {
		c.ackTaken(w, ticket, code)
	}
	return nil
}

// takeCredit counts a QoS 1 or 2 message that has no answer yet [v5 MQTT-3.3.4-7].
func (c *client) takeCredit(w *worker, in *packets.Publish) error {
	n := int(c.unacked.Add(1))
	most, patient := w.b.cfg.Limits.ReceiveMaximum, c.version < packets.V5 || w.b.cfg.OverrunWarns
	if n > most && c.version >= packets.V5 && !c.holds(in) {
		if !patient {
			return packets.Errorf(packets.ReceiveMaximumExceeded, "v5 MQTT-3.3.4-7", "more than %d messages without an acknowledgement", most)
		}
		c.warnOverrun(w)
	}
	if n >= most && patient && !c.overrun && c.storeLags(w) {
		c.overrun = true
		c.conn.Pause()
	}
	return nil
}

// warnOverrun logs once for a connection that it exceeds Receive Maximum.
func (c *client) warnOverrun(w *worker) {
	if r := c.more(); !r.overran {
		r.overran = true
		w.b.log.overran(c, w.b.cfg.Limits.ReceiveMaximum)
	}
}

// storeLags tells whether answers wait for the store, so that a pause will end by itself.
func (c *client) storeLags(w *worker) bool {
	c.wantsSafe.Store(true) // before looking: what is released from now on is told
	out, ok := c.conn.Begin(w.turn)
	if !ok {
		return false
	}
	defer c.conn.End(w.turn, out)
	return c.pending != nil
}

// badTopic refuses a Topic Name: by the acknowledgement where the fault is one of size, by the end
// of the connection otherwise.
func (c *client) badTopic(w *worker, in *packets.Publish, err error) error {
	if c.version >= packets.V5 && in.QoS > 0 && len(in.TopicName) > 0 && acceptableName(in.TopicName) {
		w.refuse(c, in, dropTopicName)
		return c.deny(w, in, packets.TopicNameInvalid, reasonOf(err))
	}
	return err
}

// acceptableName tells whether a Topic Name breaks no rule of the standard, though one of the broker's.
func acceptableName(name []byte) bool {
	for _, b := range name {
		if b == '+' || b == '#' {
			return false
		}
	}
	return true
}

// mayPublish tells with which Reason Code a message is refused, if it is.
func (c *client) mayPublish(w *worker, r *route, in *packets.Publish) (packets.ReasonCode, string) {
	if c.allowed != r {
		if !w.authorize(c.session, auth.ActionPublish, r.topic) {
			w.count[countDrops+counter(dropNotAuthorized)]++ // one line says it all
			w.denied(c.session.identity(), auth.ActionPublish, r.topic)
			return packets.NotAuthorized, "not authorized to publish to this topic"
		}
		c.allowed = r
	}
	if in.PayloadFormatIndicator == 1 && w.b.cfg.CheckPayloadFormat && !utf8.Valid(in.Payload) {
		w.refuse(c, in, dropPayloadFormat)
		return packets.PayloadFormatInvalid, "payload is not the utf-8 that payload format indicator 1 promises"
	}
	return packets.Success, ""
}

// deny answers a message that is not accepted.
func (c *client) deny(w *worker, in *packets.Publish, code packets.ReasonCode, reason string) error {
	if c.version < packets.V5 {
		if w.b.cfg.DeniedPublishCloses {
			return packets.Errorf(code, "", "%s", reason)
		}
		code = packets.Success // [v3.1.1 MQTT-3.3.5-2]: acknowledged and dropped, or closed
	}
	a := answer{packets.PUBACK, in.PacketID, code, reason}
	switch in.QoS {
	case 1:
		c.ack(w, 0, 1, a)
	case 2:
		a.kind = packets.PUBREC
		credit, ticket := int32(1), uint64(0)
		if code == packets.Success {
			isNew, t, err := c.hold(w, in.PacketID)
			if err != nil {
				return err
			}
			if ticket = t; isNew {
				credit = 0
			}
		}
		c.ack(w, ticket, credit, a)
	case 0:
		if code == packets.PayloadFormatInvalid {
			return packets.Errorf(code, "", "%s", reason)
		}
	}
	return nil
}

// holds tells whether a message is the repeat of a QoS 2 message, which is counted already.
func (c *client) holds(in *packets.Publish) bool {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	return in.QoS == 2 && s.Holds(in.PacketID)
}

// hold remembers the Packet Identifier of a QoS 2 message, and reports whether it is new. A connection that has been taken
// over holds nothing: on the new one the client may have sent this message again, and the identifier may be free by now.
func (c *client) hold(w *worker, id uint16) (isNew bool, ticket uint64, err error) {
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != c {
		return false, 0, errTakenOver
	}
	isNew = s.Hold(id)
	if isNew && s.ID != 0 {
		ticket = w.commit(sessions.Op{Kind: sessions.HoldPacketID, Session: s.ID, PacketID: id})
	}
	return isNew, ticket, nil
}

// publish2 takes over a QoS 2 message, once: the message is routed with its first PUBLISH, and its Packet
// Identifier is held until PUBREL, so that a repeat is no second message [v5 MQTT-4.3.3-10].
func (c *client) publish2(w *worker, r *route, in *packets.Publish) error {
	isNew, ticket, err := c.hold(w, in.PacketID)
	if err != nil {
		return err
	}
	code, credit := packets.Success, int32(0)
	if !isNew {
		credit = 1 // it is counted already
	} else {
		var routed uint64
		code, routed = c.route(w, r, in)
		ticket = max(ticket, routed)
	}
	if code == packets.NoMatchingSubscribers {
		code = packets.Success
	}
	if code.IsError() {
		c.session.mu.Lock()
		if c.session.owner == c && c.session.Free(in.PacketID) && c.session.ID != 0 {
			ticket = w.commit(sessions.Op{Kind: sessions.FreePacketID, Session: c.session.ID, PacketID: in.PacketID})
		}
		c.session.mu.Unlock()
		credit = 1
	}
	c.ack(w, ticket, credit, answer{packets.PUBREC, in.PacketID, code, ""})
	return nil
}

// route gives the message to its receivers and to the retained messages. The answer waits for ticket.
func (c *client) route(w *worker, r *route, in *packets.Publish) (code packets.ReasonCode, ticket uint64) {
	p := &w.pub
	p.fill(r.topic, c, in)
	full := false
	if in.Retain {
		full = !w.retain()
		w.freshen(r)
	}
	w.deliver(r)
	switch {
	case full && in.QoS > 0:
		return packets.QuotaExceeded, p.ticket
	case p.reached == 0 && in.QoS > 0: // also where it is retained, as Mosquitto has it
		return packets.NoMatchingSubscribers, p.ticket
	}
	return packets.Success, p.ticket
}

// publishMessage publishes a message of the broker's own, or a will.
func (w *worker) publishMessage(m *packets.Message) {
	r, err := w.route([]byte(m.TopicName))
	if err != nil {
		return // its name was checked when it was made
	}
	p := &w.pub
	p.reset()
	p.view, p.whole = *m, m
	p.expirySeconds, p.hasExpiry = remaining(m, w.now)
	if m.Retain {
		w.retain()
		w.freshen(r)
	}
	w.deliver(r)
}

// retain keeps the worker's publication, or clears what is kept when it is empty
// [v5 MQTT-3.3.1-5] [v5 MQTT-3.3.1-6], and reports false when there is no room.
func (w *worker) retain() bool {
	p, store := &w.pub, w.b.retainedOf(w.pub.view.TopicName)
	// The order of the changes to a topic is the same here and in the store's batch.
	w.b.retaining.Lock()
	defer w.b.retaining.Unlock()
	old := store.Get(p.view.TopicName)
	if len(p.view.Payload) == 0 {
		if old != nil && store.Clear(p.view.TopicName) {
			w.b.users.moveRetained(old, nil)
			w.keep(sessions.Op{Kind: sessions.DeleteRetained, TopicName: p.view.TopicName})
		}
		return true
	}
	m := p.message()
	mine := old != nil && old.PublisherUser == m.PublisherUser
	if !mine && !w.b.users.mayRetain(m.PublisherUser, w.b.cfg.Limits.RetainedPerUser) || store.Set(m) != nil {
		w.drop(dropRetainedFull, p.view.PublisherID, p.view.TopicName)
		return false
	}
	w.b.users.moveRetained(old, m)
	w.keep(sessions.Op{Kind: sessions.PutRetained, Stored: p.store()})
	return true
}

// ackTaken answers the QoS 1 message at hand. Where all that the answer waits for is receivers, it leaves as soon as each
// has acknowledged the message or the store has it, whichever comes first.
func (c *client) ackTaken(w *worker, ticket uint64, code packets.ReasonCode) {
	p, id := &w.pub, w.publish.PacketID
	if p.stored == nil || p.view.Retain || code != packets.Success {
		c.ack(w, ticket, 1, answer{packets.PUBACK, id, code, ""})
		return
	}
	var short [4]byte
	p.stored.Publisher = c
	c.replyTaken(w, ticket, p.stored, 1, packets.AppendAck(short[:0], packets.PUBACK, id))
	w.takenBy(p.stored)
}

// keep stores a change to the retained messages. The publisher waits for it where it gets an answer.
func (w *worker) keep(op sessions.Op) {
	if strings.HasPrefix(w.pub.view.TopicName, "$SYS/") {
		return // made anew after a restart
	}
	if w.pub.view.QoS == 0 {
		w.put(op)
		return
	}
	w.pub.ticket = w.commit(op)
}
