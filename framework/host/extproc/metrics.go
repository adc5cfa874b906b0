package extproc

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/internal/core"
)

// Registry collects the metrics of servers and of their plugins and writes them in Prometheus' text format. Plugins are
// shared by the whole process, so that one Registry should serve it.
type Registry struct {
	server  serverMetrics
	plugins timings

	mu       sync.Mutex
	filters  []*assembly.Filter
	families map[string]*family
}

// DefaultRegistry is that of servers whose Options name none.
var DefaultRegistry = &Registry{}

// serverMetrics are a server's own.
type serverMetrics struct {
	started, active, failed, sent, replies, panics, overload atomic.Int64
	reloads, reloadFailures                                  atomic.Int64
	messages                                                 [kindCount]timing
}

// Reloaded counts an attempt to load a configuration again.
func (r *Registry) Reloaded(ok bool) {
	if ok {
		r.server.reloads.Add(1)
	} else {
		r.server.reloadFailures.Add(1)
	}
}

// family is a plugin's metric with its values, by their tags.
type family struct {
	kind    core.MetricKind
	samples map[string]*sample
}

type sample struct {
	n       int64 // the sum
	count   int64
	buckets []int64
}

// bounds are those of Envoy's histograms.
var bounds = []int64{
	1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000,
	1_800_000, 3_600_000,
}

func (r *Registry) add(f *assembly.Filter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.filters = append(r.filters, f)
}

// remove takes what is left in the filter's metrics.
func (r *Registry) remove(f *assembly.Filter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.filters {
		if r.filters[i] == f {
			r.collect(f)
			r.filters = slices.Delete(r.filters, i, i+1)
			return
		}
	}
}

// collect moves what plugins have recorded here. r.mu is held.
func (r *Registry) collect(f *assembly.Filter) {
	for _, m := range f.Metrics() {
		name := metricName(m.Name)
		fam := r.families[name]
		if fam == nil {
			if r.families == nil {
				r.families = map[string]*family{}
			}
			fam = &family{kind: m.Kind, samples: map[string]*sample{}}
			r.families[name] = fam
		}
		m.Flush(func(s core.Sample) { fam.record(labels(m.Tags, s.Values), s.N) })
	}
}

func (f *family) record(labels string, n int64) {
	s := f.samples[labels]
	if s == nil {
		s = &sample{buckets: make([]int64, len(bounds))}
		f.samples[labels] = s
	}
	s.n += n
	s.count++
	if i, _ := slices.BinarySearch(bounds, n); f.kind == core.Histogram && i < len(bounds) {
		s.buckets[i]++
	}
}

func metricName(name string) string { return strings.NewReplacer(".", "_", "-", "_").Replace(name) }

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func labels(names, values []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%s="%s"`, metricName(name), escape.Replace(strings.ToValidUTF8(values[i], "\uFFFD")))
	}
	return b.String()
}

// ServeHTTP writes the metrics.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", "text/plain; version=0.0.4; charset=utf-8")
	r.WriteTo(w)
}

// WriteTo writes the metrics.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	r.server.write(&b)
	r.plugins.write(&b)
	r.mu.Lock()
	for _, f := range r.filters {
		r.collect(f)
	}
	for _, name := range slices.Sorted(maps.Keys(r.families)) {
		r.families[name].write(&b, name)
	}
	r.mu.Unlock()
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

func (f *family) write(b *strings.Builder, name string) {
	kind := [...]string{core.Counter: "counter", core.Gauge: "gauge", core.Histogram: "histogram"}[f.kind]
	fmt.Fprintf(b, "# TYPE %s %s\n", name, kind)
	for _, tags := range slices.Sorted(maps.Keys(f.samples)) {
		s := f.samples[tags]
		if f.kind == core.Histogram {
			histogram(b, name, tags, s.buckets, func(i int) string { return strconv.FormatInt(bounds[i], 10) },
				s.count, strconv.FormatInt(s.n, 10))
			continue
		}
		fmt.Fprintf(b, "%s%s %d\n", name, braces(tags), s.n)
	}
}

func histogram(b *strings.Builder, name, tags string, buckets []int64, bound func(int) string, count int64,
	sum string,
) {
	sofar := int64(0)
	for i, n := range buckets {
		sofar += n
		fmt.Fprintf(b, "%s_bucket%s %d\n", name, braces(tags, `le="`+bound(i)+`"`), sofar)
	}
	fmt.Fprintf(b, "%s_bucket%s %d\n", name, braces(tags, `le="+Inf"`), count)
	fmt.Fprintf(b, "%s_sum%s %s\n%s_count%s %d\n", name, braces(tags), sum, name, braces(tags), count)
}

func braces(parts ...string) string {
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func (m *serverMetrics) write(b *strings.Builder) {
	type one struct {
		name, kind, help string
		v                *atomic.Int64
	}
	all := []one{
		{"moe_extproc_streams_started_total", "counter", "gRPC streams begun.", &m.started},
		{"moe_extproc_streams_active", "gauge", "gRPC streams that run.", &m.active},
		{"moe_extproc_streams_failed_total", "counter", "gRPC streams ended with an error.", &m.failed},
		{"moe_extproc_messages_sent_total", "counter", "Messages sent to Envoy.", &m.sent},
		{"moe_extproc_replies_total", "counter", "Requests that plugins replied to.", &m.replies},
		{"moe_extproc_panics_total", "counter", "Panics of the framework; those of plugins are moe_panics.", &m.panics},
		{"moe_extproc_overload_total", "counter", "Streams refused as all together held too much.", &m.overload},
		{"moe_extproc_reloads_total", "counter", "Configurations loaded while serving.", &m.reloads},
		{"moe_extproc_reload_failures_total", "counter", "Configurations refused while serving.", &m.reloadFailures},
	}
	slices.SortFunc(all, func(x, y one) int { return cmp.Compare(x.name, y.name) })
	for _, e := range all {
		fmt.Fprintf(b, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", e.name, e.help, e.name, e.kind, e.name, e.v.Load())
	}
	const name = "moe_extproc_message_seconds"
	fmt.Fprintf(b, "# HELP %s Time from a message to the wait for the next, by phase.\n# TYPE %s histogram\n", name, name)
	for kind := range m.messages {
		m.messages[kind].write(b, name, `phase="`+kindNames[kind]+`"`)
	}
}
