// Package traces runs the hosts with Envoy's own OpenTelemetry tracer on and off, before a real OpenTelemetry Collector, and
// follows the ids of spans from the client to what plugins call.
package traces

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/extproc"
	"mosn.io/moe/e2e/golang"
	_ "mosn.io/moe/framework/telemetry/otlp" // this binary is the server of extproc too
)

type m = conformance.M

var traces *collector

func TestMain(t *testing.M) {
	extproc.Main()
	os.Exit(run(t))
}

func run(t *testing.M) int {
	c, err := startCollector()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.stop()
	traces = c
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://" + c.http, "OTEL_SERVICE_NAME": "moe", "OTEL_BSP_SCHEDULE_DELAY": "100",
		"OTEL_METRIC_EXPORT_INTERVAL": "200", "OTEL_LOGS_EXPORTER": "otlp", "OTEL_BLRP_SCHEDULE_DELAY": "100",
	} {
		os.Setenv(name, value)
	}
	return t.Run()
}

// overGRPC exports over gRPC what the other hosts export over HTTP.
type overGRPC struct{ golang.Host }

func (h *overGRPC) Env() []string {
	return append(h.Host.Env(), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+traces.grpc)
}

func TestDynmod(t *testing.T) { runOn(t, &dynmod.Host{}) }

func TestGolang(t *testing.T) { runOn(t, &overGRPC{}) }

func TestExtproc(t *testing.T) {
	h := &extproc.Host{}
	t.Cleanup(h.Close)
	runOn(t, h)
}

func runOn(t *testing.T, h conformance.Host) {
	conformance.RunNewest(t, h, func() []conformance.Group {
		return []conformance.Group{{Name: "traces", Scenarios: []conformance.Scenario{
			{Name: "Envoy traces", Run: envoyTraces},
			{Name: "MoE traces", Run: moeTraces},
			{Name: "broken headers", Run: brokenHeaders},
			{Name: "metrics", Run: exportedMetrics},
			{Name: "logs", Run: exportedLogs},
		}}}
	})
}

// tracer is Envoy's own.
func tracer() (hcm m, clusters []m) {
	hcm = m{"tracing": m{
		"random_sampling": m{"value": 100},
		"provider": m{"name": "envoy.tracers.opentelemetry", "typed_config": m{
			"@type":        "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
			"grpc_service": m{"envoy_grpc": m{"cluster_name": "otelcol"}, "timeout": "1s"},
			"service_name": "envoy",
		}},
	}}
	return hcm, []m{envoytest.Cluster("otelcol", true, traces.grpc)}
}

// chain has a plugin that calls over a cluster where the host can, and as any http.Client elsewhere.
func chain(b *conformance.Bed, detail string) m {
	config := m{"url": "http://" + b.Up.Addr + "/echo"}
	if b.Host.Name() == "dynmod" {
		config = m{"cluster": "up"}
	}
	c := conformance.Chain(m{"name": "probespan", "config": config})
	c["traces"] = detail
	return c
}

const clientSpan = "b7ad6b7169203331"

func newTrace() string {
	id := make([]byte, 16)
	for i := range id {
		id[i] = byte(1 + rand.IntN(255))
	}
	return hex.EncodeToString(id)
}

// send sends requests of a new trace each, as many as Envoy's tracer gathers before it sends what it has, and returns the
// trace and the response of the first.
func send(ln *conformance.Listener) (trace string, r *client.Response) {
	for i := range 8 {
		id := newTrace()
		one := ln.Do(client.Request{Path: "/echo", Header: []string{"traceparent", "00-" + id + "-" + clientSpan + "-01"}})
		if i == 0 {
			trace, r = id, one
		}
	}
	return trace, r
}

