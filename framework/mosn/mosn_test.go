package mosn_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/pkg/buffer"
	"mosn.io/pkg/variable"
)

func TestHeaders(t *testing.T) {
	var ranged []string
	h := host(t, receives(func(c *call) {
		c.headers.Range(func(k, v string) bool {
			ranged = append(ranged, k+"="+v)
			return true
		})
		if v, ok := c.headers.Get("X-A"); v != "1" || !ok {
			t.Errorf("Get(X-A) = %q, %t; want 1, true", v, ok)
		}
		if _, ok := c.headers.Get("x-none"); ok {
			t.Error("Get(x-none) reports a field that the request does not have")
		}
		c.headers.Set("x-a", "2")
		c.headers.Add("x-b", "4")
		c.headers.Del("x-c")
		copied := c.headers.Clone()
		copied.Set("x-a", "copy")
	}))
	r := h.Get("/", "x-a", "1", "x-b", "3", "x-c", "5")
	if r.Upstream == nil {
		t.Fatalf("nothing reached the upstream; status %d", r.Status)
	}
	if got, want := r.Upstream.Header.Values("x-b"), []string{"3", "4"}; !cmp.Equal(got, want) {
		t.Errorf("x-b = %q, want %q", got, want)
	}
	if got := r.Upstream.Header.Get("x-a") + r.Upstream.Header.Get("x-c"); got != "2" {
		t.Errorf("x-a and x-c = %q, want 2 and nothing", got)
	}
	if !strings.Contains(strings.Join(ranged, " "), "X-A=1 X-B=3 X-C=5") || strings.Contains(strings.Join(ranged, " "), ":path") {
		t.Errorf("Range gave %q, want canonical names and no pseudo-headers", ranged)
	}
}

func TestSetRequestHeadersReplacesAll(t *testing.T) {
	h := host(t, receives(func(c *call) {
		m := c.receive.GetRequestHeaders().Clone()
		m.Del("x-a")
		m.Set("x-new", "1")
		c.receive.SetRequestHeaders(m)
	}))
	r := h.Get("/", "x-a", "1", "x-b", "2")
	got := r.Upstream.Header.Get("x-a") + "," + r.Upstream.Header.Get("x-b") + "," + r.Upstream.Header.Get("x-new")
	if got != ",2,1" {
		t.Errorf("x-a, x-b and x-new reached the upstream as %q, want %q", got, ",2,1")
	}
}

// TestReplyHeaders has filters pass the request's own headers to a reply, as many of MOSN's do.
func TestReplyHeaders(t *testing.T) {
	cases := map[string]struct {
		answer func(c *call)
		want   map[string]string
	}{
		"the request's headers": {
			answer: func(c *call) { c.receive.SendHijackReply(403, c.headers) },
		},
		"a copy of the request's headers": {
			answer: func(c *call) { c.receive.SendHijackReply(403, c.headers.Clone()) },
		},
		"a field set in the request's headers": {
			answer: func(c *call) {
				c.headers.Set("x-why", "no")
				c.receive.SendHijackReply(403, c.headers)
			},
			want: map[string]string{"X-Why": "no"},
		},
		"a field set in a copy": {
			answer: func(c *call) {
				m := c.headers.Clone()
				m.Set("x-why", "no")
				c.receive.SendHijackReply(403, m)
			},
			want: map[string]string{"X-Why": "no"},
		},
		"a map of the filter's own": {
			answer: func(c *call) {
				m := plainMap{"x-why": "no", "cookie": "c=1", "authorization": "other"}
				c.receive.SendHijackReply(403, m)
			},
			want: map[string]string{"X-Why": "no", "Authorization": "other"},
		},
		"no headers": {
			answer: func(c *call) { c.receive.SendHijackReply(403, nil) },
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := host(t, script{onReceive: func(call *call) api.StreamFilterStatus {
				c.answer(call)
				return api.StreamFilterStop
			}})
			r := h.Get("/", "cookie", "c=1", "authorization", "secret", "x-real-ip", "9.9.9.9")
			if r.Status != 403 || r.Upstream != nil {
				t.Errorf("status %d, upstream reached: %t; want 403 and no request upstream", r.Status, r.Upstream != nil)
			}
			got := map[string]string{}
			for _, field := range []string{"Cookie", "Authorization", "X-Real-Ip", "X-Why"} {
				if v := r.Header.Get(field); v != "" {
					got[field] = v
				}
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the reply's fields (-want +got):\n%s", diff)
			}
		})
	}
}

