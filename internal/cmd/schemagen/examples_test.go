package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

var (
	yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")
	envSecret = regexp.MustCompile(`\{env: (\w+)\}`)
)

func compile(t *testing.T, text []byte, err error) func(any) error {
	t.Helper()
	if err != nil {
		t.Fatalf("make the schema: %v", err)
	}
	c := jsonschema.NewCompiler()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = c.AddResource("test.json", doc)
	}
	if err != nil {
		t.Fatalf("c.AddResource: %v", err)
	}
	s, err := c.Compile("test.json")
	if err != nil {
		t.Fatalf("c.Compile: %v", err)
	}
	return func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b)); err != nil {
			return err
		}
		return s.Validate(v)
	}
}

// The examples of the READMEs are accepted, by the schemas and by the code, and with an unknown field they are not.
func TestExamples(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatalf("moduleRoot: %v", err)
	}
	text, err := document.Schema(filter.Registrations())
	chain := compile(t, text, err)
	for _, reg := range filter.Registrations() {
		text, err := document.PluginSchema(reg)
		plugin := compile(t, text, err)
		readme, err := os.ReadFile(filepath.Join(root, "plugins", reg.Name, "README.md"))
		if err != nil {
			t.Errorf("os.ReadFile: %v", err)
			continue
		}
		for _, name := range envSecret.FindAllSubmatch(readme, -1) {
			value := strings.Repeat("secret", 8) // as long as any plugin wants it
			if bytes.HasSuffix(name[1], []byte("_PRIVATE_KEY")) {
				value = privateKey(t)
			}
			t.Setenv(string(name[1]), value)
		}
		chains := 0
		for _, block := range yamlBlock.FindAllSubmatch(readme, -1) {
			doc, err := config.Parse(block[1])
			if err != nil {
				t.Errorf("%s: %v in\n%s", reg.Name, err, block[1])
				continue
			}
			if single, ok := find(doc, reg.Name); ok {
				both(t, reg.Name, single, plugin, single)
			}
			m, ok := doc.(map[string]any)
			if !ok || m["plugins"] == nil {
				continue
			}
			chains++
			for _, e := range m["plugins"].([]any) {
				e := e.(map[string]any)
				if e["config"] == nil {
					e["config"] = map[string]any{}
				}
				if e["name"] == reg.Name {
					both(t, assembly.ChainName, m, chain, e["config"])
				}
			}
		}
		if chains == 0 {
			t.Errorf("plugins/%s/README.md has no example with plugins", reg.Name)
		}
	}
}

// privateKey makes a key in PEM.
func privateKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatalf("ed25519.GenerateKey: %v", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("x509.MarshalPKCS8PrivateKey: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// both asks the schema and the code about doc, and again with an unknown field in conf, which is part of doc.
func both(t *testing.T, name string, doc any, schema func(any) error, conf any) {
	t.Helper()
	if err := schema(doc); err != nil {
		t.Errorf("%s: the schema refuses the example %v: %v", name, doc, err)
	}
	if err := assembly.Validate(name, doc, ^filter.Capability(0)); err != nil {
		t.Errorf("%s: the example %v is refused: %v", name, doc, err)
	}
	conf.(map[string]any)["no such field"] = 1
	defer delete(conf.(map[string]any), "no such field")
	if schema(doc) == nil {
		t.Errorf("%s: the schema takes an unknown field in %v", name, doc)
	}
	if assembly.Validate(name, doc, ^filter.Capability(0)) == nil {
		t.Errorf("%s: an unknown field is taken in %v", name, doc)
	}
}

// find looks in an Envoy configuration for the filter that is plugin name, and returns its filter_config.
func find(v any, name string) (any, bool) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if found, ok := find(e, name); ok {
				return found, true
			}
		}
	case map[string]any:
		if c, ok := v["filter_config"].(map[string]any); ok && v["filter_name"] == name {
			found, ok := c["value"].(map[string]any)
			return found, ok
		}
		for _, e := range v {
			if found, ok := find(e, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}
