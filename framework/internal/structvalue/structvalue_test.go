package structvalue

import (
	"encoding/json"
	"errors"
	"testing"

	"mosn.io/moe/framework/internal/core"
)

func TestOf(t *testing.T) {
	n := 7
	for _, c := range []struct {
		value any
		want  string
	}{
		{"text", `"text"`},
		{"\xff", `"�"`},
		{true, "true"},
		{int8(-3), "-3"},
		{uint16(3), "3"},
		{float32(0.5), "0.5"},
		{&n, "7"},
		{nil, "null"},
		{[]string{"a", "b"}, `["a","b"]`},
		{map[string]any{"k": []int{1}}, `{"k":[1]}`},
	} {
		t.Run(c.want, func(t *testing.T) {
			v, err := Of(c.value)
			if err != nil {
				t.Errorf("%v: Of: %v", c.value, err)
				return
			}
			if got, _ := json.Marshal(v.AsInterface()); string(got) != c.want {
				t.Errorf("%v: got %s, want %s", c.value, got, c.want)
			}
		})
	}
	for name, v := range map[string]any{
		"a channel": make(chan int), "a map by numbers": map[int]string{1: "a"}, "a struct in a list": []any{struct{}{}},
		"a function in a map": map[string]any{"f": func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Of(v); !errors.Is(err, core.ErrUnsupported) {
				t.Errorf("%T: Of(v): got error %v, want %v", v, err, core.ErrUnsupported)
			}
		})
	}
}
