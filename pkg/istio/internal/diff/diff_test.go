package diff

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestUnified holds the diff against what it must give: applied to one text, the other.
func TestUnified(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var a, b []string
		for range r.IntN(12) {
			a = append(a, fmt.Sprint(r.IntN(4)))
		}
		for range r.IntN(12) {
			b = append(b, fmt.Sprint(r.IntN(4)))
		}
		var gotA, gotB []string
		for _, o := range compareLines(a, b) {
			if o.kind != '+' {
				gotA = append(gotA, o.line)
			}
			if o.kind != '-' {
				gotB = append(gotB, o.line)
			}
		}
		if diff := cmp.Diff([][]string{a, b}, [][]string{gotA, gotB}, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%v to %v (-want +got):\n%s", a, b, diff)
		}
	}
	if got, want := Unified("a", "b", "1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\nx\n6\n"),
		"--- a\n+++ b\n@@ -2,5 +2,5 @@\n 2\n 3\n 4\n-5\n+x\n 6\n"; got != want {
		t.Errorf("Unified(…) = %q, want %q", got, want)
	}
}
