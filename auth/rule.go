package auth

import "strings"

// rule is one topic or pattern line. Immutable.
type rule struct {
	filter string // as in the file
	// prefix is how every topic begins that the rule can match: its levels before the first
	// wildcard or variable, with the separator; all of the filter where it has none of them.
	prefix  string
	line    int32
	access  access
	deny    bool
	pattern bool // %c and %u levels are variables
}

// newRule prepares a filter for matching.
func newRule(filter string, bits access, deny, pattern bool) rule {
	r := rule{filter: filter, access: bits, deny: deny, pattern: pattern}
	for rest := filter; ; {
		level, after, more := strings.Cut(rest, "/")
		if level == "+" || level == "#" || pattern && isVariable(level) {
			r.prefix = filter[:len(filter)-len(rest)]
			return r
		}
		if !more {
			r.prefix = filter
			return r
		}
		rest = after
	}
}

// isVariable reports whether a level of a pattern stands for a name of the client.
func isVariable(level string) bool { return level == "%c" || level == "%u" }

// String is the rule as it could stand in the file.
func (r *rule) String() string {
	keyword, word := "topic", "readwrite"
	if r.pattern {
		keyword = "pattern"
	}
	switch {
	case r.deny:
		word = "deny"
	case r.access == read:
		word = "read"
	case r.access == write:
		word = "write"
	}
	return keyword + " " + word + " " + r.filter
}

// lint returns what is probably not meant, or "".
func (r *rule) lint() string {
	variable := false
	for level := range strings.SplitSeq(r.filter, "/") {
		variable = variable || isVariable(level)
	}
	switch {
	case r.pattern && !variable && !r.deny:
		return "a pattern without %c and %u: it allows the same to every client"
	case !r.pattern && variable:
		return "%c and %u mean nothing in a topic line: write pattern"
	case r.access == write && isSYS(r.filter):
		return "nobody may publish to $SYS: the line does nothing"
	}
	return ""
}

// first returns the first rule of the list that is about act and covers topic, or nil.
func first(rules []rule, act access, id *Identity, topic string) *rule {
	for i := range rules {
		if r := &rules[i]; r.access&act != 0 && r.covers(id, topic) {
			return r
		}
	}
	return nil
}

// covers reports whether the rule matches every topic that the filter matches. A Topic Name is a
// filter that matches itself only, so this one function serves names and filters.
func (r *rule) covers(id *Identity, filter string) bool {
	if len(r.prefix) == len(r.filter) {
		return filter == r.filter
	}
	switch filter { // # stands for no level too, but there is no empty topic
	case "#":
		filter = "+/#"
	case "/#":
		filter = "/+/#"
	}
	rest := r.filter[len(r.prefix):]
	if rest == "#" && len(filter) == len(r.prefix)-1 {
		return filter == r.prefix[:len(filter)] // a/# matches a as well
	}
	if !strings.HasPrefix(filter, r.prefix) {
		return false
	}
	if r.prefix == "" && filter[0] == '$' && (rest[0] == '+' || rest[0] == '#') {
		return false // [v5 MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1]
	}
	return r.coversLevels(id, rest, filter[len(r.prefix):])
}

// coversLevels compares level by level what follows the prefix.
func (r *rule) coversLevels(id *Identity, rest, filter string) bool {
	for {
		want, restAfter, restMore := strings.Cut(rest, "/")
		if want == "#" {
			return true
		}
		level, filterAfter, filterMore := strings.Cut(filter, "/")
		if level == "#" || want != "+" && !r.levelIs(id, want, level) {
			return false
		}
		if !filterMore {
			return !restMore || restAfter == "#"
		}
		if !restMore {
			return false
		}
		rest, filter = restAfter, filterAfter
	}
}

// levelIs compares a level with a literal, or with the name that a variable stands for. A name
// that could be more than one literal level matches nothing.
func (r *rule) levelIs(id *Identity, want, level string) bool {
	if !r.pattern {
		return want == level
	}
	switch want {
	case "%c":
		return level == id.ClientID && singleLevel(level)
	case "%u":
		return level == id.UserName && singleLevel(level)
	}
	return want == level
}
