package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
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
	for _, c := range []struct{ parent, child, want string }{
		{``, ``, `{}`},
		{`a: 1`, ``, `a: 1`},
		{``, `a: 1`, `a: 1`},
		{`{a: 1, b: 2}`, `{b: 3, c: 4}`, `{a: 1, b: 3, c: 4}`},
		{`limits: {size: 1, delay: 2s}`, `limits: {delay: 3s}`, `limits: {size: 1, delay: 3s}`},
		{`limits: {size: 1}`, `limits: null`, `{}`},
		{`limits: {size: 1, delay: 1s}`, `limits: {size: null}`, `limits: {delay: 1s}`},
		{`limits: 5`, `limits: {size: 1}`, `limits: {size: 1}`},
		{`limits: {size: 1}`, `limits: 5`, `limits: 5`},
		{`words: [a]`, `words: [b]`, `words: [a, b]`},
		{`words: [a]`, `words: []`, `words: [a]`},
		{`words: [a]`, `words: null`, `{}`},
		{``, `words: [b]`, `words: [b]`},
		{`rules: [{id: a}]`, `rules: [{id: a}]`, `rules: [{id: a}, {id: a}]`},
		{`modes: [a]`, `modes: [b]`, `modes: [b]`},
		{`rate: 0`, `rate: 5`, `rate: 5`},
		{`rate: 5`, `rate: 0`, `rate: 0`},
		{`secret: {env: A}`, `secret: {file: B}`, `secret: {file: B}`},
		{`secrets: {a: {env: A}, b: x}`, `secrets: {a: {file: B}}`, `secrets: {a: {file: B}, b: x}`},
		{`deep: {a: {size: 1}}`, `deep: {a: {delay: 1s}, b: {}}`, `deep: {a: {size: 1, delay: 1s}, b: {}}`},
		{`only: {size: 1}`, `only: {delay: 1s}`, `only: {size: 1, delay: 1s}`},
		{`next: {words: [a], modes: [a]}`, `next: {words: [b], modes: [b]}`, `next: {words: [a, b], modes: [b]}`},
		{`any: {a: {b: 1}}`, `any: {a: {c: [2]}}`, `any: {a: {b: 1, c: [2]}}`},
	} {
		t.Run(fmt.Sprintf("%q", c.parent), func(t *testing.T) {
			p, _ := parse(t, c.parent).(map[string]any)
			k, _ := parse(t, c.child).(map[string]any)
			before, after := Clone(p), Clone(k)
			got, err := Merge(reflect.TypeFor[merging](), p, k)
			if err != nil || !reflect.DeepEqual(any(got), parse(t, c.want)) {
				t.Errorf("%s over %s: %v, %v", c.child, c.parent, got, err)
			}
			if !reflect.DeepEqual(before, any(p)) || !reflect.DeepEqual(after, any(k)) {
				t.Errorf("%s over %s: changes what it was given", c.child, c.parent)
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
