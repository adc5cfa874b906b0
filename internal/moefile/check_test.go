package moefile

import (
	"errors"
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
		text string
		host Host
		want string // "": nothing is wrong
	}{
		{"plugins: [{name: caller}]", Dynmod, ""},
		{"plugins: [{name: caller}]", Golang, "plugins[0]: needs CanCallout"},
		{"plugins: [{name: prompt}]", Dynmod, "plugins[0]: needs CanPipePromptly"},
		{"plugins: [{name: prompt}]", Golang, ""},
		{"plugins: [{name: asks}]", Dynmod, ""},
		{"plugins: [{name: asks}]", Golang, "not supported"},
		{"plugins: [{name: prompt}]\nroutes: [{plugins: [{name: caller}]}]", Golang, "routes[0].plugins[0]: needs CanCallout"},
		{"plugins: [{name: asks, disabled: true}]\ngeneric_secrets: [{name: a}]", Golang, ""},
		{"plugins: [{name: asks}]\ngeneric_secrets: [{name: a}]", Dynmod, ""},
		{"plugins: [{name: asks}]\ngeneric_secrets: [{}]", Dynmod, "generic_secrets[0].name: is required"},
	} {
		_, err := Parse([]byte(c.text), ProvisionPlugins, c.host)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want %q", c.text, c.host.name, err, c.want)
		}
	}
	if _, err := (checking{Golang}).Transport("a"); !errors.Is(err, filter.ErrUnsupported) {
		t.Error(err)
	}
	for name, want := range map[string]bool{"dynmod": true, "golang": true, "extproc": false, "": false} {
		if h, ok := HostOf(name); ok != want || ok && h.name != name {
			t.Errorf("%q is %v, %v", name, h, ok)
		}
	}
}
