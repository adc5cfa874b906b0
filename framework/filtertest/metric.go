package filtertest

import (
	"slices"
	"strings"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// metric is what was recorded so far under a name and the values of tags.
type metric struct {
	sum    int64
	values []int64 // of a histogram
}

// Metric returns the sum of what was recorded under name, which is full (moe.PLUGIN.NAME) or the plugin's own, with
// those values of its tags. The framework's are moe.panics, moe.timeouts, moe.misuses and moe.replies, tagged with the
// plugin.
func (h *Host) Metric(name string, tags ...string) int64 {
	return h.metric(name, tags).sum
}

// Recorded returns the values of a histogram, named as for [Host.Metric].
func (h *Host) Recorded(name string, tags ...string) []int64 {
	return slices.Clone(h.metric(name, tags).values)
}

// metric returns a copy, as goroutines may go on recording.
func (h *Host) metric(name string, tags []string) metric {
	h.mu.Lock()
	defer h.mu.Unlock()
	chains := []*chain.Chain{h.chain}
	for _, c := range h.ofConsumers {
		chains = append(chains, c)
	}
	for _, c := range chains {
		for _, m := range c.Metrics() {
			h.flush(m)
		}
	}
	end := "." + name + "\x00" + strings.Join(tags, "\x00")
	for key, m := range h.metrics {
		if key == end[1:] || strings.HasPrefix(key, "moe.") && strings.HasSuffix(key, end) {
			return *m
		}
	}
	return metric{}
}

// flush takes what m has. h.mu is held.
func (h *Host) flush(m *core.Metric) {
	m.Flush(func(s core.Sample) {
		key := m.Name + "\x00" + strings.Join(s.Values, "\x00")
		if h.metrics[key] == nil {
			h.metrics[key] = &metric{}
		}
		h.metrics[key].sum += s.N
		if m.Kind == core.Histogram {
			h.metrics[key].values = append(h.metrics[key].values, s.N)
		}
	})
}

// Value returns the sum of all that was added to c in this process, whatever host its plugin runs on; 0 for nil.
func Value(c *filter.Counter) uint64 { return uint64(shared.Sum(c)) }
