package testcheck

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"strings"
)

// Unclear is a subtest whose name does not tell which of the cases it is.
type Unclear struct {
	Pos token.Position
	Why string
}

// FindUnclear returns the subtests in all Go files below root that have the name of another, and those whose only name is
// their number. It knows the names that a test computes from the fields of a literal. It skips what [Find] skips.
func FindUnclear(root string) (found []Unclear, err error) {
	set, folders, err := parseTests(root)
	if err != nil {
		return nil, err
	}
	for _, d := range folders {
		d.each(func(file *ast.File, own declared) {
			n := namer{set: set, own: own, shared: d.types}
			ast.Inspect(file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.FuncDecl:
					n.tables = tablesOf(file, node)
				case *ast.RangeStmt:
					n.loop(node)
				case *ast.BlockStmt:
					n.block(node)
				}
				return true
			})
			found = append(found, n.found...)
		})
	}
	return found, nil
}

type namer struct {
	set         *token.FileSet
	own, shared declared
	tables      map[string]*ast.CompositeLit
	found       []Unclear
}

func (n *namer) add(at ast.Node, format string, args ...any) {
	n.found = append(n.found, Unclear{Pos: n.set.Position(at.Pos()), Why: fmt.Sprintf(format, args...)})
}

// block compares the names that one block of statements writes out.
func (n *namer) block(block *ast.BlockStmt) {
	seen := map[string]bool{}
	for _, s := range block.List {
		stmt, ok := s.(*ast.ExprStmt)
		if !ok {
			continue
		}
		call, ok := stmt.X.(*ast.CallExpr)
		if !ok || !isRun(call) {
			continue
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok {
			if seen[lit.Value] {
				n.add(call, "a second subtest %s", lit.Value)
			}
			seen[lit.Value] = true
		}
	}
}

// loop compares the names that a loop over a literal gives its subtests.
func (n *namer) loop(loop *ast.RangeStmt) {
	lit := n.literal(loop.X)
	if lit == nil {
		return
	}
	k, v := nameOf(loop.Key), nameOf(loop.Value)
	assigned := map[string]ast.Expr{}
	ast.Inspect(loop.Body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE && len(node.Lhs) == 1 && len(node.Rhs) == 1 {
				assigned[nameOf(node.Lhs[0])] = node.Rhs[0]
			}
		case *ast.CallExpr:
			if !isRun(node) {
				return true
			}
			name := node.Args[0]
			if by, ok := assigned[nameOf(name)]; ok {
				name = by
			}
			n.compare(lit, name, k, v)
			return false
		}
		return true
	})
}

// compare compares the names of the cases of a literal, for an expression with the variables k and v of the loop.
func (n *namer) compare(lit *ast.CompositeLit, name ast.Expr, k, v string) {
	typ := behind(lit.Type, n.own, n.shared)
	array, isList := typ.(*ast.ArrayType)
	if isList && isNumber(name, k) {
		n.add(name, "the name of a subtest is its number in the table")
		return
	}
	seen := map[string]bool{}
	for i, e := range lit.Elts {
		r := row{k: k, v: v, key: fmt.Sprint(i)}
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			r.key, e = source(kv.Key), kv.Value
		}
		if u, ok := e.(*ast.UnaryExpr); ok {
			e = u.X
		}
		r.value = e
		if isList {
			r.fields, _ = behind(array.Elt, n.own, n.shared).(*ast.StructType)
		} else if m, ok := typ.(*ast.MapType); ok {
			r.fields, _ = behind(m.Value, n.own, n.shared).(*ast.StructType)
		}
		text, ok := r.text(name)
		if !ok || !r.used {
			return
		}
		if seen[text] {
			n.add(e, "the name of a subtest is that of a case before it: %s", text)
		}
		seen[text] = true
	}
}

// literal returns the literal that a loop goes over, or nil.
func (n *namer) literal(x ast.Expr) *ast.CompositeLit {
	switch x := x.(type) {
	case *ast.ParenExpr:
		return n.literal(x.X)
	case *ast.CompositeLit:
		return x
	case *ast.Ident:
		return n.tables[x.Name]
	}
	return nil
}

