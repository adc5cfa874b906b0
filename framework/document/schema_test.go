package document

import (
	"bytes"
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// free may have any configuration of its fields, or none.
type free struct {
	Rate int     `json:"rate"`
	List []words `json:"list"`
	Next *free   `json:"next"`
}

type words struct {
	Text string `json:"text"`
}

// strict needs size.
type strict struct {
	Size int            `json:"size" validate:"required,max=10"`
	Tags []string       `json:"tags" merge:"append"`
	Tree map[string]any `json:"tree"`
}

// special merges by its own code.
type special struct{}

func (*free) OnComplete(filter.Stream)    {}
func (*strict) OnComplete(filter.Stream)  {}
func (*special) OnComplete(filter.Stream) {}
func (*special) Merge(parent, child map[string]any) (map[string]any, error) {
	if child["bad"] != nil {
		return nil, config.Errors{{Path: "bad", Msg: "is wrong"}}
	}
	return map[string]any{"parent": parent, "child": child}, nil
}

func init() {
	filter.Register[free]("free", filter.Traffic)
	filter.Register[strict]("strict", filter.Traffic)
	filter.Register[special]("special", filter.Traffic)
}

func parse(t testing.TB, text string) any {
	t.Helper()
	v, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse of %s: %v", text, err)
	}
	return v
}

// validator returns what asks a schema about a document.
func validator(t *testing.T, schema []byte, err error) func(doc any) error {
	t.Helper()
	if err != nil {
		t.Fatalf("no schema: %v", err)
	}
	unmarshal := func(text []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("not JSON: %v in %s", err, text)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("test.json", unmarshal(schema)); err != nil {
		t.Fatalf("AddResource: %v", err)
	}
	s, err := c.Compile("test.json")
	if err != nil {
		t.Fatalf("Compile: %v in %s", err, schema)
	}
	return func(doc any) error {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatalf("Marshal: %v", err)
		}
		return s.Validate(unmarshal(text))
	}
}

func TestSchema(t *testing.T) {
	text, err := Schema(filter.Registrations())
	validate := validator(t, text, err)
	for _, c := range []struct {
		name, doc string
		valid     bool
	}{
		{name: "plugin alone", doc: `plugins: [{name: free}]`, valid: true},
		{name: "nested configuration", doc: `plugins: [{name: free, config: {next: {rate: 1}}}]`, valid: true},
		{name: "wrong nested configuration", doc: `plugins: [{name: free, config: {next: {rate: x}}}]`},
		{name: "wrong configuration in a definition", doc: `plugins: [{name: free, config: {list: [{text: 1}]}}]`},
		{name: "complete", doc: `plugins: [{name: strict, id: x, config: {size: 1}}]`, valid: true},
		{name: "no configuration where one is required", doc: `plugins: [{name: strict}]`},
		{name: "required field missing", doc: `plugins: [{name: strict, config: {tags: [a]}}]`},
		{name: "out of range", doc: `plugins: [{name: strict, config: {size: 11}}]`},
		{name: "incomplete but disabled", doc: `plugins: [{name: strict, disabled: true}]`, valid: true},
		{name: "unknown plugin", doc: `plugins: [{name: nope}]`},
		{name: "entry by id alone", doc: `plugins: [{id: strict}]`},
		{name: "empty list", doc: `plugins: []`},
		{name: "empty document", doc: `{}`},
		{name: "order and timeout", doc: `{plugins: [{name: free}], order: listed, timeout: 5s}`, valid: true},
		{name: "unknown order", doc: `{plugins: [{name: free}], order: random}`},
		{name: "timeout without a unit", doc: `{plugins: [{name: free}], timeout: 5}`},
		{name: "unknown field", doc: `{plugins: [{name: free}], other: 5}`},
		{name: "generic secret", doc: `{plugins: [{name: free}], generic_secrets: [{name: a, sds_config: {ads: {}}}]}`, valid: true},
		{name: "source", doc: `{plugins: [{name: free}], consumerSource: {path: /x, poll: 2s}}`, valid: true},
		{name: "source without a path", doc: `{plugins: [{name: free}], consumerSource: {poll: 2s}}`},
		{name: "consumer", doc: `{plugins: [{name: free}], consumers: [{name: a}]}`, valid: true},
		{name: "consumer without a name", doc: `{plugins: [{name: free}], consumers: [{}]}`},
		{
			name:  "consumer with credentials",
			doc:   `{plugins: [{name: free}], consumers: [{name: a, attributes: {x: 1}, credentials: {strict: {k: v}}}]}`,
			valid: true,
		},
		{
			name: "consumer's entry by id", valid: true,
			doc: `{plugins: [{name: free}], consumers: [{name: a, plugins: [{id: free, config: {rate: 1}}]}]}`,
		},
		{
			name: "consumer's partial entry", valid: true,
			doc: `{plugins: [{name: free}], consumers: [{name: a, plugins: [{name: strict, config: {tags: [a]}}]}]}`,
		},
		{
			name: "consumer's wrong entry",
			doc:  `{plugins: [{name: free}], consumers: [{name: a, plugins: [{name: strict, config: {size: x}}]}]}`,
		},
		{
			name: "consumer's entry of a plugin that merges by itself", valid: true,
			doc: `{plugins: [{name: free}], consumers: [{name: a, plugins: [{name: special, config: {anything: x}}]}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := validate(parse(t, c.doc)); (err == nil) != c.valid {
				t.Errorf("%s: got %v, want valid = %t", c.doc, err, c.valid)
			}
		})
	}
}

func TestPluginSchema(t *testing.T) {
	reg := *filter.Lookup("strict")
	reg.Docs = fstest.MapFS{"schema.json": {Data: []byte("stored")}}
	if got, err := PluginSchema(&reg); err != nil || string(got) != "stored" {
		t.Errorf("with a schema.json: got %s, error %v; want what is stored", got, err)
	}
	reg.Docs = fstest.MapFS{}
	text, err := PluginSchema(&reg)
	validate := validator(t, text, err)
	if err := validate(parse(t, `size: 5`)); err != nil {
		t.Errorf("without a schema.json: got %v for a valid configuration", err)
	}
	if err := validate(parse(t, `{}`)); err == nil {
		t.Error("without a schema.json: an incomplete configuration is valid")
	}
}
