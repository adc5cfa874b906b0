package filtertest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// plugin is a plugin whose request headers phase is a function, for the tests of the kit itself.
type plugin struct {
	Limit int           `json:"limit" default:"3" validate:"min=1"`
	Wait  time.Duration `json:"wait" default:"1s"`

	f    func(s filter.Stream, h filter.RequestHeaders) filter.Action
	resp func(s filter.Stream, h filter.ResponseHeaders) filter.Action

	seen *filter.Tagged[*filter.Counter]
	size *filter.Histogram
}

func (p *plugin) Provision(env *filter.Env) error {
	p.seen, p.size = env.Tag("method").Counter("seen"), env.Histogram("size")
	return nil
}

func (p *plugin) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p.seen.With(h.Method()).Inc()
	p.size.Record(uint64(len(h.Path())))
	if p.f != nil {
		return p.f(s, h)
	}
	return filter.Continue
}

func (p *plugin) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if p.resp != nil {
		return p.resp(s, h)
	}
	return filter.Continue
}

func init() {
	filter.Register[plugin]("plugin", filter.Traffic, filter.Needs(filter.CanSetMetadata))
	filter.Register[identifier]("identifier", filter.Authn)
}

// identifier takes everybody for one consumer.
type identifier struct{ consumer *filter.Consumer }

func (i *identifier) OnRequestHeaders(s filter.Stream, _ filter.RequestHeaders, _ bool) filter.Action {
	s.SetConsumer(i.consumer)
	return filter.Continue
}

// fake is a test that can fail.
type fake struct {
	testing.TB
	errors  []string
	cleanup []func()
}

func (f *fake) Helper()                   {}
func (f *fake) Cleanup(c func())          { f.cleanup = append(f.cleanup, c) }
func (f *fake) Errorf(s string, a ...any) { f.errors = append(f.errors, fmt.Sprintf(s, a...)) }
func (f *fake) end() string {
	for _, c := range f.cleanup {
		c()
	}
	return strings.Join(f.errors, "\n")
}

func TestStrict(t *testing.T) {
	forever := make(chan struct{})
	defer close(forever)
	for want, f := range map[string]func(s filter.Stream, h filter.RequestHeaders) filter.Action{
		"panics in OnRequestHeaders: boom": func(filter.Stream, filter.RequestHeaders) filter.Action { panic("boom") },
		"invalid header": func(_ filter.Stream, h filter.RequestHeaders) filter.Action {
			h.Set("a b", "c")
			return filter.Continue
		},
		"headers that are sent": func(s filter.Stream, _ filter.RequestHeaders) filter.Action {
			s.ResponseHeaders().Set("x", "y")
			return filter.Continue
		},
		"without OnRequest": func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.WaitBody },
		"does not answer":   func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Go(forEver(nil)) },
		"goroutines behind": func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Go(forEver(forever))
		},
		"replies with status 7": func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reply(7, "") },
	} {
		t.Run(want, func(t *testing.T) {
			ft := &fake{TB: t}
			h := &filtertest.Host{Timeout: 10 * time.Millisecond}
			if err := h.Load(ft, &plugin{f: f}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			h.Get("/")
			if got := ft.end(); !strings.Contains(got, want) {
				t.Errorf("the test fails with %q, want it to contain %q", got, want)
			}
		})
	}
}

// forEver waits until the stream is over, or for something else.
func forEver(c chan struct{}) func(context.Context) filter.Action {
	return func(ctx context.Context) filter.Action {
		if c == nil {
			<-ctx.Done()
		} else {
			<-c
		}
		return filter.Continue
	}
}

func TestConfig(t *testing.T) {
	for json, want := range map[string]string{
		`{"limit": 5, "wait": "2s"}`: "",
		`{}`:                         "",
		"":                           "",
		"limit: 2\n":                 "",
		`{"limit": 0}`:               "limit",
		`{"limit": "x"}`:             "limit",
		`{"lim": 1}`:                 "lim",
		`{`:                          "plugin",
	} {
		t.Run(fmt.Sprintf("%q", json), func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "plugin", JSON: json})
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %v, want one with %q", json, err, want)
			}
		})
	}
	if err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "none"}); err == nil {
		t.Error("an unknown plugin")
	}
	lacking := &filtertest.Host{Lacks: filter.CanSetMetadata}
	if err := lacking.Load(t, &plugin{}); err == nil || !strings.Contains(err.Error(), "Metadata") {
		t.Errorf("lacking.Load(&plugin{}): got error %v, want one with %q", err, "Metadata")
	}
	for name, p := range map[string]any{
		"a struct": struct{}{}, "a pointer to a struct without phases": &struct{}{}, "nil": nil,
	} {
		t.Run(name, func(t *testing.T) {
			if err := (&filtertest.Host{}).Load(t, p); err == nil {
				t.Errorf("%T is taken", p)
			}
		})
	}
}

