package filter

import (
	"fmt"
	"strings"
	"testing"
)

func TestTraceparent(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"
	for v, ok := range map[string]bool{
		"00-" + id + "01": true, "00-" + id + "00": true, "cc-" + id + "01-future": true, "cc-" + id + "01": true,
		"": false, "00-" + id + "01-x": false, "ff-" + id + "01": false, "00-" + id + "0g": false, "00-" + id + "0": false,
		"00-" + strings.ToUpper(id) + "01": false, "00_" + id + "01": false, "cc-" + id + "01x": false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
	} {
		t.Run(fmt.Sprintf("%.40q", v), func(t *testing.T) {
			if _, got := parseTraceparent(v); got != ok {
				t.Errorf("parseTraceparent(%q) says %t, want %t", v, got, ok)
			}
		})
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Add("4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-d-00f067aa0ba902b7")
	f.Fuzz(func(t *testing.T, v string) {
		if sc, ok := parseTraceparent(v); ok && (!sc.IsValid() || !strings.HasPrefix(v[3:], sc.TraceID().String())) {
			t.Errorf("%q is taken for the span context %+v", v, sc)
		}
		id, _, _ := strings.Cut(v, "-")
		if sc, ok := parseB3(v); ok && (!sc.IsValid() || !strings.HasSuffix(sc.TraceID().String(), id)) {
			t.Errorf("%q is taken for B3's span context %+v", v, sc)
		}
	})
}
