package tidy

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// root is the repository, seen from this package's folder.
const root = "../.."

func TestTree(t *testing.T) {
	problems, err := Check(os.DirFS(root), "nightjar")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// lines is n lines of the same text.
func lines(n int, text string) string { return strings.Repeat(text+"\n", n) }

// TestRules sees each rule fail once, and pass where it must not fail.
func TestRules(t *testing.T) {
	const (
		doc     = "// Package topics is here.\npackage topics\n"
		bare    = "MQTT-" + "3.1.2-24" // a statement number that this file's own check does not see
		goStmt  = "func f() { go f() }\n"
		sleeper = "import \"time\"\nfunc f() { time.Sleep(1) }\n"
	)
	cases := []struct {
		name string
		path string
		src  string
		want string // in the one problem; "" for none
	}{
		{"clean", "topics/a.go", doc, ""},
		{"syntax error", "topics/a.go", doc + "func {", "does not parse"},
		{"hidden, data, dependencies and other modules", "topics/testdata/a.go", "package util", ""},

		{"import inside the folder", "topics/sub/a.go", doc + "import _ \"nightjar/topics\"", ""},
		{"import down", "sessions/a.go", "// Package sessions is.\npackage sessions\nimport _ \"nightjar/packets\"", ""},
		{"import of another module", "topics/a.go", doc + "import _ \"nightjars/packets\"", ""},
		{"import up", "topics/a.go", doc + "import _ \"nightjar/store/sqlite\"", "topics must not import store/sqlite: topics knows names and filters only"},
		{"import by the witness", "devices-sim/a.go", "// Package sim is.\npackage sim\nimport _ \"nightjar/broker\"", "devices-sim must not import broker: the simulator is the independent witness"},
		{"import of cmd", "configs/a.go", "// Package configs is.\npackage configs\nimport _ \"nightjar/cmd/nightjar\"", "configs must not import cmd/nightjar"},
		{"import by cmd", "cmd/nightjar/main.go", "// Nightjar is.\npackage main\nimport _ \"nightjar/broker\"", ""},
		{"import by a test", "topics/a_test.go", doc + "import _ \"nightjar/store\"", ""},
		{"unknown folder", "bridges/a.go", "// Package bridges is.\npackage bridges", "not in the import map"},
		{"package at the root", "a.go", doc, "not in the import map"},

		{"function of 70 lines", "topics/a.go", doc + "func f() {\n" + lines(68, "f()") + "}", ""},
		{"function of 71 lines", "topics/a.go", doc + "// f is.\nfunc f() {\n" + lines(69, "f()") + "}", "f has 71 lines"},
		{"literal of 71 lines", "topics/a.go", doc + "var f = func() {\n" + lines(69, "f()") + "}", "function literal has 71 lines"},
		{"long function in a test", "topics/a_test.go", doc + "func f() {\n" + lines(99, "f()") + "}", ""},
		{"file of 500 lines", "topics/a.go", doc + lines(498, "//"), ""},
		{"file of 501 lines", "topics/a.go", doc + lines(499, "//"), "file has 501 lines"},
		{"long tables", "topics/tables.go", doc + lines(600, "//"), ""},
		{"long table", "topics/rune_table.go", doc + lines(600, "//"), ""},
		{"long file in a test", "topics/a_test.go", doc + lines(600, "//"), ""},

		{"statement with its version", "topics/a.go", doc + "// [v5 " + bare + "] [v3.1.1 " + bare + "]", ""},
		{"statement in a comment", "topics/a.go", doc + "// As " + bare + " says.", bare + " without its version"},
		{"statement in a string", "topics/a.go", doc + "const s = `v5 " + bare + ", " + bare + "`", bare + " without its version"},
		{"statement in a test", "topics/a_test.go", doc + "/* " + bare + " */", bare + " without its version"},

		{"go statement", "topics/a.go", doc + goStmt, "bare go statement"},
		{"go statement in the helper", "topics/goroutine.go", doc + goStmt, ""},
		{"second go statement in the helper", "topics/goroutine.go", doc + "func f() { go f(); go f() }", "second go statement"},
		{"go statement in a test", "topics/a_test.go", doc + goStmt, ""},
		{"go statement in a test kit", "internal/topics/a.go", doc + goStmt, ""},

		{"sleep in a test", "topics/a_test.go", doc + sleeper, "time.Sleep in a test"},
		{"sleep in the product", "topics/a.go", doc + sleeper, ""},

		{"no package comment", "topics/a.go", "package topics", "package topics has no package comment"},
		{"a licence for a package comment", "topics/a.go", "// Copyright.\npackage topics", "no package comment"},
		{"no package comment, only tests", "topics/a_test.go", "package topics", "no package comment"},
		{"command without a comment", "cmd/nightjar/main.go", "package main", "no package comment"},
		{"vague name", "internal/util/a.go", "// Package util is.\npackage util", "name it for what it provides"},

		{"exported function", "topics/a.go", doc + "func F() {}", "exported F has no doc comment"},
		{"exported method", "topics/a.go", doc + "type (\n// T is.\nT[K any] struct{})\nfunc (*T[K]) M() {}", "exported M has no doc comment"},
		{"method of a hidden type", "topics/a.go", doc + "type t struct{}\nfunc (t) M() {}", ""},
		{"method of a known contract", "topics/a.go", doc + "// T is.\ntype T struct{}\nfunc (T) Error() string { return \"\" }", ""},
		{"exported type in a group", "topics/a.go", doc + "// Types.\ntype (\nT struct{}\n)", "exported T has no doc comment"},
		{"exported constant", "topics/a.go", doc + "const C = 1", "exported C has no doc comment"},
		{"directive for a doc comment", "topics/a.go", doc + "//go:noinline\nfunc F() {}", "exported F has no doc comment"},
		{"group of constants", "topics/a.go", doc + "// Limits.\nconst (\nA = 1\nB = 2\n)", ""},
		{"comment beside", "topics/a.go", doc + "var V = 1 // V is.", ""},
		{"exported in a test", "topics/a_test.go", doc + "func F() {}", ""},
		{"exported in a command", "cmd/nightjar/main.go", "// Nightjar is.\npackage main\nfunc F() {}", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			problems, err := Check(fstest.MapFS{c.path: {Data: []byte(c.src)}}, "nightjar")
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case c.want == "" && len(problems) > 0:
				t.Errorf("found %v, want no problem", problems)
			case c.want != "" && len(problems) != 1:
				t.Errorf("found %v, want one problem with %q", problems, c.want)
			case c.want != "" && !strings.Contains(problems[0].String(), c.want):
				t.Errorf("found %v, want %q in it", problems[0], c.want)
			}
		})
	}
}

func TestOtherModulesAreSkipped(t *testing.T) {
	tree := fstest.MapFS{
		"tools/go.mod":             {Data: []byte("module nightjar/tools")},
		"tools/a.go":               {Data: []byte("package util")},
		".ci/a.go":                 {Data: []byte("package util")},
		"topics/node_modules/a.go": {Data: []byte("package util")},
	}
	problems, err := Check(tree, "nightjar")
	if err != nil || len(problems) > 0 {
		t.Errorf("Check = %v, %v; want nothing", problems, err)
	}
}
