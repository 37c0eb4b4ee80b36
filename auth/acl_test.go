package auth

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParseACL(t *testing.T) {
	t.Parallel()
	const text = "\ufeff# comment\r\n" +
		"topic read public/#\r\n" +
		"\r\n" +
		"  # indented comment\r\n" +
		"user alice\r\n" +
		"topic a\r\n" +
		"topic readwrite b c/d e\r\n" +
		"\ttopic\t write \t w/+ \r\n" +
		"user  bob smith \r\n" +
		"topic deny x/#\r\n" +
		"pattern p/%c/%u/#\r\n" +
		"user alice\r\n" +
		"topic read deny\r\n" +
		"topic readwrite read"
	a := open(t, "", text)
	l := a.loaded.Load().acl
	check := func(name string, rules ruleSet, want ...string) {
		t.Helper()
		var got []string
		for _, r := range slices.Concat(rules.deny, rules.allow) {
			got = append(got, fmt.Sprintf("%d %v", r.line, &r))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	check("anonymous", l.anonymous, "2 topic read public/#")
	check("alice", l.users["alice"], "6 topic readwrite a", "7 topic readwrite b c/d e", "8 topic write w/+", "13 topic read deny", "14 topic readwrite read")
	check("bob smith", l.users["bob smith"], "10 topic deny x/#")
	check("patterns", l.patterns, "11 pattern readwrite p/%c/%u/#")
	if len(l.users) != 2 {
		t.Errorf("%d users, want 2", len(l.users))
	}
}

// malformed are lines that no ACL file may hold, with what the error says.
var malformed = map[string]string{
	"user":                    "user without a name",
	"user \t ":                "user without a name",
	"topic":                   "filter missing",
	"topic read":              "filter missing after read",
	"topic deny ":             "filter missing after deny",
	"pattern":                 "filter missing",
	"pattern write":           "filter missing after write",
	"topic read a/#/b":        "bad topic filter",
	"topic a#":                "bad topic filter",
	"topic a/b+":              "bad topic filter",
	"topic read +a":           "bad topic filter",
	"pattern deny %c#":        "bad topic filter",
	"pattern read a/x%c/b":    "whole level",
	"pattern read a/%u-x/%c":  "whole level",
	"topic rw a/b":            "unknown access",
	"topic Read a/b":          "unknown access",
	"topic a b":               "unknown access",
	"topics read a":           "unknown keyword",
	"Topic read a":            "unknown keyword",
	"allow a/#":               "unknown keyword",
	"a/#":                     "unknown keyword",
	"topic read $share/g/a":   "$share",
	"topic deny $share/g/#":   "$share",
	"topic read a\x00":        "control character",
	"topic read a\x1bb":       "control character",
	"topic read a\u0085b":     "control character",
	"user al\x07ice":          "control character",
	"topic read a\xff":        "UTF-8",
	"topic read \xed\xa0\x80": "UTF-8",
}

// F-R04, CVE-2018-12550: one malformed line anywhere, and nothing of the file counts.
func TestMalformedLineAtEveryPosition(t *testing.T) {
	t.Parallel()
	good := []string{"topic read public/#", "user alice", "topic a/#", "pattern deny b/%c", "# end"}
	file := textFile(t, "acl.conf", "user alice\ntopic a/#\n")
	a, err := Open(Config{PasswordFile: textFile(t, "passwd", twoUsers()), ACLFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range malformed {
		for at := range len(good) + 1 {
			overwrite(t, file, strings.Join(slices.Insert(slices.Clone(good), at, line), "\n"))
			_, err := Open(Config{ACLFile: file})
			if prefix := fmt.Sprintf("%s:%d: ", file, at+1); err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), want) {
				t.Errorf("%q at %d: got %v, want %s...%s", line, at, err, prefix, want)
			}
			checkReloadKeeps(t, line, a)
		}
	}
}

// All faults are told at once, but not a whole book of them.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	_, err := Open(Config{ACLFile: textFile(t, "acl.conf", "x\ntopic a\ny\n")})
	if err == nil || strings.Count(err.Error(), "unknown keyword") != 2 {
		t.Errorf("got %v, want two faults", err)
	}
	_, err = Open(Config{ACLFile: textFile(t, "acl.conf", strings.Repeat("x\n", 1000))})
	if err == nil || strings.Count(err.Error(), "\n") != maxFileFaults {
		t.Errorf("got %v, want %d faults", err, maxFileFaults)
	}
}