// plainMap is a HeaderMap of somebody else's.
type plainMap map[string]string

func (m plainMap) Get(k string) (string, bool) { v, ok := m[k]; return v, ok }
func (m plainMap) Set(k, v string)             { m[k] = v }
func (m plainMap) Add(k, v string)             { m[k] = v }
func (m plainMap) Del(k string)                { delete(m, k) }
func (m plainMap) Clone() api.HeaderMap        { return m }
func (m plainMap) ByteSize() uint64            { return 0 }
func (m plainMap) Range(f func(k, v string) bool) {
	for k, v := range m {
		if !f(k, v) {
			return
		}
	}
}

func TestBodies(t *testing.T) {
	var before, after string
	h := host(t, script{
		onReceive: func(c *call) api.StreamFilterStatus {
			if c.body != nil {
				before = c.body.String()
				pooled := buffer.GetIoBuffer(8)
				_, _ = pooled.WriteString("request")
				c.receive.SetRequestData(pooled)
				_ = buffer.PutIoBuffer(pooled) // as gzip does
			}
			return api.StreamFilterContinue
		},
		onAppend: func(c *call) api.StreamFilterStatus {
			if c.body != nil {
				after = c.body.String()
				_, _ = c.body.WriteString(" and more")
			}
			return api.StreamFilterContinue
		},
	})
	h.Chunk = 3
	r := h.Post("/", "a long body")
	if before != "a long body" || r.Sent != "request" {
		t.Errorf("the filter saw %q and the upstream %q, want %q and %q", before, r.Sent, "a long body", "request")
	}
	if after != "request" || r.Body != "request and more" {
		t.Errorf("the filter saw %q and the client %q, want %q and %q", after, r.Body, "request", "request and more")
	}
	before, after = "", ""
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	if r := h.Get("/"); before != "" || after != "" || r.Status != 204 {
		t.Errorf("without bodies the filter saw %q and %q, status %d; want no buffers and 204", before, after, r.Status)
	}
}

func TestBodySetting(t *testing.T) {
	cases := map[string]struct {
		body           string
		wantReq, wantR bool
	}{
		"default": {wantReq: true, wantR: true}, "none": {body: "none"}, "request": {body: "request", wantReq: true},
		"response": {body: "response", wantR: true}, "both": {body: "both", wantReq: true, wantR: true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var req, resp bool
			typ := typeOf(script{
				onReceive: func(c *call) api.StreamFilterStatus { req = c.body != nil; return api.StreamFilterContinue },
				onAppend:  func(c *call) api.StreamFilterStatus { resp = c.body != nil; return api.StreamFilterContinue },
			})
			more := map[string]any{}
			if c.body != "" {
				more["body"] = c.body
			}
			h := filtertest.New(t, config(t, more, typ))
			if r := h.Post("/", "text"); r.Body != "text" {
				t.Errorf("the client got %q, want %q", r.Body, "text")
			}
			if req != c.wantReq || resp != c.wantR {
				t.Errorf("bodies of request and response came: %t and %t, want %t and %t", req, resp, c.wantReq, c.wantR)
			}
		})
	}
}

