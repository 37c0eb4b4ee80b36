package vectors

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// differences are the arguments of testdata/differences.txt that have not been used: by the name of a vector, why ours
// differs there.
type differences map[string]string

// loadDifferences reads the arguments about the vectors of a project.
func loadDifferences(t *testing.T, project string) differences {
	t.Helper()
	text, err := os.ReadFile("testdata/differences.txt")
	must(t, err)
	d, all, reason := differences{}, map[string]bool{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		id, ok := strings.CutPrefix(line, "- ")
		switch {
		case ok && (reason == "" || all[id]):
			t.Errorf("differences.txt: %s has no reason, or two", id)
		case ok && strings.HasPrefix(id, project+" "):
			d[id] = reason
		case !ok && line != "" && line[0] != '#':
			reason = line
		}
		all[id] = ok
	}
	return d
}

// settle fails for a difference without an argument, and for an argument without a difference.
func (d differences) settle(t *testing.T, id string, difference error) {
	t.Helper()
	reason := d[id]
	delete(d, id)
	switch {
	case difference != nil && reason == "":
		t.Errorf("%s: %v", id, difference)
	case difference == nil && reason != "":
		t.Errorf("%s: no longer differs; differences.txt says: %s", id, reason)
	}
}

// finish fails for arguments about vectors that are not there.
func (d differences) finish(t *testing.T) {
	t.Helper()
	for _, id := range slices.Sorted(maps.Keys(d)) {
		t.Errorf("%s: differences.txt argues about a vector that is not there", id)
	}
}
