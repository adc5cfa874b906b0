package extauth

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

// grpcService answers by a function.
type grpcService struct {
	authv3.UnimplementedAuthorizationServer
	addr string

	mu     sync.Mutex
	answer func(n int) (*authv3.CheckResponse, error)
	asked  []*authv3.CheckRequest
	meta   metadata.MD
}

// Check is that of authv3.AuthorizationServer.
func (s *grpcService) Check(ctx context.Context, q *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	s.mu.Lock()
	s.asked = append(s.asked, q)
	s.meta, _ = metadata.FromIncomingContext(ctx)
	n, answer := len(s.asked), s.answer
	s.mu.Unlock()
	return answer(n)
}

func serveGRPC(t *testing.T, answer func(n int) (*authv3.CheckResponse, error)) *grpcService {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	s := &grpcService{addr: ln.Addr().String(), answer: answer}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, s)
	go server.Serve(ln)
	t.Cleanup(server.Stop)
	return s
}

func (s *grpcService) load(t *testing.T, more string) *filtertest.Host {
	t.Helper()
	return authztest.Load(t, nil, "extauth", "url: 'grpc://"+s.addr+"'\ntimeout: 20s\n"+more)
}

// questions returns what the service was asked.
func (s *grpcService) questions() []*authv3.CheckRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func with(code codes.Code) *rpcstatus.Status { return &rpcstatus.Status{Code: int32(code)} }

func header(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

func allow(ok *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: with(codes.OK), HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

func deny(d *authv3.DeniedHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: with(codes.PermissionDenied), HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: d},
	}
}

func always(a *authv3.CheckResponse) func(int) (*authv3.CheckResponse, error) {
	return func(int) (*authv3.CheckResponse, error) { return a, nil }
}

func TestCheckRequest(t *testing.T) {
	s := serveGRPC(t, always(allow(nil)))
	h := s.load(t, `
add: {x-key: geheim}
contextExtensions: {policy: orders}
sendMetadata: [{namespace: moe.jwtauth, key: sub}, {namespace: moe.jwtauth, key: none}]
requestBody: {maxBytes: 4B, allowPartial: true}`)
	h.Attrs = map[filter.Attr]string{
		filter.AttrSourceAddress: "192.0.2.7:1234", filter.AttrDestinationAddress: "192.0.2.1:443",
		filter.AttrPeerURISAN: "spiffe://mesh/web", filter.AttrServerName: "a.example", filter.AttrProtocol: "HTTP/2",
		filter.AttrRequestID: "id-1",
	}
	h.Metadata = map[string]any{"moe.jwtauth/sub": "alice\xff"}
	q := filtertest.NewRequest("POST", "/a?b=c", "body and more", "x-one", "1", "x-one", "2", "x-bytes", "a\xffb",
		"x-envoy-auth-partial-body", "forged")
	q.Host = "shop.example"
	if r := h.Do(q); r.Status != 200 || r.Sent != "body and more" {
		t.Fatalf("got %d and the body %q, want 200 and all of it; the log:\n%s", r.Status, r.Sent, h.Log())
	}
	address := func(host string, port uint32) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
		}}}
	}
	want := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      &authv3.AttributeContext_Peer{Address: address("192.0.2.7", 1234), Principal: "spiffe://mesh/web"},
		Destination: &authv3.AttributeContext_Peer{Address: address("192.0.2.1", 443)},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "id-1", Method: "POST", Path: "/a?b=c", Host: "shop.example", Scheme: "http", Protocol: "HTTP/2", Size: 13,
			Body: "body", Headers: map[string]string{
				":method": "POST", ":path": "/a?b=c", ":authority": "shop.example", ":scheme": "http", "content-length": "13",
				"x-one": "1,2", "x-bytes": "a!b", "x-envoy-auth-partial-body": "true",
			},
		}},
		ContextExtensions: map[string]string{"policy": "orders"},
		MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"moe.jwtauth": {Fields: map[string]*structpb.Value{"sub": structpb.NewStringValue("alice!")}},
		}},
		TlsSession: &authv3.AttributeContext_TLSSession{Sni: "a.example"},
	}}
	asked := s.questions()
	if len(asked) != 1 || asked[0].GetAttributes().GetRequest().GetTime() == nil {
		t.Fatalf("the service was asked %v, want one question with a time", asked)
	}
	got := proto.Clone(asked[0]).(*authv3.CheckRequest)
	got.Attributes.Request.Time = nil
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("the question (-want +got):\n%s", diff)
	}
	if key := s.meta.Get("x-key"); len(key) != 1 || key[0] != "geheim" {
		t.Errorf("the call has the metadata x-key %q, want geheim", key)
	}
}