func TestTrailers(t *testing.T) {
	h := host(t, receives(func(c *call) {
		if v, _ := c.trailers.Get("x-t"); v != "1" {
			t.Errorf("the filter finds the trailer x-t: %q, want 1", v)
		}
		m := c.receive.GetRequestTrailers().Clone()
		m.Set("x-t", "2")
		c.receive.SetRequestTrailers(m)
	}))
	r := filtertest.NewRequest("POST", "/", "body")
	r.Trailer = http.Header{"X-T": {"1"}}
	if got := h.Do(r).Upstream.Trailer.Get("x-t"); got != "2" {
		t.Errorf("the upstream got the trailer x-t: %q, want 2", got)
	}
}

// TestPhases shows the order of phases, and that StreamFilterStop leaves out the rest of one phase only.
func TestPhases(t *testing.T) {
	var order []string
	at := func(name string, phase api.ReceiverFilterPhase, status api.StreamFilterStatus) script {
		return script{phase: phase, onReceive: func(c *call) api.StreamFilterStatus {
			order = append(order, name)
			if got := c.receive.GetFilterCurrentPhase(); got != phase {
				t.Errorf("%s: GetFilterCurrentPhase() = %d, want %d", name, got, phase)
			}
			return status
		}}
	}
	h := host(t,
		at("host", api.AfterChooseHost, api.StreamFilterContinue), at("route", api.AfterRoute, api.StreamFilterStop),
		at("left out", api.AfterRoute, api.StreamFilterContinue), at("before", api.BeforeRoute, "a status of nobody's"),
		at("before too", api.BeforeRoute, api.StreamFilterContinue),
	)
	r := h.Get("/")
	if want := []string{"before", "before too", "route", "host"}; !cmp.Equal(order, want) || r.Status != 200 {
		t.Errorf("status %d, filters ran: %q; want 200 and %q", r.Status, order, want)
	}
}

func TestStatuses(t *testing.T) {
	t.Run("match the route again", func(t *testing.T) {
		calls := 0
		h := host(t, script{phase: api.AfterRoute, onReceive: func(c *call) api.StreamFilterStatus {
			calls++
			if calls == 1 {
				return api.StreamFilterReMatchRoute
			}
			return api.StreamFilterContinue
		}})
		if r := h.Get("/"); calls != 2 || r.RouteCleared != 1 || r.Status != 200 {
			t.Errorf("status %d, %d calls, route cleared %d times; want 200, 2 and 1", r.Status, calls, r.RouteCleared)
		}
	})
	t.Run("choose the host again", func(t *testing.T) {
		calls := 0
		h := host(t, script{phase: api.AfterChooseHost, onReceive: func(c *call) api.StreamFilterStatus {
			calls++
			if calls < 3 {
				return api.StreamFilterReChooseHost
			}
			return api.StreamFilterContinue
		}})
		if r := h.Get("/"); calls != 3 || r.Status != 200 {
			t.Errorf("status %d after %d calls, want 200 after 3", r.Status, calls)
		}
	})
	t.Run("match the route for ever", func(t *testing.T) {
		h := host(t, script{phase: api.AfterRoute, onReceive: func(c *call) api.StreamFilterStatus {
			return api.StreamFilterReMatchRoute
		}})
		if r := h.Get("/"); r.Status != 500 || r.RouteCleared != 10 {
			t.Errorf("status %d, route cleared %d times; want 500 and 10", r.Status, r.RouteCleared)
		}
	})
	t.Run("terminate", func(t *testing.T) {
		h := host(t, script{onReceive: func(c *call) api.StreamFilterStatus { return api.StreamFiltertermination }})
		if r := h.Get("/"); r.Reset == "" || r.Upstream != nil {
			t.Errorf("status %d, reset %q; want a reset before the upstream", r.Status, r.Reset)
		}
	})
	t.Run("terminate the response", func(t *testing.T) {
		h := host(t, script{onAppend: func(c *call) api.StreamFilterStatus { return api.StreamFiltertermination }})
		if r := h.Get("/"); r.Reset == "" {
			t.Errorf("status %d; want a reset", r.Status)
		}
	})
}

