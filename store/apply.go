package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"

	"nightjar/packets"
	"nightjar/sessions"
)

// apply makes one change in the open transaction.
func (d *database) apply(op *sessions.Op) (err error) {
	session := int64(op.Session)
	switch op.Kind {
	case sessions.PutSession:
		r := op.Record
		_, err = d.exec(putSession, session, r.ClientID, r.UserName, int64(r.ExpiryInterval), int64(r.DisconnectedAt))
		d.lastSession.Store(max(d.lastSession.Load(), op.Session))
	case sessions.DeleteSession:
		err = d.deleteSession(session)
	case sessions.PutSubscription:
		sub := op.Subscription
		_, err = d.exec(putSubscription, session, sub.TopicFilter, int64(sub.ID), encodeOptions(sub.Options))
	case sessions.DeleteSubscription:
		_, err = d.exec(deleteSubscription, session, op.Subscription.TopicFilter)
	case sessions.Publish:
		err = d.publish(op)
	case sessions.Done:
		err = d.done(op.Row)
	case sessions.Sent:
		if op.Row.Written && !op.Row.Gone.Load() {
			_, err = d.exec(sendRow, int64(op.PacketID), int64(op.Row.Session), int64(op.Row.Seq))
		}
	case sessions.Released:
		if op.Row.Written && !op.Row.Gone.Load() {
			_, err = d.exec(releaseRow, int64(op.Row.Session), int64(op.Row.Seq))
		}
	case sessions.HoldPacketID:
		_, err = d.exec(hold, session, int64(op.PacketID))
	case sessions.FreePacketID:
		_, err = d.exec(free, session, int64(op.PacketID))
	case sessions.PutWill:
		err = d.putWill(op.Will)
	case sessions.DeleteWill:
		_, err = d.exec(deleteWill, op.ClientID)
	case sessions.PutRetained:
		err = d.putRetained(op.Stored.Message)
	case sessions.DeleteRetained:
		_, err = d.exec(deleteRetained, op.TopicName)
	default:
		err = fmt.Errorf("operation of unknown kind 0x%02x", uint8(op.Kind))
	}
	return err
}

// publish writes the rows that are not gone yet and, if there are any, their message.
func (d *database) publish(op *sessions.Op) error {
	d.rows = d.rows[:0]
	for _, row := range op.Rows {
		if !row.Gone.Load() {
			d.rows = append(d.rows, row)
		}
	}
	if op.Row != nil && !op.Row.Gone.Load() {
		d.rows = append(d.rows, op.Row)
	}
	if len(d.rows) > 0 {
		if err := d.ensureMessage(op.Stored, len(d.rows)); err != nil {
			return err
		}
	}
	for _, row := range d.rows {
		if err := d.insertRow(row, op.Stored.ID); err != nil {
			return err
		}
	}
	clear(d.rows)
	if op.PacketID > 0 {
		if _, err := d.exec(hold, int64(op.Session), int64(op.PacketID)); err != nil {
			return err
		}
	}
	if op.Retain {
		return d.putRetained(op.Stored.Message)
	}
	return nil
}

// ensureMessage writes a message that so many new rows will refer to, or takes the one that is there. The latter
// happens when a message moves to another queue. It may have been deleted with a session in between.
func (d *database) ensureMessage(st *sessions.Stored, refs int) error {
	if st.ID != 0 && d.shared[st.ID] == nil {
		found, err := d.exec(shareMessage, st.ID)
		if err != nil {
			return err
		}
		if found == 0 {
			st.ID, st.Refs = 0, 0
		}
	}
	if st.ID == 0 {
		d.lastMessage++
		st.ID = d.lastMessage
		args := append([]driver.Value{st.ID, refs > 1}, messageColumns(st.Message)...)
		if _, err := d.exec(insertMessage, args...); err != nil {
			return err
		}
	}
	st.Refs += refs
	if st.Refs > 1 {
		d.shared[st.ID] = st
	}
	return nil
}

