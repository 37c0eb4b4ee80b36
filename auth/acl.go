package auth

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"nightjar/topics"
)

// acl is a loaded ACL file. Invariant: it holds at least one rule. Immutable.
type acl struct {
	file      string // its name without folder, for Explain
	anonymous ruleSet
	users     map[string]ruleSet
	patterns  ruleSet // for everybody
}

// ruleSet are the rules of one user, or those of everybody, in the order of the file.
type ruleSet struct{ deny, allow []rule }

// add puts r where it belongs.
func (s ruleSet) add(r rule) ruleSet {
	if r.deny {
		s.deny = append(s.deny, r)
	} else {
		s.allow = append(s.allow, r)
	}
	return s
}

// access is what a rule is about, as a set of bits.
type access uint8

const (
	read  access = 1 << iota // subscribe and receive
	write                    // publish
)

// accessWords are the access words of Mosquitto's ACL files. Those of deny concern both ways.
var accessWords = map[string]access{"read": read, "write": write, "readwrite": read | write, "deny": read | write}

// ruleLimits bound filters in rules: what MQTT can express at all, since a rule for topics that
// the broker does not take does no harm.
var ruleLimits = topics.Limits{Bytes: maxPassword, Levels: maxPassword}

// loadACL reads an ACL file.
func loadACL(file string) (*acl, []string, error) {
	data, _, err := readFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the ACL file: %w", err)
	}
	return parseACL(file, data)
}

// parseACL reads the lines of an ACL file. One malformed line spoils it all.
func parseACL(file string, data []byte) (*acl, []string, error) {
	p := aclParser{acl: acl{file: filepath.Base(file), users: make(map[string]ruleSet)}}
	err := eachLine(file, data, func(number int, line string) error {
		warning, err := p.line(number, line)
		if warning != "" {
			p.warnings = append(p.warnings, fmt.Sprintf("%s:%d: %s", file, number, warning))
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if p.rules == 0 {
		return nil, nil, fmt.Errorf("%s: the ACL file has no rules: to deny everything to everybody write `pattern deny #`", file)
	}
	return &p.acl, p.warnings, nil
}

// aclParser is an ACL being read.
type aclParser struct {
	acl
	named    bool   // a user line has been seen
	user     string // whose rules follow
	rules    int
	warnings []string
}

// line reads one line, trimmed and not empty. A warning tells what is allowed but probably not meant.
func (p *aclParser) line(number int, line string) (warning string, err error) {
	keyword, rest := cutWord(line)
	switch keyword {
	case "user":
		if rest == "" {
			return "", errors.New("user without a name")
		}
		p.named, p.user = true, rest
		return "", nil
	case "topic", "pattern":
		bits, deny, filter, err := parseAccess(rest)
		if err == nil {
			err = checkRuleFilter(filter, keyword == "pattern")
		}
		if err != nil {
			return "", err
		}
		r := newRule(filter, bits, deny, keyword == "pattern")
		r.line = int32(number)
		p.add(r)
		return r.lint(), nil
	}
	return "", errors.New("unknown keyword: a line begins with topic, pattern, user or #")
}

// add files a rule under those whom it concerns.
func (p *aclParser) add(r rule) {
	p.rules++
	switch {
	case r.pattern:
		p.patterns = p.patterns.add(r)
	case p.named:
		p.users[p.user] = p.users[p.user].add(r)
	default:
		p.anonymous = p.anonymous.add(r)
	}
}

// parseAccess reads `[read|write|readwrite|deny] <filter>`. The filter may hold spaces where an
// access word stands before it.
func parseAccess(text string) (bits access, deny bool, filter string, err error) {
	word, filter := cutWord(text)
	bits, known := accessWords[word]
	switch {
	case word == "":
		return 0, false, "", errors.New("topic filter missing")
	case known && filter == "":
		return 0, false, "", fmt.Errorf("topic filter missing after %s (for a topic of that name write `readwrite %s`)", word, word)
	case known:
		return bits, word == "deny", filter, nil
	case filter == "":
		return read | write, false, word, nil
	}
	return 0, false, "", errors.New("unknown access: read, write, readwrite or deny (one of them must stand before a filter with spaces)")
}

// checkRuleFilter refuses filters that no topic can match, and variables that would not be replaced.
func checkRuleFilter(filter string, pattern bool) error {
	if err := topics.CheckFilter(filter, ruleLimits); err != nil {
		return fmt.Errorf("bad topic filter: %w", err)
	}
	if strings.HasPrefix(filter, "$share/") {
		return errors.New("a rule for $share would never match: write the filter after the share name, it is what is checked")
	}
	for level := range strings.SplitSeq(filter, "/") {
		if pattern && !isVariable(level) && (strings.Contains(level, "%c") || strings.Contains(level, "%u")) {
			return errors.New("%c and %u must be a whole level, as in a/%c/b")
		}
	}
	return nil
}

// cutWord splits off the first word of a text.
func cutWord(text string) (word, rest string) {
	i := strings.IndexAny(text, " \t")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], " \t")
}
