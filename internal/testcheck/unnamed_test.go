package testcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnnamed fails for each literal in the tests of the repository that gives more than four fields by position.
func TestUnnamed(t *testing.T) {
	found, err := FindUnnamed("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, pos := range found {
		t.Errorf("%s: more than %d fields without names, want {name: …, want: …}", at(pos), most)
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
			slices.Sort(got[name])
			if diff := cmp.Diff(marked(t, filepath.Join("testdata/tests", name)), got[name]); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

// marked returns the lines of a file that say that they are found.
func marked(t *testing.T, file string) (lines []int) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read the case: %v", err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasSuffix(line, "// found") {
			lines = append(lines, i+1)
		}
	}
	return lines
}
