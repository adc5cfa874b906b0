package moefile

import (
	"fmt"
	"log/slog"
	"net/http"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
)

// Check is how far Parse goes.
type Check int

// Checks; each includes those before it.
const (
	CheckFile        Check = iota // the file alone, for plugins that this program does not have
	CheckPlugins                  // the plugins' configuration, by their own code; nothing is opened or started
	ProvisionPlugins              // the plugins are set up and closed again
)

// capabilities are those of the host that `moe run` uses, Envoy's dynamic modules: all but PromptPipes.
const capabilities = ^filter.PromptPipes

func (f *File) check(c Check, add func(path string, err error)) {
	if c == CheckFile {
		return
	}
	failed := false
	report := func(path string, err error) {
		failed = failed || err != nil
		add(path, err)
	}
	report("", assembly.Validate(assembly.ChainName, f.Filter, capabilities))
	for i, r := range f.Routes {
		report(config.Index("routes", i), assembly.ValidateRoute(assembly.ChainName, f.Filter, r.Doc, capabilities))
	}
	if c == ProvisionPlugins && !failed {
		f.provision(add)
	}
}

func (f *File) provision(add func(path string, err error)) {
	a := assembly.New(host{})
	own, err := a.Filter(assembly.ChainName, f.Filter)
	if err != nil {
		add("", err)
		return
	}
	defer own.Close()
	for i, r := range f.Routes {
		route, err := a.Route(assembly.ChainName, r.Doc)
		if err != nil {
			add(config.Index("routes", i), err)
			continue
		}
		defer route.Close()
	}
}

// host is what plugins find when they are set up for a check: the capabilities of the real one, and no Envoy.
type host struct{}

func (host) Name() string         { return "dynmod" }
func (host) Capabilities() uint32 { return uint32(capabilities) }
func (host) Log() slog.Handler    { return slog.DiscardHandler }

func (host) Transport(cluster string) (http.RoundTripper, error) { return noEnvoy(cluster), nil }

type noEnvoy string

func (cluster noEnvoy) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("cluster %s: there is no Envoy while a configuration is checked", string(cluster))
}
