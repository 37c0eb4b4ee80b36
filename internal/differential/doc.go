// Package differential gives Nightjar and Debian's Mosquitto the same bytes, and compares the classes of what comes back:
// packet types, success or failure, closed or not, what a second client receives, and what a session holds afterwards.
//
// The bytes are valid conversations of a client in which one field of one packet has been changed, in each of the ways that
// its kind has. Where the two brokers differ, testdata/differences.txt says why; the test fails for a difference
// without a reason, and for a reason without a difference.
package differential
