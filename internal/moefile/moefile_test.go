package moefile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// probe is a plugin that can be wrong in every way.
type probe struct {
	N    int           `json:"n" validate:"min=1"`
	File string        `json:"file"`
	Key  filter.Secret `json:"key"`
}

func init() { filter.Register[probe]("probe", filter.Access) }

func (p *probe) OnComplete(filter.Stream) {}

func (p *probe) Validate() error {
	if p.N == 13 {
		return errors.New("n: brings bad luck")
	}
	return nil
}

func (p *probe) Provision(*filter.Env) error {
	if p.File == "" {
		return nil
	}
	_, err := os.Stat(p.File)
	return err
}

func paths(err error) []string {
	var all config.Errors
	errors.As(err, &all)
	var paths []string
	for _, e := range all {
		paths = append(paths, e.Path)
	}
	return paths
}

func TestParse(t *testing.T) {
	f, err := Parse([]byte(`
upstream: https://example.com
plugins:
- {name: probe, config: {n: 1}}
timeout: 5s
routes:
- match: {prefix: /a}
  plugins: [{name: probe, disabled: true}]
- match: {path: /b, methods: [GET]}
`), ProvisionPlugins, Dynmod)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if f.Listeners[0].Address != "127.0.0.1:10000" || f.Upstreams[0].Endpoints[0] != "example.com:443" || f.Filter["timeout"] != "5s" ||
		len(f.Routes) != 2 || f.Routes[1].Match.Path != "/b" {
		t.Errorf("got %+v, want what the file says", f)
	}
	if o := f.Bootstrap("a", "b"); len(o.Upstreams) != 1 || o.Default != "moe" || o.Upstreams[0].Protocol != "" {
		t.Errorf("got %+v, want the upstream alone", o)
	}
}

func TestShortForms(t *testing.T) {
	for _, text := range []string{
		"- {name: probe, config: {n: 1}}", `{"plugins": [{"name": "probe", "config": {"n": 1}}]}`,
	} {
		t.Run(text, func(t *testing.T) {
			f, err := Parse([]byte(text), CheckPlugins, Dynmod)
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if o := f.Bootstrap("a", "b:1"); o.Upstreams[0].Endpoints[0] != "b:1" ||
				o.Upstreams[0].Protocol != "downstream" || len(o.Filter) != 1 {
				t.Errorf("%s: got %+v, want the echo server as upstream and one field of the document", text, o)
			}
		})
	}
}

func TestEveryErrorIsTold(t *testing.T) {
	_, err := Parse([]byte(`
lisen: x
listen: nowhere
upstream: ftp://x
plugins:
- {name: prob}
- {name: probe, config: {n: 0, m: 1}}
- {name: probe, id: other, config: {n: 13}}
routes:
- match: {prefix: a}
  plugins: [{name: probe, config: {n: x}}]
- match: {pref: /}
`), ProvisionPlugins, Dynmod)
	want := []string{
		"lisen", "listen", "plugins[0].name", "plugins[1].config.m", "plugins[2].config", "routes[0].match",
		"routes[0].plugins[0].config.n", "routes[1].match.pref", "upstream",
	}
	got := paths(err)
	for _, path := range want {
		if !slices.ContainsFunc(got, func(g string) bool { return strings.HasPrefix(g, path) }) {
			t.Errorf("nothing about %s in %v", path, got)
		}
	}
	if t.Failed() {
		t.Logf("%v", err)
	}
}

func TestChecksGoAsFarAsAsked(t *testing.T) {
	bad := func(text string, c Check) bool {
		_, err := Parse([]byte(text), c, Dynmod)
		return err != nil
	}
	for _, x := range []struct {
		text string
		from Check // the first check that finds something
	}{
		{"plugins: [{name: probe, config: {n: 1, file: /nowhere}}]", ProvisionPlugins},
		{
			"plugins: [{name: probe, config: {n: 1}}]\nroutes: [{plugins: [{name: probe, config: {file: /nowhere}}]}]",
			ProvisionPlugins,
		},
		{"plugins: [{name: probe, config: {n: 1}}]\nroutes: [{plugins: [{name: probe, config: {n: 0}}]}]", CheckPlugins},
		{"plugins: [{name: theirs}]", CheckPlugins},
		{"plugins: []", CheckPlugins},
		{"listen: x", CheckFile},
		{"7", CheckFile},
		{"a: [", CheckFile},
	} {
		t.Run(x.text, func(t *testing.T) {
			for c := CheckFile; c <= ProvisionPlugins; c++ {
				if got := bad(x.text, c); got != (c >= x.from) {
					t.Errorf("%s: check %d finds something: %v", x.text, c, got)
				}
			}
		})
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte("plugins: [{name: probe, config: {n: 1}}]"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if _, err := Load(file, CheckPlugins, Dynmod); err != nil {
		t.Errorf("Load: %v", err)
	}
	if _, err := Load(file+".not", CheckPlugins, Dynmod); !errors.Is(err, os.ErrNotExist) {
		t.Errorf(`Load(file+".not", CheckPlugins, Dynmod): got error %v, want %v`, err, os.ErrNotExist)
	}
}
