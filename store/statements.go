package store

import (
	"database/sql/driver"
	"fmt"
)

// statement is one of the prepared statements.
type statement uint8

const (
	begin statement = iota
	commit
	rollback
	putSession
	deleteSession
	deleteSubscriptions
	deleteQueue
	deleteAllHeld
	putSubscription
	deleteSubscription
	insertMessage
	shareMessage
	deleteMessage
	insertRow
	deleteRow
	sendRow
	releaseRow
	hold
	free
	putWill
	deleteWill
	putRetained
	deleteRetained
	statementCount
)

// statementTexts are the texts; nothing that comes from a peer is ever part of one.
var statementTexts = [statementCount]string{
	begin:    `BEGIN IMMEDIATE`,
	commit:   `COMMIT`,
	rollback: `ROLLBACK`,
	putSession: `INSERT INTO session (id, client_id, user_name, expiry_interval, disconnected_at) VALUES (?,?,?,?,?)
		ON CONFLICT (id) DO UPDATE SET client_id=excluded.client_id, user_name=excluded.user_name,
		expiry_interval=excluded.expiry_interval, disconnected_at=excluded.disconnected_at`,
	deleteSession:       `DELETE FROM session WHERE id=?`,
	deleteSubscriptions: `DELETE FROM subscription WHERE session=?`,
	deleteQueue:         `DELETE FROM queue WHERE session=?`,
	deleteAllHeld:       `DELETE FROM held WHERE session=?`,
	putSubscription:     `INSERT OR REPLACE INTO subscription (session, topic_filter, id, options) VALUES (?,?,?,?)`,
	deleteSubscription:  `DELETE FROM subscription WHERE session=? AND topic_filter=?`,
	insertMessage: `INSERT INTO message (id, shared, topic_name, expiry, qos, retain, publisher_id, publisher_user,
		properties, payload) VALUES (?,?,?,?,?,?,?,?,?,?)`,
	shareMessage:  `UPDATE message SET shared=1 WHERE id=?`,
	deleteMessage: `DELETE FROM message WHERE id=?`,
	insertRow: `INSERT INTO queue (session, seq, message, packet_id, qos, retain, released, subscription_ids)
		VALUES (?,?,?,?,?,?,?,?)`,
	deleteRow:  `DELETE FROM queue WHERE session=? AND seq=?`,
	sendRow:    `UPDATE queue SET packet_id=? WHERE session=? AND seq=?`,
	releaseRow: `UPDATE queue SET released=1 WHERE session=? AND seq=?`,
	hold:       `INSERT OR IGNORE INTO held (session, packet_id) VALUES (?,?)`,
	free:       `DELETE FROM held WHERE session=? AND packet_id=?`,
	putWill: `INSERT OR REPLACE INTO will (client_id, user_name, delay_interval, due, expiry_interval,
		topic_name, expiry, qos, retain, publisher_id, publisher_user, properties, payload)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)`,
	deleteWill: `DELETE FROM will WHERE client_id=?`,
	putRetained: `INSERT OR REPLACE INTO retained (topic_name, expiry, qos, retain, publisher_id, publisher_user,
		properties, payload) VALUES (?,?,?,?,?,?,?,?)`,
	deleteRetained: `DELETE FROM retained WHERE topic_name=?`,
}

// String returns the text, for errors.
func (s statement) String() string {
	if s < statementCount {
		return statementTexts[s]
	}
	return fmt.Sprintf("statement 0x%02x", uint8(s))
}

// prepare prepares all statements.
func (d *database) prepare() error {
	for s, text := range statementTexts {
		stmt, err := d.conn.Prepare(text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", text, err)
		}
		d.statements[s] = stmt.(driver.StmtExecContext)
	}
	return nil
}
