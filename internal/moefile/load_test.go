package moefile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// keeper has a secret that it is particular about, and checks what it can of the rest.
type keeper struct {
	Key  filter.Secret `json:"key" validate:"required"`
	Mode string        `json:"mode" enum:"a,b"`
}

func init() { filter.Register[keeper]("keeper", filter.Access) }

func (*keeper) OnComplete(filter.Stream) {}

func (k *keeper) Validate() error {
	if k.Key.Reveal() != "open sesame" {
		return errors.New("key: is another")
	}
	return nil
}

func (k *keeper) Provision(*filter.Env) error { return k.Validate() }

func messagesOf(err error) []string {
	var all config.Errors
	if err != nil && !errors.As(err, &all) {
		return []string{err.Error()}
	}
	var lines []string
	for _, e := range all {
		lines = append(lines, e.Error())
	}
	return lines
}

// Every error has a place, and one run finds them all: types, rules, references, what plugins say, and routes.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{
			name: "everything",
			text: `listen: nowhere
upstream: ftp://a
plugins:
- name: probe
  config: {n: 0, file: 5}
- {name: prob}
- name: probe
  id: other
  config:
    n: 13
routes:
- match: {prefix: a}
  plugins:
  - {name: probe, config: {n: x}}
- plugins: [{id: othr, disabled: true}]
`,
			want: []string{
				`moe.yaml:1:1: listen: "nowhere": expected HOST:PORT`,
				`moe.yaml:2:1: upstream: expected HOST:PORT`,
				`moe.yaml:5:12: plugins[0].config.n: expected at least 1 (probe)`,
				`moe.yaml:5:18: plugins[0].config.file: expected a string, got a number (probe)`,
				`moe.yaml:6:4: plugins[1].name: unknown plugin "prob"; did you mean "probe"?`,
				`moe.yaml:10:5: plugins[2].config.n: brings bad luck (probe)`,
				`moe.yaml:12:3: routes[0].match: prefix`,
				`moe.yaml:14:28: routes[0].plugins[0].config.n: expected a number, got a string (probe)`,
				`moe.yaml:15:14: routes[1].plugins[0].id: disables nothing: the filter has no plugin with id "othr"`,
			},
		},
		{
			name: "JSON", text: "{\"plugins\": [\n  {\"name\": \"probe\", \"config\": {\"n\": 0}}]}",
			want: []string{`moe.yaml:2:32: plugins[0].config.n: expected at least 1 (probe)`},
		},
		{
			name: "a list alone", text: "- name: probe\n  config:\n    n: 0",
			want: []string{`moe.yaml:3:5: plugins[0].config.n: expected at least 1 (probe)`},
		},
		{name: "no YAML", text: "plugins:\n\t- name: probe", want: []string{`moe.yaml:2:1: YAML: the line is indented by a tab`}},
		{name: "an asterisk", text: "plugins:\n- name: probe\n  config: {n: 1, hosts: [*]}", want: []string{
			`moe.yaml:3:26: YAML: put quotes around a text that begins with *, as in "*"`,
		}},
		{name: "a text", text: "hello", want: []string{`moe.yaml:1:1: expected an object, got a string`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Check: ProvisionPlugins, Host: Dynmod, Name: "moe.yaml"}.Parse([]byte(c.text))
			got := messagesOf(err)
			for i, want := range c.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("got:\n%s\nwant as number %d:\n%s", strings.Join(got, "\n"), i, want)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("got:\n%s\nwant %d errors", strings.Join(got, "\n"), len(c.want))
			}
		})
	}
}

