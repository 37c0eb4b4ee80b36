package speccov_test

import (
	"slices"
	"strings"
	"testing"

	"nightjar/internal/speccov"
)

// The lists are whole: every statement says who must obey and what, once.
func TestStatements(t *testing.T) {
	for version, count := range map[string]int{"v3.1.1": 141, "v5": 253} {
		list, err := speccov.Statements(version)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != count {
			t.Errorf("%s has %d statements, want %d", version, len(list), count)
		}
		seen := map[string]bool{}
		for _, s := range list {
			if seen[s.ID] || !strings.HasPrefix(s.ID, version+" MQTT-") || s.Short == "" || !slices.Contains([]string{"S", "B", "C"}, s.Who) {
				t.Errorf("statement %+v is there twice or not whole", s)
			}
			if (s.In5 == "") != (version == "v5") {
				t.Errorf("%s: in MQTT 5 it is %q", s.ID, s.In5)
			}
			seen[s.ID] = true
		}
	}
	if _, err := speccov.Statements("v4"); err == nil {
		t.Error("there are statements of version v4")
	}
}

// fakeT is a test whose end the real one decides.
type fakeT struct {
	testing.TB
	name     string
	failed   bool
	cleanups []func()
}

func (f *fakeT) Helper()               {}
func (f *fakeT) Name() string          { return f.name }
func (f *fakeT) Failed() bool          { return f.failed }
func (f *fakeT) Skipped() bool         { return false }
func (f *fakeT) Errorf(string, ...any) { f.failed = true }
func (f *fakeT) Cleanup(fn func())     { f.cleanups = append(f.cleanups, fn) }

func (f *fakeT) end() {
	for _, fn := range f.cleanups {
		fn()
	}
}

// What a test covers is recorded when it has passed, under its package and name.
func TestCovers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(speccov.Variable, dir)
	const pings = "v5 MQTT-3.12.4-1"
	for _, f := range []*fakeT{{name: "TestA"}, {name: "TestB/v5"}, {name: "TestFails"}, {name: "TestUnknown"}} {
		ids := []string{pings}
		if f.name == "TestUnknown" {
			ids = append(ids, "v5 MQTT-9."+"9.9-9")
		}
		speccov.Covers(f, ids...)
		if f.failed != (f.name == "TestUnknown") {
			t.Errorf("%s failed: %t", f.name, f.failed)
		}
		f.failed = f.failed || f.name == "TestFails"
		f.end()
	}
	covered, err := speccov.Covered(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := covered[pings]; len(covered) != 1 || !slices.Equal(got, []string{"internal/speccov.TestA", "internal/speccov.TestB"}) {
		t.Errorf("covered %v", covered)
	}
}
