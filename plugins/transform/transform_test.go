package transform

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
)

func host(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "transform", JSON: config})
}

func decoded(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
	return v
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name, config, path, body, contentType string
		header                                []string
		wantPath, wantBody, wantMethod        string
		wantHeader                            map[string]string
	}{
		{
			name: "query", path: "/p?a=1&b=2&c=3&d=%20x", wantPath: "/p?c=9&c=10&d=%20x&z=1&e=a+b",
			config: `query: {rename: {a: z}, remove: [b], set: {c: "9", e: "a b"}, add: {c: "10"}}`,
		},
		{name: "query that ends", path: "/p?a=1", wantPath: "/p", config: `query: {remove: [a]}`},
		{name: "query that is left alone", path: "/p?a=%2f&&b", wantPath: "/p?a=%2f&&b", config: `headers: {remove: [x]}`},
		{name: "path", path: "/old/7?a=1", wantPath: "/new/old/7?a=1", config: `path: "/new{{path}}"`},
		{name: "method", path: "/", wantPath: "/", wantMethod: "PUT", config: `method: PUT`},
		{
			name: "headers", path: "/?q=v", wantPath: "/?q=v", header: []string{"x-a", "1", "x-b", "2", "x-c", "3"},
			config:     `headers: {rename: {x-a: X-Z}, remove: [x-b], set: {x-c: '{{header "x-a"}}-{{query "q"}}'}, add: {x-d: "{{method}} {{host}}"}}`,
			wantHeader: map[string]string{"X-Z": "1", "X-A": "", "X-B": "", "X-C": "1-v", "X-D": "GET example.com"},
		},
		{
			name: "cookies", path: "/", wantPath: "/", header: []string{"cookie", "a =1; b=2", "cookie", "c=3"},
			config:     `cookies: {rename: {a: z}, remove: [b], set: {n: '{{cookie "c"}}'}}`,
			wantHeader: map[string]string{"Cookie": "c=3; z=1; n=3"},
		},
		{
			name: "jq", path: "/", wantPath: "/", body: `{"a":12345678901234567890,"b":"x"}`, contentType: "application/json",
			config: `body: [{jq: '{n: .a, b}'}]`, wantBody: `{"b":"x","n":12345678901234567890}`,
		},
		{
			name: "patches", path: "/", wantPath: "/", body: `{"a":1,"b":{"c":"<"}}`, contentType: "application/json",
			config:   `body: [{patch: [{op: add, path: /d, value: [1]}, {op: remove, path: /a}]}, {mergePatch: {b: {e: 2}, d: null}}]`,
			wantBody: `{"b":{"c":"\u003c","e":2}}`,
		},
		{
			name: "form", path: "/", wantPath: "/", body: `a=1&b=%20&c=3`, contentType: "application/x-www-form-urlencoded",
			config: `body: [{form: {rename: {a: z}, set: {n: "{{len text}}"}, remove: [c]}}]`, wantBody: `b=%20&z=1&n=13`,
		},
		{
			name: "template", path: "/", wantPath: "/", body: `{"items":[{"n":1},{"n":2}]}`, contentType: "application/json",
			config:   `body: [{template: '{{range $i, $e := body.items}}{{if $i}},{{end}}{{$e.n}}{{end}} {{toJSON body}}', contentType: text/plain}]`,
			wantBody: `1,2 {"items":[{"n":1},{"n":2}]}`, wantHeader: map[string]string{"Content-Type": "text/plain"},
		},
		{
			name: "XML to JSON", path: "/", wantPath: "/", contentType: "text/xml",
			body:   `<?xml version="1.0"?><a x="1"><b>1</b><b>2 &amp; 3</b><c/>text</a>`,
			config: `body: [{xmlToJSON: true}]`, wantBody: `{"a":{"#text":"text","@x":"1","b":["1","2 \u0026 3"],"c":""}}`,
			wantHeader: map[string]string{"Content-Type": "application/json"},
		},
		{
			name: "JSON to XML", path: "/", wantPath: "/", contentType: "application/json",
			body: `{"@x":"<\"","b":[1,null,true],"c":{"#text":"t"}}`, config: `body: [{jsonToXML: a}]`,
			wantBody:   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a x=\"&lt;&#34;\"><b>1</b><b></b><b>true</b><c>t</c></a>",
			wantHeader: map[string]string{"Content-Type": "application/xml"},
		},
	} {
		for _, chunk := range []int{0, 1} {
			t.Run(c.name, func(t *testing.T) {
				h := &filtertest.Host{Chunk: chunk}
				if err := h.Load(t, filtertest.Config{Name: "transform", JSON: `{request: {` + c.config + `}}`}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				method := "GET"
				header := c.header
				if c.body != "" {
					method, header = "POST", append(header, "content-type", c.contentType)
				}
				r := h.Do(filtertest.NewRequest(method, c.path, c.body, header...))
				if r.Status != 200 {
					t.Fatalf("got %d %s, want 200; log:\n%s", r.Status, r.Body, h.Log())
				}
				if r.Upstream.RequestURI != c.wantPath || r.Sent != c.wantBody || c.wantMethod != "" && r.Upstream.Method != c.wantMethod {
					t.Errorf("the upstream sees %s %s %q, want %s %s %q",
						r.Upstream.Method, r.Upstream.RequestURI, r.Sent, c.wantMethod, c.wantPath, c.wantBody)
				}
				for name, want := range c.wantHeader {
					if got := r.Upstream.Header.Get(name); got != want {
						t.Errorf("the header %s is %q, want %q", name, got, want)
					}
				}
			})
		}
	}
}

