package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/document"
	"mosn.io/moe/framework/filter"
)

// sample is a plugin of these tests.
type sample struct {
	// Name is shown.
	Name string `json:"name" default:"moe" validate:"required,min=1"`
	// Count is how many.
	Count int `json:"count" validate:"max=10"`
	// Secret is not shown.
	Secret filter.Secret `json:"secret"`
	// Loud is a boolean.
	Loud bool `json:"loud"`
	// Level is one of a few.
	Level string `json:"level" enum:"low,high" absent:"low"`
	// Wait is a time.
	Wait time.Duration `json:"wait" default:"1s"`
	// Words are several.
	Words []string `json:"words"`
	// Headers are set.
	Headers map[string]string `json:"headers"`
	// Inner is an object.
	Inner inner `json:"inner"`
	// Rules are objects.
	Rules []inner `json:"rules"`
	// URL may have a password.
	URL string `json:"url"`
}

type inner struct {
	// Size is a size.
	Size filter.Size `json:"size"`
	// Key is not shown.
	Key filter.Secret `json:"key"`
}

func (*sample) OnComplete(filter.Stream) {}

func init() { filter.Register[sample]("sample", filter.Transform) }

// withPlugins is a server that has the sample, without and with what edits.
func withPlugins(t *testing.T, o Options) *Server {
	t.Helper()
	schema, err := document.PluginSchema(filter.Lookup("sample"))
	if err != nil {
		t.Fatalf("document.PluginSchema: %v", err)
	}
	o.Plugins = append(o.Plugins, Plugin{
		Name: "sample", Stage: "transform", Summary: "shows forms", Schema: schema, InChain: true,
		Manual: "# sample\n\nSee [others](../sample/README.md#x), [docs](../../docs/x.md) and [the RFC](https://www.rfc-editor.org/rfc/rfc9110).\n\n" +
			"| a | b |\n|---|---|\n| `c` | <script>alert(1)</script> [x](javascript:alert(1)) |\n",
	})
	return New(o)
}

const configured = `timeout: 5s
plugins:
- name: sample
  config:
    name: one            # a comment
    secret: hush-hush-literal
    inner: {size: 1MiB, key: {env: INNER_KEY}}
    headers: {authorization: hush-hush-header, x-a: shown}
    url: https://user:hush-hush-user@example.com/
- name: theirs
  config: {password: hush-hush-theirs}
consumers:
- name: alice
  groups: [staff]
  credentials: {keyauth: {key: hush-hush-credential}}
  plugins: [{id: sample, config: {count: 7}}]
debug: {slow: 1s, when: {token: {key: hush-hush-debug-key}}}
routes:
- match: {prefix: /public, methods: [GET], headers: {x-match: hush-hush-match}}
  timeout: 1s
  plugins:
  - {id: sample, config: {count: 3, inner: {key: {file: /run/key}}}}
  - {id: theirs, disabled: true}
- name: quiet
  plugins: [{id: sample, disabled: true}, {id: other, name: sample, config: {words: [a, "${WORD}"]}}]
`