// collected waits until the trace has a span for each name, of a service, and returns these by their names.
func collected(b *conformance.Bed, trace string, names ...string) map[string]span {
	b.Helper()
	found := map[string]span{}
	b.Poll(func() error {
		all := traces.trace(trace)
		for _, name := range names {
			service, name, _ := strings.Cut(name, ": ")
			at := slices.IndexFunc(all, func(s span) bool {
				return s.Service == service && (s.Name == name || name == "")
			})
			if at < 0 {
				return fmt.Errorf("no span %q of %s among %d of the trace: %+v", name, service, len(all), all)
			}
			found[strings.TrimSuffix(service+": "+name, ": ")] = all[at]
		}
		return nil
	})
	return found
}

// below checks who is whose parent.
func below(b *conformance.Bed, child span, parent string, what string) {
	b.Helper()
	if child.Parent != parent {
		b.Errorf("%s: the parent of %q is %q, want %q", what, child.Name, child.Parent, parent)
	}
}

// called checks that what the plugin called learned of a span.
func called(b *conformance.Bed, r *client.Response, trace, span string) {
	b.Helper()
	seen := b.Up.Seen(r.ID + "-call")
	if len(seen) != 1 {
		b.Fatalf("the plugin's call was seen %d times, want once", len(seen))
	}
	if got, want := seen[0].Header.Get("traceparent"), "00-"+trace+"-"+span+"-01"; got != want {
		b.Errorf("the plugin's call has the traceparent %q, want %q", got, want)
	}
}

// With Envoy's tracer on, what plugins do is part of Envoy's trace, below Envoy's span where the host can reach it.
func envoyTraces(b *conformance.Bed) {
	hcm, clusters := tracer()
	ln := b.Listen(conformance.Listen{Chain: chain(b, "phases"), HCM: hcm, Clusters: clusters})
	trace, r := send(ln)
	if r.Status != 200 {
		b.Fatalf("got %d %s, want 200", r.Status, r.Body)
	}
	if b.Host.Name() == "dynmod" {
		all := collected(b, trace, "envoy: ingress", "envoy: work", "envoy: GET", "envoy: probespan OnRequestHeaders")
		envoy := all["envoy: ingress"]
		below(b, envoy, clientSpan, "Envoy's own")
		below(b, all["envoy: work"], envoy.SpanID, "the plugin's")
		below(b, all["envoy: GET"], all["envoy: work"].SpanID, "of env.Transport")
		below(b, all["envoy: probespan OnRequestHeaders"], envoy.SpanID, "of a phase")
		called(b, r, trace, all["envoy: GET"].SpanID)
		if got := all["envoy: work"].attr("probe.id"); got != r.ID {
			b.Errorf("the plugin's span has the attribute %q, want %q", got, r.ID)
		}
		return
	}
	all := collected(b, trace, "envoy: ingress", "moe: GET", "moe: work", "moe: probespan OnRequestHeaders")
	below(b, all["envoy: ingress"], clientSpan, "Envoy's own")
	stream := all["moe: GET"]
	if b.Host.Name() == "extproc" { // Envoy tells the server of the span of its call
		if !slices.ContainsFunc(traces.trace(trace), func(s span) bool { return s.Service == "envoy" && s.SpanID == stream.Parent }) {
			b.Errorf("the parent of the server's span is %q, want one of Envoy's: %+v", stream.Parent, traces.trace(trace))
		}
	} else {
		below(b, stream, clientSpan, "the host's")
	}
	below(b, all["moe: work"], stream.SpanID, "the plugin's")
	below(b, all["moe: probespan OnRequestHeaders"], stream.SpanID, "of a phase")
	called(b, r, trace, all["moe: work"].SpanID)
}