func (d *database) insertRow(row *sessions.Row, message int64) error {
	d.ids = d.ids[:0]
	for _, id := range row.SubscriptionIDs {
		d.ids = binary.AppendUvarint(d.ids, uint64(id))
	}
	_, err := d.exec(insertRow, int64(row.Session), int64(row.Seq), message, int64(row.PacketID), int64(row.QoS),
		row.Retain, row.Released, d.ids)
	row.Written = err == nil
	return err
}

// done deletes a row, and its message with the last one. A row that was never written, or that has gone with its
// session, is nothing.
func (d *database) done(row *sessions.Row) error {
	if !row.Written {
		return nil
	}
	row.Written = false
	found, err := d.exec(deleteRow, int64(row.Session), int64(row.Seq))
	if err != nil || found == 0 {
		return err
	}
	return d.release(row.Stored)
}

// release takes one row off a message, and deletes it with the last.
func (d *database) release(st *sessions.Stored) error {
	st.Refs--
	if st.Refs == 1 {
		delete(d.shared, st.ID)
	}
	if st.Refs > 0 {
		return nil
	}
	_, err := d.exec(deleteMessage, st.ID)
	st.ID = 0
	return err
}

// deleteSession deletes a session with its subscriptions, its queue and its held Packet Identifiers.
func (d *database) deleteSession(session int64) error {
	var messages []int64
	err := d.each(context.Background(), func(r *record) error {
		messages = append(messages, r.int())
		return r.err
	}, `SELECT message FROM queue WHERE session=?`, session)
	if err != nil {
		return err
	}
	for _, s := range []statement{deleteSession, deleteSubscriptions, deleteAllHeld, deleteQueue} {
		if _, err := d.exec(s, session); err != nil {
			return err
		}
	}
	for _, id := range messages {
		if st := d.shared[id]; st != nil {
			err = d.release(st)
		} else {
			_, err = d.exec(deleteMessage, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *database) putWill(w *sessions.Will) error {
	args := append([]driver.Value{w.ClientID, w.UserName, int64(w.DelayInterval), int64(w.Due), int64(w.ExpiryInterval)},
		messageColumns(w.Message)...)
	_, err := d.exec(putWill, args...)
	return err
}

// putRetained keeps a message for its topic; one without payload clears the topic
// [v5 MQTT-3.3.1-6], [v3.1.1 MQTT-3.3.1-10].
func (d *database) putRetained(m *packets.Message) (err error) {
	if len(m.Payload) == 0 {
		_, err = d.exec(deleteRetained, m.TopicName)
	} else {
		_, err = d.exec(putRetained, messageColumns(m)...)
	}
	return err
}

// messageColumns are the columns of a message in the order of every statement: topic_name, expiry, qos, retain,
// publisher_id, publisher_user, properties, payload.
func messageColumns(m *packets.Message) []driver.Value {
	return []driver.Value{
		m.TopicName, int64(m.Expiry), int64(m.QoS), m.Retain, m.PublisherID, m.PublisherUser, blob(m.Properties), blob(m.Payload),
	}
}

// blob is NULL when it is empty.
func blob(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

// encodeOptions packs options as in the SUBSCRIBE packet [v5 MQTT 3.8.3.1].
func encodeOptions(o packets.SubscriptionOptions) int64 {
	b := int64(o.QoS) | int64(o.RetainHandling)<<4
	if o.NoLocal {
		b |= 1 << 2
	}
	if o.RetainAsPublished {
		b |= 1 << 3
	}
	return b
}

func decodeOptions(b int64) packets.SubscriptionOptions {
	return packets.SubscriptionOptions{
		QoS: packets.QoS(b & 3), NoLocal: b&(1<<2) != 0, RetainAsPublished: b&(1<<3) != 0, RetainHandling: byte(b >> 4 & 3),
	}
}
