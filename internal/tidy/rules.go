package tidy

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The lengths that still fit a reader's head, in lines; tests and tables may be longer.
const (
	functionLinesMax = 70
	fileLinesMax     = 500
)

// checkLengths holds the two lengths. Files named tables.go or *_table.go hold nothing but data.
func (t *tree) checkLengths(f *file) {
	base := path.Base(f.path)
	if f.test || base == "tables.go" || strings.HasSuffix(base, "_table.go") {
		return
	}
	if lines := t.fset.File(f.ast.FileStart).LineCount(); lines > fileLinesMax {
		t.report(f.ast.Package, "file has %d lines, more than %d: split it by what its parts are for", lines, fileLinesMax)
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		name := "function literal"
		switch fn := n.(type) {
		case *ast.FuncDecl:
			name = fn.Name.Name
		case *ast.FuncLit:
		default:
			return true
		}
		// A doc comment is no part of the length: the declaration starts at its name or its body.
		if lines := t.line(n.End()) - t.line(funcPos(n)) + 1; lines > functionLinesMax {
			t.report(funcPos(n), "%s has %d lines, more than %d: keep the branches here and move the steps out", name, lines, functionLinesMax)
		}
		return true
	})
}

// funcPos is where the word func stands.
func funcPos(n ast.Node) token.Pos {
	if decl, ok := n.(*ast.FuncDecl); ok {
		return decl.Type.Func
	}
	return n.Pos()
}

func (t *tree) line(pos token.Pos) int { return t.fset.Position(pos).Line }

var statement = regexp.MustCompile(`MQTT-\d+\.\d+\.\d+-\d+`)

// checkStatements holds that a spec statement in a comment or a string carries its version: 114 numbers exist
// in both versions, and often say different things.
func (t *tree) checkStatements(f *file) {
	check := func(pos token.Pos, text string) {
		for _, at := range statement.FindAllStringIndex(text, -1) {
			before := text[:at[0]]
			if !strings.HasSuffix(before, "v5 ") && !strings.HasSuffix(before, "v3.1.1 ") {
				t.report(pos+token.Pos(at[0]), "%s without its version: write \"v5 \" or \"v3.1.1 \" before it", text[at[0]:at[1]])
			}
		}
	}
	for _, group := range f.ast.Comments {
		for _, c := range group.List {
			check(c.Pos(), c.Text)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			check(lit.Pos(), lit.Value)
		}
		return true
	})
}

// goroutineFiles may hold one go statement each, by file name.
var goroutineFiles = map[string]string{
	"goroutine.go": "the package's one tracked helper: it names and counts the goroutine, and refuses after shutdown has begun",
}

// checkGoroutines holds that the product starts goroutines only where they are tracked.
func (t *tree) checkGoroutines(f *file) {
	if f.test || f.internal() {
		return
	}
	started := 0
	ast.Inspect(f.ast, func(n ast.Node) bool {
		stmt, ok := n.(*ast.GoStmt)
		if !ok {
			return true
		}
		started++
		switch _, allowed := goroutineFiles[path.Base(f.path)]; {
		case !allowed:
			t.report(stmt.Go, "bare go statement: start it through the package's tracked helper in goroutine.go, so that shutdown can wait for it")
		case started > 1:
			t.report(stmt.Go, "second go statement in goroutine.go: it is for one tracked helper")
		}
		return true
	})
}

// checkSleeps holds that no test waits for a time instead of for a condition.
func (t *tree) checkSleeps(f *file) {
	if !f.test {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Sleep" {
			return true
		}
		if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
			t.report(sel.Pos(), "time.Sleep in a test is slow when it works and flaky when it does not: wait for the condition, or let a synctest bubble's clock run with <-time.After")
		}
		return true
	})
}

// checkPackageComment holds that every package says what it is for.
func (t *tree) checkPackageComment(files []*file) {
	for _, f := range files {
		name := f.ast.Name.Name
		doc := f.ast.Doc.Text()
		if strings.HasPrefix(doc, "Package "+name+" ") || name == "main" && doc != "" {
			return
		}
	}
	// Say it of a file of the package itself; of a test only if there is nothing else.
	f := files[max(0, slices.IndexFunc(files, func(f *file) bool { return !f.test }))]
	t.report(f.ast.Package, "package %s has no package comment (\"Package %[1]s ...\"): say what it owns", f.ast.Name.Name)
}

// vagueNames say nothing of what a package provides.
var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "type", "types", "misc"}

func (t *tree) checkPackageName(f *file) {
	if name := strings.TrimSuffix(f.ast.Name.Name, "_test"); slices.Contains(vagueNames, name) {
		t.report(f.ast.Name.Pos(), "package %s: name it for what it provides", name)
	}
}
