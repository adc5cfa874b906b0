package testcheck

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// most is how many fields a literal in a test may give by position.
const most = 4

// FindUnnamed returns where the tests below root give more than four fields of a struct by position, if its type is
// declared in the tests of the same folder. Like [Find], it skips testdata and folders that begin with a dot.
func FindUnnamed(root string) (found []token.Position, err error) {
	set, folders, err := parseTests(root)
	for _, d := range folders {
		d.each(func(f *ast.File, own declared) {
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.CompositeLit); ok && lit.Type != nil {
					for _, l := range unnamed(lit, lit.Type, own, d.types) {
						found = append(found, set.Position(l.Pos()))
					}
				}
				return true
			})
		})
	}
	return found, err
}

// folder is the tests of one folder.
type folder struct {
	files []*ast.File
	types declared // in any of the files
}

// parseTests parses the files below root that are tests or import testing.
func parseTests(root string) (set *token.FileSet, folders []*folder, err error) {
	set = token.NewFileSet()
	byName := map[string]*folder{}
	err = walk(root, func(path, name string) error {
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil || !strings.HasSuffix(path, "_test.go") && !importsTesting(f) {
			return err
		}
		d := byName[name]
		if d == nil {
			d = &folder{types: declared{}}
			byName[name], folders = d, append(folders, d)
		}
		d.files = append(d.files, f)
		d.types.add(f)
		return nil
	})
	return set, folders, err
}

// each calls visit for each file, with the types that the file itself declares.
func (d *folder) each(visit func(f *ast.File, own declared)) {
	for _, f := range d.files {
		own := declared{}
		own.add(f)
		visit(f, own)
	}
}

// declared has what stands behind the names of types, wherever they are declared. With one name for several types in
// functions of a file, one of them stands for all.
type declared map[string]ast.Expr

func (t declared) add(f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			t[spec.Name.Name] = spec.Type
		}
		return true
	})
}

// unnamed returns those of a literal and the literals without a type in it that have too many fields by position. The
// types of the literal's own file go before those of the others.
func unnamed(lit *ast.CompositeLit, typ ast.Expr, own, shared declared) (found []*ast.CompositeLit) {
	inner := func(e, typ ast.Expr) {
		if l, ok := e.(*ast.CompositeLit); ok && l.Type == nil {
			found = append(found, unnamed(l, typ, own, shared)...)
		}
	}
	switch typ := behind(typ, own, shared).(type) {
	case *ast.StructType:
		if len(lit.Elts) > most {
			if _, named := lit.Elts[0].(*ast.KeyValueExpr); !named {
				return []*ast.CompositeLit{lit}
			}
		}
	case *ast.ArrayType:
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				e = kv.Value
			}
			inner(e, typ.Elt)
		}
	case *ast.MapType:
		for _, e := range lit.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				inner(kv.Key, typ.Key)
				inner(kv.Value, typ.Value)
			}
		}
	}
	return found
}

// behind follows names and pointers to a type that is written out, if the tests have it.
func behind(typ ast.Expr, own, shared declared) ast.Expr {
	for range 10 { // a type may be declared as itself, in another function
		switch t := typ.(type) {
		case *ast.StarExpr:
			typ = t.X
		case *ast.IndexExpr:
			typ = t.X
		case *ast.IndexListExpr:
			typ = t.X
		case *ast.Ident:
			next, ok := own[t.Name]
			if !ok {
				next = shared[t.Name]
			}
			typ = next
		default:
			return typ
		}
	}
	return nil
}
