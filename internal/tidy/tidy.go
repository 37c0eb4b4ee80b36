// Package tidy holds the rules of the source tree that a machine can check, so that no reviewer has to:
// who may import whom, how long a function may be, what must carry a comment. Its test runs them over the
// whole repository on every `go test ./...`. A rule that must bend is changed here, with its reason.
package tidy

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Problem is one place that breaks a rule.
type Problem struct {
	Pos    token.Position // Filename is relative to the root of the tree
	Reason string         // what is wrong, why it matters and what to do
}

// String gives the problem as compilers print theirs: file:line:column: reason.
func (p Problem) String() string { return p.Pos.String() + ": " + p.Reason }

// Check parses every Go file of the module under root, whatever its build tags, and returns all problems in
// the order of their position. module is the module's path, by which its own imports are told from others.
func Check(root fs.FS, module string) ([]Problem, error) {
	t := &tree{module: module, fset: token.NewFileSet(), packages: map[string][]*file{}}
	if err := t.load(root); err != nil {
		return nil, fmt.Errorf("read the source tree: %w", err)
	}
	for _, files := range t.packages {
		t.checkPackageComment(files)
		for _, f := range files {
			t.checkPackageName(f)
			t.checkImports(f)
			t.checkLengths(f)
			t.checkStatements(f)
			t.checkGoroutines(f)
			t.checkSleeps(f)
			t.checkDocs(f)
		}
	}
	slices.SortFunc(t.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Pos.Filename, b.Pos.Filename), cmp.Compare(a.Pos.Offset, b.Pos.Offset))
	})
	return t.problems, nil
}

// tree is the parsed module and what was found in it.
type tree struct {
	module   string
	fset     *token.FileSet
	packages map[string][]*file // by folder; tests of the package among them
	problems []Problem
}

// file is one parsed Go file.
type file struct {
	path string // slash-separated, relative to the root
	test bool   // named *_test.go
	ast  *ast.File
}

// topFolder is the first element of the file's path, the unit of the import map.
func (f *file) topFolder() string { return topFolder(f.path) }

func topFolder(slashPath string) string {
	first, _, nested := strings.Cut(slashPath, "/")
	if !nested {
		return "."
	}
	return first
}

// internal says whether the file belongs to a test kit rather than to the product.
func (f *file) internal() bool { return f.topFolder() == "internal" }

func (t *tree) load(root fs.FS) error {
	return fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && t.foreign(root, name):
			return fs.SkipDir
		case entry.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(t.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.problems = append(t.problems, Problem{token.Position{Filename: name}, "does not parse: " + err.Error()})
			return nil
		}
		dir := path.Dir(name)
		t.packages[dir] = append(t.packages[dir], &file{name, strings.HasSuffix(name, "_test.go"), parsed})
		return nil
	})
}

// foreign says whether the go command would not look for our packages in dir either: hidden folders, test
// data, other modules, and what npm put there.
func (t *tree) foreign(root fs.FS, dir string) bool {
	if dir == "." {
		return false
	}
	base := path.Base(dir)
	if base[0] == '.' || base[0] == '_' || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}

func (t *tree) report(pos token.Pos, format string, args ...any) {
	t.problems = append(t.problems, Problem{t.fset.Position(pos), fmt.Sprintf(format, args...)})
}
