// Package retained holds the retained messages: at most one per Topic Name, the last
// that was set [v5 MQTT-3.3.1-5] [v3.1.1 MQTT-3.3.1-5]. It is plain data under one lock:
// no clock, no disk, no goroutine.
//
// Messages hang in a trie with one node per topic level. Three things make it small and fast:
//
//   - Nodes are 64 bytes, stand in pages and refer to each other by number, so that the
//     garbage collector sees few objects and `#` reads memory in order.
//   - Hash indexes of 8 bytes a slot find the node of a whole Topic Name, and a child of a
//     node. A Go map of the Topic Names was tried: a third faster, but more than twice the
//     memory, and it never shrinks.
//   - Where a filter asks for `+/b`, a node with a million children is not searched: its
//     grandchildren named b are chained as cousins, and an index finds the chain.
//
// Cousins, of a node that has children x1, x2, ... and the filter `a/+/b`:
//
//	a ──┬── x1 ──── b        first children ("plain", at most plainMax): looked into one by one
//	    ├── x2 ──── c
//	    ├── x3 ──┬─ b ◄─┐    later children: their children are in the cousin chains of a
//	    │        └─ c   │
//	    └── x4 ──── b ◄─┘
package retained
