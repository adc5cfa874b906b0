package extension

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// upstream notes the headers that it gets, and answers.
type upstream struct {
	got    http.Header
	status int
	err    error
}

func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	u.got = r.Header
	if u.err != nil {
		return nil, u.err
	}
	return &http.Response{StatusCode: u.status, Request: r, Body: http.NoBody}, nil
}

func send(t *testing.T, ctx context.Context, u *upstream, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, "BREW", "http://pot.test/path?secret=1", http.NoBody)
	if err != nil {
		t.Fatalf("http.NewRequest: %v", err)
	}
	r.Header = header
	before := header.Clone()
	response, err := (&traced{next: u, cluster: "pots"}).RoundTrip(r)
	if !errors.Is(err, u.err) {
		t.Fatalf("RoundTrip says %v, want %v", err, u.err)
	}
	if err == nil && response.Request != r {
		t.Error("the response belongs to another request")
	}
	if diff := cmp.Diff(before, r.Header); diff != "" {
		t.Errorf("RoundTrip has changed the caller's headers (-want +got):\n%s", diff)
	}
}

// A request whose context has no span of its own passes the remote one on; without any, it stays as it is.
func TestTracedWithoutSpan(t *testing.T) {
	state, err := trace.ParseTraceState("a=b")
	if err != nil {
		t.Fatalf("ParseTraceState: %v", err)
	}
	remote := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: 1, TraceState: state, Remote: true,
	})
	member, err := baggage.NewMember("user", "alice")
	if err != nil {
		t.Fatalf("NewMember: %v", err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatalf("baggage.New: %v", err)
	}
	withRemote := trace.ContextWithRemoteSpanContext(t.Context(), remote)
	for name, c := range map[string]struct {
		ctx       context.Context
		has, want http.Header
	}{
		"no span": {t.Context(), nil, nil},
		"a remote span": {withRemote, nil, http.Header{
			"Traceparent": {"00-01000000000000000000000000000000-0200000000000000-01"}, "Tracestate": {"a=b"},
		}},
		"with baggage": {baggage.ContextWithBaggage(withRemote, bag), http.Header{"X": {"y"}}, http.Header{
			"Traceparent": {"00-01000000000000000000000000000000-0200000000000000-01"}, "Tracestate": {"a=b"},
			"Baggage": {"user=alice"}, "X": {"y"},
		}},
		"one that the caller has set": {withRemote, http.Header{"Traceparent": {"mine"}}, http.Header{"Traceparent": {"mine"}}},
	} {
		t.Run(name, func(t *testing.T) {
			u := &upstream{status: 200}
			send(t, c.ctx, u, c.has)
			if diff := cmp.Diff(c.want, u.got); diff != "" {
				t.Errorf("the upstream's headers (-want +got):\n%s", diff)
			}
		})
	}
}

// A recording span gets a child for each request, with what HTTP's conventions say, and no query.
func TestTracedWithSpan(t *testing.T) {
	for name, c := range map[string]struct {
		upstream upstream
		want     map[string]string
		status   string
	}{
		"an answer":  {upstream{status: 204}, map[string]string{"http.response.status_code": "204"}, "Unset"},
		"a refusal":  {upstream{status: 403}, map[string]string{"http.response.status_code": "403", "error.type": "403"}, "Error"},
		"a failure":  {upstream{err: errors.New("with a secret")}, map[string]string{"error.type": "*errors.errorString"}, "Error"},
		"a deadline": {upstream{err: context.DeadlineExceeded}, map[string]string{"error.type": "context.deadlineExceededError"}, "Error"},
	} {
		t.Run(name, func(t *testing.T) {
			spans := tracetest.NewSpanRecorder()
			tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)).Tracer("test")
			ctx, parent := tracer.Start(t.Context(), "parent")
			send(t, ctx, &c.upstream, nil)
			parent.End()
			ended := spans.Ended()
			if len(ended) != 2 {
				t.Fatalf("%d spans have ended, want 2", len(ended))
			}
			child := ended[0]
			if child.Parent().SpanID() != parent.SpanContext().SpanID() || child.SpanKind() != trace.SpanKindClient {
				t.Errorf("the child's parent is %v and its kind %v, want %v and client", child.Parent().SpanID(), child.SpanKind(), parent.SpanContext().SpanID())
			}
			want := "00-" + child.SpanContext().TraceID().String() + "-" + child.SpanContext().SpanID().String() + "-01"
			if got := c.upstream.got.Get("traceparent"); got != want {
				t.Errorf("the upstream got the traceparent %q, want %q", got, want)
			}
			got := map[string]string{}
			for _, kv := range child.Attributes() {
				got[string(kv.Key)] = kv.Value.String()
			}
			all := map[string]string{
				"http.request.method": "_OTHER", "server.address": "pot.test", "url.path": "/path", "moe.cluster": "pots",
			}
			for k, v := range c.want {
				all[k] = v
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if got := child.Status().Code.String(); got != c.status {
				t.Errorf("the status is %s, want %s", got, c.status)
			}
		})
	}
}
