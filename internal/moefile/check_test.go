package moefile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
)

// caller needs what the Golang filter lacks, prompt what dynamic modules lack.
type (
	caller struct{}
	prompt struct{}
)

func (*caller) OnComplete(filter.Stream) {}

func (*caller) Provision(env *filter.Env) error {
	_, err := env.Transport("a")
	return err
}

func (*prompt) OnComplete(filter.Stream) {}

// asks calls without having said that it needs to.
type asks struct{ caller }

func init() {
	filter.Register[caller]("caller", filter.Access, filter.Needs(filter.CanCallout))
	filter.Register[prompt]("prompt", filter.Access, filter.Needs(filter.CanPipePromptly))
	filter.Register[asks]("asks", filter.Access)
}

// A file is checked for the host that is to run it.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		name, text string
		host       Host
		want       string // "": nothing is wrong
	}{
		{name: "callouts in dynmod", text: "plugins: [{name: caller}]", host: Dynmod},
		{
			name: "callouts in golang", text: "plugins: [{name: caller}]", host: Golang,
			want: "plugins[0]: needs CanCallout",
		},
		{
			name: "prompt pipes in dynmod", text: "plugins: [{name: prompt}]", host: Dynmod,
			want: "plugins[0]: needs CanPipePromptly",
		},
		{name: "prompt pipes in golang", text: "plugins: [{name: prompt}]", host: Golang},
		{name: "a secret in dynmod", text: "plugins: [{name: asks}]", host: Dynmod},
		{name: "a secret in golang", text: "plugins: [{name: asks}]", host: Golang, want: "not supported"},
		{
			name: "a route's callouts in golang",
			text: "plugins: [{name: prompt}]\nroutes: [{plugins: [{name: caller}]}]", host: Golang,
			want: "routes[0].plugins[0]: needs CanCallout",
		},
		{
			name: "a file's secrets in golang",
			text: "plugins: [{name: asks, disabled: true}]\ngeneric_secrets: [{name: a}]", host: Golang,
		},
		{
			name: "a file's secrets in dynmod", text: "plugins: [{name: asks}]\ngeneric_secrets: [{name: a}]",
			host: Dynmod,
		},
		{
			name: "a file's secret without a name", text: "plugins: [{name: asks}]\ngeneric_secrets: [{}]",
			host: Dynmod, want: "generic_secrets[0].name: is required",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), ProvisionPlugins, c.host)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s for %s: %v, want %q", c.text, c.host.name, err, c.want)
			}
		})
	}
	if _, err := (checking{h: Golang}).Transport("a"); !errors.Is(err, filter.ErrUnsupported) {
		t.Errorf(`(checking{h: Golang}).Transport("a"): got error %v, want %v`, err, filter.ErrUnsupported)
	}
	for name, want := range map[string]bool{"dynmod": true, "golang": true, "extproc": false, "": false} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if h, ok := HostOf(name); ok != want || ok && h.name != name {
				t.Errorf("%q is %v, %v", name, h, ok)
			}
		})
	}
}

// What a file names, it must have.
func TestUnmet(t *testing.T) {
	const plugins = "plugins: [{name: asks, id: it}]\n"
	for _, c := range []struct{ name, text, want string }{
		{name: "an id of the filter's", text: plugins + "routes: [{plugins: [{id: it, disabled: true}]}]"},
		{
			name: "a misspelt id", text: plugins + "routes: [{plugins: [{id: itt, disabled: true}]}]",
			want: `routes[0].plugins[0].id: disables nothing: the filter has no plugin with id "itt"; did you mean "it"?`,
		},
		{
			name: "a name where the entry has an id", text: plugins + "routes: [{}, {plugins: [{name: asks, disabled: true}]}]",
			want: `routes[1].plugins[0]: disables nothing: the filter has no plugin with id "asks"; did you mean "it", the id of its asks?`,
		},
		{
			name: "a consumer's plugin", text: plugins + "consumers: [{name: a, plugins: [{id: itt, disabled: true}]}]",
			want: `consumers[0].plugins[0].id: disables nothing: the filter has no plugin with id "itt"; did you mean "it"?`,
		},
		{
			name: "a credential", text: plugins + "consumers: [{name: a, credentials: {caller: {key: x}}}]",
			want: `consumers[0].credentials.caller: the chain has no plugin "caller"; add the plugin, or remove the credential`,
		},
		{
			name: "a method in lower case", text: plugins + "routes: [{match: {methods: [POST, get]}}]",
			want: `routes[0].match: methods[1]: "get" meets no request, because methods are case-sensitive; did you mean "GET"?`,
		},
		{
			name: "two methods in one text", text: plugins + `routes: [{match: {methods: ["GET POST"]}}]`,
			want: `routes[0].match: methods[0]: "GET POST" is not a method; write several as [GET, POST]`,
		},
		{name: "a method of one's own", text: plugins + "routes: [{match: {methods: [PROPFIND, purge]}}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse([]byte(c.text), CheckPlugins, Dynmod)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("Parse: got error %q, want %q", got, c.want)
			}
		})
	}
}
