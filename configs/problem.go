package configs

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Problem is one fault.
type Problem struct {
	Where string // file:line, the environment variable or the flag; empty for a default
	Key   string // listeners[0].url
	Text  string // what is wrong, and what to do
}

func (p Problem) String() string {
	parts := []string{p.Where, p.Key, p.Text}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ": ")
}

// Errors are all faults of a configuration, in the order of the file.
type Errors []Problem

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// origin knows where values come from, and gathers what is wrong with them.
type origin struct {
	file     string
	lines    map[string]int    // of the file, by key; empty where it cannot be known
	flags    map[string]string // names of flags, by the key that they set
	variable map[string]string // names of variables that are set, by key

	problems []located
	warnings []Problem
	bad      map[string]bool // keys of which something was said already
}

type located struct {
	Problem
	line int
}

// report notes a fault of a key, and only the first one of each.
func (o *origin) report(key, format string, args ...any) {
	if o.bad[key] {
		return
	}
	o.bad[key] = true
	where, line := o.where(key)
	o.problems = append(o.problems, located{Problem{where, key, fmt.Sprintf(format, args...)}, line})
}

// warn notes what is allowed but probably not meant.
func (o *origin) warn(key, format string, args ...any) {
	where, _ := o.where(key)
	o.warnings = append(o.warnings, Problem{where, key, fmt.Sprintf(format, args...)})
}

// where finds who has set a key, or the section that it is missing in.
func (o *origin) where(key string) (string, int) {
	for at := key; at != ""; at = parent(at) {
		if flag, set := o.flags[at]; set {
			return flag, 0
		}
		if name, set := o.variable[at]; set {
			return name, 0
		}
		if line := o.lines[at]; line > 0 {
			return fmt.Sprintf("%s:%d", o.file, line), line
		}
	}
	return o.file, 0
}

// parent is the section of a key: of a.b[2].c it is a.b[2], then a.b, then a.
func parent(key string) string { return key[:max(strings.LastIndexAny(key, ".["), 0)] }

// err is nil or Errors.
func (o *origin) err() error {
	if len(o.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(o.problems, func(a, b located) int { return cmp.Compare(a.line, b.line) })
	errs := make(Errors, len(o.problems))
	for i, p := range o.problems {
		errs[i] = p.Problem
	}
	return errs
}

// unknownVariables refuses variables that look like ours and are not. Names without a double underscore
// are refused only if they are nearly right: container systems make some of their own.
func (o *origin) unknownVariables(known []string) {
	for _, entry := range slices.Sorted(slices.Values(os.Environ())) {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) || slices.Contains(known, name) {
			continue
		}
		hint := didYouMean(name, known)
		switch {
		case strings.HasPrefix(name, Variable("listeners")+"__"):
			o.problems = append(o.problems, located{Problem: Problem{
				Key: name, Text: "listeners cannot be set by variables; use a file, or the flag --listen",
			}})
		case strings.Contains(name, "__") || hint != "":
			o.problems = append(o.problems, located{Problem: Problem{Key: name, Text: "is not a variable of Nightjar" + hint}})
		}
	}
}

// didYouMean is a hint at the nearest name, or empty where none is near.
func didYouMean(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf(" (did you mean %q?)", best)
	}
	return ""
}

func nearest(name string, names []string) string {
	best, least := "", max(len(name)/4, 1)+1
	for _, n := range names {
		if d := distance(strings.ToLower(name), strings.ToLower(n)); d < least {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of letters to add, take away, change, or swap with the next, to make b of a.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(row[j]+1, last[j+1]+1, last[j]+same)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
