package testcheck

import (
	"fmt"
	"go/token"
	"path/filepath"
	"testing"
)

// TestWordless fails for each call that fails a test without a word.
func TestWordless(t *testing.T) {
	found, err := Find("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, c := range found {
		t.Errorf("%s: %s says neither what was attempted nor what was got and wanted", at(c.Pos), c.Call)
	}
}

// at returns a place as it is clicked on: relative to the repository's root.
func at(pos token.Position) string {
	file, _ := filepath.Rel("../..", pos.Filename)
	return fmt.Sprintf("%s:%d", file, pos.Line)
}

func TestFile(t *testing.T) {
	for _, c := range []struct {
		call string
		want bool
	}{
		{call: `t.Fatal(err)`, want: true},
		{call: `t.Error(got, want)`, want: true},
		{call: `t.Error(got["header"])`, want: true},
		{call: `t.Fatal()`, want: true},
		{call: `t.FailNow()`, want: true},
		{call: `b.Fatal(err)`, want: true},
		{call: `t.Errorf("%v", err)`, want: true},
		{call: `t.Errorf("%d: %+v", i, err)`, want: true},
		{call: `t.Fatal("read the list:", err)`},
		{call: `t.Errorf("got %v, want %v", got, want)`},
		{call: `t.Errorf("%s: 100%% of them", name)`},
		{call: `t.Error(fmt.Sprint("no answer: ", err))`},
		{call: `t.Log(err)`},
		{call: `s.Error(err)`},
	} {
		t.Run(c.call, func(t *testing.T) {
			src := "package p\nimport \"testing\"\nfunc _(t *testing.T) { " + c.call + " }\n"
			found, err := file("x_test.go", src)
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			if got := len(found) == 1; got != c.want {
				t.Errorf("got %v, want wordless %v", found, c.want)
			}
		})
	}
}
