// Package hostile is the acceptance list of bad input: every case of the tables A, B, C, D, E, W and G, one row or more
// for each, with the answers that 3.1.1 and 5 are to get. All of it is in its tests.
//
// A row holds bytes, or a script. Each is run over TCP, TLS, WebSocket and WebSocket over TLS: bytes in one write, one by
// one, in one write with what comes before and after, and over TCP cut at every place; scripts with whole writes and
// byte by byte. One broker in the test's process serves a whole table, and these must hold throughout:
//
//   - a pair of clients that publish and receive at QoS 1 all the time loses nothing and waits for nothing
//   - nothing that follows a refused CONNECT is ever delivered
//   - the counter that fits has moved by one, and one line is in the log
//   - a password that every table uses is in no line of the log and in no answer of the admin server
//   - memory, goroutines and descriptors are back to where they were
package hostile
