package moefile

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/internal/bootstrap"
)

// Check is how far Parse goes.
type Check int

// Checks; each includes those before it.
const (
	CheckFile        Check = iota // the file alone, for plugins that this program does not have
	CheckPlugins                  // the plugins' configuration, by their own code; nothing is opened or started
	ProvisionPlugins              // the plugins are set up and closed again
)

// Host is one for which a file is checked. It needs no Envoy, and no cgo.
type Host struct {
	name string
	caps filter.Capability
}

// Hosts of `moe run`, and that of `moe extproc`.
var (
	Dynmod  = Host{"dynmod", host.Dynmod}
	Golang  = Host{"golang", host.Golang}
	Bridge  = Host{"golang", host.Bridge} // in the stock Envoy that moe starts
	ExtProc = Host{"extproc", host.ExtProc}
)

// HostOf returns the host of `moe run` of a name.
func HostOf(name string) (Host, bool) {
	for _, h := range []Host{Dynmod, Golang} {
		if h.name == name {
			return h, true
		}
	}
	return Host{}, false
}

func (f *File) check(l Loader, add func(path string, err error)) {
	if l.Check == CheckFile {
		return
	}
	f.checkExtensions(l.Host, add)
	f.checkLoggers(l.Host, add)
	f.checkConnections(l.Host, add)
	f.checkCertValidators(l.Host, add)
	if f.Filter == nil {
		return // no listener takes HTTP
	}
	checked, lent := f, (*lentSecrets)(nil)
	if l.WithoutSecrets {
		checked, lent = f.lendSecrets()
	}
	failed := false
	report := func(path string, err error) {
		err = lent.drop(path, err)
		failed = failed || err != nil
		add(path, err)
	}
	checked.checkUnmet(report)
	report("", assembly.Validate(assembly.ChainName, checked.Filter, l.Host.caps))
	for i, r := range checked.Routes {
		report(config.Index("routes", i), assembly.ValidateRoute(assembly.ChainName, checked.Filter, r.Doc, l.Host.caps))
	}
	if l.Check == ProvisionPlugins && !failed {
		checked.without(lent).provision(l.Host, func(path string, err error) { add(path, lent.dropProvision(err)) })
	}
}

// Fit reports whether a filter's document is good, and those of routes can be merged over it, as far as the loader checks
// plugins.
func (l Loader) Fit(filter map[string]any, routes []bootstrap.Route) bool {
	if l.Check == CheckFile {
		return true
	}
	if assembly.Validate(assembly.ChainName, filter, l.Host.caps) != nil {
		return false
	}
	for _, r := range routes {
		if assembly.ValidateRoute(assembly.ChainName, filter, r.Doc, l.Host.caps) != nil {
			return false
		}
	}
	return true
}

// checkUnmet reports what names an id or a plugin that the file does not have: nothing else can come to have it.
func (f *File) checkUnmet(report func(path string, err error)) {
	routes := make([]any, len(f.Routes))
	for i, r := range f.Routes {
		routes[i] = r.Doc
	}
	own, ofRoutes := assembly.Unmet(assembly.ChainName, f.Filter, routes...)
	report("", own.Err())
	for i, es := range ofRoutes {
		report(config.Index("routes", i), es.Err())
	}
}

func (f *File) provision(h Host, add func(path string, err error)) {
	a := assembly.New(checking{h: h, clusters: f.clusters()})
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

// checking is what plugins find when they are set up for a check: the capabilities of the real host, and no Envoy.
type checking struct {
	h        Host
	clusters []string // nil: not known
}

func (c checking) Name() string         { return c.h.name }
func (c checking) Capabilities() uint32 { return uint32(c.h.caps) }
func (checking) Log() slog.Handler      { return slog.DiscardHandler }

// MayListSecrets lets each document have them: where they go is the host's business.
func (checking) MayListSecrets() error { return nil }

func (c checking) Transport(cluster string) (http.RoundTripper, error) {
	if c.h.caps&filter.CanCallout == 0 {
		return nil, fmt.Errorf("cluster %s: %w", cluster, filter.ErrUnsupported)
	}
	if c.clusters != nil && !slices.Contains(c.clusters, cluster) {
		return nil, fmt.Errorf("cluster %q: %s; upstreams must have each cluster that a plugin calls", cluster,
			config.Unknown("upstream", cluster, c.clusters))
	}
	return noEnvoy(cluster), nil
}

type noEnvoy string

func (cluster noEnvoy) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("cluster %s: there is no Envoy while a configuration is checked", string(cluster))
}
