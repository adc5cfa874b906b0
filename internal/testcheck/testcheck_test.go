package testcheck

import (
	"fmt"
	"path/filepath"
	"testing"

	"mosn.io/moe/internal/shrinking"
)

// TestWordless fails for a package with more wordless calls than the list allows, and for a number that is too high.
func TestWordless(t *testing.T) {
	calls, err := Find("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	found := map[string][]string{}
	for _, c := range calls {
		file, _ := filepath.Rel("../..", c.Pos.Filename)
		found[c.Package] = append(found[c.Package], fmt.Sprintf("%s:%d: %s", file, c.Pos.Line, c.Call))
	}
	shrinking.Check(t, "testdata/wordless.txt",
		"failing calls that say neither what was attempted nor what was got and wanted", found)
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