// TestReplies shows the ways to answer. The filters of the response see each reply but one of AppendHeaders.
func TestReplies(t *testing.T) {
	cases := map[string]struct {
		answer     func(c *call)
		status     int
		body       string
		passesSend bool
	}{
		"hijack": {func(c *call) { c.receive.SendHijackReply(401, nil) }, 401, "", true},
		"hijack with a body": {
			func(c *call) { c.receive.SendHijackReplyWithBody(402, nil, "pay") }, 402, "pay", true,
		},
		"direct response": {
			func(c *call) { c.receive.SendDirectResponse(nil, buffer.NewIoBufferString("direct"), nil) }, 200, "direct", true,
		},
		"direct response with a status": {
			func(c *call) {
				_ = variable.SetString(c.ctx, "x-mosn-status", "418")
				c.receive.SendDirectResponse(c.headers, buffer.NewIoBufferString("tea"), nil)
			}, 418, "tea", true,
		},
		"piece by piece": {
			func(c *call) {
				_ = variable.SetString(c.ctx, "x-mosn-status", "203")
				c.receive.AppendHeaders(plainMap{"x-p": "1"}, false)
				c.receive.AppendData(buffer.NewIoBufferString("a"), false)
				c.receive.AppendData(buffer.NewIoBufferString("b"), true)
			}, 203, "ab", false,
		},
		"the last of two": {
			func(c *call) {
				c.receive.SendHijackReply(401, nil)
				c.receive.SendHijackReplyWithBody(403, nil, "last")
			}, 403, "last", true,
		},
		"terminate": {func(c *call) { c.receive.TerminateStream(504) }, 504, "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := host(t, receives(c.answer), appends(func(call *call) {
				call.headers.Set("x-sent", "1")
				if v, _ := call.headers.Get("x-sent"); v != "1" {
					t.Errorf("x-sent reads as %q right after it was set, want 1", v)
				}
			}))
			r := h.Get("/")
			if r.Status != c.status || r.Body != c.body || (r.Header.Get("x-sent") == "1") != c.passesSend {
				t.Errorf("got %d %q, seen by the filters of the response: %t; want %d %q, %t",
					r.Status, r.Body, r.Header.Get("x-sent") == "1", c.status, c.body, c.passesSend)
			}
		})
	}
}

func TestResponseChanges(t *testing.T) {
	h := host(t, appends(func(c *call) {
		if v, _ := variable.GetString(c.ctx, "x-mosn-status"); v != "200" {
			t.Errorf("x-mosn-status = %q, want 200", v)
		}
		_ = variable.SetString(c.ctx, "x-mosn-status", "299")
		c.headers.Set("x-r", "1")
		c.send.SetResponseData(buffer.NewIoBufferString("another"))
	}))
	if r := h.Post("/", "text"); r.Status != 299 || r.Body != "another" || r.Header.Get("x-r") != "1" {
		t.Errorf("got %d %q, x-r %q; want 299, another, 1", r.Status, r.Body, r.Header.Get("x-r"))
	}
}