// A struct gets the defaults that a Config gets, and is checked by the same tags.
func TestDefaults(t *testing.T) {
	p := &plugin{Wait: time.Minute}
	filtertest.New(t, p)
	if p.Limit != 3 || p.Wait != time.Minute {
		t.Errorf("limit is %d and wait %s, want the default 3 and 1m0s as given", p.Limit, p.Wait)
	}
	if err := new(filtertest.Host).Load(t, &plugin{Limit: -1}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a limit of -1: got error %v, want one with limit", err)
	}
}

// A consumer's chain serves one stream after another.
func TestConsumerPlugins(t *testing.T) {
	replies := func(status int) func(filter.Stream, filter.RequestHeaders) filter.Action {
		return func(filter.Stream, filter.RequestHeaders) filter.Action { return filter.Reply(status, "") }
	}
	h := &filtertest.Host{ConsumerPlugins: map[string][]any{"alice": {&plugin{f: replies(202)}}}}
	if err := h.Load(t, &identifier{&filter.Consumer{Name: "alice"}}, &plugin{f: replies(201)}); err != nil {
		t.Fatalf("Load: %v", err)
	}
	for range 3 {
		if r := h.Get("/"); r.Status != 202 {
			t.Errorf("status %d, want 202, of the consumer's own plugin", r.Status)
		}
	}
}