// tablesOf returns the literals that are the only value of a variable, in a function or at the top of its file.
func tablesOf(file *ast.File, f *ast.FuncDecl) map[string]*ast.CompositeLit {
	tables, times := map[string]*ast.CompositeLit{}, map[string]int{}
	add := func(name, value ast.Expr) {
		times[nameOf(name)]++
		if lit, ok := value.(*ast.CompositeLit); ok {
			tables[nameOf(name)] = lit
		}
	}
	visit := func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			for i, name := range node.Lhs {
				if len(node.Rhs) == len(node.Lhs) {
					add(name, node.Rhs[i])
				} else {
					add(name, nil)
				}
			}
		case *ast.ValueSpec:
			for i, name := range node.Names {
				if len(node.Values) == len(node.Names) {
					add(name, node.Values[i])
				}
			}
		}
		return true
	}
	for _, d := range file.Decls {
		if d, ok := d.(*ast.GenDecl); ok {
			ast.Inspect(d, visit)
		}
	}
	ast.Inspect(f, visit)
	for name := range tables {
		if times[name] > 1 {
			delete(tables, name)
		}
	}
	return tables
}

// row is one case of a table.
type row struct {
	k, v   string // the variables of the loop
	key    string
	value  ast.Expr
	fields *ast.StructType // the type of value, if it is a struct that the tests declare
	used   bool            // whether text has met a variable of the loop
}

// text returns an expression with the row's own texts in place of the loop's variables. Where it is the same for two
// rows, so is the value. It is not ok where the expression does what text does not follow.
func (r *row) text(e ast.Expr) (s string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value, true
	case *ast.Ident:
		switch e.Name {
		case r.k:
			r.used = true
			return r.key, true
		case r.v:
			r.used = true
			return source(r.value), true
		}
		return e.Name, true
	case *ast.ParenExpr:
		return r.text(e.X)
	case *ast.SelectorExpr:
		if r.v != "" && nameOf(e.X) == r.v {
			r.used = true
			return r.field(e.Sel.Name)
		}
		return source(e), !r.mentioned(e)
	case *ast.BinaryExpr:
		x, ok1 := r.text(e.X)
		y, ok2 := r.text(e.Y)
		return x + " " + e.Op.String() + " " + y, ok1 && ok2
	case *ast.CallExpr:
		if sel, isMethod := e.Fun.(*ast.SelectorExpr); isMethod && nameOf(sel.X) == r.v && r.v != "" {
			return "", false
		}
		parts := make([]string, len(e.Args))
		ok = true
		for i, arg := range e.Args {
			text, fine := r.text(arg)
			parts[i], ok = text, ok && fine
		}
		fun, fine := r.text(e.Fun)
		return fun + "(" + strings.Join(parts, ", ") + ")", ok && fine
	}
	return source(e), !r.mentioned(e)
}

// field returns the text of a field of the row.
func (r *row) field(name string) (s string, ok bool) {
	lit, ok := r.value.(*ast.CompositeLit)
	if !ok {
		return "", false
	}
	at := 0
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if nameOf(kv.Key) == name {
				return source(kv.Value), true
			}
			at = -1
		}
	}
	if at < 0 || len(lit.Elts) == 0 {
		return "its zero value", true
	}
	if r.fields == nil {
		return "", false
	}
	for _, f := range r.fields.Fields.List {
		if len(f.Names) == 0 { // embedded
			at++
		}
		for _, n := range f.Names {
			if n.Name == name && at < len(lit.Elts) {
				return source(lit.Elts[at]), true
			}
			at++
		}
	}
	return "", false
}

// mentioned reports whether an expression has a variable of the loop.
func (r *row) mentioned(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			found = found || id.Name == r.k || id.Name == r.v
		}
		return true
	})
	return found
}

// isNumber reports whether a name is k, made a text.
func isNumber(name ast.Expr, k string) bool {
	call, ok := name.(*ast.CallExpr)
	if !ok || k == "" || len(call.Args) == 0 || nameOf(call.Args[len(call.Args)-1]) != k {
		return false
	}
	switch source(call.Fun) {
	case "fmt.Sprint", "strconv.Itoa":
		return len(call.Args) == 1
	}
	return false
}

// isRun reports whether a call runs a subtest.
func isRun(call *ast.CallExpr) bool {
	_, method := onTest(call)
	return method == "Run" && len(call.Args) == 2
}

// nameOf returns the name of a variable or a field, or "".
func nameOf(e ast.Expr) string {
	if id, ok := e.(*ast.Ident); ok && id.Name != "_" {
		return id.Name
	}
	return ""
}

// source returns an expression as Go code.
func source(e ast.Expr) string {
	var b strings.Builder
	format.Node(&b, token.NewFileSet(), e) // all that the parser has made can be formatted
	return b.String()
}
