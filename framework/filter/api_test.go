package filter_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exported are the exported names of this package: "Reply", "Stream.Attr".
func exported(t *testing.T) map[string]*ast.CommentGroup {
	t.Helper()
	names := map[string]*ast.CommentGroup{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatalf("Glob: %v", err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatalf("ParseFile: %v", err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				name := d.Name.Name
				if d.Recv != nil {
					name = receiver(d.Recv.List[0].Type) + "." + name
				}
				names[name] = d.Doc
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.TypeSpec:
						names[s.Name.Name] = either(s.Doc, d.Doc)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							names[id.Name] = either(s.Doc, s.Comment, d.Doc)
						}
					}
				}
			}
		}
	}
	for name := range names {
		for _, part := range strings.Split(name, ".") {
			if !ast.IsExported(part) {
				delete(names, name)
			}
		}
	}
	return names
}

func either(comments ...*ast.CommentGroup) *ast.CommentGroup {
	for _, c := range comments {
		if c != nil {
			return c
		}
	}
	return nil
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for name, doc := range exported(t) {
		if doc == nil || len(strings.Fields(doc.Text())) < 3 {
			t.Errorf("%s has no comment that says what it promises", name)
		}
	}
}

// What authors read: the examples of this package, those in docs/examples, and the documents.
func writings(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	add := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("ReadFile: %v", err)
		}
		all.Write(text)
	}
	examples, err := filepath.Glob("example_*_test.go")
	if err != nil || len(examples) == 0 {
		t.Fatalf("examples %v, error %v", examples, err)
	}
	for _, path := range examples {
		add(path)
	}
	err = filepath.WalkDir("../../docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".md") || strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")) {
			add(path)
		}
		return err
	})
	if err != nil {
		t.Fatalf("WalkDir: %v", err)
	}
	return all.String()
}

// Names that no author uses, but the framework and tools.
var forTools = map[string]bool{
	"Internals": true, "Registration": true, "Lookup": true, "LookupType": true, "Registrations": true,
	"Key.String": true, "Stage": true, "Stage.String": true,
}

func TestExportedNamesAreShown(t *testing.T) {
	text := writings(t)
	for name := range exported(t) {
		if forTools[name] {
			continue
		}
		use := `filter\.` + name + `\b`
		if of, method, ok := strings.Cut(name, "."); ok {
			use = `\w\.` + method + `\(`
			if strings.HasSuffix(of, "Handler") {
				use = `\) ` + method + `\(`
			}
		}
		if strings.HasSuffix(name, "Handler") { // a phase: who has its method implements it
			use = `\) On` + strings.TrimSuffix(name, "Handler") + `\(`
		}
		if !regexp.MustCompile(use).MatchString(text) {
			t.Errorf("%s is in no example and no document", name)
		}
	}
}

// The index of the package fits two screens.
func TestIndexIsShort(t *testing.T) {
	out, err := exec.Command("go", "doc", ".").Output()
	if err != nil {
		t.Fatalf("go doc: %v", err)
	}
	if n := strings.Count(string(out), "\n"); n > 100 {
		t.Errorf("go doc has %d lines, want 100 at most:\n%s", n, out)
	}
}