func TestState(t *testing.T) {
	h := &filtertest.Host{
		Attrs:       map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.7:99"},
		Metadata:    map[string]any{"in/a": "1"},
		FilterState: map[string]string{"k": "v"},
	}
	var kept filter.Stream
	if err := h.Load(t, &plugin{f: func(s filter.Stream, h filter.RequestHeaders) filter.Action {
		kept = s
		if got := s.RemoteAddr().String(); got != "192.0.2.7:99" {
			t.Errorf("s.RemoteAddr().String() = %q, want %q", got, "192.0.2.7:99")
		}
		if _, err := s.Attr(filter.AttrRouteName); !errors.Is(err, filter.ErrNotFound) {
			t.Errorf("s.Attr(filter.AttrRouteName): got error %v, want %v", err, filter.ErrNotFound)
		}
		if v, err := s.Metadata("in", "a"); v != "1" || err != nil {
			t.Errorf(`s.Metadata("in", "a") = %v, want %v; s.Metadata: %v`, v, "1", err)
		}
		if v, err := s.FilterState("k"); v != "v" || err != nil {
			t.Errorf(`s.FilterState("k") = %q, want %q; s.FilterState: %v`, v, "v", err)
		}
		if err := s.SetMetadata("out", "n", map[string]any{"list": []any{1, "x", true}}); err != nil {
			t.Errorf("s.SetMetadata: %v", err)
		}
		if err := s.SetMetadata("out", "bad", struct{}{}); err == nil {
			t.Error("metadata of any type")
		}
		s.SetFilterState("k2", "v2")
		s.ClearRouteCache()
		s.SetUpstreamHost("10.0.0.1:80", true)
		return filter.Continue
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	r := h.Get("/x")
	if got := fmt.Sprint(r.Metadata["out/n"]); got != "map[list:[1 x true]]" {
		t.Errorf(`fmt.Sprint(r.Metadata["out/n"]) = %q, want %q`, got, "map[list:[1 x true]]")
	}
	if r.FilterState["k2"] != "v2" || r.RouteCleared != 1 || r.UpstreamHost != "10.0.0.1:80" || !r.UpstreamStrict {
		t.Errorf("filter state %v, the route cleared %d times, upstream host %q (strict %t); want k2: v2, once, 10.0.0.1:80 (true)",
			r.FilterState, r.RouteCleared, r.UpstreamHost, r.UpstreamStrict)
	}
	if err := kept.SetFilterState("k", "late"); !errors.Is(err, filter.ErrStreamDone) {
		t.Errorf(`kept.SetFilterState("k", "late"): got error %v, want %v`, err, filter.ErrStreamDone)
	}
	h.Post("/abc", "x")
	if h.Metric("seen", "GET") != 1 || h.Metric("moe.plugin.seen", "POST") != 1 || h.Metric("seen", "PUT") != 0 ||
		!slices.Equal(h.Recorded("size"), []int64{2, 4}) {
		t.Error("metrics", h.Recorded("size"))
	}
}

func TestGRPC(t *testing.T) {
	deny := func(opts ...filter.ReplyOption) *plugin {
		return &plugin{f: func(filter.Stream, filter.RequestHeaders) filter.Action {
			return filter.Reply(403, "go away", opts...)
		}}
	}
	if r := filtertest.New(t, &plugin{}).GRPC("/s/m", "msg"); r.GRPCStatus != 0 || r.Body != "msg" || r.Trailer == nil {
		t.Errorf("r.GRPCStatus = %d, want 0; r.Body = %q, want %q; r.Trailer = nil, want a value: %+v",
			r.GRPCStatus, r.Body, "msg", r)
	}
	r := filtertest.New(t, deny()).GRPC("/s/m", "msg")
	if r.Status != 200 || r.GRPCStatus != 7 || r.GRPCMessage != "go away" || r.Body != "" {
		t.Errorf("status %d, grpc-status %d, grpc-message %q, body %q; want 200, 7, go away and none",
			r.Status, r.GRPCStatus, r.GRPCMessage, r.Body)
	}
	if r := filtertest.New(t, deny(filter.WithGRPCStatus(16))).GRPC("/s/m", "msg"); r.GRPCStatus != 16 {
		t.Errorf("r.GRPCStatus = %d, want 16: %+v", r.GRPCStatus, r)
	}
	if r := filtertest.New(t, deny(filter.WithGRPCStatus(16))).Get("/"); r.Status != 403 || r.GRPCStatus != -1 {
		t.Errorf("r.Status = %d, want 403; r.GRPCStatus = %d, want %d: %+v", r.Status, r.GRPCStatus, -1, r)
	}
}

// The client leaves after each event in turn.
func TestLeave(t *testing.T) {
	var events []string
	h := filtertest.New(t, &plugin{f: func(filter.Stream, filter.RequestHeaders) filter.Action {
		return filter.Go(func(context.Context) filter.Action { return filter.Continue })
	}})
	h.Chunk = 2
	do := func() *filtertest.Response {
		r := filtertest.NewRequest("POST", "/", "body")
		r.Trailer = http.Header{"X-T": {"1"}}
		return h.Do(r)
	}
	h.Leave = func(after string) bool {
		if !slices.Contains(events, after) {
			events = append(events, after)
		}
		return false
	}
	do()
	for _, e := range events {
		h.Leave = func(after string) bool { return after == e }
		if r := do(); r.Reset != "left" && e != events[len(events)-1] {
			t.Errorf("after %s: %+v", e, r)
		}
	}
	if len(events) < 5 {
		t.Errorf("len(events) = %d, want at least 5: %q", len(events), events)
	}
}

func TestChunks(t *testing.T) {
	h := filtertest.New(t, &plugin{})
	h.Chunk = 3
	r := h.Post("/", "abcdefgh")
	if diff := cmp.Diff([]string{"abc", "def", "gh"}, r.Chunks); diff != "" || !r.SentEnd {
		t.Errorf("the request's end was sent: %t, want true; the chunks (-want +got):\n%s", r.SentEnd, diff)
	}
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, p)
	})
	if r := h.Post("/p?q", "x"); r.Body != "POST /p?q x" {
		t.Errorf("r.Body = %q, want %q", r.Body, "POST /p?q x")
	}
}

// Over HTTP/2 a path may have a blank in it, and a method any character.
func TestOddRequests(t *testing.T) {
	h := filtertest.New(t, &plugin{})
	q := filtertest.NewRequest("GET", "/", "")
	q.URL.Opaque = "/a b?c d"
	r := h.Do(q)
	if r.Status != 200 || r.Upstream.URL.Path != "/a b" || r.Upstream.URL.RawQuery != "c d" || r.Upstream.RequestURI != "/a b?c d" {
		t.Errorf("status %d, reset %q; upstream: %+v", r.Status, r.Reset, r.Upstream)
	}
}
