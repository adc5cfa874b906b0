package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"mosn.io/moe/e2e/client"
)

// samples are what Prometheus makes of a host's page: values by name and labels, such as a_bucket{le="5"}. Envoy and the
// server write histograms in their own ways, and have the same samples.
type samples map[string]float64

// Samples reads the host's page with Prometheus' own parser.
func (b *Bed) Samples() (samples, error) {
	b.Helper()
	page, err := b.Host.Metrics(b.Envoy)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		return nil, fmt.Errorf("the parser of Prometheus refuses the page: %w", err)
	}
	all := samples{}
	for name, f := range families {
		for _, m := range f.Metric {
			all.add(name, m)
		}
	}
	return all, nil
}

func (s samples) add(name string, m *dto.Metric) {
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	h := m.GetHistogram()
	if h == nil {
		s[series(name, labels)] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		return
	}
	s[series(name+"_sum", labels)] += h.GetSampleSum()
	s[series(name+"_count", labels)] += float64(h.GetSampleCount())
	for _, bucket := range h.Bucket {
		labels["le"] = fmt.Sprintf("%.0f", bucket.GetUpperBound())
		s[series(name+"_bucket", labels)] += float64(bucket.GetCumulativeCount())
	}
}

// series writes a name with its labels, in their order.
func series(name string, labels map[string]string) string {
	var all []string
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, l+"="+labels[l])
	}
	return name + "{" + strings.Join(all, ",") + "}"
}

// measureScenarios: names and tags are the same on every host, and Prometheus reads them.
func measureScenarios() []Scenario {
	return []Scenario{
		{Name: "metrics: of phases", Run: func(b *Bed) {
			id, after := "m"+client.NewID(), "a"+client.NewID()
			doc := Chain(Probe(id, "request_headers", "if ${req.x-no} 1; reply 403 no",
				"response_headers", "if ${req.x-panic} 1; panic boom"), Probe(after, "request_headers", "go"))
			doc["metrics"] = "phases"
			ln := b.Listen(Listen{Chain: doc})
			ln.Do(client.Request{Header: []string{"x-no", "1"}})
			ln.Do(client.Request{Header: []string{"x-panic", "1"}})
			for range 3 {
				ln.Do(client.Request{})
			}
			of := func(name, plugin, phase string, more ...string) string {
				labels := map[string]string{"plugin": plugin, "phase": phase}
				for i := 0; i < len(more); i += 2 {
					labels[more[i]] = more[i+1]
				}
				base, suffix, _ := strings.Cut(name, " ")
				return series(b.Host.Metric(base)+suffix, labels)
			}
			want := samples{
				of("moe.phase.calls", id, "OnRequestHeaders"):                             5,
				of("moe.phase.calls", after, "OnRequestHeaders"):                          4,
				of("moe.phase.replies", id, "OnRequestHeaders", "class", "4xx"):           1,
				of("moe.phase.errors", id, "OnResponseHeaders", "error", "panic"):         1,
				of("moe.phase.duration_us _count", id, "OnRequestHeaders"):                5,
				of("moe.phase.duration_us _bucket", id, "OnRequestHeaders", "le", "+Inf"): 5,
				of("moe.phase.wait_us _count", after, "OnRequestHeaders", "for", "go"):    4,
			}
			gone := of("moe.phase.active", after, "OnRequestHeaders")
			b.Poll(func() error {
				ln.Do(client.Request{Path: "/body/x"}) // what was counted leaves with requests
				got, err := b.Samples()
				if err != nil {
					return err
				}
				for name, n := range want {
					if got[name] < n {
						return fmt.Errorf("%s is %v, want %v at least", name, got[name], n)
					}
				}
				if n := got[gone]; n < 0 || n > 1 {
					return fmt.Errorf("%s is %v, want 0, or 1 while a request is under way", gone, n)
				}
				return nil
			})
		}},
		{Name: "metrics: of the process", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "set x-a 1"))})
			b.Poll(func() error {
				ln.Do(client.Request{})
				got, err := b.Samples()
				if err != nil {
					return err
				}
				for _, name := range []string{
					series(b.Host.Metric("moe.config.loads"), map[string]string{"of": "filter", "result": "ok"}),
					series(b.Host.Metric("moe.config.in_use"), map[string]string{"of": "filter"}),
					series(b.Host.Metric("moe.cache.entries"), map[string]string{"cache": "instances"}),
					series(b.Host.Metric("moe.go.goroutines"), nil), series(b.Host.Metric("moe.go.heap_bytes"), nil),
				} {
					if got[name] < 1 {
						return fmt.Errorf("%s is %v, want 1 at least", name, got[name])
					}
				}
				return nil
			})
		}},
	}
}