func TestCheckRequestOfListedHeaders(t *testing.T) {
	s := serveGRPC(t, always(allow(nil)))
	s.load(t, "send: [x-one, x-two-*]\nrequestBody: {asBytes: true}").Post("/", "a\xff", "x-one", "1", "x-two-a", "2", "x-three", "3",
		"authorization", "Bearer t")
	q := s.questions()[0].GetAttributes().GetRequest().GetHttp()
	want := map[string]string{"x-one": "1", "x-two-a": "2", "authorization": "Bearer t", "x-envoy-auth-partial-body": "false"}
	if diff := cmp.Diff(want, q.GetHeaders()); diff != "" {
		t.Errorf("the headers (-want +got):\n%s", diff)
	}
	if string(q.GetRawBody()) != "a\xff" || q.GetBody() != "" {
		t.Errorf("got the body %q and %q, want it as bytes", q.GetRawBody(), q.GetBody())
	}
}

func TestAllowedOverGRPC(t *testing.T) {
	appending := func(name string) *corev3.HeaderValueOption {
		//lint:ignore SA1019 services set it
		return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: "b"}, Append: wrapperspb.Bool(true)}
	}
	appended, absent := appending("x-there"), appending("x-absent")
	response := func(name string, how corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
		o := header(name, "new")
		o.AppendAction = how
		return o
	}
	said, err := structpb.NewStruct(map[string]any{"user": "alice", "none": nil, "roles": []any{"a", nil}})
	if err != nil {
		t.Fatalf("structpb.NewStruct: %v", err)
	}
	answer := allow(&authv3.OkHttpResponse{
		Headers:         []*corev3.HeaderValueOption{header("X-User", "alice"), appended, absent, header(":path", "/evil"), header("host", "evil")},
		HeadersToRemove: []string{"Cookie", ":method", "host"},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{
			response("x-add", corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD),
			response("x-keep", corev3.HeaderValueOption_ADD_IF_ABSENT),
			response("x-none", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS),
			response("x-set", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
		},
		QueryParametersToSet:    []*corev3.QueryParameter{{Key: "b", Value: "x&y"}},
		QueryParametersToRemove: []string{"a"},
	})
	answer.DynamicMetadata = said
	h := serveGRPC(t, always(answer)).load(t, "")
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"x-add", "x-keep", "x-set"} {
			w.Header().Set(name, "old")
		}
	})
	r := h.Get("/p?%61=1&b=2&c=%2f&a", "x-user", "root", "x-there", "a", "cookie", "a=b")
	if r.Status != 200 {
		t.Fatalf("got %d, want 200; the log:\n%s", r.Status, h.Log())
	}
	got := map[string]any{
		"user": r.Upstream.Header.Values("x-user"), "there": r.Upstream.Header.Values("x-there"),
		"absent": r.Upstream.Header.Values("x-absent"), "cookie": r.Upstream.Header.Values("cookie"),
		"uri": r.Upstream.RequestURI, "add": r.Header.Values("x-add"), "keep": r.Header.Values("x-keep"),
		"none": r.Header.Values("x-none"), "set": r.Header.Values("x-set"),
		"metadata": r.Metadata["moe.extauth/user"], "roles": r.Metadata["moe.extauth/roles"], "null": r.Metadata["moe.extauth/none"],
	}
	want := map[string]any{
		"user": []string{"alice"}, "there": []string{"a", "b"}, "absent": []string(nil), "cookie": []string(nil),
		"uri": "/p?c=%2f&b=x%26y", "add": []string{"old", "new"}, "keep": []string{"old"}, "none": []string(nil),
		"set": []string{"new"}, "metadata": "alice", "roles": []any{"a"}, "null": nil,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what became of the request and its response (-want +got):\n%s", diff)
	}
}

