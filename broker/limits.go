package broker

import (
	"errors"
	"fmt"
	"time"

	"nightjar/packets"
	"nightjar/sessions"
	"nightjar/topics"
)

// Limits bounds everything that a peer controls. No limit is ever switched off by 0.
type Limits struct {
	// Connections is the number of open connections. Over it: CONNACK 0x89 (3.1.1: 3).
	Connections int
	// ConnectionsPerAddress is the same for one source address; loopback is exempt.
	ConnectionsPerAddress int
	// ConnectRate and ConnectBurst bound new connections in a second, and at once; loopback is exempt. Over them:
	// CONNACK 0x9F (3.1.1: 3).
	ConnectRate  int
	ConnectBurst int
	// ConnectTimeout is the time from accept to a whole CONNECT, and to the end of an authentication by AUTH; handshakes
	// count. Over it: close, after CONNACK 0x87 where there was a CONNECT. A re-authentication has as long: DISCONNECT 0x87.
	ConnectTimeout time.Duration
	// ConnectBytes is the size of a CONNECT packet, and of AUTH before CONNACK. Over it: close.
	ConnectBytes int
	// PacketBytes is the Maximum Packet Size of any other packet, announced in CONNACK. Over it: DISCONNECT 0x95.
	PacketBytes int
	// KeepAliveMax is the longest Keep Alive; a longer one, or none, is replaced by Server Keep Alive
	// for v5 clients. Older clients cannot be told, and keep theirs.
	KeepAliveMax time.Duration
	// ClientIDBytes is the size of a Client Identifier. Over it: CONNACK 0x85 (3.1.1: 2).
	ClientIDBytes int
	// UserNameBytes is the size of a user name. Over it: CONNACK 0x86 (3.1.1: 4).
	UserNameBytes int
	// StringBytes is the size of any other UTF-8 string but topics. Over it: 0x81.
	StringBytes int
	// TopicBytes and TopicLevels bound Topic Names (0x90) and Topic Filters (SUBACK 0x8F).
	TopicBytes  int
	TopicLevels int
	// Filters is the number of Topic Filters in one SUBSCRIBE or UNSUBSCRIBE. Over it: 0x97.
	Filters int
	// Subscriptions is the number of subscriptions of a session. Over it: SUBACK 0x97.
	Subscriptions int
	// ReceiveMaximum is the number of unacknowledged QoS 1 and 2 messages from a client, 1 to 65,535,
	// announced in CONNACK. Over it: DISCONNECT 0x93 [v5 MQTT-3.3.4-7]; older clients are not read meanwhile.
	ReceiveMaximum int
	// InFlight is the number of unacknowledged QoS 1 and 2 messages to a client, which may ask for less.
	InFlight int
	// QueueMessages and QueueBytes bound what waits in one session.
	QueueMessages int
	QueueBytes    int
	// QueueDropOldest drops the oldest waiting message of a full queue in place of the new one.
	QueueDropOldest bool
	// OutboxBytes is what may wait for one slow connection. Over it QoS 0 is dropped and QoS 1 and 2 stay in the session.
	OutboxBytes int
	// SlowTimeout is how long an outbox may stay over its limit. Over it: DISCONNECT 0x97.
	SlowTimeout time.Duration
	// PublishRate is the number of messages that a client may publish in a second. Over it the client is not read
	// for a while; over it for a minute: DISCONNECT 0x96. PublishRateOff: no limit.
	PublishRate int
	// TopicAliases is the Topic Alias Maximum, in both directions, 0 to 65,535. Over it: 0x94.
	TopicAliases int
	// UserProperties and UserPropertyBytes bound one packet. Over them: 0x97.
	UserProperties    int
	UserPropertyBytes int
	// Sessions is the number of sessions kept. Over it: CONNACK 0x97 (3.1.1: 3).
	Sessions int
	// SessionsPerUser is the same for one user name; anonymous clients are exempt. Over it: CONNACK 0x97 (3.1.1: 3).
	SessionsPerUser int
	// SessionExpiryMax is the longest Session Expiry Interval, which a v5 client is told; it is that of every
	// 3.1.1 session without Clean Session.
	SessionExpiryMax time.Duration
	// RetainedMessages and RetainedBytes bound the retained messages of the broker. Over them: not retained, 0x97.
	RetainedMessages int
	RetainedBytes    int64
	// RetainedPerUser is the number of retained messages of one user name; anonymous clients are exempt. Over it: not
	// retained, 0x97.
	RetainedPerUser int
}

// PublishRateOff is the PublishRate that limits nobody.
const PublishRateOff = 1_000_000_000