// TestFirstLine changes by MOSN's variables what MOSN keeps in them.
func TestFirstLine(t *testing.T) {
	h := host(t, receives(func(c *call) {
		want := map[string]string{
			"x-mosn-path": "/a b", "x-mosn-path-original": "/a%20b", "x-mosn-querystring": "q=1", "x-mosn-method": "GET",
			"x-mosn-host": "old.example", "Http1_request_path": "/a b", "Http1_request_uri": "/a%20b?q=1",
			"Http1_request_arg_q": "1", "Http1_cookie_c": "2", "request_header_x-a": "3", "Http1_request_header_x-a": "3",
			"Http1_request_arg": "q=1", "Http1_request_method": "GET", "protocol": "Http1",
		}
		got := map[string]string{}
		for name := range want {
			got[name], _ = variable.GetString(c.ctx, name)
		}
		for resource, value := range map[api.ProtocolResourceName]string{
			api.PATH: "/a b", api.URI: "/a%20b?q=1", api.ARG: "q=1",
		} {
			want[string(resource)] = value
			got[string(resource)], _ = variable.GetProtocolResource(c.ctx, resource)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("variables and resources (-want +got):\n%s", diff)
		}
		if got, err := variable.GetProtocolResource(c.ctx, api.COOKIE, "c"); got != "2" || err != nil {
			t.Errorf("the cookie c is %q (%v), want 2", got, err)
		}
		var errs error
		for name, value := range map[string]string{
			"x-mosn-path": "/b c", "x-mosn-querystring": "r=2", "x-mosn-method": "POST", "x-mosn-host": "new.example",
			"proxy_global_timeout": "1500",
		} {
			errs = errors.Join(errs, variable.SetString(c.ctx, name, value))
		}
		if errs != nil {
			t.Errorf("cannot set variables: %v", errs)
		}
	}))
	r := filtertest.NewRequest("GET", "/a%20b?q=1", "", "x-a", "3", "cookie", "b=1; c=2")
	r.Host = "old.example"
	got := h.Do(r)
	u := got.Upstream
	if u.Method != "POST" || u.URL.RequestURI() != "/b%20c?r=2" || u.Host != "new.example" {
		t.Errorf("upstream got %s %s of %s, want POST /b%%20c?r=2 of new.example", u.Method, u.URL.RequestURI(), u.Host)
	}
	if ms := u.Header.Get("x-envoy-upstream-rq-timeout-ms"); ms != "1500" {
		t.Errorf("Envoy's time-out is %q, want 1500", ms)
	}
	if got.RouteCleared != 1 {
		t.Errorf("the route was cleared %d times, want once, since a filter before routing has changed the path", got.RouteCleared)
	}
}

// TestNoQuery has the query of a request without one be empty, and not an error: MOSN's jwt_authn takes an error for leave to
// let the request pass.
func TestNoQuery(t *testing.T) {
	h := host(t, receives(func(c *call) {
		if v, err := variable.GetString(c.ctx, "Http1_request_arg"); v != "" || err != nil {
			t.Errorf("Http1_request_arg is %q (%v), want it empty and no error", v, err)
		}
		if v, err := variable.GetString(c.ctx, "Http2_request_arg"); v != "" || err != nil {
			t.Errorf("Http2_request_arg is %q (%v), want it empty and no error", v, err)
		}
		if v, err := variable.GetProtocolResource(c.ctx, api.ARG); v != "" || err != nil {
			t.Errorf("the resource ARG is %q (%v), want it empty and no error", v, err)
		}
	}))
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("status %d, want 200", r.Status)
	}
}

func TestRouterMetadata(t *testing.T) {
	h := host(t, script{phase: api.AfterRoute, onReceive: func(c *call) api.StreamFilterStatus {
		if err := variable.Set(c.ctx, "x-mosn-router-meta", map[string]string{"version": "v2"}); err != nil {
			t.Errorf("cannot set the metadata: %v", err)
		}
		return api.StreamFilterContinue
	}})
	if r := h.Get("/"); r.Metadata["envoy.lb/version"] != "v2" {
		t.Errorf("metadata %v, want envoy.lb/version v2", r.Metadata)
	}
}

