// Package otlp exports traces with OpenTelemetry's SDK, over OTLP, where the process's environment asks for it. A program
// imports it for its side effect, and so pays for the SDK:
//
//	import _ "mosn.io/moe/framework/telemetry/otlp"
//
// Nothing is exported unless OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_TRACES_EXPORTER=otlp
// is set. The rest is as OpenTelemetry defines its variables: OTEL_EXPORTER_OTLP_PROTOCOL (grpc or http/protobuf, which is
// the default), OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, the OTEL_BSP_… of batches,
// OTEL_SDK_DISABLED.
package otlp

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"mosn.io/moe/framework/telemetry"
)

func init() {
	p, err := provider(context.Background(), os.Getenv)
	if err != nil {
		slog.Error("traces are not exported", "error", err)
		return
	}
	if p != nil {
		telemetry.Export(p)
	}
}

// provider returns a provider as the environment wants it, or nil where it wants none.
func provider(ctx context.Context, env func(string) string) (*trace.TracerProvider, error) {
	asked, err := wanted(env)
	if !asked || err != nil {
		return nil, err
	}
	exporter, err := exporter(ctx, env)
	if err != nil {
		return nil, err
	}
	res, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "moe")),
		resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	size := sizeOf(env, "OTEL_BSP_MAX_QUEUE_SIZE", trace.DefaultMaxQueueSize)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(failures.report))
	queue := newQueue(size)
	return trace.NewTracerProvider(trace.WithResource(res),
		trace.WithSpanProcessor(queue.before(trace.NewBatchSpanProcessor(queue.counted(exporter), trace.WithMaxQueueSize(size))))), nil
}

// wanted reports whether the environment asks for traces.
func wanted(env func(string) string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch v := env("OTEL_TRACES_EXPORTER"); v {
	case "":
		return env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "", nil
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER: %q is not among otlp, none", v)
	}
}

func exporter(ctx context.Context, env func(string) string) (trace.SpanExporter, error) {
	switch v := cmp.Or(env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf"); v {
	case "grpc":
		return otlptracegrpc.New(ctx)
	case "http/protobuf":
		return otlptracehttp.New(ctx)
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not among grpc, http/protobuf", v)
	}
}
