package script

import (
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"

	"mosn.io/moe/framework/filtertest"
)

func load(t *testing.T, h *filtertest.Host, p *Script) *filtertest.Host {
	t.Helper()
	if err := h.Load(t, p); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	return h
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name, source, body string
		status             int
		wantBody           string // of the reply
		path, method, sent string
		header             map[string]string
		withBody           bool
	}{
		{name: "nothing", source: `function onRequest(r) {}`, status: 200, path: "/p?q=1"},
		{
			name: "headers", status: 200, path: "/p?q=1", header: map[string]string{"X-A": "1,2", "X-B": "undefined", "X-C": "a", "Accept": ""},
			source: `function onRequest(r) {
				r.headers.set("x-b", String(r.headers.get("x-none")));
				r.headers.add("x-a", "2"); r.headers.set("x-a", r.headers.all("x-a").join());
				r.headers.set("X-C", "a"); r.headers.remove("accept") }`,
		},
		{
			name: "path and method", status: 200, path: "/new/p?q=1&host=example.com", method: "PUT",
			source: `function onRequest(r) { r.path = "/new" + r.path + "&host=" + r.host; r.method = "PUT" }`,
		},
		{
			name: "body", withBody: true, body: `{"a":1}`, status: 200, path: "/p?q=1", sent: `{"a":2}`,
			source: `function onRequest(r) { const v = JSON.parse(r.body); v.a++; r.body = JSON.stringify(v) }`,
		},
		{
			name: "body that is not UTF-8", withBody: true, body: "\xff", status: 200, path: "/p?q=1", sent: "\xff",
			source: `function onRequest(r) { if (r.body !== undefined) throw new Error() }`,
		},
		{
			name: "reply", status: 418, wantBody: "short",
			source: `const onRequest = r => ({status: 418, body: "short", headers: {"x-pot": "1"}})`,
		},
		{name: "reply without a status", status: 500, source: `const onRequest = r => ({body: "a"})`},
		{name: "reply that is a number", status: 500, source: `const onRequest = r => 3`},
		{name: "reply with a line break", status: 500, source: `const onRequest = r => ({status: 200, headers: {a: "b\r\nc: d"}})`},
		{name: "exception", status: 500, source: `function onRequest(r) { throw new TypeError(r.path) }`},
		{name: "exception of no object", status: 500, source: `function onRequest(r) { throw r.path }`},
		{name: "header with a line break", status: 500, source: `function onRequest(r) { r.headers.set("a", "b\nc") }`},
		{name: "pseudo-header", status: 500, source: `function onRequest(r) { r.headers.set(":path", "/x") }`},
		{name: "path that is none", status: 500, source: `function onRequest(r) { r.path = "http://evil.example/" }`},
		{name: "method that is none", status: 500, source: `function onRequest(r) { r.method = "A B" }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, &filtertest.Host{Chunk: 2}, &Script{Source: c.source, RequestBody: c.withBody, Budget: time.Second})
			method := "GET"
			if c.body != "" {
				method = "POST"
			}
			r := h.Do(filtertest.NewRequest(method, "/p?q=1", c.body, "x-a", "1", "accept", "*/*"))
			if r.Status != c.status || c.wantBody != "" && r.Body != c.wantBody {
				t.Fatalf("got %d %q, want %d %q; log:\n%s", r.Status, r.Body, c.status, c.wantBody, h.Log())
			}
			if r.Status == 500 && strings.Contains(h.Log(), "q=1") {
				t.Errorf("the log quotes the request:\n%s", h.Log())
			}
			if r.Status != 200 {
				return
			}
			if r.Upstream.RequestURI != c.path || c.method != "" && r.Upstream.Method != c.method || r.Sent != c.sent {
				t.Errorf("the upstream sees %s %s %q, want %s %s %q",
					r.Upstream.Method, r.Upstream.RequestURI, r.Sent, c.method, c.path, c.sent)
			}
			for name, want := range c.header {
				if got := strings.Join(r.Upstream.Header.Values(name), ","); got != want {
					t.Errorf("the header %s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestResponse(t *testing.T) {
	h := load(t, &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("accept-encoding") != "" {
			t.Error("the upstream may compress the response, want no accept-encoding")
		}
		_, _ = w.Write([]byte("body"))
	})}, &Script{ResponseBody: true, Budget: time.Second, Source: `
		let seen = 0;
		function onRequest(r) { seen++ }
		function onResponse(response, request) {
			if (request.path === "/reply") return {status: 502, body: "instead"};
			response.status = 201; response.body += " " + seen + request.method + typeof request.headers;
			response.headers.set("x-a", "b");
		}`})
	for range 2 { // what a script keeps is the stream's
		r := h.Get("/", "accept-encoding", "gzip")
		if r.Status != 201 || r.Body != "body 1GETundefined" || r.Header.Get("x-a") != "b" {
			t.Errorf("got %d %q %v, want 201, the changed body, and x-a", r.Status, r.Body, r.Header)
		}
	}
	if r := h.Get("/reply"); r.Status != 502 || r.Body != "instead" {
		t.Errorf("got %d %q, want 502 instead", r.Status, r.Body)
	}
}

// TestBounds: scripts that run for ever, nest for ever or ask for memory end.
func TestBounds(t *testing.T) {
	for _, c := range []struct{ name, source string }{
		{"a loop", `function onRequest(r) { for (;;) {} }`},
		{"recursion", `function onRequest(r) { onRequest(r) }`},
		{"a property that loops", `function onRequest(r) { Object.defineProperty(r, "path", {get() { for (;;) {} }}) }`},
		{"a promise that loops", `function onRequest(r) { (function f() { Promise.resolve().then(f) })() }`},
		{"a long string", `function onRequest(r) { "x".repeat(1e9) }`},
		{"a padded string", `function onRequest(r) { "x".padEnd(1e9) }`},
		{"a buffer", `function onRequest(r) { new ArrayBuffer(1e10) }`},
		{"a regular expression", `function onRequest(r) { /^(a+)+\1$/.test("a".repeat(40) + "b") }`},
		{"nested JSON", `function onRequest(r) { JSON.parse("[".repeat(1e5) + "]".repeat(1e5)) }`},
		{"nested JSON in an object", `function onRequest(r) { JSON.parse({toString() { return '{"a":'.repeat(1e5) }}) }`},
		{"a list as a client wrote it", `function onRequest(r) { Array.from(JSON.parse('{"length": 1e15}')) }`},
		{"as many arguments", `function onRequest(r) { Math.max.apply(null, JSON.parse('{"length": 1e10}')) }`},
		{"as many arguments, by Reflect", `function onRequest(r) { Reflect.apply(Math.max, null, {length: 1e10}) }`},
		{"as many arguments to construct", `function onRequest(r) { Reflect.construct(Date, {length: 1e10}) }`},
		{"caught interrupts", `function onRequest(r) { for (;;) { try { for (;;) {} } catch (e) {} finally {} } }`},
		{"what is not there", `function onRequest(r) { require("fs") }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := load(t, &filtertest.Host{}, &Script{Source: c.source, Budget: 50 * time.Millisecond})
			t.Cleanup(regexp2.StopTimeoutClock) // which is a goroutine
			start := time.Now()
			r := h.Get("/")
			if r.Status != 500 || h.Metric("failed", "request") != 1 {
				t.Errorf("got %d, failed counts %d; want 500 and 1", r.Status, h.Metric("failed", "request"))
			}
			if took := time.Since(start); took > 4*time.Second {
				t.Errorf("it took %v, want about the budget", took)
			}
		})
	}
	h := load(t, &filtertest.Host{}, &Script{Source: `function onRequest(r) { throw 1 }`, OnError: "pass"})
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("with onError pass, got %d, want 200", r.Status)
	}
	h = load(t, &filtertest.Host{}, &Script{Source: `function onRequest(r) {}`, RequestBody: true, MaxBody: 4})
	if r := h.Post("/", "12345"); r.Status != 413 {
		t.Errorf("a body over maxBody gets %d, want 413", r.Status)
	}
	if r := h.Get("/", "upgrade", "websocket", "connection", "upgrade"); r.Status != 200 {
		t.Errorf("an upgrade gets %d, want 200", r.Status)
	}
}