// Each plugin and each field says where it comes from.
func TestOrigin(t *testing.T) {
	s := withPlugins(t, Options{})
	m, err := newModel("moe.yaml", []byte(configured), s.known)
	if err != nil {
		t.Fatalf("newModel: %v", err)
	}
	defaults := []setting{{"level", "low", "default"}, {"wait", "1s", "default"}}
	type chain struct {
		Name, Match, From string
		Fields            []setting
		Plugins           []string
	}
	var got []chain
	for _, c := range m.chains {
		one := chain{Name: c.Name, Match: c.Match, From: c.From, Fields: c.Fields}
		for _, p := range c.Plugins {
			state := p.ID + " " + p.Name + " " + p.From + " " + p.Path
			if p.Off {
				state += " off"
			}
			one.Plugins = append(one.Plugins, state)
		}
		got = append(got, one)
	}
	debug := setting{"debug", "{slow: 1s, when: {token: {key: (secret)}}}", "moe.yaml:17"}
	want := []chain{
		{
			Name: "default", Match: "whatever no route matches", From: "moe.yaml",
			Fields:  []setting{{"timeout", "5s", "moe.yaml:1"}, debug},
			Plugins: []string{"theirs theirs moe.yaml:10 plugins[1]", "sample sample moe.yaml:3 plugins[0]"},
		},
		{
			Name: "route-0", Match: "prefix /public · GET · header x-match", From: "moe.yaml:19",
			Fields: []setting{{"timeout", "1s", "moe.yaml:20"}, debug},
			Plugins: []string{
				"theirs theirs moe.yaml:23 routes[0].plugins[1] off", "sample sample moe.yaml:3 routes[0].plugins[0]",
			},
		},
		{
			Name: "quiet", Match: "every request", From: "moe.yaml:24",
			Fields: []setting{{"timeout", "5s", "moe.yaml:1"}, debug},
			Plugins: []string{
				"theirs theirs moe.yaml:10 ", "sample sample moe.yaml:25 routes[1].plugins[0] off",
				"other sample moe.yaml:25 routes[1].plugins[1]",
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chains (-want +got):\n%s", diff)
	}
	of := func(chain, plugin int) []setting { return m.chains[chain].Plugins[plugin].Fields }
	wantFields := []setting{
		{"name", "one", "moe.yaml:5"},
		{"count", "3", "moe.yaml:22"},
		{"secret", "(secret)", "moe.yaml:6"},
		defaults[0], defaults[1],
		{"headers", "{authorization: (secret), x-a: shown}", "moe.yaml:8"},
		{"inner.size", "1MiB", "moe.yaml:7"},
		{"inner.key", "{file: /run/key}", "moe.yaml:22"},
		{"url", "https://(secret)@example.com/", "moe.yaml:9"},
	}
	if diff := cmp.Diff(wantFields, of(1, 1)); diff != "" {
		t.Errorf("the fields of sample in route-0 (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]setting{{"name", "moe", "default"}, defaults[0], defaults[1], {"words", "[a, '${WORD}']", "moe.yaml:25"}}, of(2, 2)); diff != "" {
		t.Errorf("the fields of other (-want +got):\n%s", diff)
	}
}

// No page has a secret of the configuration.
func TestSecrets(t *testing.T) {
	s := withPlugins(t, Options{})
	c := newClient(t, s)
	s.Loaded("moe.yaml", []byte(configured))
	for _, target := range []string{"/", "/configuration", "/plugins", "/plugins/sample"} {
		t.Run(target, func(t *testing.T) {
			if page := c.get(target); strings.Contains(page, "hush-hush") {
				t.Errorf("the page has a secret:\n%s", page)
			}
		})
	}
	contains(t, c.get("/configuration"), "route-0 prefix /public", "sample transform moe.yaml:3", "alice", "in staff",
		"with credentials for keyauth", "(secret)", "does not have the plugin")
	contains(t, c.get("/"), "route-0", "prefix /public", "no request yet", "sample transform has not run yet", "theirs unknown, disabled")
}

// A list of plugins alone is a configuration, too, and so is an empty one.
func TestOtherFiles(t *testing.T) {
	s := withPlugins(t, Options{})
	c := newClient(t, s)
	contains(t, c.get("/configuration"), "No configuration is live yet.")
	s.Loaded("-", []byte("# none\n"))
	contains(t, c.get("/configuration"), "What runs, from -", "default", "No plugins.")
	s.Loaded("-", []byte("- name: sample\n- {name: sample, id: b, config: {count: 2}}\n"))
	contains(t, c.get("/configuration"), "sample transform -:1", "b of plugin sample", "count 2 -:2")
}

// The manual is shown without what is HTML in it, and links to pages that are there.
func TestManual(t *testing.T) {
	c := newClient(t, withPlugins(t, Options{}))
	contains(t, c.get("/plugins"), "transform sample shows forms")
	page := c.get("/plugins/sample")
	want := `See <a href="/plugins/sample">others</a>, docs and <a href="https://www.rfc-editor.org/rfc/rfc9110">the RFC</a>.`
	if !strings.Contains(page, want) {
		t.Errorf("the page lacks %s:\n%s", want, page)
	}
	if strings.Contains(page, "alert(1)</script>") || strings.Contains(page, "javascript:") {
		t.Errorf("the manual runs a script:\n%s", page)
	}
	if w := c.do("GET", "/plugins/none", nil); w.Code != 404 {
		t.Errorf("a plugin that is not there: got status %d, want 404", w.Code)
	}
}