func TestRequestInfo(t *testing.T) {
	h := filtertest.New(t, config(t, map[string]any{"per_filter_config": map[string]any{"x": map[string]any{"n": 1}}},
		typeOf(receives(func(c *call) {
			i := c.receive.RequestInfo()
			if i.Protocol() != "Http2" {
				t.Errorf("Protocol() = %q, want Http2", i.Protocol())
			}
			if got := i.DownstreamRemoteAddress().String(); got != "192.0.2.1:40" {
				t.Errorf("DownstreamRemoteAddress() = %s, want 192.0.2.1:40", got)
			}
			if got := i.DownstreamLocalAddress().String(); got != "192.0.2.2:80" {
				t.Errorf("DownstreamLocalAddress() = %s, want 192.0.2.2:80", got)
			}
			if i.UpstreamHost() != nil {
				t.Errorf("UpstreamHost() = %v before there is one, want nil", i.UpstreamHost())
			}
			rule := i.RouteEntry()
			if rule.ClusterName(c.ctx) != "orders" || rule.VirtualHost().Name() != "shop" {
				t.Errorf("cluster %q of virtual host %q, want orders of shop", rule.ClusterName(c.ctx), rule.VirtualHost().Name())
			}
			want := map[string]any{"x": map[string]any{"n": float64(1)}}
			if got := c.receive.Route().RouteRule().PerFilterConfig(); !cmp.Equal(got, want) {
				t.Errorf("PerFilterConfig() = %v, want %v", got, want)
			}
			if i.GetResponseFlag(api.FaultInjected) || !i.GetResponseFlag(api.NoHealthyUpstream) {
				t.Error("want Envoy's flag NoHealthyUpstream and not FaultInjected")
			}
			i.SetResponseFlag(api.FaultInjected)
			if !i.GetResponseFlag(api.FaultInjected) {
				t.Error("a flag that was set is not there")
			}
			if c.receive.Connection().ID() != 7 || i.StartTime().IsZero() || i.Duration() <= 0 {
				t.Errorf("connection %d, start %v, duration %v; want 7, a time, a duration",
					c.receive.Connection().ID(), i.StartTime(), i.Duration())
			}
		}))))
	h.Attrs = map[filter.Attr]string{
		filter.AttrProtocol: "HTTP/2", filter.AttrSourceAddress: "192.0.2.1:40", filter.AttrDestinationAddress: "192.0.2.2:80",
		filter.AttrClusterName: "orders", filter.AttrVirtualHostName: "shop", "connection.id": "7", filter.AttrResponseFlags: "2",
	}
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("status %d, want 200", r.Status)
	}
}

func TestAccessLog(t *testing.T) {
	logged := make(chan string, 1)
	h := host(t, script{
		onReceive: func(c *call) api.StreamFilterStatus { return api.StreamFilterContinue },
		onLog: func(ctx context.Context, req, resp api.HeaderMap, info api.RequestInfo) {
			path, _ := variable.GetString(ctx, "x-mosn-path")
			a, _ := req.Get("x-a")
			b, _ := resp.Get("x-b")
			code, _ := variable.GetString(ctx, "response_code")
			logged <- strings.Join([]string{path, a, b, code, info.UpstreamHost().AddressString()}, " ")
		},
	})
	h.Attrs = map[filter.Attr]string{filter.AttrUpstreamAddress: "192.0.2.9:80"}
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-b", "2")
		w.WriteHeader(202)
	})
	h.Get("/logged", "x-a", "1")
	select {
	case got := <-logged:
		if want := "/logged 1 2 202 192.0.2.9:80"; got != want {
			t.Errorf("the log says %q, want %q", got, want)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing was logged within 5 s")
	}
}

// TestUnsupported calls what Envoy cannot do.
func TestUnsupported(t *testing.T) {
	h := host(t, receives(func(c *call) {
		conn := c.receive.Connection()
		errs := errors.Join(conn.Write(), conn.Close(api.NoFlush, api.LocalClose),
			c.receive.Route().RouteRule().VirtualHost().AddRoute(nil)).Error()
		if !strings.Contains(errs, "Write") || !strings.Contains(errs, "Close") || !strings.Contains(errs, "AddRoute") {
			t.Errorf("the errors do not name Write, Close and AddRoute: %s", errs)
		}
		conn.SetNoDelay(true)
		conn.FilterManager().OnRead()
		if _, err := io.ReadAll(conn.RawConn()); err == nil {
			t.Error("the raw connection can be read, want an error")
		}
	}))
	h.Get("/")
	if n := h.Metric("unsupported", "Connection.Write"); n != 1 {
		t.Errorf("unsupported{Connection.Write} = %d, want 1", n)
	}
	if !strings.Contains(h.Log(), "Connection.SetNoDelay") {
		t.Errorf("the log does not name Connection.SetNoDelay: %s", h.Log())
	}
}
