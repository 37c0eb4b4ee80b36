package model

import (
	"slices"
	"strings"
)

// parse reads a Topic Filter [v5 MQTT-4.7.1-1] [v5 MQTT-4.7.1-2] [v5 MQTT-4.8.2-1] [v5 MQTT-4.8.2-2].
func parse(filter string) (sub Subscription, ok bool) {
	sub.Filter = filter
	if rest, shared := strings.CutPrefix(filter, "$share/"); shared {
		sub.Share, sub.Filter, _ = strings.Cut(rest, "/")
		if sub.Share == "" || strings.ContainsAny(sub.Share, "+#") {
			return sub, false
		}
	}
	levels := strings.Split(sub.Filter, "/")
	for i, level := range levels {
		if strings.Contains(level, "+") && level != "+" || strings.Contains(level, "#") && (level != "#" || i < len(levels)-1) {
			return sub, false
		}
	}
	return sub, sub.Filter != ""
}

// matches tells whether a Topic Filter matches a Topic Name [v5 MQTT-4.7.2-1].
func matches(filter, name string) bool {
	if strings.HasPrefix(name, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	f, n := strings.Split(filter, "/"), strings.Split(name, "/")
	if f[len(f)-1] == "#" {
		f = f[:len(f)-1]
		n = n[:min(len(n), len(f))] // all below it, and the level above it
	}
	return slices.EqualFunc(f, n, func(want, got string) bool { return want == "+" || want == got })
}
