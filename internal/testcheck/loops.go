package testcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// Loop is a loop over the cases of a table that fails the test itself, where each case could be a subtest with a name.
type Loop struct {
	Package string // the folder, with slashes, relative to the root
	Pos     token.Position
	Over    string // as in "cases"
}

// FindLoops returns the loops in all Go files below root whose body fails the test outside of t.Run, and which go over
// a literal or over a variable whose name ends in cases or tests. It skips what [Find] skips.
func FindLoops(root string) (found []Loop, err error) {
	err = walk(root, func(path, folder string) error {
		inFile, err := loops(path, nil)
		for i := range inFile {
			inFile[i].Package = folder
		}
		found = append(found, inFile...)
		return err
	})
	return found, err
}

// loops returns the loops of one file; src is as in [parser.ParseFile].
func loops(path string, src any) (found []Loop, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil || !importsTesting(f) {
		return nil, err
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if loop, ok := n.(*ast.RangeStmt); ok {
			if over, ok := table(loop.X); ok && failsTest(loop.Body) {
				found = append(found, Loop{Pos: set.Position(loop.Pos()), Over: over})
			}
		}
		return true
	})
	return found, nil
}

// table reports whether x has cases, and what it is.
func table(x ast.Expr) (name string, ok bool) {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return table(x.X)
	case *ast.CompositeLit:
		return "a literal", true
	case *ast.Ident:
		lower := strings.ToLower(x.Name)
		return x.Name, strings.HasSuffix(lower, "cases") || strings.HasSuffix(lower, "tests")
	}
	return "", false
}

// failsTest reports whether the body of a loop fails the test itself, and not only its subtests.
func failsTest(body *ast.BlockStmt) bool {
	fails := false
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if on, method := onTest(call); on != "" && method == "Run" {
			return false
		}
		_, ok = failing(call)
		fails = fails || ok
		return true
	})
	return fails
}

// onTest returns the names of a test and of its method, if a call is one of a method of a test.
func onTest(call *ast.CallExpr) (on, method string) {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || !slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
		return "", ""
	}
	return x.Name, sel.Sel.Name
}
