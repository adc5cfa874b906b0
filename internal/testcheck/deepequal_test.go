package testcheck

import (
	"go/parser"
	"go/token"
	"testing"
)

// TestDeepEqual fails for each reflect.DeepEqual in a test of the repository.
func TestDeepEqual(t *testing.T) {
	found, err := FindDeepEqual("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, pos := range found {
		t.Errorf("%s: reflect.DeepEqual does not say what differs: use cmp.Diff of github.com/google/go-cmp/cmp", at(pos))
	}
}

func TestFindsDeepEqual(t *testing.T) {
	for code, want := range map[string]int{
		`if !reflect.DeepEqual(a, b) { t.Error("differs") }`: 1,
		`equal := reflect.DeepEqual`:                         1,
		`reflect.TypeOf(a)`:                                  0,
		`other.DeepEqual(a, b)`:                              0,
	} {
		t.Run(code, func(t *testing.T) {
			f, err := parser.ParseFile(token.NewFileSet(), "x_test.go", "package p\nfunc _() { "+code+" }\n", 0)
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			if found := deepEqual(f); len(found) != want {
				t.Errorf("found %d, want %d", len(found), want)
			}
		})
	}
}
