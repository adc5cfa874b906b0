package plugins

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
)

// authorizer is a service of envoy.service.auth.v3.Authorization. It decides by the header x-say, and keeps what it was
// asked by x-id.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	addr string

	mu    sync.Mutex
	asked map[string]*authv3.AttributeContext
}

func serveAuthorizer(b *bed) (*authorizer, *grpc.Server) {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatalf("net.Listen: %v", err)
	}
	a := &authorizer{addr: ln.Addr().String(), asked: map[string]*authv3.AttributeContext{}}
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, a)
	go s.Serve(ln)
	b.Cleanup(s.Stop)
	return a, s
}

// Check is that of authv3.AuthorizationServer.
func (a *authorizer) Check(_ context.Context, q *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	h := q.GetAttributes().GetRequest().GetHttp().GetHeaders()
	a.mu.Lock()
	a.asked[h["x-id"]] = q.GetAttributes()
	a.mu.Unlock()
	option := func(name, value string) []*corev3.HeaderValueOption {
		return []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: name, Value: value}}}
	}
	switch h["x-say"] {
	case "yes":
		said, err := structpb.NewStruct(map[string]any{"team": "blue"})
		if err != nil {
			return nil, err
		}
		return &authv3.CheckResponse{
			Status: &rpcstatus.Status{}, DynamicMetadata: said,
			HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
				Headers: option("x-user", "alice"), HeadersToRemove: []string{"cookie"},
				ResponseHeadersToAdd:    option("x-seen", "yes"),
				QueryParametersToSet:    []*corev3.QueryParameter{{Key: "tenant", Value: "a%20b"}},
				QueryParametersToRemove: []string{"debug"},
			}},
		}, nil
	case "other":
		return &authv3.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{
			OkResponse: &authv3.OkHttpResponse{Headers: option("x-route", "other")},
		}}, nil
	case "error":
		return nil, fmt.Errorf("cannot say")
	}
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_PaymentRequired}, Body: "pay", Headers: option("x-price", "1"),
		}},
	}, nil
}

// question is what the service was asked about a request, in a form that two filters can be compared by.
func (a *authorizer) question(r *client.Response) map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.asked[r.ID]
	q := c.GetRequest().GetHttp()
	headers := map[string]string{}
	for name, value := range q.GetHeaders() {
		switch name {
		case "x-id", "x-request-id", ":authority", "x-forwarded-proto", "x-envoy-expected-rq-timeout-ms":
		default:
			headers[name] = value
		}
	}
	return map[string]any{
		"method": q.GetMethod(), "path": q.GetPath(), "scheme": q.GetScheme(), "protocol": q.GetProtocol(),
		"body": q.GetBody(), "size": q.GetSize(), "headers": headers, "extensions": fmt.Sprint(c.GetContextExtensions()),
		"source": c.GetSource().GetAddress().GetSocketAddress().GetAddress(), "id": q.GetId() != "",
	}
}

