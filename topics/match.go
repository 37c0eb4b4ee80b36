package topics

import "strings"

// HasWildcard tells whether filter contains + or #.
func HasWildcard(filter string) bool {
	return strings.IndexByte(filter, '+') >= 0 || strings.IndexByte(filter, '#') >= 0
}

// Match tells whether the Topic Filter matches the Topic Name; both have been
// checked. It walks both once, level by level, and does not allocate. For the
// subscriptions of all sessions there is [Tree].
func Match(filter, name string) bool {
	if hidden(name) && filter != "" && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for {
		want, filterRest, filterMore := strings.Cut(filter, "/")
		if want == "#" {
			return true
		}
		level, nameRest, nameMore := strings.Cut(name, "/")
		switch {
		case want != "+" && want != level:
			return false
		case !nameMore:
			return !filterMore || filterRest == "#" // "a/#" matches its parent "a" as well
		case !filterMore:
			return false
		}
		filter, name = filterRest, nameRest
	}
}

// hidden tells whether a wildcard in the first level must not match name
// [v5 MQTT-4.7.2-1] [v3.1.1 MQTT-4.7.2-1].
func hidden(name string) bool {
	return name != "" && name[0] == '$'
}
