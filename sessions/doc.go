// Package sessions holds the Session State of a client: subscriptions, the queue of what waits,
// what is in flight, Packet Identifiers, and expiry. It is pure: the caller brings the time and the
// messages, and is told what to send and what to store. It does no I/O, reads no clock and takes no lock.
//
// # Out: messages to the client
//
//	Add ─► queue ─Next─► in flight                                 QoS 1: ─Puback─► done
//	                     (Packet Identifier given)                 QoS 2: ─Pubrec─► released ─Pubcomp─► done
//
// Packet Identifiers are given in order, so that a slot of the ring is found by arithmetic and
// the order of the ring is the order of sending. On reconnection [Session.Resend] walks it.
//
// # In: QoS 2 messages from the client
//
//	PUBLISH ─Receive─► held ─Release─► free      (a repeat of a held identifier is no new message)
//
// # Durable state
//
// A session outlives its connection when its Session Expiry Interval is above 0; then every change has
// an [Op] that the store takes. Ops of one session must be handed over in the order in which they were made.
package sessions
