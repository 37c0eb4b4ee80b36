// Package faultlab runs the broker as a process of its own, breaks it under load, and finds out what was
// lost, doubled, invented or reordered.
//
// [Broker] is the process: it is killed and started again on the same folder. [Client] is a raw client that keeps
// its Session State over that, as the standard asks of clients, and writes down all that matters to a [Journal]: what it
// sent, what was acknowledged, what it received. [Check] reads the journal and knows nothing of the broker.
package faultlab
