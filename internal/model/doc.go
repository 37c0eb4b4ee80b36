// Package model is a slow, obvious MQTT broker: maps and lists, one step at a time, written from the text of the standard.
// Its test has random clients talk to the real broker and to this one, and compares all that comes back.
//
// Where the standard leaves a choice, the model says what Nightjar documents: one copy for overlapping subscriptions, QoS 2
// messages delivered with PUBLISH, ready members of a shared subscription first. What remains free (the Packet
// Identifiers, the order of retained messages, which ready member) it learns from what the broker did.
package model
