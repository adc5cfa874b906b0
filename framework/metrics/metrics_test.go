package metrics

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

func TestWriteText(t *testing.T) {
	var b strings.Builder
	n, err := WriteText(&b, []Family{
		{Name: "moe.a-b.calls", Kind: Counter, Help: "Calls \\ of\nall.", Series: []Series{{Value: 3}}},
		{Name: "moe.a.b.calls", Kind: Gauge, Series: []Series{{Value: 4}}}, // the same name to Prometheus
		{Name: "moe.c", Kind: Gauge, Tags: []string{"x-y", "z"}, Series: []Series{{Values: []string{"a\"\\\n\xff", "é"}, Value: -1}}},
		{Name: "moe.h", Kind: Histogram, Tags: []string{"k"}, Bounds: []int64{1, 5}, Series: []Series{
			{Values: []string{"v"}, Value: 17, Buckets: []int64{1, 2, 3}},
		}},
	})
	if err != nil || int(n) != b.Len() {
		t.Errorf("WriteText = %d, %v, want %d and no error", n, err, b.Len())
	}
	want := `# HELP moe_a_b_calls Calls \\ of\nall.
# TYPE moe_a_b_calls counter
moe_a_b_calls 3
# TYPE moe_c gauge
moe_c{x_y="a\"\\\n�",z="é"} -1
# TYPE moe_h histogram
moe_h_bucket{k="v",le="1"} 1
moe_h_bucket{k="v",le="5"} 3
moe_h_bucket{k="v",le="+Inf"} 6
moe_h_sum{k="v"} 17
moe_h_count{k="v"} 6
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
}

// A snapshot has what was counted, with the help of those that are defined.
func TestSnapshot(t *testing.T) {
	d := core.Define(core.Definition{Name: "moe.snapshot.test", Tags: []string{"k"}, Help: "Tests."})
	m := d.Metric()
	before := find(d.Name)
	m.Add(2, []string{"v"})
	got := find(d.Name)
	want := Family{Name: d.Name, Kind: Counter, Help: "Tests.", Tags: []string{"k"}, Series: []Series{{Values: []string{"v"}, Value: 2}}}
	if len(before.Series) > 0 {
		want.Series[0].Value += before.Series[0].Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the family (-want +got):\n%s", diff)
	}
}

func find(name string) (found Family) {
	for _, f := range Snapshot() {
		if f.Name == name {
			found = f
		}
	}
	return found
}
