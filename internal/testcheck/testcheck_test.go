package testcheck

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "lower the numbers in testdata/wordless.txt to what they are")

const list = "testdata/wordless.txt"

// TestWordless fails for a package with more wordless calls than the list allows, and for a number that is too high.
func TestWordless(t *testing.T) {
	found, err := Find("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	got := map[string][]Wordless{}
	for _, w := range found {
		got[w.Package] = append(got[w.Package], w)
	}
	allowed := read(t)
	for _, name := range slices.Sorted(maps.Keys(got)) {
		calls := got[name]
		if len(calls) <= allowed[name] {
			continue
		}
		var b strings.Builder
		for _, c := range calls {
			c.Pos.Filename, _ = filepath.Rel("../..", c.Pos.Filename)
			fmt.Fprintf(&b, "\n\t%v", c)
		}
		t.Errorf("%s: got %d calls without a word, want at most %d; say what was attempted, what was got, and what was wanted:%s",
			name, len(calls), allowed[name], b.String())
	}
	lower := false
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if n := len(got[name]); n < allowed[name] {
			lower = true
			if !*update {
				t.Errorf("%s: %s allows %d calls without a word, and there are %d: lower it (go test ./internal/testcheck -update)",
					name, list, allowed[name], n)
			}
		}
	}
	if lower && *update {
		write(t, allowed, got)
	}
}

// read returns how many wordless calls each package may have.
func read(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatalf("read the list: %v", err)
	}
	allowed := map[string]int{}
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		var n int
		var name string
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		if _, err := fmt.Sscanf(lines.Text(), "%d %s", &n, &name); err != nil || n < 1 || allowed[name] > 0 {
			t.Fatalf("%s: line %q is not a number above 0 and a new package (error %v)", list, lines.Text(), err)
		}
		allowed[name] = n
	}
	return allowed
}

func write(t *testing.T, allowed map[string]int, got map[string][]Wordless) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# How many failing calls without a word each package still has. Numbers only go down.\n")
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if n := min(len(got[name]), allowed[name]); n > 0 {
			fmt.Fprintf(&b, "%d %s\n", n, name)
		}
	}
	if err := os.WriteFile(list, []byte(b.String()), 0o644); err != nil {
		t.Fatalf("write the list: %v", err)
	}
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
