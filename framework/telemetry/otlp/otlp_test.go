package otlp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"mosn.io/moe/framework/telemetry"
)

// environment is what a test has in place of the process's.
func environment(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

// Nothing is exported unless the environment asks for it, and what is not known is an error, not a guess.
func TestWanted(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		wanted bool
		err    string
	}{
		"nothing":             {},
		"an endpoint":         {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.test"}, true, ""},
		"an endpoint of ours": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a.test"}, true, ""},
		"the exporter":        {map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, true, ""},
		"none":                {map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.test"}, false, ""},
		"another exporter": {
			map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"},
			false,
			`OTEL_TRACES_EXPORTER: "zipkin" is not among otlp, none`,
		},
		"another protocol": {
			map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
			false,
			`OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is not among grpc, http/protobuf`,
		},
		"disabled": {map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_EXPORTER": "otlp"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := provider(t.Context(), environment(c.env))
			text := ""
			if err != nil {
				text = err.Error()
			}
			if (p != nil) != c.wanted || text != c.err {
				t.Errorf("a provider: %v, the error %q; want %v, %q", p != nil, text, c.wanted, c.err)
			}
			if p != nil {
				stop(t, p)
			}
		})
	}
}

func stop(t *testing.T, p *sdk.TracerProvider) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
	defer cancel()
	_ = p.Shutdown(ctx) // which fails where there is no collector
}

// receiver is a collector over both protocols.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	spans chan *otlp.ResourceSpans
}

func (r *receiver) Export(_ context.Context, q *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	for _, s := range q.GetResourceSpans() {
		r.spans <- s
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	overHTTP(w, q, "/v1/traces", &collector.ExportTraceServiceRequest{}, r.Export)
}

// Spans arrive over both protocols, with the resource that the environment names.
func TestExport(t *testing.T) {
	r := &receiver{spans: make(chan *otlp.ResourceSpans, 10)}
	endpoints := collect(t, r, func(s *grpc.Server) { collector.RegisterTraceServiceServer(s, r) })
	for protocol, endpoint := range endpoints {
		t.Run(protocol, func(t *testing.T) {
			env := map[string]string{
				"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
				"OTEL_SERVICE_NAME": "edge", "OTEL_RESOURCE_ATTRIBUTES": "zone=a",
			}
			for k, v := range env { // the SDK reads the process's own
				t.Setenv(k, v)
			}
			p, err := provider(t.Context(), environment(env))
			if err != nil {
				t.Fatalf("provider: %v", err)
			}
			_, span := p.Tracer("test").Start(t.Context(), "span")
			span.End()
			if err := p.Shutdown(t.Context()); err != nil { // which sends what waits
				t.Fatalf("Shutdown: %v", err)
			}
			got := <-r.spans
			if name := got.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "span" {
				t.Errorf("the collector has the span %q, want span", name)
			}
			resource := map[string]string{}
			for _, kv := range got.GetResource().GetAttributes() {
				resource[kv.GetKey()] = kv.GetValue().GetStringValue()
			}
			if resource["service.name"] != "edge" || resource["zone"] != "a" {
				t.Errorf("the resource is %v, want service.name=edge and zone=a", resource)
			}
		})
	}
}

// stuck is an exporter that waits for its tests, and then fails with err.
type stuck struct {
	release chan struct{}
	err     error
	got     atomic.Int64
}

func (s *stuck) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	<-s.release
	if s.err == nil {
		s.got.Add(int64(len(spans)))
	}
	return s.err
}

func (s *stuck) Shutdown(context.Context) error { return nil }

// A collector that takes nothing costs a bounded number of spans of memory; what is lost is counted, and nobody waits.
func TestQueueIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		err                     error
		exported, full, refused int64
	}{
		"it takes them late":  {nil, 20, 80, 0},
		"it refuses them all": {errors.New("no"), 0, 80, 20},
	} {
		t.Run(name, func(t *testing.T) {
			e := &stuck{release: make(chan struct{}), err: c.err}
			q := newQueue(20, telemetry.Spans())
			p := sdk.NewTracerProvider(sdk.WithSpanProcessor(q.before(sdk.NewBatchSpanProcessor(q.counted(e),
				sdk.WithMaxQueueSize(20), sdk.WithMaxExportBatchSize(5), sdk.WithBatchTimeout(time.Millisecond)))))
			before := telemetry.Spans().Totals()
			begun := time.Now()
			for range 100 {
				_, span := p.Tracer("test").Start(t.Context(), "span")
				span.End()
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("100 spans have taken %v with a collector that is stuck, want less than a second", took)
			}
			close(e.release)
			if err := p.ForceFlush(t.Context()); err != nil && c.err == nil {
				t.Fatalf("ForceFlush: %v", err)
			}
			stop(t, p)
			after := telemetry.Spans().Totals()
			got := [3]int64{
				after.Taken - before.Taken, after.QueueFull - before.QueueFull, after.NotTaken - before.NotTaken,
			}
			if want := [3]int64{c.exported, c.full, c.refused}; got != want {
				t.Errorf("exported, dropped as the queue was full, refused: %v, want %v", got, want)
			}
			if q.waiting.Load() != 0 {
				t.Errorf("%d spans still count as waiting, want 0", q.waiting.Load())
			}
		})
	}
}

// Spans that nobody sampled use no room.
func TestUnsampledUseNoRoom(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	q := newQueue(1, telemetry.Spans())
	p := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample()),
		sdk.WithSpanProcessor(q.before(sdk.NewBatchSpanProcessor(q.counted(spans)))))
	_, span := p.Tracer("test").Start(t.Context(), "span")
	span.End()
	stop(t, p)
	if n := q.waiting.Load(); n != 0 || len(spans.GetSpans()) != 0 {
		t.Errorf("%d spans wait and %d were exported, want none", n, len(spans.GetSpans()))
	}
}

// A collector that is down, that closes connections at once, or that answers nonsense, blocks no span and no end of the
// process for longer than its time.
func TestBrokenCollectors(t *testing.T) {
	closes, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { closes.Close() })
	go func() {
		for {
			c, err := closes.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(refuses.Close)
	nonsense := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "\xff\xff\xffnonsense")
	}))
	t.Cleanup(nonsense.Close)
	for name, c := range map[string]struct{ protocol, endpoint string }{
		"down, gRPC":           {"grpc", "http://127.0.0.1:1"},
		"down, HTTP":           {"http/protobuf", "http://127.0.0.1:1"},
		"closes at once, gRPC": {"grpc", "http://" + closes.Addr().String()},
		"closes at once, HTTP": {"http/protobuf", "http://" + closes.Addr().String()},
		"refuses":              {"http/protobuf", refuses.URL},
		"answers nonsense":     {"http/protobuf", nonsense.URL},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{
				"OTEL_EXPORTER_OTLP_PROTOCOL": c.protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": c.endpoint,
			}
			for k, v := range env {
				t.Setenv(k, v)
			}
			p, err := provider(t.Context(), environment(env))
			if err != nil {
				t.Fatalf("provider: %v", err)
			}
			begun := time.Now()
			for range 1000 {
				_, span := p.Tracer("test").Start(t.Context(), "span")
				span.End()
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("1000 spans have taken %v, want less than a second", took)
			}
			stop(t, p)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("the end has taken %v, want at most its second and what spans take", took)
			}
		})
	}
}

// An error that comes with every batch is logged once a minute.
func TestFailuresAreLimited(t *testing.T) {
	l := &failureLog{}
	for range 100 {
		l.report(errors.New("down"))
	}
	if l.left != 99 {
		t.Errorf("%d of 100 failures were left out of the log, want 99", l.left)
	}
}
