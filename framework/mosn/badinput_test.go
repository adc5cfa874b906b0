package mosn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/mosn"
	"mosn.io/pkg/buffer"
	"mosn.io/pkg/variable"
)

type strictConfig struct {
	Size int `json:"max_size "` // a name with a blank at its end, as MOSN has one
}

// TestRefused has configurations that must not load.
func TestRefused(t *testing.T) {
	known := typeOf(receives(func(*call) {}))
	panics := register(func(map[string]any) (api.StreamFilterChainFactory, error) { panic("no such file") })
	fails := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return nil, errors.New("not today") })
	nothing := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return nil, nil })
	typedNil := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return (*script)(nil), nil })
	idle := typeOf(script{})
	strict := typeOf(receives(func(*call) {}))
	mosn.Declare(strict, mosn.Declaration{Config: strictConfig{}})
	one := func(typ, config string) string {
		return `{"stream_filters": [{"type": "` + known + `"}, {"type": "` + typ + `", "config": ` + config + `}]}`
	}
	cases := map[string]struct {
		json string
		want []string
	}{
		"no list":               {`{}`, []string{"stream_filters"}},
		"no type":               {`{"stream_filters": [{"config": {}}]}`, []string{"stream_filters[0].type"}},
		"unknown type":          {one(strings.ToUpper(known[:4])+known[4:], `{}`), []string{"stream_filters[1].type", `did you mean "` + known}},
		"type unlike any":       {one("zzzzzzzzzzzz", `{}`), []string{"stream_filters[1].type", "compiled in are", known}},
		"unknown body":          {`{"stream_filters": [{"type": "` + known + `"}], "body": "some"}`, []string{"body"}},
		"unknown field":         {`{"stream_filters": [], "bodies": "both"}`, []string{"bodies"}},
		"unknown in an entry":   {`{"stream_filters": [{"type": "` + known + `", "go_plugin_config": {}}]}`, []string{"go_plugin_config"}},
		"factory panics":        {one(panics, `{}`), []string{"stream_filters[1]", "panicked", "no such file"}},
		"factory fails":         {one(fails, `{}`), []string{"stream_filters[1].config", "not today"}},
		"no factory":            {one(nothing, `{}`), []string{"stream_filters[1]", "neither a factory nor an error"}},
		"typed nil":             {one(typedNil, `{}`), []string{"stream_filters[1]", "neither a factory nor an error"}},
		"no filters":            {one(idle, `{}`), []string{"stream_filters[1]", "adds no filter"}},
		"field without blank":   {one(strict, `{"max_size": 1}`), []string{"stream_filters[1].config", `did you mean "max_size "`}},
		"wrong type of a field": {one(strict, `{"max_size ": "1"}`), []string{"stream_filters[1].config", "max_size ", "expected int, found string"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := (&filtertest.Host{}).Load(t, filtertest.Config{Name: "mosn", JSON: c.json})
			if err == nil {
				t.Fatalf("the configuration %s was accepted", c.json)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// tolerant returns a host for filters that are at fault.
func tolerant(t *testing.T, scripts ...script) *filtertest.Host {
	t.Helper()
	names := make([]string, len(scripts))
	for i, s := range scripts {
		names[i] = typeOf(s)
	}
	h := &filtertest.Host{AllowsBugs: true, Timeout: 100 * time.Millisecond}
	if err := h.Load(t, config(t, nil, names...)); err != nil {
		t.Fatalf("cannot load the configuration: %v", err)
	}
	return h
}

func TestPanics(t *testing.T) {
	cases := map[string]struct {
		script script
		status int
	}{
		"in OnReceive": {receives(func(*call) { panic("oops") }), 500},
		"in Append":    {appends(func(*call) { panic("oops") }), 500},
		"in OnDestroy": {script{onReceive: receives(func(*call) {}).onReceive, onDestroy: func() { panic("oops") }}, 200},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := tolerant(t, c.script)
			for range 3 {
				if r := h.Get("/"); r.Status != c.status {
					t.Errorf("status %d, want %d", r.Status, c.status)
				}
			}
			waitFor(t, "a line about the panic", func() bool { return strings.Contains(h.Log(), "panic") })
			if !strings.Contains(h.Log(), "scripted") || !strings.Contains(h.Log(), "oops") {
				t.Errorf("the log names neither the filter's type nor what it panicked with: %s", h.Log())
			}
		})
	}
}

// waitFor waits for what happens after a stream has ended.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come within 5 s", what)
		}
	}
}

