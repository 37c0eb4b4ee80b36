package auth

import (
	"fmt"
	"strings"
)

// Action is what a client wants to do with a topic.
type Action uint8

// The actions.
const (
	ActionPublish   Action = iota + 1 // send to a Topic Name
	ActionSubscribe                   // subscribe to a Topic Filter
	ActionReceive                     // be sent a message with a Topic Name
)

// String returns "publish", "subscribe" or "receive".
func (a Action) String() string {
	switch a {
	case ActionPublish:
		return "publish"
	case ActionSubscribe:
		return "subscribe"
	case ActionReceive:
		return "receive"
	}
	return fmt.Sprintf("0x%02x", uint8(a))
}

// access returns the access that a rule must be about; none for an unknown action.
func (a Action) access() access {
	switch a {
	case ActionPublish:
		return write
	case ActionSubscribe, ActionReceive:
		return read
	}
	return 0
}

// Authorize reports whether a client may do something. topic is a valid Topic Name, and for
// ActionSubscribe a valid Topic Filter, of a Shared Subscription the real one. It allocates
// nothing. A nil Identity may do nothing.
//
// A subscription is granted where one rule allows every topic that the filter can match, and none
// denies them all. Denied topics within it must be held back by asking for ActionReceive.
func (a *Auth) Authorize(id *Identity, act Action, topic string) bool {
	allowed, _, _ := a.loaded.Load().acl.decide(id, act, topic)
	return allowed
}

// Explain returns the answer of Authorize and the rule that decided, as in
// "acl.conf:12: topic deny secret/#".
func (a *Auth) Explain(id *Identity, act Action, topic string) (allowed bool, why string) {
	acl := a.loaded.Load().acl
	allowed, r, why := acl.decide(id, act, topic)
	if r != nil {
		why = fmt.Sprintf("%s:%d: %v", acl.file, r.line, r)
	}
	return allowed, why
}

// decide is the one place where it is decided. Either a rule or a reason comes with the answer.
// A nil acl has no rules and allows everything but $-topics.
func (l *acl) decide(id *Identity, act Action, topic string) (allowed bool, decisive *rule, why string) {
	bits := act.access()
	switch {
	case id == nil || bits == 0 || topic == "":
		return false, nil, "no client, no action or no topic"
	case bits == write && isSYS(topic):
		return false, nil, "nobody may publish to $SYS"
	}
	if l != nil {
		own := l.anonymous
		if !id.Anonymous {
			own = l.users[id.UserName]
		}
		if r := first(own.deny, bits, id, topic); r != nil {
			return false, r, ""
		}
		if r := first(l.patterns.deny, bits, id, topic); r != nil {
			return false, r, ""
		}
		if r := first(own.allow, bits, id, topic); r != nil {
			return true, r, ""
		}
		if r := first(l.patterns.allow, bits, id, topic); r != nil {
			return true, r, ""
		}
	}
	switch {
	case topic[0] == '$' && id.Admin:
		return true, nil, "administrators may use $-topics"
	case topic[0] == '$':
		return false, nil, "$-topics are for administrators"
	case l == nil:
		return true, nil, "no ACL is set"
	}
	return false, nil, "no rule matched"
}

// isSYS reports whether a topic is in the tree of $SYS.
func isSYS(topic string) bool {
	return strings.HasPrefix(topic, "$SYS") && (len(topic) == len("$SYS") || topic[len("$SYS")] == '/')
}
