//go:build !race

package transform

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/rego"
	"go.yaml.in/yaml/v3"

	"mosn.io/moe/framework/filtertest"
)

// folder is that of a module which is required anyway and carries a test suite.
func folder(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("looking for %s: %v", module, err)
	}
	return strings.TrimSpace(string(out))
}

// step sends a body through one step. An error is that of the configuration.
func step(t *testing.T, body string, fields map[string]any) (*filtertest.Response, error) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"budget": "10s", "request": map[string]any{"body": []any{fields}}})
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	h := &filtertest.Host{Timeout: 20 * time.Second}
	if err := h.Load(t, filtertest.Config{Name: "transform", JSON: string(config)}); err != nil {
		return nil, err
	}
	return h.Post("/", body, "content-type", "application/json"), nil
}

// patchMisses are the cases that the library fails, each with the reason. The list may only get shorter.
var patchMisses = map[string]string{
	"json_tests 57": "the library takes an empty property name for the object itself",
	"json_tests 58": "the library takes an empty property name for the object itself",
	"json_tests 87": "the library takes 00 for the first element",
	"json_tests 88": "the library takes 01 for the second element",
}

// TestPatchSuite runs json-patch-tests, the suite of RFC 6902, which OPA's module carries as policies in Rego.
func TestPatchSuite(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder(t, "github.com/open-policy-agent/opa"),
		"v1/test/cases/testdata/v1/jsonpatch/json-patch-tests.yaml"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var file struct {
		Cases []struct{ Modules []string }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("decoding: %v", err)
	}
	options := []func(*rego.Rego){rego.Query("data.json_patch_cases")}
	for i, m := range file.Cases[0].Modules {
		options = append(options, rego.Module(string(rune('a'+i))+".rego", m))
	}
	results, err := rego.New(options...).Eval(context.Background())
	if err != nil || len(results) != 1 {
		t.Fatalf("the policies have %d results, error %v; want 1", len(results), err)
	}
	type patchCase struct {
		Comment  string
		Doc      any
		Patch    []any
		Expected any
		Error    any
		Disabled bool
	}
	groups, err := json.Marshal(results[0].Expressions[0].Value)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	var all map[string]struct{ Cases []map[string]any }
	if err := json.Unmarshal(groups, &all); err != nil {
		t.Fatalf("decoding the cases: %v", err)
	}
	passed := 0
	for group, g := range all {
		for i, raw := range g.Cases {
			text, err := json.Marshal(raw)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			var c patchCase
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatalf("decoding %s: %v", text, err)
			}
			if c.Disabled {
				continue
			}
			doc, err := json.Marshal(c.Doc)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			_, has := raw["expected"]
			if c.Patch == nil {
				c.Patch = []any{}
			}
			r, err := step(t, string(doc), map[string]any{"patch": c.Patch})
			failed := err != nil || r.Status != 200
			reason, miss := patchMisses[fmt.Sprint(group, " ", i)]
			switch {
			case miss:
				if failed == (c.Error != nil) {
					t.Errorf("%s %d passes; take it out of patchMisses (%s)", group, i, reason)
				}
			case failed != (c.Error != nil):
				t.Errorf("%s %d %s: fails: %v, want %v; error %v", group, i, c.Comment, failed, c.Error, err)
			case has && !failed:
				if diff := cmp.Diff(c.Expected, decoded(t, r.Sent)); diff != "" {
					t.Errorf("%s %d %s (-want +got):\n%s", group, i, c.Comment, diff)
					continue
				}
				passed++
			default:
				passed++
			}
		}
	}
	t.Logf("%d cases pass", passed)
	if passed < 90 {
		t.Errorf("%d cases pass, want 90 at least", passed)
	}
}

// elsewhere matches programs about what the plugin does not have: more input than one value, the environment, modules, the
// clock and its zone, and output beside the result.
var elsewhere = regexp.MustCompile(`\binputs?\b|\$ENV|\benv\b|\b(import|include|modulemeta)\b|\bnow\b|\blocaltime\b|\bmktime\b|strflocaltime|` +
	`\bdebug\b|\bstderr\b|\bhalt|input_line_number|input_filename|get_search_list|\$__prog|\$ARGS|\btruncate_stream\b|\bgetpath/1\b|\$__loc__`)

// TestJqSuite runs gojq's own tests, those for one program and one value, through the plugin. gojq claims jq's by them.
func TestJqSuite(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder(t, "github.com/itchyny/gojq"), "cli/test.yaml"))
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var cases []struct {
		Name     string
		Args     []string
		Input    string
		Env      []string
		Expected *string
		Error    string
	}
	if err := yaml.Unmarshal(text, &cases); err != nil {
		t.Fatalf("decoding: %v", err)
	}
	passed, others := 0, 0
	for _, c := range cases {
		program, input := "", c.Input
		plain := len(c.Env) == 0
		for _, a := range c.Args {
			switch {
			case a == "-c" || a == "-M" || a == "--compact-output":
			case a == "-n":
				input = "null"
			case strings.HasPrefix(a, "-") && len(a) > 1 && a[1] > '9' || program != "":
				plain = false
			default:
				program = a
			}
		}
		dec := json.NewDecoder(strings.NewReader(input))
		var first, second any
		if program == "" || elsewhere.MatchString(program) || dec.Decode(&first) != nil || dec.Decode(&second) == nil {
			plain = false
		}
		var want any
		if c.Expected != nil && json.NewDecoder(strings.NewReader(*c.Expected)).Decode(&want) != nil {
			plain = false // no result, or one that is not JSON
		}
		if !plain {
			others++
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			r, err := step(t, input, map[string]any{"jq": program})
			failed := err != nil || r.Status != 200
			switch {
			case c.Expected == nil:
				if !failed {
					t.Errorf("%q of %.100q is %.100q, want an error", program, input, r.Sent)
				}
			case failed:
				t.Errorf("%q of %.100q fails: %v", program, input, err)
			default:
				if diff := cmp.Diff(want, decoded(t, r.Sent)); diff != "" {
					t.Errorf("%q (-want +got):\n%s", program, diff)
				}
			}
			if !t.Failed() {
				passed++
			}
		})
	}
	t.Logf("%d of %d tests pass; %d are about flags, several values and what else the plugin does not have",
		passed, len(cases)-others, others)
	if passed < 500 {
		t.Errorf("%d tests pass, want 500 at least", passed)
	}
}
