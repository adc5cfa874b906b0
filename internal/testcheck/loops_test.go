package testcheck

import (
	"fmt"
	"path/filepath"
	"testing"

	"mosn.io/moe/internal/shrinking"
)

// TestLoops fails for a package with more loops than the list allows, and for a number that is too high.
func TestLoops(t *testing.T) {
	all, err := FindLoops("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	found := map[string][]string{}
	for _, l := range all {
		file, _ := filepath.Rel("../..", l.Pos.Filename)
		found[l.Package] = append(found[l.Package], fmt.Sprintf("%s:%d: over %s", file, l.Pos.Line, l.Over))
	}
	shrinking.Check(t, "testdata/loops.txt",
		"loops over cases that fail the test outside of t.Run, which gives a case its name", found)
}

func TestFindsLoops(t *testing.T) {
	for _, c := range []struct {
		loop string
		want bool
	}{
		{loop: `for _, c := range []int{1} { t.Error(c, "is bad") }`, want: true},
		{loop: `for k, v := range map[string]int{"a": 1} { if v > 0 { t.Fatalf("%s is bad", k) } }`, want: true},
		{loop: `for _, c := range ([]int{1}) { t.Error(c, "is bad") }`, want: true},
		{loop: `for _, c := range cases { t.Error(c, "is bad") }`, want: true},
		{loop: `for _, c := range goodCases { t.FailNow() }`, want: true},
		{loop: `for _, tt := range tests { f.Error(tt, "is bad") }`, want: true},
		{loop: `for _, c := range cases { func() { t.Error(c, "is bad") }() }`, want: true},
		{
			loop: `for _, c := range cases { t.Error("bad"); t.Run(c, func(t *testing.T) { t.Error("bad") }) }`,
			want: true,
		},
		{loop: `for _, c := range cases { t.Run(c, func(t *testing.T) { t.Error("bad") }) }`},
		{loop: `for _, c := range cases { b.Run(c, func(b *testing.B) { b.Error("bad") }) }`},
		{loop: `for _, c := range cases { check(t, c) }`},
		{loop: `for _, c := range cases { s.Error(c, "is bad") }`},
		{loop: `for _, c := range read() { t.Error(c, "is bad") }`},
		{loop: `for _, line := range lines { t.Error(line, "is bad") }`},
		{loop: `for i := range 3 { t.Error(i, "is bad") }`},
	} {
		t.Run(c.loop, func(t *testing.T) {
			src := "package p\nimport \"testing\"\nfunc _(t *testing.T) { " + c.loop + " }\n"
			found, err := loops("x_test.go", src)
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			if got := len(found) == 1; got != c.want {
				t.Errorf("got %v, want a loop without names: %v", found, c.want)
			}
		})
	}
}
