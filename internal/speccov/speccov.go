// Package speccov counts which normative statements of MQTT 3.1.1 and 5 are held by tests.
//
// A test says at its beginning what it holds: speccov.Covers(t, "v5 MQTT-3.1.2-24"). It counts if the test passes and
// acts on a broker through a socket, or, for the wire format alone, on package packets. The command report runs such
// tests and says what is left; statements that no test can hold have their reason in untestable.tsv.
package speccov

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Variable names the environment variable that holds the folder for records. Without it nothing is recorded.
const Variable = "NIGHTJAR_SPECCOV"

// Covers says that the test holds statements, by version and OASIS number. It is recorded once the test, with all of its
// subtests, has passed. An unknown identifier fails the test.
func Covers(t testing.TB, ids ...string) {
	t.Helper()
	known, err := index()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if !known[id] {
			t.Errorf("no statement %q: write its version and number as they stand in internal/speccov", id)
		}
	}
	dir := os.Getenv(Variable)
	if dir == "" {
		return
	}
	top, _, _ := strings.Cut(t.Name(), "/")
	name := caller() + "." + top
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			return
		}
		if err := record(dir, name, ids); err != nil {
			t.Errorf("record the statements covered: %v", err)
		}
	})
}

// index holds the identifiers of all statements.
var index = sync.OnceValues(func() (map[string]bool, error) {
	known := map[string]bool{}
	for _, version := range Versions() {
		list, err := Statements(version)
		if err != nil {
			return nil, err
		}
		for i := range list {
			known[list[i].ID] = true
		}
	}
	return known, nil
})

// caller is the folder of the test that calls Covers, in the module.
func caller() string {
	pc, _, _, _ := runtime.Caller(2)
	function := runtime.FuncForPC(pc).Name() // nightjar/broker_test.TestX.func1
	slash := strings.LastIndexByte(function, '/') + 1
	dot := slash + strings.IndexByte(function[slash:], '.')
	_, folder, _ := strings.Cut(strings.TrimSuffix(function[:dot], "_test"), "/")
	return folder
}

// own is the record of this process: packages run in parallel, and each writes its own.
var own struct {
	sync.Mutex
	file *os.File
}

// record appends a line for each statement.
func record(dir, test string, ids []string) (err error) {
	own.Lock()
	defer own.Unlock()
	if own.file == nil {
		if own.file, err = os.CreateTemp(dir, "*.covered"); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if _, err := fmt.Fprintf(own.file, "%s\t%s\n", id, test); err != nil {
			return err
		}
	}
	return nil
}

// Covered reads the records in a folder: for each statement the tests that hold it, as folder.TestName.
func Covered(dir string) (map[string][]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.covered"))
	if err != nil {
		return nil, err
	}
	covered := map[string][]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read what a test recorded: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			id, test, _ := strings.Cut(strings.TrimSpace(line), "\t")
			covered[id] = append(covered[id], test)
		}
	}
	return covered, nil
}
