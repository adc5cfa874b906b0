// Package vet finds in the source of plugins what the compiler allows and Envoy does not survive: goroutines in which a
// panic is not recovered, goroutines that are ended where Envoy waits for them to return, and exits of the process.
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

// The comments that keep [Dir] from reporting what is on their line or on the next. What follows one says why that is
// safe.
const (
	AllowGoroutine = "//moe:goroutine" // a go statement: how the goroutine recovers
	AllowExit      = "//moe:exit"      // a call that ends a goroutine or the process: why nothing waits for it
)

// Finding is something that was found.
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
	plugin := false
	for _, path := range files {
		f, err := parse(path)
		if err != nil {
			return nil, err
		}
		plugin = plugin || f.imports("mosn.io/moe/framework/filter") != ""
		found = append(found, f.check()...)
	}
	if !plugin {
		return nil, nil
	}
	return found, nil
}

// file is a parsed file.
type file struct {
	*ast.File
	set     *token.FileSet
	allowed map[string]map[int]bool // lines, by the comment that allows them
}

func parse(path string) (*file, error) {
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{parsed, set, map[string]map[int]bool{AllowGoroutine: {}, AllowExit: {}}}
	for _, group := range f.Comments {
		for _, c := range group.List {
			for allow, lines := range f.allowed {
				if strings.HasPrefix(c.Text, allow) {
					line := set.Position(c.Pos()).Line
					lines[line], lines[line+1] = true, true
				}
			}
		}
	}
	return f, nil
}

// imports returns the name by which the file imports the package path, or "".
func (f *file) imports(path string) string {
	for _, i := range f.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == path {
			if i.Name != nil {
				return i.Name.Name
			}
			return path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return ""
}

const (
	goroutine = "a panic in this goroutine kills Envoy: use filter.Go, filter.Pipe or Env.Go"
	goexit    = "%s ends Envoy's thread, or a goroutine that a stream waits for: return instead"
	exit      = "%s ends the whole Envoy: return an error, or panic, which is answered with 500"
)

// check finds what the package comment names.
func (f *file) check() (found []Finding) {
	report := func(allow string, at ast.Node, what string) {
		if pos := f.set.Position(at.Pos()); !f.allowed[allow][pos.Line] {
			found = append(found, Finding{pos, what})
		}
	}
	ends, tests := f.functions(), f.imports("testing") != ""
	ast.PreorderStack(f.File, nil, func(n ast.Node, stack []ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(AllowGoroutine, n, goroutine)
		case *ast.SelectorExpr:
			of, _ := n.X.(*ast.Ident)
			if of != nil {
				if what, ok := ends[of.Name+"."+n.Sel.Name]; ok {
					report(AllowExit, n, fmt.Sprintf(what, of.Name+"."+n.Sel.Name))
					return true
				}
			}
			if tests && endsTest[n.Sel.Name] && (of == nil || !isParameter(of.Name, stack)) {
				report(AllowExit, n, fmt.Sprintf(goexit, n.Sel.Name+" of package testing"))
			}
		}
		return true
	})
	return found
}

// functions are those that end a goroutine or the process, as this file calls them, and what to say of each.
func (f *file) functions() map[string]string {
	m := map[string]string{}
	add := func(path, what string, names ...string) {
		if as := f.imports(path); as != "" {
			for _, name := range names {
				m[as+"."+name] = what
			}
		}
	}
	add("runtime", goexit, "Goexit")
	if f.Name.Name != "main" {
		add("os", exit, "Exit")
		add("syscall", exit, "Exit")
		add("log", exit, "Fatal", "Fatalf", "Fatalln")
	}
	return m
}

// endsTest are the methods of a testing.TB that end its goroutine.
var endsTest = map[string]bool{
	"FailNow": true, "Fatal": true, "Fatalf": true, "Skip": true, "SkipNow": true, "Skipf": true,
}

// isParameter reports whether name is a parameter of one of the functions in stack: a helper of tests, which is given
// the test that it may end.
func isParameter(name string, stack []ast.Node) bool {
	for _, n := range stack {
		var t *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncDecl:
			t = n.Type
		case *ast.FuncLit:
			t = n.Type
		default:
			continue
		}
		for _, p := range t.Params.List {
			for _, id := range p.Names {
				if id.Name == name {
					return true
				}
			}
		}
	}
	return false
}
