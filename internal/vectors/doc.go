// Package vectors holds the broker and the codec to what other projects send and expect: their packets and
// conversations stand beside the repository, in ../shared/vectors, and are never copied into it. It also holds that
// the answers do not depend on how a stream of bytes is cut, and that no bytes disturb anybody else. All of it is in
// its tests.
package vectors
