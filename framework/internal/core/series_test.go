package core

import "testing"

func TestSeries(t *testing.T) {
	m := &Metric{Name: "moe.p.calls", Tags: []string{"kind", "host"}}
	if got := m.Series([]string{"a", "x.y:80;z=1"}); got != "moe.p.calls;kind=a;host=x_y_80_z_1" {
		t.Errorf(`m.Series([]string{"a", "x.y:80;z=1"}) = %q, want %q`, got, "moe.p.calls;kind=a;host=x_y_80_z_1")
	}
	if got := m.Series(nil); got != "moe.p.calls" {
		t.Errorf("m.Series(nil) = %q, want %q", got, "moe.p.calls")
	}
}
