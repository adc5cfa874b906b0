package extproc

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/metrics"
)

// Registry counts what servers do. Its page has the metrics of the framework and of the plugins too, which are the
// process's: one Registry should serve it.
type Registry struct{ server serverMetrics }

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

// ServeHTTP writes the metrics.
func (r *Registry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", metrics.ContentType)
	r.WriteTo(w)
}

// WriteTo writes the metrics.
func (r *Registry) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	r.server.write(&b)
	n, err := io.WriteString(w, b.String())
	if err != nil {
		return int64(n), err
	}
	more, err := metrics.WriteText(w, metrics.Snapshot())
	return int64(n) + more, err
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
