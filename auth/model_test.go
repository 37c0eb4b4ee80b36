package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"nightjar/topics"
)

// modelRule is a line of an ACL file as the model sees it.
type modelRule struct{ user, keyword, word, filter string } // user "" before the first user line

// universe are all topic names of up to four levels over a few words. "zz" stands in no rule, for
// all the other words that there are.
var universe = func() (names []string) {
	words := []string{"a", "b", "", "zz", "$x", "$SYS"}
	heads := words
	for range 4 {
		names = append(names, heads...)
		var longer []string
		for _, head := range heads {
			for _, word := range words {
				longer = append(longer, head+"/"+word)
			}
		}
		heads = longer
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}()

// expand replaces the variables of a pattern by text, level by level, and reports whether they can be.
func (r modelRule) expand(id *Identity) (string, bool) {
	if r.keyword == "topic" {
		return r.filter, true
	}
	levels := strings.Split(r.filter, "/")
	for i, level := range levels {
		value, variable := map[string]string{"%c": id.ClientID, "%u": id.UserName}[level]
		if !variable {
			continue
		}
		if value == "" || strings.HasPrefix(value, "$") || strings.ContainsAny(value, "+#/\x00") {
			return "", false
		}
		levels[i] = value
	}
	return strings.Join(levels, "/"), true
}

// matches is the model's idea of covering: every name of the universe that the filter matches is matched by the rule.
func (r modelRule) matches(id *Identity, act Action, topic string) bool {
	filter, ok := r.expand(id)
	if !ok {
		return false
	}
	if act != ActionSubscribe {
		return topics.Match(filter, topic)
	}
	for _, name := range universe {
		if topics.Match(topic, name) && !topics.Match(filter, name) {
			return false
		}
	}
	return true
}

// model is the reference evaluator: slow and obvious.
func model(rules []modelRule, id *Identity, act Action, topic string) bool {
	if act == ActionPublish && strings.Split(topic, "/")[0] == "$SYS" {
		return false
	}
	allow, deny := false, false
	for _, r := range rules {
		mine := r.keyword == "pattern" || id.Anonymous && r.user == "" || !id.Anonymous && r.user == id.UserName && r.user != ""
		if !mine || !r.matches(id, act, topic) {
			continue
		}
		switch {
		case r.word == "deny":
			deny = true
		case r.word == "readwrite", r.word == "read" && act != ActionPublish, r.word == "write" && act == ActionPublish:
			allow = true
		}
	}
	return !deny && (allow || id.Admin && topic[0] == '$')
}

// drawFilter draws a valid filter of up to three levels.
func drawFilter(t *rapid.T, label string, words []string) string {
	var levels []string
	for range rapid.IntRange(1, 3).Draw(t, label+" levels") {
		level := rapid.SampledFrom(append(words, "+", "#")).Draw(t, label)
		levels = append(levels, level)
		if level == "#" {
			break
		}
	}
	if filter := strings.Join(levels, "/"); filter != "" {
		return filter
	}
	return "a"
}

// G12: for any rules, client, action and topic the answer is that of the model.
func TestAuthorizeEqualsModel(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "", "+", "#", "a/b", "$x", "a\x00", "%c"}
	rapid.Check(t, func(rt *rapid.T) {
		var text strings.Builder
		var rules []modelRule
		user := ""
		for range rapid.IntRange(1, 8).Draw(rt, "rules") {
			if next := rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "user"); next != "" {
				user = next
				fmt.Fprintf(&text, "user %s\n", user)
			}
			r := modelRule{
				user:    user,
				keyword: rapid.SampledFrom([]string{"topic", "pattern"}).Draw(rt, "keyword"),
				word:    rapid.SampledFrom([]string{"read", "write", "readwrite", "deny"}).Draw(rt, "word"),
				filter:  drawFilter(rt, "filter", []string{"a", "b", "", "$x", "$SYS", "%c", "%u"}),
			}
			rules = append(rules, r)
			fmt.Fprintf(&text, "%s %s %s\n", r.keyword, r.word, r.filter)
		}
		l, _, err := parseACL("acl.conf", []byte(text.String()))
		if err != nil {
			rt.Fatalf("%q: %v", text.String(), err)
		}
		a := &Auth{}
		a.loaded.Store(&loaded{acl: l})
		for range 10 {
			id := &Identity{
				ClientID: rapid.SampledFrom(names).Draw(rt, "client id"),
				UserName: rapid.SampledFrom(names).Draw(rt, "user name"),
				Admin:    rapid.Bool().Draw(rt, "admin"),
			}
			id.Anonymous = id.UserName == ""
			act := rapid.SampledFrom([]Action{ActionPublish, ActionSubscribe, ActionReceive}).Draw(rt, "action")
			topic := rapid.SampledFrom(universe).Draw(rt, "topic")
			if act == ActionSubscribe {
				topic = drawFilter(rt, "subscribe to", []string{"a", "b", "", "$x", "$SYS", "zz"})
			}
			got, why := a.Explain(id, act, topic)
			if want := model(rules, id, act, topic); got != want || a.Authorize(id, act, topic) != want {
				rt.Fatalf("%+v %v %q: got %v (%s), want %v, with\n%s", *id, act, topic, got, why, want, text.String())
			}
		}
	})
}
