// Package transports owns listeners and network connections: TCP and Unix sockets on epoll
// loops, and TLS, WebSocket and systems without epoll on a goroutine for each connection.
// A third kind has no socket at all: a simulator steps it ([Simulated]).
// It knows nothing of MQTT: bytes go to a [Receiver], and the Receiver appends bytes to the
// outbox of any [Conn].
//
// # Turns
//
// Everything happens in turns. A [Turn] belongs to one goroutine while it runs: an event loop
// (one turn per epoll_wait), or a connection's own goroutine (one turn per read, with a Turn
// that it borrows). During a turn, connections that were appended to are marked dirty, and at
// its end each of them gets one write.
//
//	epoll_wait ─► read ─► Receiver.Receive ─► … Conn.Begin/End … ─► Handler.EndTurn ─► write
//
// # Owners
//
// A connection has one owner: its loop, or its goroutine. Only the owner calls the Receiver,
// reads, pauses and closes. Everybody may append to the outbox, under its own lock, and reach the
// owner by [Conn.Post].
//
// # The life of a connection
//
//	open ──Finish──► closing ──outbox written──► lingering ──peer's FIN, or 2 s──► closed
//	  └──────────── peer gone: Receiver.Closed ────────────────────────────────────►┘
//
// Lingering reads and drops what the peer still sends: closing a socket with unread
// input would send RST, and that may destroy the last answer on its way to the peer.
package transports
