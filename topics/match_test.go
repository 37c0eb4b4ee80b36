package topics

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, name string
		want         bool
	}{
		// The examples of the standard, sections 4.7.1 and 4.7.2.
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"#", "sport", true},
		{"#", "/", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		{"#", "$SYS", false},
		{"#", "$SYS/x", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS/", true},
		{"$SYS/#", "$SYS", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"+", "$SYS", false},
		// Only the first level hides.
		{"+/#", "a/$SYS", true},
		{"a/+", "a/$SYS", true},
		{"a/#", "a/$SYS", true},
		{"+/#", "$SYS", false},
		// Exact, with case, space, prefixes and empty levels.
		{"a", "a", true},
		{"a", "A", false},
		{"a", "a ", false},
		{"a", "a/", false},
		{"a/", "a", false},
		{"/a", "a", false},
		{"/", "/", true},
		{"//", "/", false},
		{"a//b", "a//b", true},
		{"a/+/b", "a//b", true},
		{"a/+/b", "a/b", false},
		{"+", "a", true},
		{"+/+", "/", true},
		{"+/+/+", "//", true},
		{"+/#", "a", true},
		{"+/+/#", "a", false},
		{"+/b/#", "a", false},
		{"ab", "a", false},
		{"a", "ab", false},
		{"a/#", "ab", false},
		{"a/#", "ab/c", false},
		{"/#", "/", true},
		{"/#", "/a/b", true},
		{"/#", "a", false},
		{"a/+/#", "a/b", true},
		{"a/+/#", "a", false},
		{"a/b", "a/c", false},
	} {
		if got := Match(c.filter, c.name); got != c.want {
			t.Errorf("Match(%q, %q): got %v, want %v", c.filter, c.name, got, c.want)
		}
		if got := splitMatch(c.filter, c.name); got != c.want {
			t.Errorf("splitMatch(%q, %q): got %v, want %v", c.filter, c.name, got, c.want)
		}
		tree := NewTree[int]()
		tree.Subscribe("", c.filter, 1, Options{})
		tree.Subscribe("g", c.filter, 1, Options{})
		var m Matches[int]
		tree.Match(c.name, &m)
		if got := len(m.Entries) == 1 && len(m.Groups) == 1; got != c.want {
			t.Errorf("Tree of %q, Match(%q): got %v, want %v", c.filter, c.name, m, c.want)
		}
	}
}

func TestHasWildcard(t *testing.T) {
	t.Parallel()
	for filter, want := range map[string]bool{"": false, "a/b": false, "#": true, "a/#": true, "a/+/b": true, "$x": false} {
		if got := HasWildcard(filter); got != want {
			t.Errorf("HasWildcard(%q): got %v, want %v", filter, got, want)
		}
	}
}

// splitMatch is a second, independent Match.
func splitMatch(filter, name string) bool {
	wants, levels := strings.Split(filter, "/"), strings.Split(name, "/")
	if strings.HasPrefix(levels[0], "$") && (wants[0] == "+" || wants[0] == "#") {
		return false
	}
	for i, want := range wants {
		if want == "#" {
			return true
		}
		if i == len(levels) || want != "+" && want != levels[i] {
			return false
		}
	}
	return len(wants) == len(levels)
}

func FuzzMatch(f *testing.F) {
	for _, s := range [][2]string{{"a/#", "a"}, {"+/+", "/"}, {"#", "$SYS"}, {"a//b", "a//b"}, {"+/#", "a/b/c"}, {"a/+/b", "a/x/b"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		got := Match(filter, name) // must not crash, whatever it gets
		if CheckFilter(filter, wide) != nil || CheckName([]byte(name), wide) != nil {
			return
		}
		if want := splitMatch(filter, name); got != want {
			t.Errorf("Match(%q, %q): got %v, want %v", filter, name, got, want)
		}
		tree := NewTree[int]()
		tree.Subscribe("", filter, 1, Options{})
		var m Matches[int]
		tree.Match(name, &m)
		if got := len(m.Entries) == 1; got != splitMatch(filter, name) {
			t.Errorf("Tree of %q, Match(%q): got %v", filter, name, got)
		}
		tree.Unsubscribe("", filter, 1)
		checkTree(t, tree)
	})
}
