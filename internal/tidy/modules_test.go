package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func ourModules(t *testing.T) []Module {
	t.Helper()
	modules, err := Requires(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

func TestSQLiteAndLibcMatch(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.GoMod}}", "modernc.org/sqlite").Output()
	if err != nil {
		t.Fatalf("find the go.mod of modernc.org/sqlite: %v", err)
	}
	sqlites, err := Requires(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckSQLite(ourModules(t), sqlites); err != nil {
		t.Error(err)
	}
}

func TestCheckSQLite(t *testing.T) {
	sqlites := []Module{{Path: "modernc.org/libc", Version: "v1.79.0"}}
	cases := []struct {
		sqlite, libc string
		want         string // in the error; "" for none
	}{
		{"v1.61.1", "v1.79.0", ""},
		{"v1.57.0", "v1.79.0", ""},
		{"v1.56.9", "v1.79.0", "older than v1.57.0"},
		{"v1.9.0", "v1.79.0", "older than v1.57.0"},
		{"", "v1.79.0", "older than v1.57.0"},
		{"v1.61.1", "v1.80.0", `requires "v1.79.0"`},
		{"v1.61.1", "", `requires "v1.79.0"`},
	}
	for _, c := range cases {
		err := CheckSQLite([]Module{
			{Path: "modernc.org/sqlite", Version: c.sqlite},
			{Path: "modernc.org/libc", Version: c.libc},
		}, sqlites)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("sqlite %q with libc %q: error %v, want %q", c.sqlite, c.libc, err, c.want)
		}
	}
}

// TestDependenciesHaveReasons holds that whoever adds a module says why, in ADR 1.
func TestDependenciesHaveReasons(t *testing.T) {
	adr, err := os.ReadFile(filepath.Join(root, "docs/adr/0001-dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ourModules(t) {
		if !m.Indirect && !strings.Contains(string(adr), "| `"+m.Path+"` |") {
			t.Errorf("%s is in go.mod but has no line in docs/adr/0001-dependencies.md: say what it is for", m.Path)
		}
	}
}
