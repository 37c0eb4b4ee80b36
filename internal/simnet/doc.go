// Package simnet is a world for the broker without sockets, threads and clocks: virtual time, a network that delays,
// splits, joins, cuts and freezes connections, and a store that is slow, fails and crashes. All of it comes from one
// seed and runs on one goroutine, so that a run can be had again exactly.
//
// # Determinism
//
// Every actor (a connection, the store, a client) has a random source of its own, and events of the same microsecond
// run in the order of their actors. So what one actor does does not depend on the order in which the broker served
// several of them within one turn, which it may choose freely.
package simnet
