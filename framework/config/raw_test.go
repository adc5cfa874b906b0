package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

type inner struct {
	Size  int           `json:"size" validate:"min=10"`
	Delay time.Duration `json:"delay" default:"1s"`
}

type outer struct {
	Name string `json:"name" default:"x"`
	Raw[inner]
}

func TestRaw(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       outer
	}{
		{name: "nothing", text: `{}`, want: outer{Name: "x"}},
		{name: "own field only", text: `name: y`, want: outer{Name: "y"}},
		{name: "values of any type", text: `{size: wrong, delay: [1]}`, want: outer{
			Name: "x", Raw: Raw[inner]{"size": "wrong", "delay": []any{int64(1)}},
		}},
		{name: "null", text: `{size: null}`, want: outer{Name: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got outer
			if err := Decode(parse(t, c.text), &got); err != nil {
				t.Fatalf("Decode: got error %v, want none", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Decode (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRawSuggestsItsFields(t *testing.T) {
	err := Decode(parse(t, `{sise: 5}`), &outer{})
	if want := `sise: unknown field; did you mean "size"?`; err == nil || err.Error() != want {
		t.Errorf("Decode: got error %v, want %s", err, want)
	}
}

func TestRawIsPartOfTheSchema(t *testing.T) {
	text, err := Reflect("outer", reflect.TypeFor[outer](), nil)
	s := compile(t, text, err)
	for text, valid := range map[string]bool{`{name: a, size: 10}`: true, `{size: 5}`: false, `{raw: {}}`: false} {
		t.Run(text, func(t *testing.T) {
			if err := s.Validate(asJSON(t, parse(t, text))); (err == nil) != valid {
				t.Errorf("%s: got %v by the schema, want valid = %t", text, err, valid)
			}
		})
	}
}

func TestRawIsEncoded(t *testing.T) {
	got, err := Encode(&outer{Name: "y", Raw: Raw[inner]{"size": int64(5)}})
	if err != nil {
		t.Fatalf("Encode: got error %v, want none", err)
	}
	if diff := cmp.Diff(map[string]any{"name": "y", "size": int64(5)}, got); diff != "" {
		t.Errorf("Encode (-want +got):\n%s", diff)
	}
}

func TestAbsent(t *testing.T) {
	type thing struct {
		Wait time.Duration `json:"wait" absent:"30s"`
	}
	var v thing
	if err := Decode(map[string]any{}, &v); err != nil || v.Wait != 0 {
		t.Errorf("Decode: got %v, error %v; want an absent field to stay zero", v.Wait, err)
	}
	text, err := Reflect("thing", reflect.TypeFor[thing](), nil)
	if err != nil || !strings.Contains(string(text), `"default": "30s"`) {
		t.Errorf("Reflect: got %s, error %v; want the default 30s in it", text, err)
	}
}

func TestEncode(t *testing.T) {
	type part struct {
		ID string `json:"id"`
	}
	type whole struct {
		part
		On     *bool                     `json:"on"`
		Wait   time.Duration             `json:"wait"`
		Parts  []part                    `json:"parts"`
		Nested map[string]map[string]any `json:"nested"`
		Count  int                       `json:"count"`
		Any    any                       `json:"any"`
		Net    netip.Prefix              `json:"net"`
		Key    SecretRef                 `json:"key"`
	}
	off := false
	for _, c := range []struct {
		name string
		v    whole
		want map[string]any
	}{
		{name: "zero", want: map[string]any{}},
		{name: "false behind a pointer", v: whole{On: &off}, want: map[string]any{"on": false}},
		{name: "minutes", v: whole{Wait: time.Minute}, want: map[string]any{"wait": "1m"}},
		{name: "hours", v: whole{Wait: 20 * time.Hour}, want: map[string]any{"wait": "20h"}},
		{name: "an hour and ten seconds", v: whole{Wait: time.Hour + 10*time.Second}, want: map[string]any{"wait": "1h0m10s"}},
		{name: "network", v: whole{Net: netip.MustParsePrefix("fd00::/8")}, want: map[string]any{"net": "fd00::/8"}},
		{
			name: "secret in a file", v: whole{Key: NewSecretRef(map[string]any{"file": "/key"})},
			want: map[string]any{"key": map[string]any{"file": "/key"}},
		},
		{name: "embedded", v: whole{part: part{ID: "a"}}, want: map[string]any{"id": "a"}},
		{name: "empty list", v: whole{Parts: []part{}}, want: map[string]any{"parts": []any{}}},
		{
			name: "inside", v: whole{Parts: []part{{ID: "b"}}, Nested: map[string]map[string]any{"x": {"y": 1}}, Count: 3, Any: "z"},
			want: map[string]any{
				"parts": []any{map[string]any{"id": "b"}}, "nested": map[string]any{"x": map[string]any{"y": 1}},
				"count": int64(3), "any": "z",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Encode(c.v)
			if err != nil {
				t.Fatalf("Encode: got error %v, want none", err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Encode (-want +got):\n%s", diff)
			}
			var back whole
			if err := Decode(got, &back); err != nil {
				t.Errorf("Decode of what Encode made: %v", err)
			} else if diff := cmp.Diff(c.v, back, cmp.AllowUnexported(whole{}), cmpopts.EquateComparable(netip.Prefix{}), cmp.FilterValues(
				func(a, b any) bool { _, ok := a.(int); return ok }, cmp.Ignore())); diff != "" {
				t.Errorf("Decode of what Encode made (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSecretRefDoesNotPrint(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		t.Run(verb, func(t *testing.T) {
			if got := fmt.Sprintf(verb, struct{ Key SecretRef }{NewSecretRef("hush")}); strings.Contains(got, "hush") {
				t.Errorf("Sprintf(%q): got %s, want no secret in it", verb, got)
			}
		})
	}
}
