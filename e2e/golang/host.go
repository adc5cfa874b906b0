// Package golang runs the conformance suite over Envoy's Golang filter, which in a stock Envoy is the bridge.
package golang

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/host"
	"mosn.io/moe/framework/host/golang"
)

type m = conformance.M

// Host is the bridge with the test module as its library.
type Host struct{ dir string }

// Name returns "golang".
func (h *Host) Name() string { return golang.Name }

// Capabilities are those that the host has on the bridge.
func (h *Host) Capabilities() filter.Capability { return host.Bridge }

// SoftReset says that the ABI cannot reset a stream before the response has begun.
func (h *Host) SoftReset() {}

// Limit knows what Envoy and the bridge cannot do; the bridge's own limits are in its README.
func (h *Host) Limit(version, scenario string) string {
	if scenario == "reader: a client that leaves closes it" {
		return "the scenario reads from a response without an end, and Envoy takes a plugin's reply in one piece"
	}
	return envoytest.BothWays(version, scenario)
}

// Build builds the test module and the bridge.
func (h *Host) Build(tb testing.TB) {
	if h.dir != "" {
		return
	}
	dir, err := os.MkdirTemp("", "moe-e2e-golang-")
	if err != nil {
		tb.Fatalf("os.MkdirTemp: %v", err)
	}
	h.dir = dir
	tb.Cleanup(func() { os.RemoveAll(dir); h.dir = "" })
	envoytest.Module(tb, dir)
	envoytest.Bridge(tb, dir)
}

// Env tells Envoy where the bridge is. No GODEBUG: the library must not need one.
func (h *Host) Env() []string { return envoytest.GolangBridge.Env(h.dir, "") }

// Filter returns the HTTP filter. A document's list of secrets goes where this filter has it, unless it is a text.
func (h *Host) Filter(_ testing.TB, name string, doc any) (conformance.Filter, error) {
	config := m{"library_id": "moe", "library_path": filepath.Join(h.dir, "libmoe.so"), "plugin_name": name}
	if d, ok := doc.(m); ok && d["generic_secrets"] != nil {
		config["generic_secrets"] = d["generic_secrets"]
		rest := maps.Clone(d)
		delete(rest, "generic_secrets")
		doc = rest
	}
	config["plugin_config"] = envoytest.Document(envoytest.TypedStruct, doc)
	return conformance.Filter{HTTP: []m{
		envoytest.GolangBridge.HTTPFilter(conformance.FilterName, name, envoytest.Document(envoytest.Struct, config)),
	}}, nil
}

// Route returns the configuration of a route.
func (h *Host) Route(_ testing.TB, name string, doc any) (m, error) {
	config := m{"plugins_config": m{name: m{"config": envoytest.Document(envoytest.TypedStruct, doc)}}}
	return envoytest.GolangBridge.PerRoute(name, envoytest.Document(envoytest.Struct, config)), nil
}

// Log is Envoy's.
func (h *Host) Log(e *envoytest.Envoy) *envoytest.Log { return e.Log }

// Names in Envoy's statistics: of a metric that was declared while the configuration was loaded, of one that the bridge
// has kept under a tag because it was declared later, and the latter's count of a histogram on the page for Prometheus.
var (
	series = regexp.MustCompile(`(?m)^dynamicmodulescustom\.(?:golang\.late_\w+?\.metric\.)?(\S+): (\d+)$`)
	counts = regexp.MustCompile(`(?m)^envoy_dynamicmodulescustom_golang_late_histogram_count\{metric="([^"]*)"\} (\d+)$`)
)

// Metrics are Envoy's, with the tags that the host writes into names as labels.
func (h *Host) Metrics(e *envoytest.Envoy) (string, error) {
	var b strings.Builder
	for page, from := range map[string]struct {
		re     *regexp.Regexp
		suffix string
	}{"/stats": {series, ""}, "/stats/prometheus": {counts, "_count"}} {
		text, err := e.Admin(page)
		if err != nil {
			return "", err
		}
		for _, s := range from.re.FindAllStringSubmatch(text, -1) {
			name, tags, _ := strings.Cut(s[1], ";")
			fmt.Fprintf(&b, "%s%s{%s} %s\n", h.Metric(name), from.suffix, envoytest.Labels(tags), s[2])
		}
	}
	return b.String(), nil
}

// Metric returns the metric's name with dots and dashes replaced.
func (h *Host) Metric(name string) string {
	return strings.NewReplacer(".", "_", "-", "_").Replace(name)
}