func TestDeniedOverGRPC(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer *authv3.CheckResponse
		want   string
	}{
		{"by a status alone", &authv3.CheckResponse{Status: with(codes.PermissionDenied)}, "403 denied "},
		{"by a status, with an answer that allows", &authv3.CheckResponse{
			Status: with(codes.PermissionDenied), HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
		}, "403 denied "},
		{"with a reply", deny(&authv3.DeniedHttpResponse{
			Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized}, Body: "who?",
			Headers: []*corev3.HeaderValueOption{header("www-authenticate", "Basic")},
		}), "401 denied who? Basic"},
		{"with an invalid header", deny(&authv3.DeniedHttpResponse{
			Headers: []*corev3.HeaderValueOption{header("x", "a\r\nb: c")},
		}), "503 error"},
		{"with an invalid status", deny(&authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 700}}), "503 error"},
		{"nothing", &authv3.CheckResponse{}, "503 error"},
		{"allowed and denied", &authv3.CheckResponse{
			Status: with(codes.OK), HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{}},
		}, "503 error"},
		{"allowed with an invalid header", allow(&authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{header("x y", "a")},
		}), "503 error"},
		{"an error", &authv3.CheckResponse{
			Status:       with(codes.Internal),
			HttpResponse: &authv3.CheckResponse_ErrorResponse{ErrorResponse: &authv3.DeniedHttpResponse{}},
		}, "503 error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serveGRPC(t, always(c.answer)).load(t, "errorStatus: 503")
			r := h.Get("/")
			got := fmt.Sprint(r.Status, " ", strings.TrimPrefix(r.Details, "moe.extauth."))
			if strings.HasSuffix(got, "denied") {
				got += strings.TrimSuffix(fmt.Sprint(" ", r.Body, " ", r.Header.Get("www-authenticate")), " ")
			}
			if r.Upstream != nil || strings.TrimRight(got, " ") != strings.TrimRight(c.want, " ") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestGRPCServiceFails(t *testing.T) {
	failing := func(code codes.Code, until int) func(n int) (*authv3.CheckResponse, error) {
		return func(n int) (*authv3.CheckResponse, error) {
			if n < until {
				return nil, status.Error(code, "the secret text")
			}
			return allow(nil), nil
		}
	}
	for _, c := range []struct {
		name, more  string
		code        codes.Code
		until       int
		want, asked int
	}{
		{name: "unavailable", code: codes.Unavailable, until: 100, want: 503, asked: 1},
		{name: "unavailable twice", more: "retries: 2", code: codes.Unavailable, until: 3, want: 200, asked: 3},
		{name: "unavailable three times", more: "retries: 2", code: codes.Unavailable, until: 4, want: 503, asked: 3},
		{name: "an error that may be an answer", more: "retries: 2", code: codes.Internal, until: 2, want: 503, asked: 1},
		{name: "permission denied by the transport", code: codes.PermissionDenied, until: 2, want: 503, asked: 1},
		{name: "open", more: "failOpen: true\nfailureHeader: true", code: codes.Unavailable, until: 100, want: 200, asked: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serveGRPC(t, failing(c.code, c.until))
			h := s.load(t, "errorStatus: 503\n"+c.more)
			r := h.Get("/", "x-envoy-auth-failure-mode-allowed", "forged")
			if r.Status != c.want || len(s.questions()) != c.asked {
				t.Errorf("got %d after %d questions, want %d after %d", r.Status, len(s.questions()), c.want, c.asked)
			}
			if strings.Contains(h.Log(), "the secret text") {
				t.Errorf("the log has the service's text: %s", h.Log())
			}
			if r.Upstream != nil {
				if got := r.Upstream.Header.Get("x-envoy-auth-failure-mode-allowed"); got != map[bool]string{true: "true"}[c.name == "open"] {
					t.Errorf("the upstream gets %q as the mark of a request that passed without an answer", got)
				}
			}
		})
	}
	t.Run("slow", func(t *testing.T) {
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		s := serveGRPC(t, func(int) (*authv3.CheckResponse, error) { <-release; return allow(nil), nil })
		h := authztest.Load(t, nil, "extauth", "url: 'grpc://"+s.addr+"'\ntimeout: 50ms\nerrorStatus: 503")
		began := time.Now()
		if r := h.Get("/"); r.Status != 503 || time.Since(began) > 5*time.Second {
			t.Errorf("got %d after %s, want 503 after 50 ms", r.Status, time.Since(began))
		}
	})
}

func TestGRPCConfiguration(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"in the clear", "url: 'grpc://a.example'", "must be https"},
		{"a path", "url: 'grpcs://a.example/check'", "nothing but a host"},
		{"a cluster", "url: 'grpc://a.example'\ncluster: c", "leave cluster out"},
		{"lists of headers", "url: 'grpcs://a.example'\nupstream: [x-user]", "upstream: over gRPC"},
		{"extensions over HTTP", "url: 'https://a.example'\ncontextExtensions: {a: b}", "contextExtensions"},
		{"too many retries", "url: 'https://a.example'\nretries: 100", "retries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := authztest.Refused(t, "extauth", c.config); !strings.Contains(err, c.want) {
				t.Errorf("got error %q, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzQuery: what an answer sets is there once, what it removes is gone, and the rest is as it was.
func FuzzQuery(f *testing.F) {
	f.Add("/p?a=1&b=2&%61=3", "a", "x&y=z")
	f.Add("/p", "b", "")
	f.Add("/p?&&=&b", "", "1")
	f.Add("/p?%20%=1&%2=2", " %", "0") // escapes that are broken
	f.Fuzz(func(t *testing.T, path, name, value string) {
		before, query, _ := strings.Cut(path, "?")
		set := change{setQuery: []field{{name, value}}}
		remove := change{removeQuery: []string{name}}
		once := set.path(path)
		if !strings.HasPrefix(once, before+"?") || set.path(once) != once {
			t.Fatalf("%q with %q=%q becomes %q, and that %q", path, name, value, once, set.path(once))
		}
		without := remove.path(path)
		if remove.path(once) != without {
			t.Fatalf("%q without %q is %q, and %q after it was set", path, name, without, remove.path(once))
		}
		if kept, _ := strings.CutPrefix(without, before); len(kept) > len(query)+1 {
			t.Fatalf("%q without %q is %q", path, name, without)
		}
	})
}
