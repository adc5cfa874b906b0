package testcheck

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUnclear fails for each subtest of the repository whose name is another's, or a number.
func TestUnclear(t *testing.T) {
	found, err := FindUnclear("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, u := range found {
		t.Errorf("%s: unclear: %s", at(u.Pos), u.Why)
	}
}

func TestFindUnclear(t *testing.T) {
	found, err := FindUnclear("testdata/names")
	if err != nil {
		t.Fatalf("read testdata/names: %v", err)
	}
	got := []int{}
	for _, u := range found {
		got = append(got, u.Pos.Line)
	}
	if diff := cmp.Diff(marked(t, "testdata/names/names_test.go"), got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
