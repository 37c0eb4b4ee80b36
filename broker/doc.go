// Package broker is the protocol core: connections, sessions and their takeover, routing, shared subscriptions, wills,
// retained messages, keep alive, limits, $SYS and shutdown. It does no I/O: package transports hands it bytes and the
// time, it appends bytes to outboxes, and gives package store the changes that must outlive the process.
//
// # The path of a PUBLISH
//
//	client.Receive ─► client.handle ─► client.handlePublish ─► worker.route (who matches, who may receive)
//	     ─► worker.deliver ─► worker.give ─► the receiver's outbox, or its session's queue ─► client.ack
//
// # Answers and the store
//
// An answer to something that must outlive a crash waits in the connection's pending output with the ticket of the store's
// batch; worker.release lets it out, in order, when the batch is safe.
//
// # Faults
//
// A handler returns an error, and client.end is the one place that turns it into CONNACK or DISCONNECT.
package broker
