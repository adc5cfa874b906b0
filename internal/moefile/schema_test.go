package moefile

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/bootstrap"
)

// TestSchema has a validator read files by the schema, and finds it and Parse of one mind.
func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("moe.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("moe.json")
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{
		"":                        true,
		"listen: ':80'":           true,
		"upstream: 'https://a.b'": true,
		"upstream: 'ftp://x'":     false,
		"timeout: 3s":             true,
		"lisen: ':80'":            false,

		"generic_secrets: [{name: a}, {name: b, sds_config: {ads: {}}}]": true,
		"generic_secrets: [{sds_config: {ads: {}}}]":                     false,
		"generic_secrets: [{name: a, sds: {}}]":                          false,
		"routes: [{generic_secrets: [{name: a}]}]":                       false,

		"plugins: [{name: probe, config: {m: 1}}]":                                             false,
		"routes: [{match: {paht: /}}]":                                                         false,
		"routes: [{match: {path: /, methods: [GET]}, plugins: [{id: probe, disabled: true}]}]": true,
	} {
		if !strings.HasPrefix(text, "plugins") {
			text = "plugins: [{name: probe, config: {n: 1}}]\n" + text
		}
		raw, err := config.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); (err == nil) != ok {
			t.Errorf("%s: by the schema: %v", text, err)
		}
		if _, err := Parse([]byte(text), CheckPlugins, Dynmod); (err == nil) != ok {
			t.Errorf("%s: by Parse: %v", text, err)
		}
	}
}

// TestSchemaKnowsEveryField compares the schema with the structs that Parse decodes into.
func TestSchemaKnowsEveryField(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Properties map[string]struct {
			Items struct {
				Properties map[string]struct{ Properties map[string]any }
			}
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	inRoute := s.Properties["routes"].Items.Properties
	check := func(where string, v any, known func(name string) bool, n int) {
		fields := 0
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if f.Anonymous { // its fields follow
				continue
			}
			fields++
			if name := f.Tag.Get("json"); !known(name) {
				t.Errorf("%s: the schema has no %s", where, name)
			}
		}
		if n != fields {
			t.Errorf("%s: %d fields in the schema, %d in the struct", where, n, fields)
		}
	}
	check("file", document{}, func(n string) bool { _, ok := s.Properties[n]; return ok }, len(s.Properties))
	check("route", route{}, func(n string) bool { _, ok := inRoute[n]; return ok }, len(inRoute))
	check("match", bootstrap.Match{}, func(n string) bool { return inRoute["match"].Properties[n] != nil },
		len(inRoute["match"].Properties))
}