func TestResponses(t *testing.T) {
	const config = `{responses: [
		{statuses: ["404"], status: 200, body: [{template: 'page for {{path}}', contentType: text/html}]},
		{statuses: [500-599], headers: {remove: [server], set: {x-was: "{{status}}"}}},
		{body: [{jq: '.a'}]}]}`
	for _, c := range []struct {
		name, body, want string
		status, code     int
		header           map[string]string
	}{
		{name: "error page", status: 404, body: "{}", code: 200, want: "page for /p", header: map[string]string{"Content-Type": "text/html", "Etag": ""}},
		{name: "headers alone", status: 503, body: "down", code: 503, want: "down", header: map[string]string{"Server": "", "X-Was": "503"}},
		{name: "body", status: 201, body: `{"a":[1]}`, code: 201, want: "[1]"},
		{name: "not JSON", status: 200, body: "x", code: 502, want: "the response cannot be processed"},
		{name: "no body", status: 200, code: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("accept-encoding") != "" {
					t.Error("the upstream may compress the response, want no accept-encoding")
				}
				w.Header().Set("server", "s")
				w.Header().Set("etag", `"1"`)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})}
			if err := h.Load(t, filtertest.Config{Name: "transform", JSON: config}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			r := h.Get("/p?x", "accept-encoding", "gzip")
			if r.Status != c.code || r.Body != c.want {
				t.Errorf("got %d %q, want %d %q", r.Status, r.Body, c.code, c.want)
			}
			for name, want := range c.header {
				if got := r.Header.Get(name); got != want {
					t.Errorf("the header %s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestPath: a template makes no path that leads out of what it says.
func TestPath(t *testing.T) {
	for _, c := range []struct {
		name, path, want string // "": refused
	}{
		{name: "plain", path: "a/b", want: "/v2/a/b"},
		{name: "dots in a name", path: "a..b/...", want: "/v2/a..b/..."},
		{name: "a parent", path: "../admin"},
		{name: "a parent at the end", path: "a/.."},
		{name: "itself", path: "./a"},
		{name: "escaped dots", path: "%2e%2E/admin"},
		{name: "an escaped slash", path: "a%2f..%2fadmin"},
		{name: "a backslash", path: `..\admin`},
		{name: "an escaped backslash", path: "a%5c..%5Cadmin"},
		{name: "a parameter", path: "..;a=b/admin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, `{request: {path: '/v2/{{header "x-path"}}'}}`)
			r := h.Get("/", "x-path", c.path)
			if c.want == "" {
				if r.Status != 400 || r.Upstream != nil {
					t.Errorf("got %d, want 400", r.Status)
				}
				return
			}
			if r.Status != 200 || r.Upstream.URL.RequestURI() != c.want {
				t.Errorf("got %d, want 200 for %s", r.Status, c.want)
			}
		})
	}
}

// TestBounds: what would run for ever, or grow without end, ends with the budget and with maxBody.
func TestBounds(t *testing.T) {
	deep := strings.Repeat("<a>", 100000)
	for _, c := range []struct{ name, config, body string }{
		{"jq that loops", `body: [{jq: 'def f: f; f'}]`, "{}"},
		{"jq that grows", `body: [{jq: '[range(1e12)] | length'}]`, "{}"},
		{"jq with a long result", `body: [{jq: '[range(100000)]'}]`, "{}"},
		{"a template that loops", `body: [{template: '{{range $i := 1000000000}}{{end}}'}]`, "{}"},
		{"a template in a template", `body: [{template: '{{define "x"}}{{template "x"}}{{end}}{{template "x"}}'}]`, "{}"},
		{"a long template", `body: [{template: '{{range 100000}}0123456789{{end}}'}]`, "{}"},
		{"patches that copy", `body: [{patch: [{op: copy, from: /a, path: /a/b}, {op: copy, from: /a, path: /a/c}, {op: copy, from: /a, path: /a/d}, {op: copy, from: /a, path: /a/e}]}]`, `{"a":{"x":"` + strings.Repeat("x", 30000) + `"}}`},
		{"deep JSON", `body: [{jq: .}]`, strings.Repeat("[", 60000)},
		{"deep XML", `body: [{xmlToJSON: true}]`, deep[:60000]},
		{"entities", `body: [{xmlToJSON: true}]`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`},
		{"XML that is cut", `body: [{xmlToJSON: true}]`, `<a><b></a>`},
		{"JSON that is cut", `body: [{mergePatch: {a: 1}}]`, `{"a":`},
		{"two values", `body: [{jq: .}]`, `1 2`},
		{"elements that cannot be", `body: [{jsonToXML: a}]`, `{"a b":1}`},
		{"a header with a line break", `body: [{jq: .}], headers: {set: {x: "{{body}}"}}`, `"a\r\nb"`},
		{"a path that leaves", `body: [{jq: .}], path: "{{body}}"`, `"//evil.example?x"`},
		{"a method that is none", `body: [{jq: .}], method: "{{body}}"`, `"a b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, `{maxBody: 64KiB, budget: 50ms, request: {`+c.config+`}}`)
			start := time.Now()
			r := h.Post("/", c.body, "content-type", "application/json")
			if r.Status != 400 || h.Metric("failed", "request") != 1 {
				t.Errorf("got %d %.60s, failed counts %d; want 400 and 1", r.Status, r.Sent, h.Metric("failed", "request"))
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %v, want about the budget", took)
			}
		})
	}
	h := host(t, `{maxBody: 4, request: {body: [{template: x}]}}`)
	if r := h.Post("/", "12345"); r.Status != 413 {
		t.Errorf("a body over maxBody gets %d, want 413", r.Status)
	}
	h = host(t, `{request: {body: [{jq: .a}], headers: {set: {x-a: b}}}, onError: pass}`)
	if r := h.Post("/", "x"); r.Status != 200 || r.Sent != "x" || r.Upstream.Header.Get("x-a") != "" {
		t.Errorf("with onError pass, got %d %q %v; want the request as it came", r.Status, r.Sent, r.Upstream.Header)
	}
	h = host(t, `{request: {body: [{jq: .a}]}}`)
	if r := h.Post("/", `{"a":1}`, "content-encoding", "gzip"); r.Status != 400 {
		t.Errorf("a compressed body gets %d, want 400", r.Status)
	}
	if r := h.Get("/", "upgrade", "websocket", "connection", "upgrade"); r.Status != 200 {
		t.Errorf("an upgrade gets %d, want 200", r.Status)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"nothing", ``, "request: give"},
		{"an empty step", `request: {body: [{}]}`, "request.body[0].jq"},
		{"two in a step", `request: {body: [{jq: ., jsonToXML: a}]}`, "mutually exclusive"},
		{"jq", `request: {body: [{jq: 'a b'}]}`, "request.body[0].jq"},
		{"jq that reads files", `request: {body: [{jq: 'import "a" as a; .'}]}`, "request.body[0].jq"},
		{"jq that reads input", `request: {body: [{jq: 'input'}]}`, "request.body[0].jq"},
		{"a patch", `request: {body: [{patch: [{op: zap, path: /a}]}]}`, "request.body[0].patch"},
		{"a patch without a value", `request: {body: [{patch: [{op: add, path: /a}]}]}`, "request.body[0].patch"},
		{"a template", `request: {path: "{{"}`, "request.path"},
		{"a template's function", `request: {headers: {set: {a: "{{nope}}"}}}`, "request.headers.set.a"},
		{"a header", `request: {headers: {remove: ["a b"]}}`, "request.headers.remove"},
		{"a pseudo-header", `request: {headers: {set: {":path": /}}}`, "request.headers.set"},
		{"statuses", `responses: [{statuses: [5xx]}]`, "responses[0].statuses[0]"},
		{"a status", `responses: [{status: 99}]`, "status"},
		{"an element", `request: {body: [{jsonToXML: "a b"}]}`, "jsonToXML"},
		{"a content-type", `request: {body: [{jq: ., contentType: "a\nb"}]}`, "contentType"},
		{"a budget", `budget: 0s, request: {method: GET}`, "budget"},
		{"a bound", `maxBody: 2GiB, request: {method: GET}`, "maxBody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "transform", JSON: "{" + c.config + "}"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzXML: what XML becomes as JSON, and that as XML again, is the same JSON.
func FuzzXML(f *testing.F) {
	f.Add(`<a x="1"><b>1</b><b>2</b><c/>t</a>`)
	f.Add(`<a><![CDATA[<]]></a>`)
	f.Fuzz(func(t *testing.T, text string) {
		w := &work{ctx: t.Context(), most: 1 << 20, text: []byte(text)}
		if xmlToJSON(w) != nil {
			return
		}
		first := string(w.text)
		object, _ := decoded(t, first).(map[string]any)
		for root, v := range object {
			w.value, w.parsed = v, true
			if jsonToXML(w, root) != nil {
				return // a name that the plugin does not write
			}
		}
		if err := xmlToJSON(w); err != nil {
			t.Fatalf("%q becomes %s, and that %q: %v", text, first, w.text, err)
		}
		if diff := cmp.Diff(decoded(t, first), decoded(t, string(w.text))); diff != "" {
			t.Errorf("%q (-first +second):\n%s", text, diff)
		}
	})
}
