// Package doccomments reads the doc comments of structs from Go source, for the descriptions of a JSON Schema.
package doccomments

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
)

// Comments reads packages as their types are asked for.
type Comments struct {
	// Dir returns the folder of a package; "" leaves its types without comments.
	Dir func(pkgPath string) string
	// Err is the first error.
	Err error

	packages map[string]Package // by path
}

// Package has the comments of a package's types, by "Type", and of their fields, by "Type.Field".
type Package map[string]string

// Of returns the doc comment of a struct, or of its field of that Go name; "" if it has none. It is a config.Docs.
func (c *Comments) Of(t reflect.Type, field string) string {
	dir := c.Dir(t.PkgPath())
	if dir == "" || t.Name() == "" {
		return ""
	}
	p, ok := c.packages[t.PkgPath()]
	if !ok {
		var err error
		if p, err = Read(dir, t.PkgPath()); err != nil && c.Err == nil {
			c.Err = err
		}
		if c.packages == nil {
			c.packages = map[string]Package{}
		}
		c.packages[t.PkgPath()] = p
	}
	return p.Of(t.Name(), field)
}

// Of is [Comments.Of] for one package.
func (p Package) Of(typeName, field string) string {
	if field == "" {
		return p[typeName]
	}
	return p[typeName+"."+field]
}

// Read reads the package of that path in a folder, without its tests.
func Read(dir, path string) (Package, error) {
	p := Package{}
	return p, p.parse(dir, path)
}

func (p Package) parse(dir, path string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	d, err := doc.NewFromFiles(set, files, path, doc.AllDecls|doc.PreserveAST)
	if err != nil {
		return err
	}
	for _, t := range d.Types {
		p[t.Name] = plain(d, t.Doc)
		for _, spec := range t.Decl.Specs {
			s, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if st, ok := s.Type.(*ast.StructType); ok {
				p.fields(d, s.Name.Name, st)
			}
		}
	}
	return nil
}

func (p Package) fields(d *doc.Package, name string, st *ast.StructType) {
	for _, f := range st.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, n := range f.Names {
			p[name+"."+n.Name] = plain(d, text)
		}
	}
}

// plain writes a doc comment as text: each paragraph in one line, links by their text.
func plain(d *doc.Package, text string) string {
	pr := d.Printer()
	pr.TextWidth = -1
	return strings.TrimSpace(string(pr.Text(d.Parser().Parse(text))))
}
