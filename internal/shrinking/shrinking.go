// Package shrinking holds what tests find in the repository against a list of how much of it each package still has. The
// list only gets shorter: a package with more fails, and so does a number that is higher than it must be.
package shrinking

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "lower the numbers in the list to what they are")

// Check compares found, which has a text for each finding of each package, with the list in a file. what names the
// findings in messages.
func Check(t *testing.T, file, what string, found map[string][]string) {
	t.Helper()
	allowed, head := read(t, file)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if n := len(found[name]); n > allowed[name] {
			t.Errorf("%s: got %d %s, want at most %d:\n\t%s", name, n, what, allowed[name], strings.Join(found[name], "\n\t"))
		}
	}
	lower := false
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		n := len(found[name])
		if n >= allowed[name] {
			continue
		}
		lower = true
		if !*update {
			t.Errorf("%s: %s allows %d %s, and there are %d: lower it (go test with -update does)", name, file, allowed[name], what, n)
		}
	}
	if lower && *update {
		write(t, file, head, allowed, found)
	}
}

// read returns how much each package may have, and the comment at the top of the file.
func read(t *testing.T, file string) (allowed map[string]int, head string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("read the list: %v", err)
	}
	allowed = map[string]int{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			head += line
			continue
		}
		var n int
		var name string
		if _, err := fmt.Sscanf(line, "%d %s", &n, &name); err != nil || n < 1 || allowed[name] > 0 {
			t.Fatalf("%s: line %q is not a number above 0 and a new package (error %v)", file, line, err)
		}
		allowed[name] = n
	}
	return allowed, head
}

func write(t *testing.T, file, head string, allowed map[string]int, found map[string][]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString(head)
	for _, name := range slices.Sorted(maps.Keys(allowed)) {
		if n := min(len(found[name]), allowed[name]); n > 0 {
			fmt.Fprintf(&b, "%d %s\n", n, name)
		}
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatalf("write the list: %v", err)
	}
}
