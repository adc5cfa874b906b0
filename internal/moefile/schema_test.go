package moefile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/config"
)

// TestSchema has a validator read files by the schema, and finds it and Parse of one mind.
func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatalf("Schema: %v", err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("jsonschema.UnmarshalJSON: %v", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("moe.json", doc); err != nil {
		t.Fatalf("c.AddResource: %v", err)
	}
	s, err := c.Compile("moe.json")
	if err != nil {
		t.Fatalf("c.Compile: %v", err)
	}
	for text, ok := range map[string]bool{
		"":                        true,
		"listen: ':80'":           true,
		"upstream: 'https://a.b'": true,
		"upstream: 'ftp://x'":     false,
		"upstream: 127.0.0.1:80":  true,
		"upstream: '[::1]:80'":    true,
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
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			if !strings.HasPrefix(text, "plugins") {
				text = "plugins: [{name: probe, config: {n: 1}}]\n" + text
			}
			raw, err := config.Parse([]byte(text))
			if err != nil {
				t.Fatalf("config.Parse: %v", err)
			}
			b, err := json.Marshal(raw)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("jsonschema.UnmarshalJSON: %v", err)
			}
			if err := s.Validate(v); (err == nil) != ok {
				t.Errorf("%s: by the schema: %v", text, err)
			}
			if _, err := Parse([]byte(text), CheckPlugins, Dynmod); (err == nil) != ok {
				t.Errorf("%s: by Parse: %v", text, err)
			}
		})
	}
}
