package otlp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	sdk "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	otlp "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"

	"mosn.io/moe/framework/telemetry"
)

// Logs are exported only where the environment asks for them by name.
func TestLogsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		env    map[string]string
		wanted bool
		err    string
	}{
		"nothing":                     {},
		"an endpoint of all signals":  {map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a.test"}, false, ""},
		"an endpoint of logs":         {map[string]string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a.test"}, true, ""},
		"the exporter":                {map[string]string{"OTEL_LOGS_EXPORTER": "otlp"}, true, ""},
		"none, in spite of endpoints": {map[string]string{"OTEL_LOGS_EXPORTER": "none", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://a.test"}, false, ""},
		"disabled":                    {map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_LOGS_EXPORTER": "otlp"}, false, ""},
		"another exporter":            {map[string]string{"OTEL_LOGS_EXPORTER": "console"}, false, `OTEL_LOGS_EXPORTER: "console" is not among otlp, none`},
		"another protocol": {
			map[string]string{"OTEL_LOGS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json"},
			false,
			`OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" is not among grpc, http/protobuf`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := lines(t.Context(), environment(c.env))
			text := ""
			if err != nil {
				text = err.Error()
			}
			if (p != nil) != c.wanted || text != c.err {
				t.Errorf("a provider: %v, the error %q; want %v, %q", p != nil, text, c.wanted, c.err)
			}
			if p != nil {
				if err := p.Shutdown(t.Context()); err != nil { // nothing waits
					t.Errorf("Shutdown: %v", err)
				}
			}
		})
	}
}

// logReceiver is a collector over both protocols.
type logReceiver struct {
	collector.UnimplementedLogsServiceServer
	logs chan *otlp.ResourceLogs
}

func (r *logReceiver) Export(_ context.Context, q *collector.ExportLogsServiceRequest) (*collector.ExportLogsServiceResponse, error) {
	for _, l := range q.GetResourceLogs() {
		r.logs <- l
	}
	return &collector.ExportLogsServiceResponse{}, nil
}

func (r *logReceiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	overHTTP(w, q, "/v1/logs", &collector.ExportLogsServiceRequest{}, r.Export)
}

// Lines arrive over both protocols, with their level, their attributes, and the span that is in their context.
func TestExportLogs(t *testing.T) {
	r := &logReceiver{logs: make(chan *otlp.ResourceLogs, 10)}
	endpoints := collect(t, r, func(s *grpc.Server) { collector.RegisterLogsServiceServer(s, r) })
	for protocol, endpoint := range endpoints {
		t.Run(protocol, func(t *testing.T) {
			env := map[string]string{
				"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_LOGS_EXPORTER": "otlp",
				"OTEL_SERVICE_NAME": "edge",
			}
			for k, v := range env { // the SDK reads the process's own
				t.Setenv(k, v)
			}
			p, err := lines(t.Context(), environment(env))
			if err != nil {
				t.Fatalf("lines: %v", err)
			}
			before := telemetry.Lines().Totals()
			span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{7}, SpanID: trace.SpanID{8}})
			slog.New(otelslog.NewHandler("test", otelslog.WithLoggerProvider(p))).
				WarnContext(trace.ContextWithSpanContext(t.Context(), span), "no luck", "plugin", "p")
			if err := p.Shutdown(t.Context()); err != nil { // which sends what waits
				t.Fatalf("Shutdown: %v", err)
			}
			got := <-r.logs
			line := got.GetScopeLogs()[0].GetLogRecords()[0]
			found := map[string]string{
				"body": line.GetBody().GetStringValue(), "severity": line.GetSeverityText(),
				line.GetAttributes()[0].GetKey(): line.GetAttributes()[0].GetValue().GetStringValue(),
				"trace":                          trace.TraceID(line.GetTraceId()).String(), "span": trace.SpanID(line.GetSpanId()).String(),
			}
			want := map[string]string{
				"body": "no luck", "severity": "WARN", "plugin": "p", "trace": trace.TraceID{7}.String(), "span": trace.SpanID{8}.String(),
			}
			if diff := cmp.Diff(want, found); diff != "" {
				t.Errorf("the line (-want +got):\n%s", diff)
			}
			for _, kv := range got.GetResource().GetAttributes() {
				if kv.GetKey() == "service.name" && kv.GetValue().GetStringValue() != "edge" {
					t.Errorf("the service is %v, want edge", kv.GetValue())
				}
			}
			if n := telemetry.Lines().Totals().Taken - before.Taken; n != 1 {
				t.Errorf("%d lines count as exported, want 1", n)
			}
		})
	}
}

// stuckLogs is an exporter that waits for its tests, and then fails with err.
type stuckLogs struct {
	release chan struct{}
	err     error
	got     atomic.Int64
}

func (s *stuckLogs) Export(_ context.Context, all []sdk.Record) error {
	<-s.release
	s.got.Add(int64(len(all)))
	return s.err
}

func (s *stuckLogs) Shutdown(context.Context) error   { return nil }
func (s *stuckLogs) ForceFlush(context.Context) error { return nil }

// A collector that takes nothing costs a bounded number of lines of memory; what is lost is counted, and nobody waits.
func TestLogQueueIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want telemetry.Totals
	}{
		"it takes them late":  {nil, telemetry.Totals{Taken: 20, QueueFull: 80}},
		"it refuses them all": {errors.New("no"), telemetry.Totals{QueueFull: 80, NotTaken: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			e := &stuckLogs{release: make(chan struct{}), err: c.err}
			p := sdk.NewLoggerProvider(sdk.WithProcessor(lineQueue(e, 20, sdk.WithExportMaxBatchSize(5))))
			log := slog.New(otelslog.NewHandler("test", otelslog.WithLoggerProvider(p)))
			before := telemetry.Lines().Totals()
			for range 100 { // which would stand still here if anything waited for the exporter
				log.Info("line")
			}
			close(e.release)
			if err := p.Shutdown(t.Context()); err != nil && c.err == nil {
				t.Errorf("Shutdown: %v", err)
			}
			after := telemetry.Lines().Totals()
			got := telemetry.Totals{
				Taken: after.Taken - before.Taken, QueueFull: after.QueueFull - before.QueueFull, NotTaken: after.NotTaken - before.NotTaken,
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("what has become of 100 lines (-want +got):\n%s", diff)
			}
			if n := e.got.Load(); n != 20 {
				t.Errorf("%d lines have reached the exporter, want 20", n)
			}
		})
	}
}
