package testcheck

import (
	"go/ast"
	"go/token"
)

// FindDeepEqual returns where tests below root use reflect.DeepEqual. It skips what [Find] skips.
func FindDeepEqual(root string) (found []token.Position, err error) {
	set, folders, err := parseTests(root)
	for _, d := range folders {
		for _, f := range d.files {
			for _, at := range deepEqual(f) {
				found = append(found, set.Position(at))
			}
		}
	}
	return found, err
}

// deepEqual returns where a file uses reflect.DeepEqual.
func deepEqual(f *ast.File) (found []token.Pos) {
	ast.Inspect(f, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "DeepEqual" && nameOf(sel.X) == "reflect" {
			found = append(found, sel.Pos())
		}
		return true
	})
	return found
}
