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
	set := token.NewFileSet()
	var folders []string
	files := map[string][]*ast.File{}
	err = walk(root, func(path, folder string) error {
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil || !strings.HasSuffix(path, "_test.go") && !importsTesting(f) {
			return err
		}
		if files[folder] == nil {
			folders = append(folders, folder)
		}
		files[folder] = append(files[folder], f)
		return nil
	})
	for _, folder := range folders {
		shared := types{}
		for _, f := range files[folder] {
			shared.add(f)
		}
		for _, f := range files[folder] {
			own := types{}
			own.add(f)
			ast.Inspect(f, func(n ast.Node) bool {
				if lit, ok := n.(*ast.CompositeLit); ok && lit.Type != nil {
					for _, l := range unnamed(lit, lit.Type, own, shared) {
						found = append(found, set.Position(l.Pos()))
					}
				}
				return true
			})
		}
	}
	return found, err
}

// types has what stands behind the names of types, wherever they are declared. With one name for several types in
// functions of a file, one of them stands for all.
type types map[string]ast.Expr

func (t types) add(f *ast.File) {
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			t[spec.Name.Name] = spec.Type
		}
		return true
	})
}

// unnamed returns those of a literal and the literals without a type in it that have too many fields by position. The
// types of the literal's own file go before those of the others.
func unnamed(lit *ast.CompositeLit, typ ast.Expr, own, shared types) (found []*ast.CompositeLit) {
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
func behind(typ ast.Expr, own, shared types) ast.Expr {
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
