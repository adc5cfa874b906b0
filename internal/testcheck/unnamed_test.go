package testcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestUnnamed fails for each literal in the tests of the repository that gives more than four fields by position.
func TestUnnamed(t *testing.T) {
	found, err := FindUnnamed("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, at := range found {
		file, _ := filepath.Rel("../..", at.Filename)
		t.Errorf("%s:%d: more than %d fields without names, want {name: …, want: …}", file, at.Line, most)
	}
}

// TestFindUnnamed expects the lines of testdata/tests that say so.
func TestFindUnnamed(t *testing.T) {
	found, err := FindUnnamed("testdata/tests")
	if err != nil {
		t.Fatalf("read testdata/tests: %v", err)
	}
	got := map[string][]int{}
	for _, at := range found {
		name := filepath.Base(at.Filename)
		got[name] = append(got[name], at.Line)
	}
	for _, name := range []string{"tables_test.go", "types_test.go", "helper.go", "shipped.go"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata/tests", name))
			if err != nil {
				t.Fatalf("read the case: %v", err)
			}
			var want []int
			for i, line := range strings.Split(string(text), "\n") {
				if strings.HasSuffix(line, "// found") {
					want = append(want, i+1)
				}
			}
			slices.Sort(got[name])
			if !slices.Equal(got[name], want) {
				t.Errorf("found lines %v, want %v", got[name], want)
			}
		})
	}
}
