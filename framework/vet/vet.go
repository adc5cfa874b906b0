// Package vet finds what a plugin should not do and the compiler allows: a plain go statement. A panic in its goroutine
// kills Envoy, where one in a function given to filter.Go, filter.Pipe or Env.Go is recovered.
package vet

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// Allow is the comment, on the line of a go statement or on the one before, that keeps Dir from reporting it. What
// follows should say how the goroutine recovers.
const Allow = "//moe:goroutine"

// Finding is a go statement that was found.
type Finding struct {
	Pos  token.Position
	What string
}

// String is the finding as compilers print theirs.
func (f Finding) String() string { return fmt.Sprintf("%s: %s", f.Pos, f.What) }

// Dir checks the Go files at and below dir that import framework/filter, or are in one folder with a file that does.
// Tests, testdata, and files that are not Go are left out.
func Dir(dir string) ([]Finding, error) {
	folders := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (d.Name() == "testdata" || d.Name()[0] == '.' || d.Name()[0] == '_'):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], path)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, files := range folders {
		f, err := folder(files)
		if err != nil {
			return nil, err
		}
		found = append(found, f...)
	}
	return found, nil
}

func folder(files []string) (found []Finding, err error) {
	fset, plugin := token.NewFileSet(), false
	for _, path := range files {
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, i := range f.Imports {
			name, _ := strconv.Unquote(i.Path.Value)
			plugin = plugin || name == "mosn.io/moe/framework/filter"
		}
		found = append(found, goStatements(fset, f)...)
	}
	if !plugin {
		return nil, nil
	}
	return found, nil
}

func goStatements(fset *token.FileSet, f *ast.File) (found []Finding) {
	allowed := map[int]bool{}
	for _, group := range f.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, Allow) {
				line := fset.Position(c.Pos()).Line
				allowed[line], allowed[line+1] = true, true
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			if pos := fset.Position(g.Pos()); !allowed[pos.Line] {
				found = append(found, Finding{pos, "a panic in this goroutine kills Envoy: use filter.Go, filter.Pipe or Env.Go"})
			}
		}
		return true
	})
	return found
}
