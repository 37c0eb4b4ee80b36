package sessions

import (
	"sync/atomic"

	"nightjar/packets"
)

// Kind is what an Op does.
type Kind uint8

// The kinds of operation, with the fields of Op that they use.
const (
	PutSession         Kind = iota + 1 // Session, Record: create or change
	DeleteSession                      // Session: with all that belongs to it, but its will
	PutSubscription                    // Session, Subscription
	DeleteSubscription                 // Session, Subscription.TopicFilter
	Publish                            // Stored, Row, Rows; PacketID > 0: held by Session as well; Retain: in the retained store as well
	Done                               // Row leaves the queue
	Sent                               // Row is in flight as PacketID
	Released                           // Row has had its PUBREC
	HoldPacketID                       // Session, PacketID: a QoS 2 PUBLISH has come
	FreePacketID                       // Session, PacketID: its PUBREL has come
	PutWill                            // Will
	DeleteWill                         // ClientID
	PutRetained                        // Stored
	DeleteRetained                     // TopicName
)

// Op is one durable change. The store must not change what it points to, but for the fields
// that say so.
type Op struct {
	Kind         Kind
	Retain       bool
	PacketID     uint16
	Session      uint64
	Row          *Row // Done, Sent, Released
	Rows         []*Row
	Stored       *Stored
	Record       *Record
	Subscription *Subscription
	Will         *Will
	ClientID     string
	TopicName    string
}

// Record is the part of a session that is one row.
type Record struct {
	ClientID       string
	UserName       string // the identity that made the session; "" is anonymous
	ExpiryInterval uint32 // seconds; ExpiryNever
	DisconnectedAt packets.Instant
}

// Stored is a message in the store, once for however many queues hold it.
type Stored struct {
	Message *packets.Message
	// Publisher is the broker's own: whose answer waits for this message.
	Publisher any
	// Left counts what keeps that answer from leaving before the store has committed: each receiver that has not
	// acknowledged, and the broker itself while it still looks for receivers.
	Left atomic.Int32
	ID   int64 // the store's own: 0 until it is written
	Refs int   // the store's own: rows that are written and refer to it
}

// Row is one message in one session's queue. All but Gone and Written are fixed once an Op has
// been handed over.
type Row struct {
	Session         uint64
	Seq             uint64 // place in the queue of the session
	Stored          *Stored
	SubscriptionIDs []uint32
	PacketID        uint16 // 0: not in flight
	QoS             packets.QoS
	Retain          bool
	Released        bool // PUBREC has come: PUBREL is what is sent again
	// Gone says that the client has acknowledged the message. A row that is gone before it was
	// written need not be written at all.
	Gone    atomic.Bool
	Written bool // the store's own
}

// Will is a Will Message that waits, with what is needed to send it after a restart.
type Will struct {
	ClientID       string
	UserName       string
	DelayInterval  uint32          // seconds from the end of the connection
	Due            packets.Instant // 0 while the connection lives
	ExpiryInterval uint32          // seconds from the moment it is published; 0: none
	Message        *packets.Message
	Admin          bool // its publisher administers the broker; not stored
}

// ExpiryNever is the Session Expiry Interval of a session that does not expire
// [v5 MQTT 3.1.2.11.2].
const ExpiryNever = ^uint32(0)