// Where Envoy traces nothing, MoE exports spans itself, as the environment says.
func moeTraces(b *conformance.Bed) {
	ln := b.Listen(conformance.Listen{Chain: chain(b, "stream")})
	trace, r := send(ln)
	if r.Status != 200 {
		b.Fatalf("got %d %s, want 200", r.Status, r.Body)
	}
	all := collected(b, trace, "moe: GET", "moe: work")
	stream, child := all["moe: GET"], all["moe: work"]
	if b.Host.Name() == "dynmod" { // the call over a cluster has a span of the same name
		b.Poll(func() error {
			for _, s := range traces.trace(trace) {
				if s.attr("moe.cluster") == "" && s.Name == "GET" {
					stream = s
				}
				if s.attr("moe.cluster") == "up" {
					child = s
				}
			}
			if child.Name != "GET" || stream.attr("moe.cluster") != "" {
				return fmt.Errorf("no span of the call among %+v", traces.trace(trace))
			}
			return nil
		})
		below(b, child, all["moe: work"].SpanID, "of env.Transport")
	}
	below(b, stream, clientSpan, "the stream's")
	below(b, all["moe: work"], stream.SpanID, "the plugin's")
	called(b, r, trace, child.SpanID)
	got := map[string]string{}
	want := map[string]string{
		"http.request.method": "GET", "url.path": "/echo", "http.response.status_code": "200", "url.scheme": "http",
	}
	for key := range want {
		got[key] = stream.attr(key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("the stream's span has other attributes (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(stream.Events, func(e struct {
		Name       string      `json:"name"`
		Attributes []attribute `json:"attributes"`
	},
	) bool {
		return e.Name == "moe.wait"
	}) {
		b.Errorf("the stream's span has the events %+v, want one of its wait", stream.Events)
	}
}

// Whatever a client sends in the headers of traces, its request is served.
func brokenHeaders(b *conformance.Bed) {
	ln := b.Listen(conformance.Listen{Chain: chain(b, "phases")})
	for name, header := range map[string][]string{
		"a traceparent that is too short":  {"traceparent", "00-1-2-3"},
		"of another version":               {"traceparent", "ff-0af7651916cd43dd8448eb211c80319c-" + clientSpan + "-01"},
		"not ASCII":                        {"traceparent", "00-é\xff-" + clientSpan + "-01", "baggage", "é=\xff"},
		"of zeros":                         {"traceparent", "00-" + strings.Repeat("0", 32) + "-" + clientSpan + "-01"},
		"a long tracestate":                {"traceparent", "00-" + newTrace() + "-" + clientSpan + "-01", "tracestate", strings.Repeat("a=b,", 5000) + "c=d"},
		"baggage with 10,000 entries":      {"baggage", strings.Repeat("a=b,", 10_000) + "c=d"},
		"a user agent that is not UTF-8":   {"user-agent", "\xff\xfe"},
		"both, and they contradict":        {"traceparent", "00-" + newTrace() + "-" + clientSpan + "-01", "b3", newTrace() + "-" + clientSpan + "-0"},
		"b3 alone, which asks for nothing": {"b3", "0"},
	} {
		b.Run(name, func() {
			if r := ln.Do(client.Request{Path: "/echo", Header: header}); r.Status != 200 {
				b.Errorf("got %d %s, want 200", r.Status, r.Body)
			}
		})
	}
}

// The collector has the metrics by the names and tags that they have in Envoy's statistics.
func exportedMetrics(b *conformance.Bed) {
	doc := chain(b, "off")
	doc["metrics"] = "phases"
	ln := b.Listen(conformance.Listen{Chain: doc})
	for range 3 {
		if r := ln.Do(client.Request{Path: "/echo"}); r.Status != 200 {
			b.Fatalf("got %d %s, want 200", r.Status, r.Body)
		}
	}
	for _, name := range []string{
		"moe counter moe.phase.calls{phase=OnRequestHeaders,plugin=probespan}",
		"moe histogram moe.phase.duration_us{phase=OnRequestHeaders,plugin=probespan}",
		"moe histogram moe.phase.wait_us{for=go,phase=OnRequestHeaders,plugin=probespan}",
		"moe counter moe.streams.begun{chain=moe}",
		"moe counter moe.config.loads{of=filter,result=ok}",
		"moe gauge moe.go.goroutines{}",
	} {
		b.Run(name, func() {
			b.Poll(func() error {
				if n, _ := strconv.Atoi(traces.metric(name)); n < 1 {
					return fmt.Errorf("the collector has %q, want 1 at least", traces.metric(name))
				}
				return nil
			})
		})
	}
}
