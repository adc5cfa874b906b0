package validate

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"mosn.io/moe/framework/filtertest"
)

// suiteFolder is that of the official JSON-Schema-Test-Suite, which a module that is required anyway carries.
func suiteFolder(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kaptinlin/jsonschema").Output()
	if err != nil {
		t.Fatalf("looking for the test suite: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "testdata", "JSON-Schema-Test-Suite", "tests")
}

// remote reports whether a schema refers to a document of the suite's server. The plugin fetches nothing, so that these are
// refused.
func remote(schema []byte) bool { return strings.Contains(string(schema), "http://localhost:1234") }

// TestSuite runs the required tests of the suite through the plugin: each schema is a configuration, each instance the
// body of a request.
func TestSuite(t *testing.T) {
	folder := suiteFolder(t)
	passed, refused := 0, 0
	for _, draft := range []struct{ folder, schema string }{
		{"draft4", "http://json-schema.org/draft-04/schema#"},
		{"draft6", "http://json-schema.org/draft-06/schema#"},
		{"draft7", "http://json-schema.org/draft-07/schema#"},
		{"draft2019-09", "https://json-schema.org/draft/2019-09/schema"},
		{"draft2020-12", "https://json-schema.org/draft/2020-12/schema"},
	} {
		t.Run(draft.folder, func(t *testing.T) {
			files, err := filepath.Glob(filepath.Join(folder, draft.folder, "*.json"))
			if err != nil || len(files) == 0 {
				t.Fatalf("found %d files of tests, error %v; want some", len(files), err)
			}
			for _, file := range files {
				t.Run(filepath.Base(file), func(t *testing.T) {
					p, r := runSuite(t, file, draft.schema)
					passed, refused = passed+p, refused+r
				})
			}
		})
	}
	t.Logf("%d tests pass; %d schemas are refused, as they need another document", passed, refused)
	if passed < 4600 {
		t.Errorf("%d tests pass, want 4600 at least", passed)
	}
}

func runSuite(t *testing.T, file, draft string) (passed, refused int) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var groups []struct {
		Description string
		Schema      json.RawMessage
		Tests       []struct {
			Description string
			Data        json.RawMessage
			Valid       bool
		}
	}
	if err := json.Unmarshal(text, &groups); err != nil {
		t.Fatalf("decoding: %v", err)
	}
	for _, g := range groups {
		schema, err := jsonschema.UnmarshalJSON(strings.NewReader(string(g.Schema)))
		if err != nil {
			t.Fatalf("the schema of %q: %v", g.Description, err)
		}
		if m, ok := schema.(map[string]any); ok && m["$schema"] == nil {
			m["$schema"] = draft
		} else if !ok { // a schema of true or false says no draft
			schema = map[string]any{"$schema": draft, "allOf": []any{schema}}
		}
		config, err := json.Marshal(map[string]any{"request": map[string]any{"schema": schema}})
		if err != nil {
			t.Fatalf("the configuration of %q: %v", g.Description, err)
		}
		h := &filtertest.Host{}
		if err := h.Load(t, filtertest.Config{Name: "validate", JSON: string(config)}); err != nil {
			if !remote(g.Schema) || !strings.Contains(err.Error(), "other documents are refused") {
				t.Errorf("%s: the schema is refused: %v", g.Description, err)
			}
			refused++
			continue
		}
		for _, c := range g.Tests {
			r := h.Post("/", string(c.Data), "content-type", "application/json")
			if (r.Status == 200) != c.Valid {
				t.Errorf("%s: %s: got %d %s, want valid: %v", g.Description, c.Description, r.Status, r.Body, c.Valid)
				continue
			}
			passed++
		}
	}
	return passed, refused
}
