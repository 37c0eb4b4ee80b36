package store

import (
	"context"
	"encoding/binary"
	"fmt"

	"nightjar/packets"
	"nightjar/sessions"
)

// Loader receives what is stored, a session before all that belongs to it. An error ends the loading.
type Loader interface {
	// Session brings a session with its id.
	Session(id uint64, r sessions.Record) error
	// Subscription brings one subscription of a session.
	Subscription(session uint64, s sessions.Subscription) error
	// Row brings one row of a queue, in the order of Session and Seq. Rows of one message share its Stored.
	// Stored.Refs is complete when all rows have come.
	Row(r *sessions.Row) error
	// Held brings the Packet Identifier of a QoS 2 message from the client whose PUBREL has not come.
	Held(session uint64, packetID uint16) error
	// Will brings a Will Message that has not been published.
	Will(w sessions.Will) error
	// Retained brings a retained message, expired or not.
	Retained(m *packets.Message) error
}

const messageColumnNames = `m.topic_name, m.expiry, m.qos, m.retain, m.publisher_id, m.publisher_user, m.properties, m.payload`

// load streams everything to l.
func (d *database) load(l Loader) error {
	for _, step := range []struct {
		query string
		row   func(*record) error
	}{
		{`SELECT id, client_id, user_name, expiry_interval, disconnected_at FROM session`, func(r *record) error {
			id, rec := uint64(r.int()), sessions.Record{ClientID: r.string(), UserName: r.string()}
			rec.ExpiryInterval, rec.DisconnectedAt = uint32(r.int()), packets.Instant(r.int())
			return first(r.err, func() error { return l.Session(id, rec) })
		}},
		{`SELECT session, topic_filter, id, options FROM subscription`, func(r *record) error {
			session, sub := uint64(r.int()), sessions.Subscription{TopicFilter: r.string(), ID: uint32(r.int())}
			sub.Options = decodeOptions(r.int())
			return first(r.err, func() error { return l.Subscription(session, sub) })
		}},
		{`SELECT session, packet_id FROM held`, func(r *record) error {
			session, id := uint64(r.int()), uint16(r.int())
			return first(r.err, func() error { return l.Held(session, id) })
		}},
		// Of shared messages one copy is in d.shared: the join leaves them out.
		{`SELECT id, ` + messageColumnNames + ` FROM message m WHERE shared = 1`, func(r *record) error {
			st := &sessions.Stored{ID: r.int(), Message: r.message()}
			d.shared[st.ID] = st
			return r.err
		}},
		{`SELECT q.session, q.seq, q.packet_id, q.qos, q.retain, q.released, q.subscription_ids, q.message, ` +
			messageColumnNames + ` FROM queue q LEFT JOIN message m ON m.id = q.message AND m.shared = 0
			ORDER BY q.session, q.seq`, func(r *record) error {
			row, err := d.loadRow(r)
			return first(err, func() error { return l.Row(row) })
		}},
		{`SELECT client_id, user_name, delay_interval, due, expiry_interval, ` + messageColumnNames + ` FROM will m`, func(r *record) error {
			w := sessions.Will{ClientID: r.string(), UserName: r.string(), DelayInterval: uint32(r.int())}
			w.Due, w.ExpiryInterval, w.Message = packets.Instant(r.int()), uint32(r.int()), r.message()
			return first(r.err, func() error { return l.Will(w) })
		}},
		{`SELECT ` + messageColumnNames + ` FROM retained m`, func(r *record) error {
			m := r.message()
			return first(r.err, func() error { return l.Retained(m) })
		}},
	} {
		if err := d.each(context.Background(), step.row, step.query); err != nil {
			return fmt.Errorf("load: %w", damaged(err))
		}
	}
	for id, st := range d.shared {
		if st.Refs < 2 {
			delete(d.shared, id)
		}
		if st.Refs == 0 { // its rows were swept
			if _, err := d.exec(deleteMessage, id); err != nil {
				return fmt.Errorf("load: %w", err)
			}
		}
	}
	_, err := d.commit(nil)
	return err
}

// first returns err, or else what then returns.
func first(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}

// loadRow reads a row of the queue with its message.
func (d *database) loadRow(r *record) (*sessions.Row, error) {
	row := &sessions.Row{
		Session: uint64(r.int()), Seq: uint64(r.int()), PacketID: uint16(r.int()), QoS: packets.QoS(r.int()),
		Retain: r.bool(), Released: r.bool(), Written: true,
	}
	for ids := r.blob(); len(ids) > 0; {
		id, n := binary.Uvarint(ids)
		if n <= 0 {
			return nil, fmt.Errorf("%w: subscription_ids of row %d of session %d", ErrDamaged, row.Seq, row.Session)
		}
		row.SubscriptionIDs = append(row.SubscriptionIDs, uint32(id))
		ids = ids[n:]
	}
	message := r.int()
	if row.Stored = d.shared[message]; row.Stored == nil {
		if r.values[r.at] == nil {
			return nil, fmt.Errorf("%w: message %d of row %d of session %d is missing", ErrDamaged, message, row.Seq, row.Session)
		}
		row.Stored = &sessions.Stored{ID: message, Message: r.message()}
	}
	row.Stored.Refs++
	return row, r.err
}

// message reads the columns of messageColumnNames.
func (r *record) message() *packets.Message {
	return &packets.Message{
		TopicName: r.string(), Expiry: packets.Instant(r.int()), QoS: packets.QoS(r.int()), Retain: r.bool(),
		PublisherID: r.string(), PublisherUser: r.string(), Properties: r.blob(), Payload: r.blob(),
	}
}
