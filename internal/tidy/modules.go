package tidy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os/exec"
)

// sqliteVersionMin is the first modernc.org/sqlite whose SQLite lacks the WAL-reset corruption fault.
const sqliteVersionMin = "v1.57.0"

// Module is a required module, as `go mod edit -json` prints it.
type Module struct {
	Path     string
	Version  string
	Indirect bool
}

// Requires reads the require lines of a go.mod file.
func Requires(goMod string) ([]Module, error) {
	out, err := exec.Command("go", "mod", "edit", "-json", goMod).Output()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", goMod, err)
	}
	var parsed struct{ Require []Module }
	if err := json.Unmarshal(out, &parsed); err != nil {
		return nil, fmt.Errorf("decode what go mod edit says of %s: %w", goMod, err)
	}
	return parsed.Require, nil
}

// CheckSQLite compares the modules that we build with against those in the go.mod of modernc.org/sqlite
// itself. SQLite's C memory is libc's business: another libc than the one it was translated for gave SIGBUS
// and SIGSEGV on ARM, so an upgrade by `go get -u` or by a third module must fail here.
func CheckSQLite(ours, sqlites []Module) error {
	sqlite, libc := version(ours, "modernc.org/sqlite"), version(ours, "modernc.org/libc")
	if compareVersions(sqlite, sqliteVersionMin) < 0 {
		return fmt.Errorf("modernc.org/sqlite %q in go.mod is older than %s, which mends a corruption fault of the WAL", sqlite, sqliteVersionMin)
	}
	if want := version(sqlites, "modernc.org/libc"); libc == "" || libc != want {
		return fmt.Errorf("modernc.org/libc %q in go.mod, but modernc.org/sqlite %s requires %q: set it to exactly that", libc, sqlite, want)
	}
	return nil
}

// version is that of the named module, or "".
func version(modules []Module, name string) string {
	for _, m := range modules {
		if m.Path == name {
			return m.Version
		}
	}
	return ""
}

// compareVersions orders vMAJOR.MINOR.PATCH; what is not of that form comes first.
func compareVersions(a, b string) int {
	x, y := parseVersion(a), parseVersion(b)
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
}

func parseVersion(v string) (n [3]int) {
	if _, err := fmt.Sscanf(v, "v%d.%d.%d", &n[0], &n[1], &n[2]); err != nil {
		return [3]int{-1}
	}
	return n
}
