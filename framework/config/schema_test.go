package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/extension"
)

type limited struct {
	Size   int                `json:"size" validate:"min=1,max=10"`
	Ratio  float32            `json:"ratio" validate:"gt=0,lt=1"`
	Names  []string           `json:"names" validate:"min=1,max=2,unique,dive,min=2"`
	Labels map[string]string  `json:"labels" validate:"omitempty,max=1"`
	Code   string             `json:"code" validate:"len=3" default:"abc"`
	Kind   string             `json:"kind" validate:"required,oneof=a b"`
	Tree   map[string]limited `json:"tree"`
}

func compile(t testing.TB, schema []byte, err error) *jsonschema.Schema {
	t.Helper()
	if err != nil {
		t.Fatalf("no schema: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatalf("jsonschema.UnmarshalJSON: %v", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7) // so that $schema is needed
	if err := c.AddResource("test.json", doc); err != nil {
		t.Fatalf("c.AddResource: %v", err)
	}
	s, err := c.Compile("test.json")
	if err != nil {
		t.Fatalf("c.Compile: %v", err)
	}
	return s
}

// asJSON has numbers as the validator wants them.
func asJSON(t testing.TB, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("jsonschema.UnmarshalJSON: %v", err)
	}
	return v
}

// The schema and the decoder agree, but for what only the decoder can know.
func TestSchema(t *testing.T) {
	t.Setenv("CONFIG_TEST_SECRET", "x")
	for _, docs := range []struct {
		t         reflect.Type
		good, bad []string
	}{
		{
			reflect.TypeFor[everything](),
			[]string{
				`{}`, `rate: 0`, `count: 65535`, `flag: false`, `rules: [{id: x, in: body, weight: -128}]`,
				`limits: {size: 5, delay: 1m30s}`, `limits: {size: 10 MiB}`, `secret: x`, `secret: {env: CONFIG_TEST_SECRET}`,
				`codes: {1: x}`, `nets: []`, `modes: [on]`, `level: low`, `any: [1, {a: null}]`, `pair: [1, 2]`, `match: a+`,
				`next: {next: {rate: 1}}`, `since: 2024-01-02T03:04:05Z`, `url: /x`, `verbose: true`,
			},
			[]string{
				`rate: "5"`, `rate: [1]`, `count: 1.5`, `count: -1`, `count: 65536`, `rules: [{id: x, weight: 128}]`,
				`name: 5`, `verbose: "true"`, `limits: [1]`, `rules: {}`, `rules: [x]`, `byName: []`, `byName: {a: 1}`, `[1]`,
				`nam: x`, `Ignored: x`, `internal: x`, `limits: {dealy: 1s}`, `limits: {delay: 5}`, `limits: {delay: 5 sec}`,
				`limits: {size: 1 Mb}`, `limits: {size: -1}`, `limits: {size: 1.5}`, `modes: [offf]`, `rules: [{id: x, in: ""}]`,
				`ip: 1`, `level: 1`, `pair: [1]`, `secret: 5`, `secret: {}`, `secret: {key: x}`, `secret: {env: 5}`,
				`rules: [{}]`, `next: {rate: x}`, `next: {next: {nope: x}}`,
			},
		},
		{
			reflect.TypeFor[needy](),
			[]string{`{addr: "x:1", at: 2024-01-01T00:00:00Z, names: [a], net: 1.2.3.0/24, rate: 1, secret: x, url: http://x}`},
			[]string{
				`{}`,
				`{addr: "x:1", at: 2024-01-01T00:00:00Z, names: [], net: 1.2.3.0/24, rate: 1, secret: x, url: "http://x"}`,
				`{addr: "x:1", at: 2024-01-01T00:00:00Z, names: [""], net: 1.2.3.0/24, rate: 1, secret: x, url: "http://x"}`,
			},
		},
		{
			reflect.TypeFor[limited](),
			[]string{
				`{size: 1, ratio: 0.5, names: [ab], kind: a}`,
				`{size: 10, ratio: 0.5, names: [ab, cd], kind: b, labels: {a: b}}`,
				`{size: 1, ratio: 0.5, names: [ab], kind: a, tree: {x: {size: 2, ratio: 0.1, names: [xy], kind: b}}}`,
			},
			[]string{
				`{}`, `{size: 0, ratio: 0.5, names: [ab], kind: a}`, `{size: 11, ratio: 0.5, names: [ab], kind: a}`,
				`{size: 1, ratio: 0, names: [ab], kind: a}`, `{size: 1, ratio: 1, names: [ab], kind: a}`,
				`{size: 1, ratio: 0.5, names: [a], kind: a}`, `{size: 1, ratio: 0.5, names: [ab, ab], kind: a}`,
				`{size: 1, ratio: 0.5, names: [ab, bc, cd], kind: a}`, `{size: 1, ratio: 0.5, names: [ab], kind: c}`,
				`{size: 1, ratio: 0.5, names: [ab], kind: a, code: ab}`,
				`{size: 1, ratio: 0.5, names: [ab], kind: a, tree: {x: {size: 20, ratio: 0.1, names: [xy], kind: b}}}`,
			},
		},
	} {
		t.Run(docs.t.String(), func(t *testing.T) {
			name := docs.t.Name()
			text, err := Reflect(name, docs.t, nil)
			s := compile(t, text, err)
			for i, doc := range append(docs.good, docs.bad...) {
				good := i < len(docs.good)
				raw := parse(t, doc)
				if err := s.Validate(asJSON(t, raw)); (err == nil) != good {
					t.Errorf("%s: %s: the schema says %v", name, doc, err)
				}
				if err := Decode(raw, reflect.New(docs.t).Interface()); (err == nil) != good && i > 0 {
					t.Errorf("%s: %s: the decoder says %v", name, doc, err)
				}
			}
		})
	}
}

func TestSchemaText(t *testing.T) {
	docs := func(owner reflect.Type, field string) string { return strings.TrimSuffix(owner.Name()+"."+field, ".") }
	got, err := Reflect("limited", reflect.TypeFor[limited](), docs)
	want := `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "limited",
  "description": "limited",
  "type": "object",
  "properties": {
    "size": {
      "description": "limited.Size",
      "type": "integer",
      "minimum": 1,
      "maximum": 10
    },`
	if err != nil || !strings.HasPrefix(string(got), want) {
		t.Errorf("%s: Reflect: %v; got %q, want the prefix %q", got, err, string(got), want)
	}
	type leaky struct {
		S extension.Secret `json:"s" default:"hush"`
	}
	got, err = Reflect("leaky", reflect.TypeFor[leaky](), nil)
	if err != nil || strings.Contains(string(got), "hush") {
		t.Errorf("%s: Reflect: %v; got %q, want it without %q", got, err, string(got), "hush")
	}
}
