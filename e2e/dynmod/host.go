// Package dynmod runs the conformance suite over Envoy's dynamic modules.
package dynmod

import (
	"os"
	"strings"
	"testing"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
)

type (
	m = conformance.M
)

// Host is envoy.filters.http.dynamic_modules with the test module.
type Host struct{ dir string }

// Name returns "dynmod".
func (h *Host) Name() string { return "dynmod" }

// Capabilities are all but PromptPipes: dynamic modules flush once per chunk.
func (h *Host) Capabilities() filter.Capability {
	return filter.Callouts | filter.FilterState | filter.UpstreamHost | filter.RouteCache | filter.Histograms |
		filter.Metadata | filter.StreamedReplies
}

// Limit knows of one, of Envoy 1.38.
func (h *Host) Limit(version, scenario string) string { return envoytest.BothWays(version, scenario) }

// Build builds the test module, or takes the library $E2E_MODULE.
func (h *Host) Build(tb testing.TB) {
	if h.dir != "" {
		return
	}
	dir, err := os.MkdirTemp("", "moe-e2e-module-")
	if err != nil {
		tb.Fatal(err)
	}
	h.dir = dir
	tb.Cleanup(func() { os.RemoveAll(dir); h.dir = "" })
	envoytest.Module(tb, dir)
}

// Env tells Envoy where the module is. No GODEBUG: the module must not need one.
func (h *Host) Env() []string { return envoytest.MoE.Env(h.dir, "") }

// Filter returns the HTTP filter.
func (h *Host) Filter(_ testing.TB, name string, doc any) (conformance.Filter, error) {
	config := envoytest.Document(envoytest.Struct, doc)
	return conformance.Filter{HTTP: []m{envoytest.MoE.HTTPFilter(conformance.FilterName, name, config)}}, nil
}

// Route returns the configuration of a route.
func (h *Host) Route(_ testing.TB, name string, doc any) (m, error) {
	return envoytest.MoE.PerRoute(name, envoytest.Document(envoytest.Struct, doc)), nil
}

// Log is Envoy's.
func (h *Host) Log(e *envoytest.Envoy) *envoytest.Log { return e.Log }

// Metrics are Envoy's.
func (h *Host) Metrics(e *envoytest.Envoy) (string, error) { return e.Admin("/stats/prometheus") }

// Metric is under Envoy's namespace for dynamic modules.
func (h *Host) Metric(name string) string {
	return "envoy_dynamicmodulescustom_" + strings.NewReplacer(".", "_", "-", "_").Replace(name)
}
