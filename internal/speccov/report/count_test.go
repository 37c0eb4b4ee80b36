package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/internal/speccov"
)

// records makes a folder in which all statements that can be tested are covered, but for one, and one more is.
func records(t *testing.T, but, more string) string {
	t.Helper()
	reasons, err := speccov.Untestable()
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, version := range speccov.Versions() {
		list, err := speccov.Statements(version)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if reasons[s.ID] == "" && s.ID != but || s.ID == more {
				lines.WriteString(s.ID + "\tbroker.TestX\n" + s.ID + "\tbroker.TestX\n")
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "1.covered"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestJudge(t *testing.T) {
	const tested, untestable = "v5 MQTT-3.12.4-1", "v5 MQTT-7.0.0-1"
	for _, x := range []struct {
		name, but, more string
		want            []string // in the errors; none: all is well
	}{
		{"all", "", "", nil},
		{"one less", tested, "", []string{tested + " has neither a test nor a reason", "fewer than the"}},
		{"one in spite of its reason", "", untestable, []string{untestable + " is covered by broker.TestX"}},
	} {
		c, err := count(records(t, x.but, x.more))
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.versions { // as if the floor were what can be tested at most
			v := &c.versions[i]
			v.floor = 0
			for j := range v.statements {
				if c.reasons[v.statements[j].ID] == "" {
					v.floor++
				}
			}
		}
		err = c.judge()
		if (err == nil) != (x.want == nil) {
			t.Fatalf("%s: %v", x.name, err)
		}
		for _, w := range x.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", x.name, err, w)
			}
		}
	}
}

func TestMarkdown(t *testing.T) {
	c, err := count(records(t, "", ""))
	if err != nil {
		t.Fatal(err)
	}
	page := string(c.markdown())
	for _, w := range []string{
		"\n## MQTT 3.1.1\n", "\n## MQTT 5\n",
		"| MQTT-" + "3.12.4-1 | PINGREQ is answered by PINGRESP | S | `broker.TestX` |\n",
		"| MQTT-" + "7.0.0-1 | a server that also connects out conforms as a client too | S | **none**: Nightjar connects out to no other server |",
	} {
		if !strings.Contains(page, w) {
			t.Errorf("the page has no %q", w)
		}
	}
}
