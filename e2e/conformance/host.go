// Package conformance is the suite that every host of MoE must pass on a real Envoy: scenarios, written once, over
// the [Host] interface.
package conformance

import (
	"testing"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
)

// M and A write configuration as Go literals.
type (
	M = envoytest.M
	A = envoytest.A
)

// FilterName is the name of the HTTP filter under test in its connection manager, by which routes configure it.
const FilterName = "moe"

// Host is one way in which Envoy reaches plugins.
type Host interface {
	// Name is as the docs call the host.
	Name() string
	// Capabilities are what the host has, for the scenarios that need one.
	Capabilities() filter.Capability
	// Limit returns why a scenario cannot hold on that version of Envoy, whatever the host does, or "".
	Limit(version, scenario string) string
	// Build prepares, once for a run, what all Envoys share, such as a library.
	Build(tb testing.TB)
	// Env is the environment of an Envoy.
	Env() []string
	// Filter returns what puts a chain (name "moe"; doc is its document) or one plugin (name; doc is its configuration)
	// into a connection manager. A doc of type []byte is handed over as it is. What it starts ends with tb. A host
	// that reads configurations itself returns its refusal as the error.
	Filter(tb testing.TB, name string, doc any) (Filter, error)
	// Route returns the typed_per_filter_config of [FilterName] for a route's document.
	Route(tb testing.TB, name string, doc any) (M, error)
	// Log is where plugins' log lines and the host's messages are.
	Log(e *envoytest.Envoy) *envoytest.Log
	// Metrics returns a page in Prometheus' format on which the plugins' metrics are, and Metric the name there of
	// the metric that a plugin declares as moe.PLUGIN.NAME.
	Metrics(e *envoytest.Envoy) (string, error)
	Metric(name string) string
}

// Filter is a host's part of a configuration of Envoy.
type Filter struct {
	HTTP     []M      // filters, to insert before the router
	Tunnels  []M      // for upgrades and CONNECT, where they differ
	Clusters []M      // that they need
	Release  *Release // where the host must learn that no listener has the filter any more
}

// Release tells a host, once, that Envoy no longer has a filter.
type Release struct{ Func func() }

// SoftReset is a [Host] that cannot reset a stream before its response has begun: it replies with a status of 500 or
// more.
type SoftReset interface{ SoftReset() }

// none is a host that does nothing, so that scenarios must fail on it; see [Control].
type none struct{ Host }

func (none) Name() string                                   { return "none" }
func (none) Filter(testing.TB, string, any) (Filter, error) { return Filter{}, nil }
func (none) Route(testing.TB, string, any) (M, error)       { return nil, nil }
func (none) Metric(name string) string                      { return name }
func (none) Log(e *envoytest.Envoy) *envoytest.Log          { return e.Log }
func (none) Metrics(e *envoytest.Envoy) (string, error)     { return e.Admin("/stats/prometheus") }
