package probes

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"

	"mosn.io/moe/framework/filter"
)

// Span makes a span for each request, on a goroutine, and sends a request that goes on with the trace: over Cluster, or to
// URL as an instrumented http.Client does. That has the request's x-id with "-call" behind it.
type Span struct {
	Cluster string `json:"cluster"`
	URL     string `json:"url"`

	transport http.RoundTripper
}

func init() { filter.Register[Span]("probespan", filter.Transform) }

// Provision finds the cluster.
func (p *Span) Provision(env *filter.Env) (err error) {
	if p.Cluster != "" {
		p.transport, err = env.Transport(p.Cluster)
	}
	return err
}

// OnRequestHeaders makes the span.
func (p *Span) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	id := h.Get("x-id")
	return filter.Go(func(ctx context.Context) filter.Action {
		ctx, span := otel.Tracer("probespan").Start(ctx, "work")
		defer span.End()
		span.SetAttributes(attribute.String("probe.id", id))
		if err := p.call(ctx, id+"-call"); err != nil {
			span.RecordError(err)
			return filter.Reply(http.StatusBadGateway, err.Error())
		}
		return filter.Continue
	})
}

func (p *Span) call(ctx context.Context, id string) error {
	transport, url := p.transport, "http://call.test/echo"
	if transport == nil {
		transport, url = http.DefaultTransport, p.URL
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("x-id", id)
	if p.transport == nil {
		otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
