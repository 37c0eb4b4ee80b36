package broker

import (
	"nightjar/packets"
	"nightjar/sessions"
)

// handleAck acts on PUBACK, PUBREC, PUBREL and PUBCOMP.
func (c *client) handleAck(w *worker, h packets.Header, body []byte) error {
	a := &w.ackPacket
	if err := a.Decode(h, body, c.version, &w.b.decoder); err != nil {
		return err
	}
	if a.Type == packets.PUBREL {
		c.handlePubrel(w, a)
		return nil
	}
	s := c.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != c {
		return nil // the session has been taken over
	}
	ok, known := w.acknowledgeLocked(s, c, a)
	if !ok && known {
		return packets.Errorf(packets.ProtocolError, "v5 MQTT-4.3.3-4", "%v does not fit the state of packet identifier %d", a.Type, a.PacketID)
	}
	if !ok && a.Type == packets.PUBREC && !a.ReasonCode.IsError() {
		// Nothing is in flight under this identifier: the client is told, so that it can end its side. A refusal
		// has ended it already [v5 MQTT-4.3.3-4].
		c.answerPubrec(w, 0, a.PacketID, packets.PacketIdentifierNotFound)
	}
	if !ok {
		w.count[countUnknownAcks]++
		return nil
	}
	w.pumpLocked(s, c)
	return nil
}

// acknowledgeLocked moves a message in flight on. s is locked.
func (w *worker) acknowledgeLocked(s *session, c *client, a *packets.Ack) (ok, known bool) {
	var it sessions.Item
	switch a.Type {
	case packets.PUBACK:
		it, ok, known = s.Puback(a.PacketID)
		if ok {
			w.forget(it)
		}
	case packets.PUBREC:
		refused := a.ReasonCode.IsError()
		if it, ok, known = s.Pubrec(a.PacketID, refused); !ok {
			break
		}
		if refused { // [v5 MQTT-4.3.3-9]
			w.forget(it)
			break
		}
		var ticket uint64
		if it.Row != nil {
			ticket = w.commit(sessions.Op{Kind: sessions.Released, Row: it.Row})
		}
		c.answerPubrec(w, ticket, a.PacketID, packets.Success)
	case packets.PUBCOMP:
		it, ok, known = s.Pubcomp(a.PacketID)
		if ok {
			w.forget(it)
		}
	}
	return ok, known
}

// answerPubrec sends PUBREL [v5 MQTT-4.3.3-4].
func (c *client) answerPubrec(w *worker, ticket uint64, id uint16, code packets.ReasonCode) {
	c.ack(w, ticket, 0, answer{packets.PUBREL, id, code, ""})
}

// handlePubrel ends a QoS 2 message from the client [v5 MQTT-4.3.3-11]. The identifier is free for a new
// message once PUBCOMP leaves, and so only when that is stored.
func (c *client) handlePubrel(w *worker, a *packets.Ack) {
	s := c.session
	s.mu.Lock()
	held := s.owner == c && s.Free(a.PacketID)
	var ticket uint64
	if held && s.ID != 0 {
		ticket = w.commit(sessions.Op{Kind: sessions.FreePacketID, Session: s.ID, PacketID: a.PacketID})
	}
	s.mu.Unlock()
	code, credit := packets.Success, int32(1)
	if !held {
		code, credit = packets.PacketIdentifierNotFound, 0
		w.count[countUnknownAcks]++
	}
	c.ack(w, ticket, credit, answer{packets.PUBCOMP, a.PacketID, code, ""})
}
