package mock

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
)

func host(t testing.TB, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "mock", JSON: config})
}

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, response, path string
		header               []string
		status               int
		kind, body           string
	}{
		{name: "empty", response: `{}`, status: 200},
		{name: "text", response: `{status: 404, body: "not here"}`, status: 404, kind: "text/plain", body: "not here"},
		{name: "JSON", response: `{json: {a: [1, "x", null]}}`, status: 200, kind: "application/json", body: `{"a":[1,"x",null]}`},
		{name: "another type", response: `{json: [], headers: {Content-Type: application/hal+json}}`, status: 200, kind: "application/hal+json", body: `[]`},
		{name: "no template", response: `{body: "%REQ(x-user)%"}`, status: 200, kind: "text/plain", body: "%REQ(x-user)%"},
		{
			name: "template", response: `{template: true, body: "hello %REQ(x-user)% at %REQ(:path)%, 100%%"}`, path: "/a?b",
			header: []string{"x-user", "ann"}, status: 200, kind: "text/plain", body: "hello ann at /a?b, 100%",
		},
		{name: "template in JSON", response: `{template: true, json: {id: "%QUERY_PARAM(id)%"}}`, path: "/?id=7", status: 200, kind: "application/json", body: `{"id":"7"}`},
		{name: "another path", response: `{match: {prefix: /a}}`, path: "/b", status: 299, kind: "text/plain", body: "upstream"},
		{name: "an expression", response: `{match: {when: "request.method == 'GET'"}, body: x}`, status: 200, kind: "text/plain", body: "x"},
		{name: "an expression that fails", response: `{match: {when: "int(request.query['n'][0]) > 0"}, body: x}`, path: "/?n=x", status: 299, kind: "text/plain", body: "upstream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := filtertest.New(t, filtertest.Config{Name: "mock", JSON: `{responses: [` + c.response + `, {name: last, match: {prefix: /b}, status: 299, body: upstream}, {match: {path: "/"}, status: 299, body: upstream}]}`})
			if c.path == "" {
				c.path = "/"
			}
			r := h.Get(c.path, c.header...)
			if r.Status != c.status || r.Body != c.body || !strings.HasPrefix(r.Header.Get("content-type"), c.kind) {
				t.Errorf("got %d %q %q, want %d %q %q", r.Status, r.Header.Get("content-type"), r.Body, c.status, c.kind, c.body)
			}
			if r.Upstream != nil || r.Header.Get("x-mock") == "" || r.Details != "moe.mock.reply" {
				t.Errorf("the upstream has seen %v, the response has %v", r.Upstream, r.Header)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	h := host(t, `{header: "", responses: [{template: true, headers: {x-user: "%REQ(x-user)%", x-fix: "1"}}]}`)
	r := h.Get("/", "x-user", "ann")
	if r.Header.Get("x-user") != "ann" || r.Header.Get("x-fix") != "1" || r.Header.Get("x-mock") != "" {
		t.Errorf("got %v, want x-user: ann, x-fix: 1, no x-mock", r.Header)
	}
	if r := h.Get("/"); len(r.Header.Values("x-user")) != 0 {
		t.Errorf("got %v, want no x-user", r.Header)
	}
	r = host(t, `{responses: [{name: never, match: {path: /x}}]}`).Get("/")
	if r.Upstream == nil || r.Header.Get("x-mock") != "" {
		t.Errorf("got %v, want the upstream's response", r.Header)
	}
	if r := host(t, `{responses: [{grpcStatus: 5, body: "no such thing"}]}`).GRPC("/a.B/C", "m"); r.GRPCStatus != 5 || r.GRPCMessage != "no such thing" {
		t.Errorf("got grpc-status %d %q, want 5", r.GRPCStatus, r.GRPCMessage)
	}
}

// TestFile: a body from a file is the file's as it is now; a change that cannot be used is not.
func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "answer.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	write(`{"a":1}`)
	h := host(t, `{poll: 10ms, responses: [{template: true, file: `+strconv.Quote(file)+`}]}`)
	wait := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s does not come: %s", what, h.Log())
			}
		}
	}
	if r := h.Get("/"); r.Body != `{"a":1}` || r.Header.Get("content-type") != "application/json" {
		t.Errorf("got %q %q, want the file", r.Header.Get("content-type"), r.Body)
	}
	write(`{"a":"%REQ(x-a)%"}`)
	wait("the new file", func() bool { return h.Get("/", "x-a", "2").Body == `{"a":"2"}` })
	write(`%NOTHING(`)
	wait("the refusal", func() bool { return h.Metric("reload_failed") == 1 })
	if r := h.Get("/", "x-a", "3"); r.Body != `{"a":"3"}` {
		t.Errorf("got %q, want what was there before", r.Body)
	}
}

func TestDelay(t *testing.T) {
	h := host(t, `{maxDelayed: 1, responses: [{delay: 100ms, jitter: 10ms, body: x}]}`)
	start := time.Now()
	if r := h.Get("/"); r.Body != "x" || time.Since(start) < 100*time.Millisecond {
		t.Errorf("got %q after %v, want x after 100ms", r.Body, time.Since(start))
	}
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if r := h.Get("/"); r.Body != "x" {
				t.Errorf("got %q, want x", r.Body)
			}
		})
	}
	if wg.Wait(); h.Metric("mocked", "default") != 6 {
		t.Errorf("mocked = %d, want 6", h.Metric("mocked", "default"))
	}
}

func TestRefused(t *testing.T) {
	for response, want := range map[string]string{
		`{body: a, json: {}}`: "exclusive", `{name: "a b"}`: "name", `{headers: {"a b": c}}`: "headers.a b", `{status: 101}`: "status",
		`{headers: {content-length: "1"}}`: "Envoy's to set", `{headers: {a: "x\ny"}}`: "headers.a", `{headers: {a: ""}}`: "headers.a",
		`{template: true, body: "%NO%"}`: "body: position 0", `{template: true, headers: {a: "%NO%"}}`: "headers.a", `{delay: 21s}`: "delay",
		`{delay: -1s}`: "delay", `{file: /does/not/exist}`: "/does/not/exist", `{file: /tmp}`: "is a directory", `{match: {path: a}}`: "responses[0].match.path",
		`{grpcStatus: 99}`: "grpcStatus",
	} {
		t.Run(response, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "mock", JSON: `{responses: [` + response + `]}`})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}

// TestNeverDelayed: a stream that ends before its delay begins takes no place of others.
func TestNeverDelayed(t *testing.T) {
	p := &Mock{Responses: []Response{{Name: "default", Status: 200, Delay: 10 * time.Second}}, MaxDelayed: 1}
	filtertest.New(t, p)
	h := filtertest.New(t, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		p.OnRequestHeaders(s, h, true) // the chain drops what a stream that is over returns
	}})
	h.Get("/")
	if n := p.delayed.Load(); n != 0 {
		t.Errorf("%d requests are delayed, want none", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	p := &Mock{Header: "x-mock", Responses: []Response{{Name: "default", Status: 200, Body: strings.Repeat("x", 1000)}}}
	filtertest.New(b, p)
	plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) { p.OnRequestHeaders(s, h, true) })
}
