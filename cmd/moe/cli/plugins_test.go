package cli

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/internal/moefile"
)

// noted has every kind of field, but no manual.
type noted struct {
	Secret filter.Secret `json:"secret" validate:"required"`
	Name   string        `json:"name" validate:"required"`
	Mode   string        `json:"mode" validate:"required" enum:"fast,safe"`
	Limit  int           `json:"limit" validate:"required,min=3"`
	Share  float64       `json:"share" validate:"required"`
	Hosts  []string      `json:"hosts" validate:"required"`
	Tags   struct {
		A string `json:"a"`
	} `json:"tags"`
	Size filter.Size `json:"size" default:"1MiB"`
}

func init() {
	filter.Register[noted]("noted", filter.Traffic, filter.Needs(filter.CanCallout|filter.CanClearRouteCache))
}

func (*noted) OnRequest(filter.Stream, filter.RequestHeaders, filter.Body) filter.Action {
	return filter.Continue
}

func (*noted) OnResponseBody(filter.Stream, filter.Body, bool) filter.Action { return filter.Continue }
func (*noted) OnComplete(filter.Stream)                                      {}

func TestPluginsTable(t *testing.T) {
	status, stdout, stderr := moe(t, "plugins")
	if status != 0 {
		t.Fatalf("moe plugins: status %d: %s", status, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if !regexp.MustCompile(`^NAME +STAGE +SUMMARY$`).MatchString(lines[0]) {
		t.Errorf("the first line: got %q, want the names of the columns", lines[0])
	}
	listed := 0
	for _, line := range lines[1:] {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("got a line of %d columns, want at most 100: %s", n, line)
		}
		if !strings.HasPrefix(line, " ") {
			listed++
		}
		if strings.Contains(line, "](") {
			t.Errorf("got a Markdown link in %q, want its text alone", line)
		}
	}
	if want := len(filter.Registrations()) + len(others()); listed != want {
		t.Errorf("got %d plugins, want %d:\n%s", listed, want, stdout)
	}
	for _, want := range []string{
		`(?m)^hello +transform +adds a header to every response$`,
		`(?m)^noted +traffic *$`,
		`(?m)^redisguard +network +refuses commands of Redis`,
		`(?m)^accesslog +accesslog *$`,
		`(?m)^opa +authz +\S.*\n {10,}\S`, // its summary takes two lines
	} {
		t.Run(want, func(t *testing.T) {
			if !regexp.MustCompile(want).MatchString(stdout) {
				t.Errorf("no line matches %s:\n%s", want, stdout)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{name: "empty", text: "", want: []string{""}},
		{name: "fits", text: "one two", want: []string{"one two"}},
		{name: "breaks", text: "one two three", want: []string{"one two", "three"}},
		{name: "long word", text: "a incomprehensible b", want: []string{"a", "incomprehensible", "b"}},
		{name: "characters, not bytes", text: "äöü äöü", want: []string{"äöü äöü"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, wrap(c.text, 8)); diff != "" {
				t.Errorf("wrap (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	_, want, _ := moe(t, "--version")
	status, got, stderr := moe(t, "version")
	if status != 0 || got != want || !strings.HasPrefix(got, "moe ") {
		t.Errorf("moe version: got status %d, %q and %q; want %q, as moe --version prints", status, got, stderr, want)
	}
}

func TestPluginsJSON(t *testing.T) {
	status, stdout, stderr := moe(t, "plugins", "-o", "json")
	var all []plugin
	want := len(filter.Registrations()) + len(others())
	if err := json.Unmarshal([]byte(stdout), &all); status != 0 || err != nil || len(all) != want {
		t.Fatalf("moe plugins -o json: got status %d, error %v, %d plugins and %q; want 0 and all %d plugins", status, err, len(all), stderr, want)
	}
	status, stdout, _ = moe(t, "plugins", "noted", "-o", "json")
	var p plugin
	if err := json.Unmarshal([]byte(stdout), &p); status != 0 || err != nil {
		t.Fatalf("moe plugins noted -o json: got status %d and error %v, want 0 and JSON", status, err)
	}
	if want := "CanCallout|CanClearRouteCache"; p.Needs != want {
		t.Errorf("needs: got %s, want %s", p.Needs, want)
	}
	if diff := cmp.Diff([]string{"Request", "ResponseBody", "Complete"}, p.Phases); diff != "" {
		t.Errorf("phases (-want +got):\n%s", diff)
	}
}

func TestPluginWithManual(t *testing.T) {
	_, stdout, _ := moe(t, "plugins", "tokenauth")
	for _, want := range []string{
		"# tokenauth\n", "\n## Metrics\n", "\n## Example", "\nplugins:\n", "\n## JSON Schema", `"writeOnly": true`,
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the manual lacks %q", want)
			}
		})
	}
}

func TestPluginWithoutManual(t *testing.T) {
	_, stdout, _ := moe(t, "plugins", "noted")
	for _, want := range []string{
		"# noted\n", "Stage: traffic. Phases: Request, ResponseBody, Complete.", "needs a host with CanCallout|CanClearRouteCache",
		"| `hosts` | list of string | required |", "| `tags` | object |  |", "| `size` | string or integer | \"1MiB\" |",
		"\nplugins:\n- name: noted\n  config:\n    secret: {env: NOTED_SECRET}\n    name: TEXT\n" +
			"    mode: \"fast\"\n    limit: 3\n    share: 1\n    hosts: []\n",
	} {
		t.Run(fmt.Sprintf("%.40q", want), func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the description lacks %q:\n%s", want, stdout)
			}
		})
	}
}

func TestNetworkFilterHasManual(t *testing.T) {
	_, stdout, _ := moe(t, "plugins", "redisguard")
	for _, want := range []string{"# redisguard\n", "\n## Metrics\n", "networkFilters:", `"maxArguments"`} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(stdout, want) {
				t.Errorf("the manual lacks %q", want)
			}
		})
	}
}

