package broker

import (
	"sync/atomic"

	"nightjar/packets"
)

// counter is one of the broker's counters.
type counter int

// The counters. Those of drops follow in the order of dropReason.
const (
	countConnectionsOpened counter = iota
	countConnectionsClosed
	countRefusedConnections
	countDisconnects
	countTakeovers
	countBytesReceived
	countBytesSent
	countPacketsReceived
	countMessagesReceived
	countMessagesSent
	countMessagesQueued
	countResent
	countPings
	countUnknownAcks
	countRefusedSubscriptions
	countWills
	countThrottled
	countSessionsExpired
	countRetainedExpired
	countDrops  // and up
	countersMax = countDrops + counter(dropReasons)
)

// dropReason is why a message did not reach somebody.
type dropReason int

const (
	dropNotAuthorized dropReason = iota
	dropQueueFull
	dropSlow
	dropTooLarge
	dropExpired
	dropRetainedFull
	dropNoShareMember
	dropTopicName
	dropPayloadFormat
	dropReasons
)

var dropNames = [dropReasons]string{
	dropNotAuthorized: "not_authorized",
	dropQueueFull:     "queue_full",
	dropSlow:          "slow_consumer",
	dropTooLarge:      "packet_too_large",
	dropExpired:       "expired",
	dropRetainedFull:  "retained_full",
	dropNoShareMember: "no_share_member",
	dropTopicName:     "topic_name_invalid",
	dropPayloadFormat: "payload_format_invalid",
}

func (r dropReason) String() string { return dropNames[r] }

// tally is the counts of one turn.
type tally [countersMax]uint64

// counters is the broker's counts.
type counters [countersMax]atomic.Uint64

// add takes the counts of a turn over.
func (c *counters) add(t *tally) {
	for i, n := range t {
		if n > 0 {
			c[i].Add(n)
			t[i] = 0
		}
	}
}

// drop counts and logs a message that does not reach somebody.
func (w *worker) drop(reason dropReason, clientID, topic string) {
	w.count[countDrops+counter(reason)]++
	w.b.log.dropped(reason, clientID, topic)
}

// refuse counts and logs a message that is not taken over, and whose acknowledgement says why. Where the connection
// ends instead, that is counted and logged.
func (w *worker) refuse(c *client, in *packets.Publish, reason dropReason) {
	if in.QoS > 0 {
		w.drop(reason, c.session.ClientID, string(in.TopicName[:min(len(in.TopicName), loggedTopicMax)]))
	}
}

// Stats are the broker's numbers: what is now, and what has been since the start.
type Stats struct {
	Connections, Sessions, Subscriptions int
	RetainedMessages                     int
	RetainedBytes                        int64

	ConnectionsOpened, ConnectionsClosed, ConnectionsRefused    uint64
	HandshakesRefused, Disconnects, Takeovers                   uint64
	BytesReceived, BytesSent, PacketsReceived                   uint64
	MessagesReceived, MessagesSent, MessagesQueued              uint64
	MessagesResent, Pings, UnknownAcks, SubscriptionsRefused    uint64
	Throttled, WillsPublished, SessionsExpired, RetainedExpired uint64
	Dropped                                                     map[string]uint64 // by reason
	LogLinesLeftOut                                             uint64
	Durability, Version                                         string
	UptimeSeconds                                               float64
}

// Stats returns the broker's numbers. It may be called from any goroutine.
func (b *Broker) Stats() Stats {
	n := func(c counter) uint64 { return b.counters[c].Load() }
	s := Stats{
		Connections:      max(int(n(countConnectionsOpened))-int(n(countConnectionsClosed)), 0),
		Sessions:         int(b.registry.count.Load()),
		Subscriptions:    b.tree.Len(),
		RetainedMessages: b.retained.Len(), RetainedBytes: b.retained.Bytes(),
		ConnectionsOpened: n(countConnectionsOpened), ConnectionsClosed: n(countConnectionsClosed),
		ConnectionsRefused: n(countRefusedConnections), Disconnects: n(countDisconnects), Takeovers: n(countTakeovers),
		BytesReceived: n(countBytesReceived), BytesSent: n(countBytesSent), PacketsReceived: n(countPacketsReceived),
		MessagesReceived: n(countMessagesReceived), MessagesSent: n(countMessagesSent), MessagesQueued: n(countMessagesQueued),
		MessagesResent: n(countResent), Pings: n(countPings), UnknownAcks: n(countUnknownAcks),
		SubscriptionsRefused: n(countRefusedSubscriptions), WillsPublished: n(countWills), Throttled: n(countThrottled),
		SessionsExpired: n(countSessionsExpired), RetainedExpired: n(countRetainedExpired),
		Dropped:         map[string]uint64{},
		LogLinesLeftOut: b.log.leftOut.Load(),
		Durability:      b.cfg.Durability, Version: b.cfg.Version, UptimeSeconds: b.uptime().Seconds(),
	}
	for r := range dropReasons {
		s.Dropped[r.String()] = n(countDrops + counter(r))
	}
	if b.server != nil {
		s.HandshakesRefused = b.server.Refused()
	}
	return s
}
