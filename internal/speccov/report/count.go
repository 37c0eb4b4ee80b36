package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"nightjar/internal/speccov"
)

// whos are who must obey, as the lists have it.
const whos = "SBC"

// counted is what is known of all statements.
type counted struct {
	versions []version
	reasons  map[string]string // why no test can hold it, by identifier
}

// version is what is known of one version of the standard.
type version struct {
	name       string
	statements []speccov.Statement
	tests      map[string][]string // that cover it, by identifier
	floor      int                 // of covered statements
}

// count reads the lists, and the records in a folder.
func count(records string) (*counted, error) {
	tests, err := speccov.Covered(records)
	if err != nil {
		return nil, err
	}
	floor, err := speccov.Floor()
	if err != nil {
		return nil, err
	}
	reasons, err := speccov.Untestable()
	if err != nil {
		return nil, err
	}
	for id := range tests {
		slices.Sort(tests[id])
		tests[id] = slices.Compact(tests[id])
	}
	c := &counted{reasons: reasons}
	for _, name := range speccov.Versions() {
		list, err := speccov.Statements(name)
		if err != nil {
			return nil, err
		}
		c.versions = append(c.versions, version{name: name, statements: list, tests: tests, floor: floor[name]})
	}
	return c, nil
}

// covered are how many statements are covered, of all, of those that who must obey; "": whoever.
func (v *version) covered(who string) (covered, all int) {
	for i := range v.statements {
		s := &v.statements[i]
		if who != "" && s.Who != who {
			continue
		}
		all++
		if len(v.tests[s.ID]) > 0 {
			covered++
		}
	}
	return covered, all
}

// summary is the counts in one line.
func (v *version) summary() string {
	covered, all := v.covered("")
	line := fmt.Sprintf("%d of %d", covered, all)
	for _, who := range whos {
		n, of := v.covered(string(who))
		line += fmt.Sprintf(", %c %d of %d", who, n, of)
	}
	return line
}

// print writes the counts, and what is not covered.
func (c *counted) print(w io.Writer) {
	for i := range c.versions {
		v := &c.versions[i]
		fmt.Fprintf(w, "%s: %s statements covered\n", v.name, v.summary())
		if n, _ := v.covered(""); n > v.floor {
			fmt.Fprintf(w, "  raise the floor: internal/speccov/floor.txt says %d\n", v.floor)
		}
		for j := range v.statements {
			s := &v.statements[j]
			if len(v.tests[s.ID]) == 0 {
				fmt.Fprintf(w, "  %s (%s) %s: %s\n", s.Number(), s.Who, s.Short, c.reason(s.ID))
			}
		}
	}
}

// reason is why a statement has no test.
func (c *counted) reason(id string) string {
	if r := c.reasons[id]; r != "" {
		return r
	}
	return "NO TEST YET"
}

// judge returns what is wrong: fewer statements than there were, or one with neither test nor reason, or both.
func (c *counted) judge() error {
	var errs []error
	left := map[string]bool{}
	for id := range c.reasons {
		left[id] = true
	}
	for i := range c.versions {
		v := &c.versions[i]
		for j := range v.statements {
			s := &v.statements[j]
			covered := len(v.tests[s.ID]) > 0
			delete(left, s.ID)
			switch _, given := c.reasons[s.ID]; {
			case !covered && !given:
				errs = append(errs, fmt.Errorf("%s has neither a test nor a reason: let a test cover it, or give the reason in internal/speccov/untestable.tsv", s.ID))
			case covered && given:
				errs = append(errs, fmt.Errorf("%s is covered by %s: take it out of internal/speccov/untestable.tsv", s.ID, v.tests[s.ID][0]))
			}
		}
		if n, _ := v.covered(""); n < v.floor {
			errs = append(errs, fmt.Errorf("%s: %d statements are covered, fewer than the %d of internal/speccov/floor.txt", v.name, n, v.floor))
		}
	}
	for id := range left {
		errs = append(errs, fmt.Errorf("internal/speccov/untestable.tsv names %s, which is no statement", id))
	}
	return errors.Join(errs...)
}

const head = `# Conformance, statement by statement

MQTT numbers what it demands. This page has every number of MQTT 3.1.1 and MQTT 5, what it says in our own words (the
standard's text is the authority), who must obey, and which of our tests holds it: it runs a broker and acts on it
through a socket. A test counts only if it passed. ` + "`make spec`" + ` writes this page and fails when the count falls.

Who: S the server, B both ends, C only a client. A test of B and C holds the server's part: what it answers to a client
that breaks the rule. What has no test says why.
`

// markdown is the page.
func (c *counted) markdown() []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for i := range c.versions {
		v := &c.versions[i]
		name := "MQTT " + strings.TrimPrefix(v.name, "v")
		fmt.Fprintf(&b, "\n## %s\n\nCovered: %s.\n\n", name, v.summary())
		with5 := v.statements[0].In5 != ""
		b.WriteString("| statement | in short | who | held by, or why not |")
		if with5 {
			b.WriteString(" in MQTT 5 |")
		}
		b.WriteString("\n|---|---|---|---|")
		if with5 {
			b.WriteString("---|")
		}
		for j := range v.statements {
			s := &v.statements[j]
			held := "**none**: " + c.reason(s.ID)
			if tests := v.tests[s.ID]; len(tests) > 0 {
				held = "`" + strings.Join(tests, "`, `") + "`"
			}
			fmt.Fprintf(&b, "\n| %s | %s | %s | %s |", s.Number(), s.Short, s.Who, held)
			if with5 {
				fmt.Fprintf(&b, " %s |", s.In5)
			}
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}
