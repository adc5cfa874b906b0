package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
)

// comments reads doc comments from the source of this module, a package at a time.
type comments struct {
	root     string
	packages map[string]*pkg // by folder
	err      error
}

// pkg has the comments of a package's types, by "Type" and "Type.Field".
type pkg struct{ docs map[string]string }

func (c *comments) load(dir string) *pkg {
	if p := c.packages[dir]; p != nil {
		return p
	}
	p := &pkg{docs: map[string]string{}}
	c.packages[dir] = p
	if err := p.parse(filepath.Join(c.root, filepath.FromSlash(dir)), module+"/"+dir); err != nil && c.err == nil {
		c.err = err
	}
	return p
}

func (p *pkg) parse(dir, path string) error {
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
		p.docs[t.Name] = plain(d, t.Doc)
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

func (p *pkg) fields(d *doc.Package, name string, st *ast.StructType) {
	for _, f := range st.Fields.List {
		text := f.Doc.Text()
		if text == "" {
			text = f.Comment.Text()
		}
		for _, n := range f.Names {
			p.docs[name+"."+n.Name] = plain(d, text)
		}
	}
}

// plain writes a doc comment as text: each paragraph in one line, links by their text.
func plain(d *doc.Package, text string) string {
	pr := d.Printer()
	pr.TextWidth = -1
	return strings.TrimSpace(string(pr.Text(d.Parser().Parse(text))))
}
