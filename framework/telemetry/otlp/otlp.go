// Package otlp exports traces, metrics and logs with OpenTelemetry's SDK, over OTLP, where the process's environment asks for
// it. A program imports it for its side effect, and so pays for the SDK:
//
//	import _ "mosn.io/moe/framework/telemetry/otlp"
//
// Nothing is exported unless OTEL_EXPORTER_OTLP_ENDPOINT is set, or for traces OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
// OTEL_TRACES_EXPORTER=otlp, and for metrics the same with METRICS. Logs are exported only where
// OTEL_EXPORTER_OTLP_LOGS_ENDPOINT or OTEL_LOGS_EXPORTER=otlp asks for it, as they are in the host's log anyway. The rest is as
// OpenTelemetry defines its variables: OTEL_EXPORTER_OTLP_PROTOCOL (grpc or http/protobuf, which is the default),
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, the OTEL_BSP_… and OTEL_BLRP_… of batches,
// OTEL_METRIC_EXPORT_INTERVAL, OTEL_SDK_DISABLED.
package otlp

import (
	"context"
	"log/slog"
	"os"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"mosn.io/moe/framework/telemetry"
)

func init() { export(context.Background(), os.Getenv) }

// export begins what the environment asks for. A signal that it asks for wrongly is logged, and keeps the other from nothing.
func export(ctx context.Context, env func(string) string) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failures.report))
	if p, err := provider(ctx, env); err != nil {
		slog.Error("traces are not exported", "error", err)
	} else if p != nil {
		telemetry.Export(p)
	}
	res, err := resourceOf(ctx)
	if err == nil {
		var m *metric.MeterProvider
		if m, err = meters(ctx, env, res); m != nil {
			telemetry.OnFlush(m.ForceFlush)
		}
	}
	if err != nil {
		slog.Error("metrics are not exported", "error", err)
	}
	if l, err := lines(ctx, env); err != nil {
		slog.Error("logs are not exported", "error", err)
	} else if l != nil {
		telemetry.ExportLogs(otelslog.NewHandler("mosn.io/moe", otelslog.WithLoggerProvider(l)))
		telemetry.OnFlush(l.ForceFlush)
	}
}

// resourceOf returns what spans and metrics are of.
func resourceOf(ctx context.Context) (*resource.Resource, error) {
	return resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "moe")),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
}

// provider returns a provider as the environment wants it, or nil where it wants none.
func provider(ctx context.Context, env func(string) string) (*trace.TracerProvider, error) {
	asked, err := wantedOf(env, "TRACES")
	if !asked || err != nil {
		return nil, err
	}
	exporter, err := exporter(ctx, env)
	if err != nil {
		return nil, err
	}
	res, err := resourceOf(ctx)
	if err != nil {
		return nil, err
	}
	size := sizeOf(env, "OTEL_BSP_MAX_QUEUE_SIZE", trace.DefaultMaxQueueSize)
	queue := newQueue(size, telemetry.Spans())
	return trace.NewTracerProvider(trace.WithResource(res),
		trace.WithSpanProcessor(queue.before(trace.NewBatchSpanProcessor(queue.counted(exporter), trace.WithMaxQueueSize(size))))), nil
}

func exporter(ctx context.Context, env func(string) string) (trace.SpanExporter, error) {
	switch v := protocol(env, "TRACES"); v {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, unknownProtocol(v)
	}
}
