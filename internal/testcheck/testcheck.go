// Package testcheck finds what makes tests hard to read. Its own tests refuse all of it in this repository:
//
//   - calls that fail without saying why: t.Fatal(err), where a reader of the output cannot tell what was attempted, and
//     t.Error(got), where nothing says what was wanted ([Find]);
//   - loops over the cases of a table that fail the test itself, so that no case has a name or can be run alone
//     ([FindLoops]);
//   - subtests that share a name, or have a number for one ([FindUnclear]);
//   - struct literals with five or more fields by position, where a reader has to count to know which is which
//     ([FindUnnamed]);
//   - reflect.DeepEqual, which does not say what differs ([FindDeepEqual]).
package testcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Wordless is a failing call that carries no word.
type Wordless struct {
	Package string // the folder, with slashes, relative to the root
	Pos     token.Position
	Call    string // as in "t.Fatal"
}

// Find returns the wordless calls in all Go files below root, in the order of files and lines. It skips testdata and
// folders that begin with a dot.
func Find(root string) (found []Wordless, err error) {
	err = walk(root, func(path, folder string) error {
		inFile, err := file(path, nil)
		for i := range inFile {
			inFile[i].Package = folder
		}
		found = append(found, inFile...)
		return err
	})
	return found, err
}

// walk calls visit for each Go file below root, with its folder as in [Wordless.Package].
func walk(root string, visit func(path, folder string) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "build"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go":
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return visit(path, filepath.ToSlash(rel))
	})
}

// file returns the wordless calls of one file; src is as in [parser.ParseFile].
func file(path string, src any) (found []Wordless, err error) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if !importsTesting(f) {
		return nil, nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if name, ok := failing(call); ok && !hasWords(call) {
			found = append(found, Wordless{Pos: set.Position(call.Pos()), Call: name})
		}
		return true
	})
	return found, nil
}

func importsTesting(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"testing"` })
}

// failing returns the name of a call that fails a test or gives up on it, as it is written.
func failing(call *ast.CallExpr) (name string, ok bool) {
	on, method := onTest(call)
	switch method {
	case "Fatal", "Fatalf", "Error", "Errorf", "Fail", "FailNow":
		return on + "." + method, true
	}
	return "", false
}

// hasWords reports whether some argument has a text with a word in it. A text that is not a literal may have one.
func hasWords(call *ast.CallExpr) bool {
	words := false
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					text, _ := strconv.Unquote(n.Value)
					words = words || hasWord(text)
				}
			case *ast.IndexExpr:
				return false // a literal key says nothing to the reader of the output
			}
			return true
		})
	}
	return words
}

// hasWord reports whether a format has a letter besides its verbs.
func hasWord(format string) bool {
	verb := false
	for _, r := range format {
		switch {
		case verb:
			verb = !unicode.IsLetter(r) && r != '%'
		case r == '%':
			verb = true
		case unicode.IsLetter(r):
			return true
		}
	}
	return false
}
