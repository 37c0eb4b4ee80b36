// Package topics knows the rules of Topic Names and Topic Filters and finds the
// subscriptions that match a Topic Name.
//
// [CheckName], [CheckFilter] and [SplitShared] judge what a client sent; [Match]
// compares one filter with one name; [Tree] holds the subscriptions of all
// sessions. The Tree keeps two structures side by side:
//
//	filter without wildcard   map: whole filter -> leaf      one look-up
//	filter with + or #        trie by level: node -> leaf    a walk along the name
//
// A leaf is what one filter leads to: one subscription inline (by far the most
// common case), or a set of them and the shared subscriptions of that filter.
// A walk visits a node at most once, and only nodes whose path matches a part
// of the name, so filters that do not match cost nothing.
//
// Levels are separated by '/', may be empty, and are compared byte by byte
// without normalisation [v5 MQTT-4.7.3-4] [v3.1.1 MQTT-4.7.3-4].
package topics