func init() {
	add("extauth: over gRPC, as Envoy's own filter does", func(b *bed) {
		a, server := serveAuthorizer(b)
		clear := b.Host.Name() != "extproc"
		doc := fmt.Sprintf(`
plugins:
- name: extauth
  config:
    url: grpc://%s
    errorStatus: 503
    contextExtensions: {policy: shop}
    requestBody: {maxBytes: 1KiB}
- {name: headermutation, config: {request: {set: {x-team: "%%DYNAMIC_METADATA(moe.extauth:team)%%"}}}}`, a.addr)
		ln := b.listen(doc, route{"/body/", `plugins: [{name: extauth, config: {contextExtensions: {policy: body, more: "1"}}}]`})
		own := &listener{b.Listen(conformance.Listen{Before: []m{{"name": "ext_authz", "typed_config": m{
			"@type":                 "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
			"transport_api_version": "V3",
			"grpc_service":          m{"google_grpc": m{"target_uri": a.addr, "stat_prefix": "authz"}, "timeout": "5s"},
			"with_request_body":     m{"max_request_bytes": 1024},
			"status_on_error":       m{"code": 503},
		}}}, VHost: m{"typed_per_filter_config": m{"ext_authz": m{
			"@type":          "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
			"check_settings": m{"context_extensions": m{"policy": "shop"}},
		}}}}), b}
		for _, c := range []struct {
			name, say string
			status    int
		}{{"allowed", "yes", 200}, {"denied", "no", 402}, {"no decision", "error", 503}} {
			b.Run(c.name, func() {
				header := []string{"x-say", c.say, "cookie", "a=b", "x-user", "root", "x-multi", "1", "x-multi", "2"}
				const path = "/echo?debug=1&q=%2f"
				ours, theirs := ln.post(path, "body", header...), own.post(path, "body", header...)
				if ours.Status != c.status || theirs.Status != c.status {
					b.Fatalf("got %d, and %d of Envoy's filter, want %d", ours.Status, theirs.Status, c.status)
				}
				if diff := cmp.Diff(a.question(theirs), a.question(ours)); diff != "" {
					b.Errorf("what the service is asked (-Envoy's +ours):\n%s", diff)
				}
				if c.say == "no" && ours.Body != theirs.Body || ours.Header.Get("x-price") != theirs.Header.Get("x-price") ||
					ours.Header.Get("x-seen") != theirs.Header.Get("x-seen") {
					b.Errorf("the client gets %q and %v, and of Envoy's filter %q and %v", ours.Body, ours.Header, theirs.Body, theirs.Header)
				}
				if c.say != "yes" {
					if b.reached(ours) {
						b.Error("the request has reached the upstream")
					}
					return
				}
				x, y := b.upstream(ours), b.upstream(theirs)
				got := []string{x.Path, x.Header.Get("x-user"), x.Header.Get("cookie")}
				want := []string{y.Path, y.Header.Get("x-user"), y.Header.Get("cookie")}
				if diff := cmp.Diff(want, got); diff != "" {
					b.Errorf("what the upstream sees (-Envoy's +ours):\n%s", diff)
				}
				if x.Header.Get("x-team") != "blue" {
					b.Errorf("the metadata is %q, want blue", x.Header.Get("x-team"))
				}
			})
		}
		r := ln.post("/body/x", "body", "x-say", "yes")
		if got := a.question(r)["extensions"]; got != "map[more:1 policy:body]" {
			b.Errorf("a route's extensions are %v, want map[more:1 policy:body]", got)
		}
		ln.want("a body that is too long", 413, ln.post("/echo", strings.Repeat("x", 2000), "x-say", "yes"))
		if clear {
			chooses := &listener{b.Listen(conformance.Listen{
				Chain: b.parse(fmt.Sprintf(`plugins: [{name: extauth, config: {url: "grpc://%s", clearRouteCache: true}}]`, a.addr)),
				Routes: []m{
					{
						"match":           m{"prefix": "/", "headers": conformance.A{m{"name": "x-route", "string_match": m{"exact": "other"}}}},
						"direct_response": m{"status": 418},
					},
					conformance.To("up", "/"),
				},
			}), b}
			chooses.want("a route that is chosen again", 418, chooses.get("/echo", "x-say", "other"))
			chooses.want("the same route", 200, chooses.get("/echo", "x-say", "yes"))
		}
		server.Stop()
		ln.want("a service that is down", 503, ln.post("/echo", "", "x-say", "yes"))
	})

	add("extauth: remembered decisions", func(b *bed) {
		a, server := serveAuthorizer(b)
		ln := b.listen(fmt.Sprintf(`
plugins:
- name: extauth
  config:
    url: grpc://%s
    errorStatus: 503
    cache: {key: [{from: header, name: x-say}, {from: path}], ttl: 1h, deniedTTL: 1h}`, a.addr))
		for _, c := range []struct {
			name, path, say string
			status          int
			asked           bool
		}{
			{name: "allowed", path: "/echo?debug=1", say: "yes", status: 200, asked: true},
			{name: "allowed again", path: "/echo?debug=2", say: "yes", status: 200, asked: false},
			{name: "denied", path: "/echo", say: "no", status: 402, asked: true},
			{name: "denied again", path: "/echo", say: "no", status: 402, asked: false},
			{name: "an error", path: "/echo", say: "error", status: 503, asked: true},
			{name: "an error again", path: "/echo", say: "error", status: 503, asked: true},
			{name: "another path", path: "/chunks/1", say: "yes", status: 200, asked: true},
		} {
			b.Run(c.name, func() {
				r := ln.get(c.path, "x-say", c.say, "cookie", "a=b")
				a.mu.Lock()
				_, asked := a.asked[r.ID]
				a.mu.Unlock()
				if r.Status != c.status || asked != c.asked {
					b.Fatalf("got %d, and the service was asked: %v, want %d and %v", r.Status, asked, c.status, c.asked)
				}
				if c.say != "yes" {
					return
				}
				if h := b.upstream(r).Header; h.Get("x-user") != "alice" || h.Get("cookie") != "" || r.Header.Get("x-seen") != "yes" {
					b.Errorf("the upstream sees %v and the client %v, want what the service said", h, r.Header)
				}
			})
		}
		server.Stop()
		if r := ln.get("/echo", "x-say", "yes"); r.Status != 200 {
			b.Errorf("what is remembered, with the service down: got %d, want 200", r.Status)
		}
		if r := ln.get("/echo", "x-say", "other"); r.Status != 503 {
			b.Errorf("what is not: got %d, want 503", r.Status)
		}
	})
}