// TestBlocksForEver has a filter wait for its own end, as MOSN's fault does: the request ends by the chain's time-out, and
// the filter by OnDestroy.
func TestBlocksForEver(t *testing.T) {
	stop := make(chan struct{}, 2) // one more, from the filters that are made when the configuration loads
	ended := make(chan struct{})
	h := tolerant(t, script{
		onReceive: func(*call) api.StreamFilterStatus {
			defer close(ended)
			<-stop
			return api.StreamFilterContinue
		},
		onDestroy: func() { stop <- struct{}{} },
	})
	<-stop
	if r := h.Get("/"); r.Status != 504 {
		t.Errorf("status %d, want 504", r.Status)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the filter still waits 5 s after the end of its stream")
	}
}

// TestDestroyedOnce has every filter of a stream destroyed once, when it has returned.
func TestDestroyedOnce(t *testing.T) {
	var running, early, destroyed atomic.Int32
	slow := script{
		onReceive: func(*call) api.StreamFilterStatus {
			running.Store(1)
			time.Sleep(150 * time.Millisecond)
			running.Store(0)
			return api.StreamFilterContinue
		},
		onDestroy: func() {
			early.Add(running.Load())
			destroyed.Add(1)
		},
	}
	h := tolerant(t, slow)
	destroyed.Store(0) // of the filters that are made when the configuration loads
	h.Get("/")
	waitFor(t, "OnDestroy", func() bool { return destroyed.Load() > 0 })
	time.Sleep(10 * time.Millisecond)
	if destroyed.Load() != 1 || early.Load() != 0 {
		t.Errorf("OnDestroy was called %d times, %d of them while the filter ran; want once, and none", destroyed.Load(), early.Load())
	}
}

// slowlyMade is a factory that takes longer than a stream waits for its filters.
type slowlyMade struct {
	script
	made *atomic.Int32
}

func (s slowlyMade) CreateFilterChain(ctx context.Context, callbacks api.StreamFilterChainFactoryCallbacks) {
	if s.made.Add(1) > 1 { // the first is made when the configuration loads
		time.Sleep(1300 * time.Millisecond)
	}
	s.script.CreateFilterChain(ctx, callbacks)
}

// TestMadeLate has filters made when their stream is long over: they are destroyed like others, also one that waits for it.
func TestMadeLate(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("waits for its end %t", waits), func(t *testing.T) {
			var made, destroyed atomic.Int32
			over := make(chan struct{}, 2) // one more, from the filters that are made when the configuration loads
			ended := make(chan struct{})
			factory := slowlyMade{made: &made, script: script{
				onReceive: func(*call) api.StreamFilterStatus {
					defer close(ended)
					if waits {
						<-over
					}
					return api.StreamFilterContinue
				},
				onDestroy: func() {
					destroyed.Add(1)
					over <- struct{}{}
				},
			}}
			typ := register(func(map[string]any) (api.StreamFilterChainFactory, error) { return factory, nil })
			h := &filtertest.Host{AllowsBugs: true, Timeout: 50 * time.Millisecond}
			if err := h.Load(t, listOf(t, [2]string{typ, ""})); err != nil {
				t.Fatalf("cannot load the configuration: %v", err)
			}
			<-over
			destroyed.Store(0)
			if r := h.Get("/"); r.Status != 504 {
				t.Errorf("status %d, want 504", r.Status)
			}
			waitFor(t, "OnDestroy", func() bool { return destroyed.Load() > 0 })
			select {
			case <-ended:
			case <-time.After(5 * time.Second):
				t.Error("the filter still runs 5 s after OnDestroy")
			}
			time.Sleep(10 * time.Millisecond)
			if n := destroyed.Load(); n != 1 {
				t.Errorf("OnDestroy was called %d times, want once", n)
			}
		})
	}
}

