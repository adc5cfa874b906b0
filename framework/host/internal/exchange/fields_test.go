package exchange

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

// lend returns a string in memory that changes, as Envoy's does.
func lend(p []byte) string { return unsafe.String(&p[0], len(p)) }

func TestAppendLentCopies(t *testing.T) {
	memory := []byte("x-from-envoyvalue")
	for name, want := range map[string][]core.Field{
		"none":           nil,
		"an empty value": {{Name: "a", Value: ""}},
		"several":        {{Name: ":path", Value: "/"}, {Name: "", Value: ""}, {Name: "b", Value: strings.Repeat("v", 1000)}},
	} {
		t.Run(name, func(t *testing.T) {
			had := []core.Field{{Name: "had", Value: "1"}}
			if diff := cmp.Diff(append(had, want...), AppendLent(had, want)); diff != "" {
				t.Errorf("AppendLent (-want +got):\n%s", diff)
			}
		})
	}
	lent := []core.Field{{Name: lend(memory[:12]), Value: lend(memory[12:])}}
	got := AppendLent(nil, lent)
	clear(memory)
	if diff := cmp.Diff([]core.Field{{Name: "x-from-envoy", Value: "value"}}, got); diff != "" {
		t.Errorf("after Envoy has used its memory for something else (-want +got):\n%s", diff)
	}
}

func TestAppendLentAllocatesOnce(t *testing.T) {
	lent := []core.Field{{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/some/where"}, {Name: "a", Value: "b"}}
	to := make([]core.Field, 0, len(lent))
	if n := testing.AllocsPerRun(100, func() { AppendLent(to, lent) }); n != 1 {
		t.Errorf("%v allocations for a block, want 1", n)
	}
}
