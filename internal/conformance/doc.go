// Package conformance holds the tests of normative statements that no other package tests: each runs a broker, acts on it
// through a socket, and says by speccov.Covers what it holds. Where both versions say the same, one function runs for
// 3.1.1 and 5. The tests of package broker come first: what they hold is not tested again here.
package conformance