// DefaultLimits are the limits without configuration.
func DefaultLimits() Limits {
	return Limits{
		Connections: 100_000, ConnectionsPerAddress: 1_000,
		ConnectRate: 500, ConnectBurst: 5_000,
		ConnectTimeout: 10 * time.Second, ConnectBytes: 64 << 10, PacketBytes: 1 << 20,
		KeepAliveMax: 18 * time.Hour, ClientIDBytes: 256, UserNameBytes: 256, StringBytes: 4 << 10,
		TopicBytes: 4096, TopicLevels: 64, Filters: 1_000, Subscriptions: 1_000,
		ReceiveMaximum: 100, InFlight: 100, QueueMessages: 10_000, QueueBytes: 32 << 20,
		OutboxBytes: 1 << 20, SlowTimeout: 30 * time.Second, TopicAliases: 16,
		PublishRate: PublishRateOff, UserProperties: 64, UserPropertyBytes: 16 << 10,
		Sessions: 1_000_000, SessionsPerUser: 10_000, SessionExpiryMax: 7 * 24 * time.Hour,
		RetainedMessages: 1_000_000, RetainedBytes: 1 << 30, RetainedPerUser: 100_000,
	}
}

// Validate reports every limit that is out of its range.
func (l *Limits) Validate() error {
	var errs []error
	within := func(name string, v, least, most int64) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d", name, v, least, most))
		}
	}
	const big = 1 << 40
	within("connections", int64(l.Connections), 1, big)
	within("connections_per_address", int64(l.ConnectionsPerAddress), 1, big)
	within("connect_rate", int64(l.ConnectRate), 1, big)
	within("connect_burst", int64(l.ConnectBurst), 1, big)
	within("connect_timeout (ms)", l.ConnectTimeout.Milliseconds(), 100, 3_600_000)
	within("connect_bytes", int64(l.ConnectBytes), 64, 268_435_455)
	within("packet_bytes", int64(l.PacketBytes), 64, 268_435_455)
	within("keep_alive_max (s)", int64(l.KeepAliveMax/time.Second), 1, 65_535)
	within("client_id_bytes", int64(l.ClientIDBytes), 23, 65_535)
	within("user_name_bytes", int64(l.UserNameBytes), 1, 65_535)
	within("string_bytes", int64(l.StringBytes), 16, 65_535)
	within("topic_bytes", int64(l.TopicBytes), 1, 65_535)
	within("topic_levels", int64(l.TopicLevels), 1, 65_535)
	within("filters", int64(l.Filters), 1, 65_535)
	within("subscriptions", int64(l.Subscriptions), 1, big)
	within("receive_maximum", int64(l.ReceiveMaximum), 1, 65_535)
	within("in_flight", int64(l.InFlight), 1, 65_535)
	within("queue_messages", int64(l.QueueMessages), 1, big)
	within("queue_bytes", int64(l.QueueBytes), 1, big)
	within("outbox_bytes", int64(l.OutboxBytes), 4096, 1<<31-1)
	within("slow_timeout (ms)", l.SlowTimeout.Milliseconds(), 1000, 86_400_000)
	within("publish_rate", int64(l.PublishRate), 1, PublishRateOff)
	within("topic_aliases", int64(l.TopicAliases), 0, 65_535)
	within("user_properties", int64(l.UserProperties), 0, 100_000)
	within("user_property_bytes", int64(l.UserPropertyBytes), 0, 268_435_455)
	within("sessions", int64(l.Sessions), 1, big)
	within("sessions_per_user", int64(l.SessionsPerUser), 1, big)
	within("session_expiry_max (s)", int64(l.SessionExpiryMax/time.Second), 0, int64(sessions.ExpiryNever))
	within("retained_messages", int64(l.RetainedMessages), 1, big)
	within("retained_bytes", l.RetainedBytes, 1, big)
	within("retained_per_user", int64(l.RetainedPerUser), 1, big)
	return errors.Join(errs...)
}

func (l *Limits) decoder() packets.Limits {
	return packets.Limits{
		UserProperties: l.UserProperties, UserPropertyBytes: l.UserPropertyBytes,
		StringBytes: l.StringBytes, Filters: l.Filters,
	}
}

func (l *Limits) topics() topics.Limits {
	return topics.Limits{Bytes: l.TopicBytes, Levels: l.TopicLevels}
}

func (l *Limits) queue() sessions.Limits {
	return sessions.Limits{Messages: l.QueueMessages, Bytes: l.QueueBytes}
}

// sessionExpiry is the Session Expiry Interval that a client gets which asks for so many seconds.
func (l *Limits) sessionExpiry(seconds uint32) uint32 {
	return min(seconds, uint32(min(int64(l.SessionExpiryMax/time.Second), int64(sessions.ExpiryNever))))
}