// TestTooLate keeps everything that a filter is given, and uses it when the stream is over and others run.
func TestTooLate(t *testing.T) {
	var kept []*call
	var mu sync.Mutex
	h := tolerant(t, script{
		onReceive: func(c *call) api.StreamFilterStatus {
			mu.Lock()
			kept = append(kept, c)
			mu.Unlock()
			return api.StreamFilterContinue
		},
		onAppend: func(c *call) api.StreamFilterStatus { return api.StreamFilterContinue },
	})
	h.Post("/", "first body", "x-a", "first")
	first := kept[0]
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			first.headers.Set("x-evil", "1")
			_, _ = first.body.WriteString(" evil")
			first.receive.SendHijackReplyWithBody(403, first.headers, "evil")
			first.receive.SetRequestData(buffer.NewIoBufferString("evil"))
			first.receive.SetRequestTrailers(first.headers)
			_ = first.send.GetResponseHeaders()
			first.send.SetResponseData(buffer.NewIoBufferString("evil"))
			if first.receive.TerminateStream(403) {
				t.Error("TerminateStream reports true for a stream that is over")
			}
			_ = first.receive.RequestInfo().UpstreamHost()
			_ = first.receive.Connection().LocalAddr()
			_ = first.receive.Route().RouteRule().ClusterName(first.ctx)
			first.headers.Range(func(string, string) bool { return true })
			if v, err := variable.GetString(first.ctx, "request_header_x-a"); err == nil {
				t.Errorf("a context that was kept reads x-a: %q after its stream", v)
			}
		}
	})
	for range 20 {
		r := h.Post("/", "second body", "x-a", "second")
		if r.Status != 200 || r.Body != "second body" || r.Upstream.Header.Get("x-evil") != "" {
			t.Errorf("another stream got %d %q, x-evil %q", r.Status, r.Body, r.Upstream.Header.Get("x-evil"))
		}
	}
	wg.Wait()
	if v, ok := first.headers.Get("x-a"); ok {
		t.Errorf("headers that were kept read x-a: %q after their stream", v)
	}
	if n := h.Metric("late_calls", "SendHijackReplyWithBody"); n != 20 {
		t.Errorf("late_calls{SendHijackReplyWithBody} = %d, want 20", n)
	}
}

// TestRepliesAfterContinue has a filter answer from another goroutine when it has passed the request on.
func TestRepliesAfterContinue(t *testing.T) {
	passed, replied := make(chan struct{}), make(chan struct{})
	h := tolerant(t, script{onReceive: func(c *call) api.StreamFilterStatus {
		go func() {
			<-passed
			c.receive.SendHijackReply(403, nil)
			close(replied)
		}()
		return api.StreamFilterContinue
	}})
	h.Leave = func(after string) bool {
		if after == "response headers" {
			close(passed)
			<-replied
		}
		return false
	}
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("status %d, want 200: the filter was too late", r.Status)
	}
}

// TestHeadersFromAnotherGoroutine changes headers while, and after, the filter runs.
func TestHeadersFromAnotherGoroutine(t *testing.T) {
	var wg sync.WaitGroup
	h := tolerant(t, receives(func(c *call) {
		wg.Go(func() {
			for range 100 {
				c.headers.Set("x-n", "1")
				c.headers.Add("x-m", "2")
				c.headers.Del("x-m")
				_ = c.headers.Clone()
			}
		})
	}))
	for range 50 {
		if r := h.Get("/"); r.Status != 200 {
			t.Errorf("status %d, want 200", r.Status)
		}
	}
	wg.Wait()
}

// holds keeps requests until they end.
type holds struct {
	Unused string `json:"unused"`
}

func init() { filter.Register[holds]("holds", filter.Observe) }

func (*holds) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Go(func(ctx context.Context) filter.Action {
		<-ctx.Done()
		return filter.Continue
	})
}

// TestTerminateLater answers from another goroutine while the request is with a plugin after the filter.
func TestTerminateLater(t *testing.T) {
	results := make(chan bool, 2)
	typ := typeOf(receives(func(c *call) {
		go func() {
			time.Sleep(10 * time.Millisecond)
			results <- c.receive.TerminateStream(504)
			results <- c.receive.TerminateStream(503)
		}()
	}))
	h := filtertest.New(t, config(t, nil, typ), &holds{})
	r := h.Get("/")
	if first, second := <-results, <-results; r.Status != 504 || !first || second {
		t.Errorf("status %d, TerminateStream reported %t and %t; want 504, true and false", r.Status, first, second)
	}
}

