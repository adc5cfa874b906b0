package validate

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/guard"
)

func host(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	return filtertest.New(t, filtertest.Config{Name: "validate", JSON: config})
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return path
}

const asJSON = "application/json"

func TestOpenAPI(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		path := write(t, "pets.yaml", document(version))
		for _, c := range []struct {
			name, method, path, contentType, body string
			header                                []string
			want                                  int
			problem                               string // in the reply
		}{
			{name: "parameters", path: "/v1/pets?limit=3", header: []string{"x-tenant", "ab"}, want: 200},
			{name: "unknown path", path: "/v1/cats", want: 404, problem: "no such path"},
			{name: "outside of the base", path: "/pets", want: 404},
			{name: "unknown method", method: "DELETE", path: "/v1/pets", want: 405},
			{
				name: "query", path: "/v1/pets?limit=101", header: []string{"x-tenant", "ab"}, want: 400,
				problem: `"parameter":"query limit"`,
			},
			{
				name: "query of another type", path: "/v1/pets?limit=x", header: []string{"x-tenant", "ab"}, want: 400,
				problem: `"parameter":"query limit"`,
			},
			{name: "missing header", path: "/v1/pets", want: 400, problem: `"parameter":"header x-tenant"`},
			{name: "path", path: "/v1/pets/7", want: 200},
			{name: "path of another type", path: "/v1/pets/seven", want: 400, problem: "path id"},
			{name: "body", path: "/v1/pets", contentType: asJSON, body: `{"name":"a","tag":null}`, want: 200},
			{name: "charset", path: "/v1/pets", contentType: asJSON + "; charset=utf-8", body: `{"name":"a"}`, want: 200},
			{
				name: "body of another type", path: "/v1/pets", contentType: asJSON, body: `{"name":1}`, want: 400,
				problem: `"pointer":"#/name"`,
			},
			{name: "duplicate parameter", path: "/v1/pets", contentType: asJSON + "; a=1; a=2", body: `{"name":1}`, want: 400, problem: "#/name"},
			{name: "malformed parameter", path: "/v1/pets", contentType: "Application/JSON ; a b", body: `{"name":1}`, want: 400, problem: "#/name"},
			{name: "two media types", path: "/v1/any", contentType: asJSON + ", text/plain", body: `1`, want: 415},
			{name: "any media type", path: "/v1/any", contentType: "a/b; c=1; c=2", body: `1`, want: 200},
			{name: "missing property", path: "/v1/pets", contentType: asJSON, body: `{}`, want: 400, problem: "name"},
			{name: "unknown property", path: "/v1/pets", contentType: asJSON, body: `{"name":"a","x":1}`, want: 400},
			{name: "not JSON", path: "/v1/pets", contentType: asJSON, body: `{"name":`, want: 400, problem: "not JSON"},
			{name: "two values", path: "/v1/pets", contentType: asJSON, body: `{"name":"a"}{}`, want: 400},
			{name: "no body", method: "POST", path: "/v1/pets", want: 400, problem: "required"},
			{name: "media type", path: "/v1/pets", contentType: "text/plain", body: `{"name":"a"}`, want: 415},
			{name: "no media type", path: "/v1/pets", body: `{"name":"a"}`, want: 415},
			{
				name: "compressed", path: "/v1/pets", contentType: asJSON, body: `{"name":"a"}`,
				header: []string{"content-encoding", "gzip"}, want: 415,
			},
			{name: "form", path: "/v1/pets", contentType: "application/x-www-form-urlencoded", body: "name=a&age=3", want: 200},
			{name: "wrong form", path: "/v1/pets", contentType: "application/x-www-form-urlencoded", body: "age=x", want: 400},
			{name: "image", path: "/v1/pets", contentType: "image/png", body: "\x89PNG", want: 200},
			{name: "tree", path: "/v1/trees", contentType: asJSON, body: `{"children":[{"children":[{"leaf":true}]}]}`, want: 200},
			{
				name: "wrong deep in a tree", path: "/v1/trees", contentType: asJSON,
				body: `{"children":[{"children":[{"leaf":1}]}]}`, want: 400, problem: "#/children/0/children/0/leaf",
			},
			{name: "optional body", method: "POST", path: "/v1/trees", want: 200},
			{
				name: "as deep as a well", path: "/v1/trees", contentType: asJSON, body: strings.Repeat(`{"children":[`, 20000),
				want: 400,
			},
			{name: "too long", path: "/v1/trees", contentType: asJSON, body: `"` + strings.Repeat("x", 1<<20) + `"`, want: 413},
		} {
			t.Run(version+" "+c.name, func(t *testing.T) {
				h := &filtertest.Host{Chunk: 1000, Upstream: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
				if err := h.Load(t, filtertest.Config{Name: "validate", JSON: `{openapi: ` + path + `, basePath: /v1}`}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				method := c.method
				if method == "" && c.body != "" {
					method = "POST"
				} else if method == "" {
					method = "GET"
				}
				header := c.header
				if c.contentType != "" {
					header = append(header, "content-type", c.contentType)
				}
				r := h.Do(filtertest.NewRequest(method, c.path, c.body, header...))
				if r.Status != c.want || !strings.Contains(r.Body, c.problem) {
					t.Errorf("got %d %s, want %d with %s", r.Status, r.Body, c.want, c.problem)
				}
				if r.Status == 200 {
					if r.Sent != c.body {
						t.Errorf("the upstream sees %.60q, want %.60q", r.Sent, c.body)
					}
					return
				}
				var told problem
				if err := json.Unmarshal([]byte(r.Body), &told); err != nil || told.Status != c.want || told.Type != "about:blank" {
					t.Errorf("the reply is %s, error %v; want a problem with the status %d", r.Body, err, c.want)
				}
				if got := r.Header.Get("content-type"); got != "application/problem+json" {
					t.Errorf("content-type is %q, want application/problem+json", got)
				}
			})
		}
	}
}

func TestOpenAPIResponses(t *testing.T) {
	for _, version := range []string{"3.0.3", "3.1.0"} {
		path := write(t, "pets.yaml", document(version))
		for _, c := range []struct {
			name, contentType, body string
			status, want            int
		}{
			{name: "as promised", contentType: asJSON, body: `{"name":"a"}`, status: 200, want: 200},
			{name: "wrong", contentType: asJSON, body: `{"name":1}`, status: 200, want: 502},
			{name: "another type", contentType: "text/html", body: `<p>`, status: 200, want: 502},
			{name: "the default", contentType: "application/problem+json", body: `{}`, status: 418, want: 418},
			{name: "wrong default", contentType: "application/problem+json", body: `[]`, status: 418, want: 502},
		} {
			t.Run(version+" "+c.name, func(t *testing.T) {
				h := &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("accept-encoding") != "" {
						t.Error("the upstream may compress the response, want no accept-encoding")
					}
					w.Header().Set("content-type", c.contentType)
					w.WriteHeader(c.status)
					_, _ = w.Write([]byte(c.body))
				})}
				if err := h.Load(t, filtertest.Config{Name: "validate", JSON: `{openapi: ` + path + `, responses: true}`}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				r := h.Post("/pets", `{"name":"a"}`, "content-type", asJSON, "accept-encoding", "gzip")
				if r.Status != c.want || r.Status == c.status && r.Body != c.body {
					t.Errorf("got %d %s, want %d", r.Status, r.Body, c.want)
				}
				if r.Status == 502 && strings.Contains(r.Body, "errors") {
					t.Errorf("the client learns what is wrong with the response: %s", r.Body)
				}
			})
		}
	}
}

