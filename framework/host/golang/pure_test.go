package golang

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/internal/core"
)

// decoded reads changes as the C side does.
func decoded(p []byte) string {
	var all []string
	for len(p) > 0 {
		kind, n, v := p[0], binary.NativeEndian.Uint32(p[1:]), binary.NativeEndian.Uint32(p[5:])
		name, value := string(p[9:9+n]), string(p[9+n:9+n+v])
		all = append(all, fmt.Sprintf("%s %s=%s", []string{"set", "add", "remove"}[kind], name, value))
		p = p[9+n+v:]
	}
	return strings.Join(all, ", ")
}

func TestChanges(t *testing.T) {
	b := &core.Block{Fields: []core.Field{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "a", Value: "3"}}}
	for _, c := range []struct {
		name  string
		fresh bool
		want  string
	}{
		{"a", false, "set a=1, add a=3"},
		{"a", true, "add a=1, add a=3"},
		{"b", false, "set b=2"},
		{"gone", false, "remove gone="},
		{"gone", true, ""}, // set, and removed again
	} {
		t.Run(fmt.Sprintf("%q", c.want), func(t *testing.T) {
			if got := decoded(appendChange(nil, b, c.name, c.fresh)); got != c.want {
				t.Errorf("%s, fresh %t: got %s, want %s", c.name, c.fresh, got, c.want)
			}
		})
	}
}
