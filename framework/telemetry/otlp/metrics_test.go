package otlp

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/metric"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"

	"mosn.io/moe/framework/metrics"
	"mosn.io/moe/framework/telemetry"
)

// metersReceiver is a collector of metrics over both protocols.
type metersReceiver struct {
	collector.UnimplementedMetricsServiceServer
	metrics chan *otlp.ResourceMetrics
}

func (r *metersReceiver) Export(
	_ context.Context, q *collector.ExportMetricsServiceRequest,
) (*collector.ExportMetricsServiceResponse, error) {
	for _, m := range q.GetResourceMetrics() {
		r.metrics <- m
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

func (r *metersReceiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	overHTTP(w, q, "/v1/metrics", &collector.ExportMetricsServiceRequest{}, r.Export)
}

// exportingTo returns a provider of metrics to an endpoint, whose exports are those that the test asks for.
func exportingTo(t *testing.T, protocol, endpoint string) *metric.MeterProvider {
	t.Helper()
	env := map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
		"OTEL_METRIC_EXPORT_TIMEOUT": "500",
	}
	for k, v := range env { // the SDK reads the process's own
		t.Setenv(k, v)
	}
	res, err := resourceOf(t.Context())
	if err != nil {
		t.Fatalf("resourceOf: %v", err)
	}
	m, err := meters(t.Context(), environment(env), res)
	if err != nil || m == nil {
		t.Fatalf("meters = %v, %v, want a provider", m, err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = m.Shutdown(ctx) // which fails where there is no collector
	})
	return m
}

// exports returns how often exports have ended so.
func exports(result string) (n int64) {
	for _, f := range metrics.Snapshot() {
		if f.Name != "moe.metrics.exports" {
			continue
		}
		for _, s := range f.Series {
			if s.Values[0] == result {
				n = s.Value
			}
		}
	}
	return n
}

// Metrics arrive over both protocols, under their names and with their tags.
func TestExportMetrics(t *testing.T) {
	r := &metersReceiver{metrics: make(chan *otlp.ResourceMetrics, 10)}
	endpoints := collect(t, r, func(s *grpc.Server) { collector.RegisterMetricsServiceServer(s, r) })
	for protocol, endpoint := range endpoints {
		t.Run(protocol, func(t *testing.T) {
			m := exportingTo(t, protocol, endpoint)
			for len(r.metrics) > 0 { // what others have sent at their end
				<-r.metrics
			}
			telemetry.MetricsExported(false) // so that there is one
			failed, ok := exports("failed"), exports("ok")
			if err := m.ForceFlush(t.Context()); err != nil {
				t.Fatalf("ForceFlush: %v", err)
			}
			if n := exports("ok") - ok; n != 1 {
				t.Errorf("%d exports were counted, want 1", n)
			}
			got := map[string]int64{}
			for _, one := range (<-r.metrics).GetScopeMetrics()[0].GetMetrics() {
				if one.GetName() == "moe.metrics.exports" {
					for _, p := range one.GetSum().GetDataPoints() {
						got[p.GetAttributes()[0].GetKey()+"="+p.GetAttributes()[0].GetValue().GetStringValue()] = p.GetAsInt()
					}
				}
			}
			want := map[string]int64{"result=failed": failed}
			if ok > 0 {
				want["result=ok"] = ok
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("moe.metrics.exports at the collector (-want +got):\n%s", diff)
			}
		})
	}
}

// A collector that is down, slow, refuses, or closes in the midst of an exchange costs the end of the process no more than
// its time, and is counted.
func TestBrokenCollectorsOfMetrics(t *testing.T) {
	serve := func(f http.HandlerFunc) string {
		s := httptest.NewServer(f)
		t.Cleanup(s.Close)
		return s.URL
	}
	done := make(chan struct{})
	endpoints := map[string]string{
		"down": "http://127.0.0.1:1",
		"slow": serve(func(_ http.ResponseWriter, q *http.Request) {
			select {
			case <-done:
			case <-q.Context().Done():
			}
		}),
		"refuses": serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }),
		"is busy": serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		"closes in its answer": serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-length", "100")
			io.WriteString(w, "\x0a")
			panic(http.ErrAbortHandler)
		}),
	}
	t.Cleanup(func() { close(done) }) // before the servers' own, which wait for handlers
	for name, endpoint := range endpoints {
		t.Run(name, func(t *testing.T) {
			m := exportingTo(t, "http/protobuf", endpoint)
			failed := exports("failed")
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if err := m.ForceFlush(ctx); err == nil {
				t.Error("ForceFlush succeeds, want an error")
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("ForceFlush has taken %v, want about its 200 ms", took)
			}
			for exports("failed") == failed { // at the latest when the export has taken its time
				if time.Since(begun) > 10*time.Second {
					t.Fatal("no export is counted as failed within 10 s")
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// Each signal is asked for by its own variables.
func TestMetricsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
		err  string
	}{
		"nothing":              {},
		"an endpoint":          {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.test"}, true, ""},
		"an endpoint of ours":  {map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a.test"}, true, ""},
		"an endpoint of spans": {map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a.test"}, false, ""},
		"the exporter":         {map[string]string{"OTEL_METRICS_EXPORTER": "otlp"}, true, ""},
		"none":                 {map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.test"}, false, ""},
		"another exporter": {
			map[string]string{"OTEL_METRICS_EXPORTER": "prometheus"},
			false,
			`OTEL_METRICS_EXPORTER: "prometheus" is not among otlp, none`,
		},
		"disabled": {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "otlp"}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wantedOf(environment(c.env), "METRICS")
			text := ""
			if err != nil {
				text = err.Error()
			}
			if got != c.want || text != c.err {
				t.Errorf("wantedOf = %v, %q, want %v, %q", got, text, c.want, c.err)
			}
		})
	}
}
