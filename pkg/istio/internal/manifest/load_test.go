package manifest

import "testing"

// TestLineOf looks for fields in all forms of YAML.
func TestLineOf(t *testing.T) {
	in, err := Parse("x", []byte("apiVersion: v1\nkind: X\nmetadata:\n  name: n\nspec:\n  a: &a\n    b.c: 1\n  l:\n  - *a\n  - {d: 2,\n     e: 3}\n"))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	o := in.Objects()[0]
	for name, c := range map[string]struct {
		path string
		line int
	}{
		"the object":                    {"", 1},
		"a field":                       {"spec", 5},
		"a quoted key":                  {`spec.a["b.c"]`, 7},
		"an element":                    {"spec.l[1]", 10},
		"a field of a flow mapping":     {"spec.l[1].e", 11},
		"a field behind an alias":       {`spec.l[0]["b.c"]`, 7},
		"a missing field":               {"spec.l[1].f", 10},
		"a field of a missing element":  {"spec.l[7].x", 8},
		"a missing field of the object": {"nothing", 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got := o.LineOf(c.path); got != c.line {
				t.Errorf("LineOf(%q): got %d, want %d", c.path, got, c.line)
			}
		})
	}
}