// TestReplaced holds the functions that have bounds against what scripts expect of them.
func TestReplaced(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"JSON", `JSON.stringify(JSON.parse('{"a": [1, {"b": "[[{\\"["}]}'))`, `{"a":[1,{"b":"[[{\"["}]}`},
		{"a reviver", `JSON.stringify(JSON.parse("[1, 2]", (k, v) => typeof v == "number" ? v + 1 : v))`, `[2,3]`},
		{"JSON that is none", `(() => { try { JSON.parse() } catch (e) { return e.name } })()`, `SyntaxError`},
		{"as deep as it may be", `String(JSON.parse("[".repeat(500) + "]".repeat(500)).length)`, `1`},
		{"many beside each other", `String(JSON.parse("[" + "[],".repeat(1000) + "0]").length)`, `1001`},
		{"from a list", `Array.from([1, 2], x => x * 2).join()`, `2,4`},
		{"from a string", `Array.from("ab").join()`, `a,b`},
		{"from what is like a list", `Array.from({length: 2}, (_, i) => i).join()`, `0,1`},
		{"from an iterator", `Array.from(new Set([1, 1, 2])).join()`, `1,2`},
		{"from, of another class", `(class A extends Array {}).from([1]).constructor.name`, `A`},
		{"apply", `String(Math.max.apply(null, [1, 3, 2]))`, `3`},
		{"apply without arguments", `"a".toUpperCase.apply("b")`, `B`},
		{"apply by Reflect", `String(Reflect.apply(Math.max, null, [1, 3]))`, `3`},
		{"construct", `Reflect.construct(Array, [1, 2]).join()`, `1,2`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := (&Script{Budget: time.Hour, program: goja.MustCompile("source", "", true)}).newMachine()
			if err != nil {
				t.Fatalf("newMachine: %v", err)
			}
			if v, err := m.RunString(c.source); err != nil || v.String() != c.want {
				t.Errorf("got %v, error %v, want %s", v, err, c.want)
			}
		})
	}
}

