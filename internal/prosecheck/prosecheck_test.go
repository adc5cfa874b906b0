package prosecheck

import (
	"fmt"
	"strings"
	"testing"
)

// TestHabits fails for each of the habits in the repository.
func TestHabits(t *testing.T) {
	found, err := Find("../..")
	if err != nil {
		t.Fatalf("read the repository: %v", err)
	}
	for _, f := range found {
		if f.Folder != "internal/prosecheck" {
			t.Errorf("%s:%d: %q; write %s", f.File, f.Line, f.Found, f.Instead)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{line: "x is no host", want: "x is no host"},
		{line: "a deadline is no longer set"},
		{line: "there is no host"},
		{line: "consumer x is there twice", want: "is there twice"},
		{line: "the plugin is told the name", want: "is told"},
		{line: "which belongs into filter.Go", want: "belongs into"},
		{line: "the consumer and his key", want: "his"},
		{line: "this key"},
		{line: "Who gets one without an error leaves it.", want: "Who gets "},
		{line: "Who gets it?"},
		{line: "the name is none that can be sent", want: "none that"},
		{line: "whether there is a field, be its value empty", want: ", be its"},
		{line: "expected one of JWS, as RS256", want: ", as RS256"},
		{line: "expected a JWS algorithm such as RS256"},
	} {
		t.Run(c.line, func(t *testing.T) {
			var got []string
			for _, f := range check(c.line) {
				got = append(got, f.Found)
			}
			if strings.Join(got, "|") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestGoProse(t *testing.T) {
	lines, err := goProse("x.go", "package p\n\n// A is no B.\nvar a = \"is told\" // and his\n/*\nblock\n*/\n")
	if err != nil {
		t.Fatalf("goProse: %v", err)
	}
	for n, want := range map[int]string{3: "A is no B.", 4: "and his is told", 6: "block"} {
		t.Run(fmt.Sprintf("line %d", n), func(t *testing.T) {
			if got := strings.TrimSpace(lines[n]); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