// The examples of network and listener filters are files that are good.
func TestNetworkFilterExamples(t *testing.T) {
	for _, o := range others() {
		if o.kind == "accesslog" || o.kind == "certvalidator" {
			continue
		}
		t.Run(o.Name, func(t *testing.T) {
			p, _, err := o.describe()
			if err != nil {
				t.Fatalf("describe: %v", err)
			}
			if _, err := moefile.Parse([]byte(p.Example), moefile.CheckPlugins, moefile.Dynmod); err != nil {
				t.Errorf("moefile.Parse: %v\n%s", err, p.Example)
			}
		})
	}
}

// TestExamples checks that every plugin accepts its own example.
func TestExamples(t *testing.T) {
	variable := regexp.MustCompile(`\{env: (\w+)\}`)
	for _, reg := range filter.Registrations() {
		p, err := describe(reg)
		if err != nil {
			t.Fatalf("describe: %v", err)
		}
		for _, m := range variable.FindAllStringSubmatch(p.Example, -1) {
			t.Setenv(m[1], "0123456789abcdef0123456789abcdef")
		}
		example := strings.Replace(p.Example, "hosts: []", "hosts: [a]", 1)
		host := moefile.Dynmod
		if reg.Needs&filter.CanPipePromptly != 0 {
			host = moefile.Golang
		}
		if _, err := moefile.Parse([]byte(example), moefile.CheckPlugins, host); err != nil {
			t.Errorf("%s: moefile.Parse: %v\n%s", p.Name, err, p.Example)
		}
	}
}

func TestSchema(t *testing.T) {
	_, own, _ := moe(t, "schema", "hello")
	if !strings.Contains(own, `"title": "hello"`) {
		t.Errorf("moe schema hello: got %q, want hello as the title", own)
	}
	_, text, _ := moe(t, "schema")
	var s struct{ Properties map[string]any }
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	for _, name := range []string{"listen", "upstream", "plugins", "consumers", "order", "timeout", "routes"} {
		t.Run(name, func(t *testing.T) {
			if s.Properties[name] == nil {
				t.Errorf("the schema lacks the field %s", name)
			}
		})
	}
}

func TestUnknownPlugin(t *testing.T) {
	for _, command := range []string{"plugins", "schema"} {
		t.Run(command, func(t *testing.T) {
			status, _, stderr := moe(t, command, "helo")
			if status != 1 || !strings.Contains(stderr, `did you mean "hello"?`) {
				t.Errorf("moe %s helo: got status %d and %q, want 1 and the suggestion hello", command, status, stderr)
			}
		})
	}
	if _, stdout, _ := moe(t, "__complete", "plugins", "to"); !strings.Contains(stdout, "tokenauth") {
		t.Errorf("completion of to: got %q, want tokenauth in it", stdout)
	}
}
