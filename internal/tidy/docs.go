package tidy

import (
	"go/ast"
	"go/token"
	"slices"
)

// contracts are methods whose meaning the standard library fixed.
var contracts = []string{"Error", "String", "Unwrap", "Is"}

// checkDocs holds that exported names have doc comments. Commands export nothing, tests to nobody.
func (t *tree) checkDocs(f *file) {
	if f.test || f.ast.Name.Name == "main" {
		return
	}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv != nil && (!exportedReceiver(decl) || slices.Contains(contracts, decl.Name.Name)) {
				continue
			}
			t.wantDoc(decl.Name, decl.Doc)
		case *ast.GenDecl:
			t.checkSpecs(decl)
		}
	}
}

// checkSpecs takes a comment on a group of constants or variables for all of them; a type needs its own.
func (t *tree) checkSpecs(decl *ast.GenDecl) {
	group := decl.Doc
	if decl.Tok == token.TYPE && decl.Lparen.IsValid() {
		group = nil
	}
	for _, spec := range decl.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			t.wantDoc(spec.Name, group, spec.Doc, spec.Comment)
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				t.wantDoc(name, group, spec.Doc, spec.Comment)
			}
		}
	}
}

// wantDoc reports name if it is exported and none of the comments says anything; directives do not count.
func (t *tree) wantDoc(name *ast.Ident, comments ...*ast.CommentGroup) {
	said := func(c *ast.CommentGroup) bool { return c.Text() != "" }
	if name.IsExported() && !slices.ContainsFunc(comments, said) {
		t.report(name.Pos(), "exported %s has no doc comment: say what it is, its unit and range, its errors and spec statement", name.Name)
	}
}

// exportedReceiver says whether the method's type can be seen outside its package.
func exportedReceiver(decl *ast.FuncDecl) bool {
	expr := decl.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return false
		}
	}
}