// TestTerminateTooLate terminates a stream whose response has begun, with and without filters of the response.
func TestTerminateTooLate(t *testing.T) {
	for name, more := range map[string]func(c *call) api.StreamFilterStatus{
		"without filters of the response": nil,
		"with them":                       func(*call) api.StreamFilterStatus { return api.StreamFilterContinue },
	} {
		t.Run(name, func(t *testing.T) {
			begun, result := make(chan struct{}), make(chan bool)
			h := tolerant(t, script{onAppend: more, onReceive: func(c *call) api.StreamFilterStatus {
				go func() {
					<-begun
					result <- c.receive.TerminateStream(504)
				}()
				return api.StreamFilterContinue
			}})
			h.Attrs = map[filter.Attr]string{}
			h.Leave = func(after string) bool {
				if after == "response headers" {
					h.Attrs["response.code"] = "200"
					close(begun)
					if <-result {
						t.Error("TerminateStream reports true when the response has begun, want false")
					}
				}
				return false
			}
			if r := h.Get("/"); r.Status != 200 {
				t.Errorf("status %d, want 200", r.Status)
			}
		})
	}
}

// TestSharedFactories has configurations that differ in the route's part share what the factories count.
func TestSharedFactories(t *testing.T) {
	var made atomic.Int32
	typ := register(func(map[string]any) (api.StreamFilterChainFactory, error) {
		made.Add(1)
		return receives(func(*call) {}), nil
	})
	first := filtertest.New(t, config(t, nil, typ))
	second := filtertest.New(t, config(t, map[string]any{"per_filter_config": map[string]any{"a": 1}}, typ))
	first.Get("/")
	second.Get("/")
	if made.Load() != 1 {
		t.Errorf("%d factories were made of one list, want 1", made.Load())
	}
}

// TestConfigIsGeneric gives a factory what encoding/json would.
func TestConfigIsGeneric(t *testing.T) {
	var got map[string]any
	typ := register(func(c map[string]any) (api.StreamFilterChainFactory, error) {
		got = c
		return receives(func(*call) {}), nil
	})
	filtertest.New(t, filtertest.Config{Name: "mosn", JSON: `{"stream_filters": [{"type": "` + typ + `", "config": {"n": 1, "l": [2]}}]}`})
	if n, isFloat := got["n"].(float64); !isFloat || n != 1 {
		t.Errorf("the factory got n as %T, want float64", got["n"])
	}
}

func TestMerge(t *testing.T) {
	parent := map[string]any{
		"stream_filters":    []any{"a"},
		"per_filter_config": map[string]any{"limit": map[string]any{"size": 1, "status": 413}, "fault": 1},
	}
	child := map[string]any{"per_filter_config": map[string]any{"limit": map[string]any{"size": 2}}}
	merged, err := (*mosn.Filters).Merge(nil, parent, child)
	if err != nil {
		t.Fatalf("cannot merge: %v", err)
	}
	route := merged["per_filter_config"].(map[string]any)
	limit := route["limit"].(map[string]any)
	if _, inherited := limit["status"]; inherited || limit["size"] != 2 || route["fault"] != 1 || merged["stream_filters"] == nil {
		t.Errorf("merged to %v; want the route's limit alone, and the rest kept", merged)
	}
}

func TestUnsupportedError(t *testing.T) {
	err := error(&mosn.UnsupportedError{Method: "Connection.Write", Reason: "why"})
	if !errors.Is(err, filter.ErrUnsupported) || errors.Is(err, io.EOF) {
		t.Errorf("%v does not match filter.ErrUnsupported alone", err)
	}
}

// TestClientLeaves has the client go away while a filter runs: the filter's context ends.
func TestClientLeaves(t *testing.T) {
	ended := make(chan error, 1)
	h := tolerant(t, receives(func(c *call) {
		select {
		case <-c.ctx.Done():
			ended <- context.Cause(c.ctx)
		case <-time.After(5 * time.Second):
			ended <- nil
		}
	}))
	h.Timeout = 10 * time.Second
	h.Leave = func(after string) bool { return after == "waiting" }
	h.Get("/")
	if err := <-ended; err == nil {
		t.Error("the context of the filter goes on after its stream, want it cancelled")
	}
}