// A response that never has a body is not refused for the lack of one.
func TestResponsesWithoutBody(t *testing.T) {
	for _, c := range []struct {
		name, method string
		status, want int
	}{
		{name: "HEAD", method: "HEAD", status: 200, want: 200},
		{name: "204", method: "GET", status: 204, want: 204},
		{name: "304", method: "GET", status: 304, want: 304},
		{name: "one that could have a body", method: "GET", status: 200, want: 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) })}
			if err := h.Load(t, filtertest.Config{Name: "validate", JSON: `{response: {required: true}}`}); err != nil {
				t.Fatalf("h.Load: %v", err)
			}
			if r := h.Do(filtertest.NewRequest(c.method, "/", "")); r.Status != c.want {
				t.Errorf("got %d %s, want %d", r.Status, r.Body, c.want)
			}
		})
	}
}

func TestMessages(t *testing.T) {
	const schema = `schema: {type: object, required: [a], properties: {a: {type: integer}}}`
	for _, c := range []struct {
		name, config, contentType, body string
		want                            int
	}{
		{name: "valid", config: schema, body: `{"a":1}`, want: 200},
		{name: "big number", config: schema, body: `{"a":123456789012345678901234567890}`, want: 200},
		{name: "invalid", config: schema, body: `{"a":"1"}`, want: 400},
		{name: "no body", config: schema, want: 200},
		{name: "no body where it is required", config: "required: true", want: 400},
		{name: "a body where it is required", config: "required: true", body: "x", want: 200},
		{name: "type", config: "contentTypes: [text/*, application/*+json]", contentType: "text/csv", body: "x", want: 200},
		{name: "suffix", config: "contentTypes: [text/*, application/*+json]", contentType: "application/a+json", body: "x", want: 200},
		{name: "another type", config: "contentTypes: [text/*, application/*+json]", contentType: "image/png", body: "x", want: 415},
		{name: "no type", config: "contentTypes: ['*/*']", body: "x", want: 415},
		{name: "type that is none", config: "contentTypes: [text/*]", contentType: "text/a b; c", body: "x", want: 415},
		{name: "the longest", config: "maxSize: 4", body: "1234", want: 200},
		{name: "too long", config: "maxSize: 4", body: "12345", want: 413},
		{name: "too long for a schema", config: schema + ", maxSize: 4", body: `{"a":1}`, want: 413},
	} {
		for _, chunk := range []int{0, 1} {
			t.Run(c.name, func(t *testing.T) {
				h := &filtertest.Host{Chunk: chunk}
				if err := h.Load(t, filtertest.Config{Name: "validate", JSON: `{request: {` + c.config + `}}`}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				var header []string
				if c.contentType != "" {
					header = []string{"content-type", c.contentType}
				}
				r := h.Post("/", c.body, header...)
				if r.Status != c.want || r.Status == 200 && r.Sent != c.body {
					t.Errorf("got %d %s, the upstream sees %q; want %d", r.Status, r.Body, r.Sent, c.want)
				}
			})
		}
	}
}

// TestUnknownLength: a body whose length the headers do not say is measured as it comes.
func TestUnknownLength(t *testing.T) {
	for _, c := range []struct{ name, config string }{
		{name: "a bound", config: "maxSize: 4"},
		{name: "a bound and a schema", config: "maxSize: 4, schema: {type: integer}"},
		{name: "a bound, and required", config: "maxSize: 4, required: true"},
	} {
		for body, want := range map[string]int{"1234": 200, "12345": 413, "123456": 413} {
			t.Run(c.name+" "+body, func(t *testing.T) {
				h := &filtertest.Host{Chunk: 2}
				if err := h.Load(t, filtertest.Config{Name: "validate", JSON: `{request: {` + c.config + `}}`}); err != nil {
					t.Fatalf("h.Load: %v", err)
				}
				req := filtertest.NewRequest("POST", "/", body)
				req.Trailer = http.Header{"X-T": {"1"}} // so that there is no content-length
				if r := h.Do(req); r.Status != want {
					t.Errorf("got %d, want %d", r.Status, want)
				}
			})
		}
	}
}

func TestShadow(t *testing.T) {
	h := host(t, `{shadow: true, request: {schema: {type: object}}, response: {schema: {type: object}}}`)
	r := h.Post("/", "1", "content-type", asJSON)
	if r.Status != 200 || r.Body != "1" {
		t.Errorf("got %d %s, want 200 1", r.Status, r.Body)
	}
	if q, s := h.Metric("shadow_invalid", "request"), h.Metric("shadow_invalid", "response"); q != 1 || s != 1 {
		t.Errorf("shadow_invalid is %d and %d, want 1 and 1", q, s)
	}
	want := map[string]any{"moe.validate/request": "invalid", "moe.validate/response": "invalid", "moe.validate/shadow": true}
	if diff := cmp.Diff(want, r.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if strings.Contains(h.Log(), "panic") || !strings.Contains(h.Log(), "not valid") {
		t.Errorf("the log does not say that messages are not valid:\n%s", h.Log())
	}
}

func TestReload(t *testing.T) {
	path := write(t, "s.yaml", "type: object")
	h := host(t, `{poll: 10ms, request: {schemaFile: `+path+`}}`)
	if r := h.Post("/", "[]"); r.Status != 400 {
		t.Errorf("got %d, want 400", r.Status)
	}
	if err := os.WriteFile(path, []byte("type: array"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); h.Post("/", "[]").Status != 200; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the file is not read again")
		}
	}
}

func TestRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\n"
	api := func(text string) string { return "openapi: " + write(t, "a.yaml", text) }
	remoteRef := strings.Replace(document("3.0.3"), "#/components/requestBodies/Tree", "https://example.com/tree.yaml", 1)
	for _, c := range []struct{ name, config, want string }{
		{"nothing", ``, "openapi: give"},
		{"two documents", `openapi: /a, openapiDocument: {}`, "mutually exclusive"},
		{"responses without a document", `responses: true, request: {required: true}`, "responses: needs"},
		{"an empty message", `request: {}`, "request.schema"},
		{"two schemas", `request: {schema: {}, schemaFile: /a}`, "request.schemaFile"},
		{"a media type", `request: {contentTypes: [json]}`, "request.contentTypes[0]"},
		{"a size", `request: {maxSize: -1}`, "maxSize"},
		{"a bound", `maxBody: 2GiB, request: {required: true}`, "maxBody"},
		{"a wrong schema", `request: {schema: {type: 1}}`, "request.schema"},
		{"a schema of the network", `request: {schema: {$ref: "https://example.com/s.json"}}`, "other documents are refused"},
		{"a schema of a file", `request: {schema: {$ref: "file:///etc/passwd"}}`, "other documents are refused"},
		{"an expression that RE2 has not", `request: {schema: {pattern: "(?=a)"}}`, "request.schema"},
		{"a file that is not there", `openapi: /nonexistent.yaml`, "nonexistent"},
		{"not YAML", api("a: ]"), "neither JSON nor YAML"},
		{"not OpenAPI", api("a: 1"), "openapi"},
		{"version 2", api("swagger: '2.0'\ninfo: {title: a, version: '1'}\npaths: {}"), "openapi"},
		{"version 4", api(strings.Replace(document("3.1.0"), "3.1.0", "4.0.0", 1)), "openapi"},
		{"YAML aliases", api(bomb), "line 2: YAML aliases are refused"},
		{"a remote reference", api(remoteRef), "openapi"},
		{"a reference to a file", api(strings.Replace(remoteRef, "https://example.com/tree.yaml", "/etc/passwd", 1)), "openapi"},
		{"a reference to itself", api(strings.Replace(document("3.0.3"), "    Pet:\n", "    Pet: {$ref: '#/components/schemas/Pet'}\n    Dog:\n", 1)), "openapi"},
		{"a reference to nothing", api(strings.Replace(document("3.1.0"), "Tree: {content", "Bush: {content", 1)), "openapi"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "validate", JSON: "{" + c.config + "}"})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestUpgrade(t *testing.T) {
	h := host(t, `{request: {required: true, schema: {type: object}}}`)
	if r := h.Get("/", "upgrade", "websocket", "connection", "upgrade"); r.Status != 200 {
		t.Errorf("an upgrade gets %d, want 200", r.Status)
	}
}

// FuzzDocument: no text makes parsing or loading a document panic.
func FuzzDocument(f *testing.F) {
	f.Add(document("3.0.3"))
	f.Add(document("3.1.0"))
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		document, err := parse([]byte(text))
		if err != nil {
			return
		}
		err = guard.Do(func() error {
			_, err := newAPI(document, &Validate{})
			return err
		})
		if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // guard.Do wraps nothing
			t.Errorf("loading %q panics: %s\n%s", text, p.Value, p.Stack)
		}
	})
}
