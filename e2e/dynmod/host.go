// Package dynmod runs the conformance suite over Envoy's dynamic modules.
package dynmod

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
)

type (
	m = conformance.M
)

// Host is envoy.filters.http.dynamic_modules with the test module.
type Host struct{ dir string }

// Name returns "dynmod".
func (h *Host) Name() string { return "dynmod" }

// Capabilities are all but CanPipePromptly: dynamic modules flush once per chunk.
func (h *Host) Capabilities() filter.Capability { return host.Dynmod }

// Limit knows what Envoy before 1.40 lacks.
func (h *Host) Limit(version, scenario string) string {
	if strings.HasPrefix(scenario, "secrets of SDS") && older(version) {
		return "it does not show dynamic modules its secrets"
	}
	return envoytest.BothWays(version, scenario)
}

// older tells the Envoys before 1.40 apart.
func older(version string) bool {
	return strings.HasPrefix(version, "1.38.") || strings.HasPrefix(version, "1.39.")
}

// Build builds the test module, or takes the library $E2E_MODULE.
func (h *Host) Build(tb testing.TB) {
	if h.dir != "" {
		return
	}
	dir, err := os.MkdirTemp("", "moe-e2e-module-")
	if err != nil {
		tb.Fatalf("os.MkdirTemp: %v", err)
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

// late is the name of metrics that were declared after Envoy had loaded the configuration.
var late = regexp.MustCompile(`(?m)^envoy_dynamicmodulescustom_moe_late_[a-z]+(\S*)\{metric="([^";]*)(;[^"]*)?"\} (\d+)$`)

// Metrics are Envoy's, late ones under their own names too.
func (h *Host) Metrics(e *envoytest.Envoy) (string, error) {
	page, err := e.Admin("/stats/prometheus")
	for _, s := range late.FindAllStringSubmatch(page, -1) {
		page += fmt.Sprintf("%s%s{%s} %s\n", h.Metric(s[2]), s[1], envoytest.Labels(s[3]), s[4])
	}
	return page, err
}

// Metric is under Envoy's namespace for dynamic modules.
func (h *Host) Metric(name string) string {
	return "envoy_dynamicmodulescustom_" + strings.NewReplacer(".", "_", "-", "_").Replace(name)
}