// TestNames reads the name of what is thrown, which may be a function of the script.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name, source string
		budget       time.Duration
		want         []string
	}{
		{"a name", `throw new RangeError()`, time.Hour, []string{"RangeError at line 1, column 7"}},
		{"a name that throws", `throw {get name() { throw 1 }}`, time.Hour, []string{"an exception at line 1, column 1"}},
		{
			"a name that loops", `throw {get name() { for (;;) {} }}`, 10 * time.Millisecond,
			[]string{"an exception at line 1, column 1", errBudget.Error()},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := (&Script{Budget: c.budget, program: goja.MustCompile("source", c.source, true)}).newMachine()
			if err == nil || !slices.Contains(c.want, err.Error()) {
				t.Errorf("got error %v, want one of %q", err, c.want)
			}
		})
	}
}

// TestLateInterrupt ends calls at about their budget: the interrupt of one does not come to the next.
func TestLateInterrupt(t *testing.T) {
	m, err := (&Script{Budget: time.Hour, program: goja.MustCompile("source", "", true)}).newMachine()
	if err != nil {
		t.Fatalf("newMachine: %v", err)
	}
	for i := range 3000 {
		m.budget = time.Duration(i)
		_ = m.within(func() error { return nil }) // over or not
		runtime.Gosched()
		if _, err := m.RunString("1"); err != nil {
			t.Fatalf("the call after one of %v: got error %v, want none", m.budget, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"no source", `{}`, "source"},
		{"a syntax error", `{source: "function ("}`, "source"},
		{"no function", `{source: "var a"}`, "declare the function"},
		{"an exception", `{source: "throw new RangeError()"}`, "RangeError at line 1"},
		{"a loop", `{source: "for (;;) {}"}`, "budget"},
		{"a budget", `{source: "function onRequest() {}", budget: 1h}`, "budget"},
		{"a bound", `{source: "function onRequest() {}", maxBody: 0}`, "maxBody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "script", JSON: c.config})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