func TestVariables(t *testing.T) {
	values := map[string]string{
		"N": "3", "PLUGIN": "probe", "HUSH": "hush-hush", "EMPTY": "", "ZERO": "007", "YES": "true", "YAML": "[a, {b: c}]",
		"NULL": "null",
	}
	lookup := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	for _, c := range []struct {
		name, text string // the value of `v`, as it is written
		want       any
	}{
		{name: "a text", text: "x-${PLUGIN}-y", want: "x-probe-y"},
		{name: "several", text: "${PLUGIN}${N}", want: "probe3"},
		{name: "a number", text: "${N}", want: int64(3)},
		{name: "a number in quotes", text: `"${N}"`, want: "3"},
		{name: "a boolean", text: "${YES}", want: true},
		{name: "digits that begin with 0", text: "${ZERO}", want: "007"},
		{name: "a default", text: "${NOT_SET:-5s}", want: "5s"},
		{name: "a default for an empty one", text: "${EMPTY:-5s}", want: "5s"},
		{name: "an empty default", text: "${NOT_SET:-}", want: ""},
		{name: "a default that is not used", text: "${N:-5}", want: int64(3)},
		{name: "a default with a colon", text: `"${NOT_SET:-http://a:1}"`, want: "http://a:1"},
		{name: "an empty value", text: "${EMPTY}", want: ""},
		{name: "what looks like YAML", text: "${YAML}", want: "[a, {b: c}]"},
		{name: "null", text: "${NULL}", want: "null"},
		{name: "an escape", text: "$${N}", want: "${N}"},
		{name: "an escape and a variable", text: "$${N}${N}", want: "${N}3"},
		{name: "dollars", text: `'^/a$|$$|$1|$2y$10$x'`, want: "^/a$|$$|$1|$2y$10$x"},
		{name: "a list", text: "[a, '${PLUGIN}']", want: []any{"a", "probe"}},
		{name: "a value within", text: "{a: {b: '${PLUGIN}'}}", want: map[string]any{"a": map[string]any{"b": "probe"}}},
		{name: "a key", text: "{'${N}': 1}", want: map[string]any{"${N}": int64(1)}},
		{name: "a block", text: "|\n      a\n      ${N}\n", want: "a\n3\n"},
		{name: "an anchor", text: "[&x '${PLUGIN}', *x]", want: []any{"probe", "probe"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Loader{Lookup: lookup}.Parse([]byte("plugins:\n- name: theirs\n  config:\n    v: " + c.text))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			got := f.Filter["plugins"].([]any)[0].(map[string]any)["config"].(map[string]any)["v"]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	const escape = "; write $${ for the text ${"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{
			name: "not set", text: "listen: ':${PORT}'\nplugins: [{name: probe, config: {n: 1, file: '${A}${B}'}}, {name: prob}]",
			want: []string{
				"f:1:9: listen: variable PORT is not set; set it, or give a default: ${PORT:-default}",
				"f:2:46: plugins[0].config.file: variable A is not set; set it, or give a default: ${A:-default}",
				"f:2:46: plugins[0].config.file: variable B is not set; set it, or give a default: ${B:-default}",
				`f:2:61: plugins[1].name: unknown plugin "prob"; did you mean "probe"?`,
			},
		},
		{name: "a required one", text: "plugins: [{name: '${A}'}]", want: []string{
			"f:1:18: plugins[0].name: variable A is not set; set it, or give a default: ${A:-default}",
		}},
		{name: "another form", text: "plugins: [{name: probe, config: {n: 1}}]\nlisten: ${A:?no}", want: []string{"f:2:9: listen: expected ${NAME} or ${NAME:-default}" + escape}},
		{name: "no end", text: "plugins: [{name: probe, config: {n: 1}}]\nlisten: ${A", want: []string{"f:2:9: listen: expected ${NAME} or ${NAME:-default}" + escape}},
		{name: "a group of a regular expression", text: "plugins: [{name: probe, config: {n: 1}}]\nlisten: 'a${1}'", want: []string{
			"f:2:9: listen: expected ${NAME} or ${NAME:-default}" + escape,
		}},
		{name: "a value that is quoted nowhere", text: "plugins: [{name: '${HUSH}'}]", want: []string{
			`f:1:12: plugins[0].name: unknown plugin "[secret]"`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Loader{Check: CheckPlugins, Host: Dynmod, Name: "f", Lookup: lookup}.Parse([]byte(c.text))
			got := messagesOf(err)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], c.want[i]) || strings.Contains(got[i], "hush") {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

// What is not there need not be; what is there is checked, and so is everything around it.
func TestWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	there, not := filepath.Join(dir, "there"), filepath.Join(dir, "not")
	if err := os.WriteFile(there, []byte("wrong"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	t.Setenv("MOE_TEST_THERE", "wrong")
	for _, c := range []struct {
		name, text string
		want       string // "": nothing is wrong
	}{
		{name: "a variable", text: "plugins: [{name: keeper, config: {key: {env: MOE_TEST_NOT}}}]"},
		{name: "a file", text: "plugins: [{name: keeper, config: {key: {file: " + not + "}}}]"},
		{
			name: "of a route", text: "plugins: [{name: keeper, config: {key: open sesame}}]\nroutes: [{plugins: " +
				"[{name: keeper, config: {key: {file: " + not + "}}}]}]",
		},
		{
			name: "of consumers", text: "plugins: [{name: keeper, config: {key: {env: MOE_TEST_NOT}}}]\n" +
				"consumerSource: {path: " + not + "}",
		},
		{
			name: "one that is there", text: "plugins: [{name: keeper, config: {key: {env: MOE_TEST_THERE}}}]",
			want: "plugins[0].config.key: is another (keeper)",
		},
		{
			name: "a file that is there", text: "plugins: [{name: keeper, config: {key: {file: " + there + "}}}]",
			want: "plugins[0].config.key: is another (keeper)",
		},
		{
			name: "what is beside it", text: "plugins: [{name: keeper, config: {key: {env: MOE_TEST_NOT}, mode: xyz}}]",
			want: `plugins[0].config.mode: expected "a" or "b", got another string (keeper)`,
		},
		{
			name: "another plugin", text: "plugins: [{name: keeper, config: {key: {env: MOE_TEST_NOT}}}, " +
				"{name: probe, config: {n: 1, file: " + not + "}}]",
			want: "plugins[1]: stat ",
		},
		{name: "no secret at all", text: "plugins: [{name: keeper}]", want: "plugins[0].config.key: is required (keeper)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := Loader{Check: ProvisionPlugins, Host: Dynmod, WithoutSecrets: true}
			f, err := l.Parse([]byte(c.text))
			if got := messagesOf(err); c.want == "" && err != nil || c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if err == nil && strings.Contains(c.text, "MOE_TEST_NOT") {
				config := f.Filter["plugins"].([]any)[0].(map[string]any)["config"].(map[string]any)
				if _, ok := config["key"].(map[string]any); !ok {
					t.Errorf("the file has %v for the secret, want the reference", config["key"])
				}
			}
			l.WithoutSecrets = false
			if _, err := l.Parse([]byte(c.text)); err == nil {
				t.Error("without the option nothing is wrong")
			}
		})
	}
}

// A path may begin with a route's name, as hosts know it.
func TestPlace(t *testing.T) {
	text := "plugins: [{name: probe, config: {n: 1}}]\nroutes:\n- {}\n- name: a.b\n  plugins:\n  - name: probe"
	f, err := Loader{Name: "f"}.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	for _, c := range []struct{ name, path, want string }{
		{name: "a default name", path: "routes.route-0", want: "f:3:3: routes[0]: x"},
		{name: "a name", path: `routes["a.b"].plugins[0].name`, want: "f:6:5: routes[1].plugins[0].name: x"},
		{name: "the filter's", path: "plugins[0]", want: "f:1:11: plugins[0]: x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := f.Place(config.Errors{{Path: c.path, Msg: "x"}}).Error(); got != c.want {
				t.Errorf("Place: got %q, want %q", got, c.want)
			}
		})
	}
	other := errors.New("other")
	if got := f.Place(other); got != other {
		t.Errorf("Place: got %v, want %v", got, other)
	}
}

func FuzzVariables(f *testing.F) {
	f.Add("a: ${N}", "3")
	f.Add("a: [x, '$${N}${N:-y}', {b: |\n  ${N}}]", "[a: b]\n- c")
	f.Fuzz(func(t *testing.T, text, value string) {
		plain, err := config.ParseDocument([]byte(text))
		if err != nil || plain.Node == nil {
			t.Skip() // no document, so that there is nothing to expand
		}
		before := shape(plain.Data)
		v := &variables{lookup: func(string) (string, bool) { return value, true }}
		v.expand(plain.Node, "")
		data, err := config.Data(plain.Node)
		if err != nil {
			t.Skip() // a number out of range
		}
		if diff := cmp.Diff(before, shape(data)); diff != "" {
			t.Errorf("a value changes the structure (-before +after)\n%s", diff)
		}
	})
}

// shape is data without its scalars.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = shape(e)
		}
		return m
	case []any:
		l := []any{}
		for _, e := range v {
			l = append(l, shape(e))
		}
		return l
	}
	return nil
}
