package mosn

import (
	"bytes"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/framework/config"
)

// convert has moe convert a mosn_config.json. The error is what moe prints.
func convert(moe, file string) (bootstrap m, err error) {
	var said bytes.Buffer
	cmd := exec.Command(moe, "mosn", "convert", file)
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("moe mosn convert %s: %w\n%s", filepath.Base(file), err, &said)
	}
	parsed, err := config.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("what moe mosn convert has printed for %s: %w", filepath.Base(file), err)
	}
	return parsed.(m), nil
}

// converted is what moe has made of the file with which MOSN runs.
type converted struct {
	managers map[string]m // connection managers, by the listeners' names
	clusters []m
}

// takeApart finds connection managers and clusters in a bootstrap. It fails the test where one is not as it should be.
func takeApart(t testing.TB, bootstrap m) *converted {
	t.Helper()
	c := &converted{managers: map[string]m{}}
	static := bootstrap["static_resources"].(m)
	for _, l := range static["listeners"].([]any) {
		chain := l.(m)["filter_chains"].([]any)[0].(m)
		manager := chain["filters"].([]any)[0].(m)["typed_config"].(m)
		if !strings.HasSuffix(manager["@type"].(string), ".HttpConnectionManager") {
			t.Fatalf("the listener %v has a filter %v, want a connection manager", l.(m)["name"], manager["@type"])
		}
		c.managers[l.(m)["name"].(string)] = manager
	}
	for _, cl := range static["clusters"].([]any) {
		c.clusters = append(c.clusters, cl.(m))
	}
	return c
}

// listen adds a converted listener to Envoy. For dynamic modules everything is as converted. Other hosts have filters of
// their own, which get the converted documents.
func (c *converted) listen(b *conformance.Bed, name string) *conformance.Listener {
	manager := maps.Clone(c.managers[name])
	delete(manager, "@type")
	delete(manager, "stat_prefix") // by which the bed knows the listener
	l := conformance.Listen{HCM: manager, Clusters: c.clusters}
	if b.Host.Name() != "dynmod" {
		filters := manager["http_filters"].([]any)
		l.Chain = documentOf(b, filters[0].(m)["typed_config"].(m))
		delete(manager, "http_filters")
		manager["route_config"] = c.rehosted(b, manager["route_config"]).(m)
	}
	return b.Listen(l)
}

// documentOf is the chain's document in the configuration of a dynamic module's filter.
func documentOf(b *conformance.Bed, config m) m {
	if name := config["filter_name"]; name != conformance.FilterName {
		b.Fatalf("the filter is called %v in the module, want %q", name, conformance.FilterName)
	}
	return config["filter_config"].(m)["value"].(m)
}

// rehosted copies routes, with what they configure for the filter in the form of the host.
func (c *converted) rehosted(b *conformance.Bed, v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = c.rehosted(b, v[i])
		}
		return out
	case m:
		out := m{}
		for key, value := range v {
			if key == "typed_per_filter_config" {
				maps.Copy(out, b.PerRoute(documentOf(b, value.(m)[conformance.FilterName].(m))))
				continue
			}
			out[key] = c.rehosted(b, value)
		}
		return out
	}
	return v
}
