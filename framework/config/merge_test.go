package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type merging struct {
	everything
	Deep map[string]limits `json:"deep"`
	Only *limits           `json:"only"`
}

type mergesOwn struct{}

func (*mergesOwn) Merge(parent, child map[string]any) (map[string]any, error) {
	switch child["how"] {
	case "panic":
		panic("oh")
	case "error":
		return nil, errors.New("no")
	}
	parent["x"] = "changed"
	return map[string]any{"parent": parent["x"], "child": child["x"]}, nil
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ name, parent, child, want string }{
		{name: "nothing over nothing", parent: ``, child: ``, want: `{}`},
		{name: "nothing over something", parent: `a: 1`, child: ``, want: `a: 1`},
		{name: "something over nothing", parent: ``, child: `a: 1`, want: `a: 1`},
		{name: "fields", parent: `{a: 1, b: 2}`, child: `{b: 3, c: 4}`, want: `{a: 1, b: 3, c: 4}`},
		{
			name: "fields of a struct", parent: `limits: {size: 1, delay: 2s}`, child: `limits: {delay: 3s}`,
			want: `limits: {size: 1, delay: 3s}`,
		},
		{name: "null removes a struct", parent: `limits: {size: 1}`, child: `limits: null`, want: `{}`},
		{
			name: "null removes a field", parent: `limits: {size: 1, delay: 1s}`, child: `limits: {size: null}`,
			want: `limits: {delay: 1s}`,
		},
		{name: "a struct over a wrong type", parent: `limits: 5`, child: `limits: {size: 1}`, want: `limits: {size: 1}`},
		{name: "a wrong type over a struct", parent: `limits: {size: 1}`, child: `limits: 5`, want: `limits: 5`},
		{name: "lists are appended", parent: `words: [a]`, child: `words: [b]`, want: `words: [a, b]`},
		{name: "an empty list adds nothing", parent: `words: [a]`, child: `words: []`, want: `words: [a]`},
		{name: "null removes a list", parent: `words: [a]`, child: `words: null`, want: `{}`},
		{name: "a list over nothing", parent: ``, child: `words: [b]`, want: `words: [b]`},
		{
			name: "structs of a list are appended", parent: `rules: [{id: a}]`, child: `rules: [{id: a}]`,
			want: `rules: [{id: a}, {id: a}]`,
		},
		{name: "a list that replaces", parent: `modes: [a]`, child: `modes: [b]`, want: `modes: [b]`},
		{name: "a number over zero", parent: `rate: 0`, child: `rate: 5`, want: `rate: 5`},
		{name: "zero over a number", parent: `rate: 5`, child: `rate: 0`, want: `rate: 0`},
		{name: "secrets replace", parent: `secret: {env: A}`, child: `secret: {file: B}`, want: `secret: {file: B}`},
		{
			name: "secrets of a map replace", parent: `secrets: {a: {env: A}, b: x}`, child: `secrets: {a: {file: B}}`,
			want: `secrets: {a: {file: B}, b: x}`,
		},
		{
			name: "structs of a map", parent: `deep: {a: {size: 1}}`, child: `deep: {a: {delay: 1s}, b: {}}`,
			want: `deep: {a: {size: 1, delay: 1s}, b: {}}`,
		},
		{
			name: "a struct behind a pointer", parent: `only: {size: 1}`, child: `only: {delay: 1s}`,
			want: `only: {size: 1, delay: 1s}`,
		},
		{
			name: "a type within itself", parent: `next: {words: [a], modes: [a]}`,
			child: `next: {words: [b], modes: [b]}`, want: `next: {words: [a, b], modes: [b]}`,
		},
		{name: "any value", parent: `any: {a: {b: 1}}`, child: `any: {a: {c: [2]}}`, want: `any: {a: {b: 1, c: [2]}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := parse(t, c.parent).(map[string]any)
			k, _ := parse(t, c.child).(map[string]any)
			before, after := Clone(p), Clone(k)
			got, err := Merge(reflect.TypeFor[merging](), p, k)
			if err != nil {
				t.Fatalf("Merge: %v", err)
			}
			if diff := cmp.Diff(parse(t, c.want), any(got)); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s", c.child, c.parent, diff)
			}
			if diff := cmp.Diff(before, any(p)); diff != "" {
				t.Errorf("the parent has changed (-before +after):\n%s", diff)
			}
			if diff := cmp.Diff(after, any(k)); diff != "" {
				t.Errorf("the child has changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestOwnMerge(t *testing.T) {
	own := reflect.TypeFor[mergesOwn]()
	if !HasMerge(own) {
		t.Error("HasMerge is false for a type with a Merge method")
	}
	if HasMerge(reflect.TypeFor[merging]()) {
		t.Error("HasMerge is true for a type without a Merge method")
	}
	p := map[string]any{"x": 1}
	got, err := Merge(own, p, map[string]any{"x": 2})
	if err != nil || got["parent"] != "changed" || got["child"] != 2 || p["x"] != 1 {
		t.Errorf(`%v: Merge: %v; got["parent"] = %v, want %v; got["child"] = %v, want 2; p["x"] = %v, want 1: %v`,
			got, err, got["parent"], "changed", got["child"], p["x"], p)
	}
	if _, err := Merge(own, p, map[string]any{"how": "error"}); err == nil || err.Error() != "no" {
		t.Errorf(`Merge(own, p, map[string]any{"how": "error"}) succeeded, want an error; got %v, want err.Error() %q`,
			err, "no")
	}
	if _, err := Merge(own, p, map[string]any{"how": "panic"}); err == nil ||
		!regexp.MustCompile(`^Merge of the plugin panics at merge_test.go:\d+: oh$`).MatchString(err.Error()) {
		t.Errorf("a Merge that panics: got error %v, want one that names the place", err)
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"rate", "burst", "secret", "requestHeaders", "in"}
	for name, want := range map[string]string{
		"rtae": "rate", "RATE": "rate", "secrets": "secret",
		"request_headers": "requestHeaders", "requestheader": "requestHeaders", "x": "", "": "", "at": "", "inn": "in", "burts": "burst", "somethingelse": "",
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if got := Suggest(name, names); got != map[bool]string{true: `; did you mean "` + want + `"?`}[want != ""] {
				t.Errorf("%s: Suggest(name, names) = %q, want %q",
					name, got, map[bool]string{true: `; did you mean "` + want + `"?`}[want != ""])
			}
		})
	}
}

func TestPathsAndLists(t *testing.T) {
	es := Errors{{Path: "b[10].x", Msg: "m"}, {Path: "b[9].x", Msg: "m", Plugin: "p"}, {Path: "", Msg: "m"}}
	const want = "routes[1]: m (q); routes[1].b[9].x: m (p); routes[1].b[10].x: m (q)"
	if got := es.Of("q").In("routes[1]").Err().Error(); got != want {
		t.Errorf(`es.Of("q").In("routes[1]").Err().Error() = %q, want %q`, got, want)
	}
	filed := Errors{{File: "b", Msg: "m"}, {File: "a", Line: 10, Path: "x", Msg: "m"}, {File: "a", Line: 9, Path: "y", Plugin: "p", Msg: "m"}}
	if got, want := filed.Err().Error(), "a:9: y: m (p); a:10: x: m; b: m"; got != want {
		t.Errorf("errors with files: got %s, want %s", got, want)
	}
	if Errors(nil).Err() != nil || Errors(nil).In("x").Err() != nil {
		t.Error("no errors are an error")
	}
	many := make(Errors, 12)
	for i := range many {
		many[i].Msg = "m"
	}
	if got := many.Error(); !strings.HasSuffix(got, "; m; and 2 more") {
		t.Errorf("many.Error() = %q, want the suffix %q", got, "; m; and 2 more")
	}
	if got := Key("a", strings.Repeat("é", 100)); len(got) > 60 {
		t.Errorf("len(got) = %d, want at most 60: %q", len(got), got)
	}
}
