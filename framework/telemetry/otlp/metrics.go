package otlp

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"mosn.io/moe/framework/metrics"
	"mosn.io/moe/framework/telemetry"
)

// began is since when counters count.
var began = time.Now()

// meters returns what exports metrics as the environment wants it, or nil where it wants none.
func meters(ctx context.Context, env func(string) string, res *resource.Resource) (*metric.MeterProvider, error) {
	asked, err := wantedOf(env, "METRICS")
	if !asked || err != nil {
		return nil, err
	}
	exporter, err := metricExporter(ctx, env)
	if err != nil {
		return nil, err
	}
	reader := metric.NewPeriodicReader(&countedMetrics{exporter}, metric.WithProducer(produced{}))
	return metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(res)), nil
}

func metricExporter(ctx context.Context, env func(string) string) (metric.Exporter, error) {
	switch v := protocol(env, "METRICS"); v {
	case "grpc":
		return otlpmetricgrpc.New(ctx)
	case "http/protobuf":
		return otlpmetrichttp.New(ctx)
	default:
		return nil, unknownProtocol(v)
	}
}

// countedMetrics counts what becomes of exports.
type countedMetrics struct{ metric.Exporter }

// Export is that of metric.Exporter.
func (e *countedMetrics) Export(ctx context.Context, all *metricdata.ResourceMetrics) error {
	err := e.Exporter.Export(ctx, all)
	telemetry.MetricsExported(err == nil)
	return err
}

// produced makes OpenTelemetry's data of what the process has counted.
type produced struct{}

// Produce is that of metric.Producer.
func (produced) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := time.Now()
	scope := metricdata.ScopeMetrics{Scope: instrumentation.Scope{Name: "mosn.io/moe"}}
	for _, f := range metrics.Snapshot() {
		m := metricdata.Metrics{Name: f.Name, Description: f.Help}
		if strings.HasSuffix(f.Name, "_us") {
			m.Unit = "us"
		}
		switch f.Kind {
		case metrics.Counter:
			m.Data = metricdata.Sum[int64]{
				Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: points(&f, now),
			}
		case metrics.Gauge:
			m.Data = metricdata.Gauge[int64]{DataPoints: points(&f, now)}
		case metrics.Histogram:
			m.Data = metricdata.Histogram[int64]{Temporality: metricdata.CumulativeTemporality, DataPoints: histograms(&f, now)}
		}
		scope.Metrics = append(scope.Metrics, m)
	}
	return []metricdata.ScopeMetrics{scope}, nil
}

func points(f *metrics.Family, now time.Time) (all []metricdata.DataPoint[int64]) {
	for i := range f.Series {
		s := &f.Series[i]
		all = append(all, metricdata.DataPoint[int64]{Attributes: attributes(f, s), StartTime: began, Time: now, Value: s.Value})
	}
	return all
}

func histograms(f *metrics.Family, now time.Time) (all []metricdata.HistogramDataPoint[int64]) {
	bounds := make([]float64, len(f.Bounds))
	for i, b := range f.Bounds {
		bounds[i] = float64(b)
	}
	for i := range f.Series {
		s := &f.Series[i]
		p := metricdata.HistogramDataPoint[int64]{
			Attributes: attributes(f, s), StartTime: began, Time: now, Bounds: bounds, Count: uint64(s.Count()), Sum: s.Value,
		}
		for _, n := range s.Buckets {
			p.BucketCounts = append(p.BucketCounts, uint64(n))
		}
		all = append(all, p)
	}
	return all
}

// attributes returns a series' tags. Collectors refuse what is not UTF-8 together with all that came with it.
func attributes(f *metrics.Family, s *metrics.Series) attribute.Set {
	all := make([]attribute.KeyValue, len(f.Tags))
	for i, tag := range f.Tags {
		all[i] = attribute.String(tag, strings.ToValidUTF8(s.Values[i], "\uFFFD"))
	}
	return attribute.NewSet(all...)
}

// wantedOf reports whether the environment asks for a signal: TRACES, METRICS or LOGS.
func wantedOf(env func(string) string, signal string) (bool, error) {
	if strings.EqualFold(env("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	name := "OTEL_" + signal + "_EXPORTER"
	switch v := env(name); v {
	case "":
		return env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" && signal != "LOGS" || env("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "", nil
	case "otlp":
		return true, nil
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("%s: %q is not among otlp, none", name, v)
	}
}

func protocol(env func(string) string, signal string) string {
	return cmp.Or(env("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL"), env("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
}

func unknownProtocol(v string) error {
	return fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: %q is not among grpc, http/protobuf", v)
}
