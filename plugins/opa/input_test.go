package opa

import (
	"fmt"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

// envoyRule is a module as those for opa-envoy-plugin are.
func envoyRule(text string) string { return "package envoy.authz\nimport rego.v1\n" + text }

const envoyDoc = "decision: envoy/authz/allow\ninput: envoy\nrequestBody: {maxBytes: 100}\nmetadata: [{namespace: jwt, key: sub}]"

func TestEnvoyInput(t *testing.T) {
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{name: "http", body: `h := input.attributes.request.http; h.method == "POST"; h.path == "/a%20b/c?x=1&x=2"; h.host == "example.com"; h.scheme == "http"`, status: 200},
		{name: "headers", body: `h := input.attributes.request.http.headers; h["x-two"] == "1,2"; h[":path"] == "/a%20b/c?x=1&x=2"; h[":authority"] == "example.com"`, status: 200},
		{name: "parsed path", body: `input.parsed_path == ["a b", "c"]; input.parsed_query == {"x": ["1", "2"]}`, status: 200},
		{name: "source", body: `a := input.attributes.source.address.socketAddress; a.address == "10.1.2.3"; a.portValue == 4567`, status: 200},
		{name: "body", body: `input.parsed_body.a[0] == 1; input.attributes.request.http.body == "{\"a\": [1]}"; input.truncated_body == false`, status: 200},
		{name: "version", body: `input.version.ext_authz == "v3"`, status: 200},
		{name: "metadata", body: `input.attributes.metadataContext.filterMetadata.jwt.sub == "anna"`, status: 200},
		{name: "consumer", body: `input.consumer.name == "alice"; "editors" in input.consumer.groups`, status: 200},
		{name: "nothing of the other form", body: `input.request`, status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := authztest.Load(t, alice, "opa", doc(envoyRule("allow if {\n"+c.body+"\n}"), envoyDoc))
			h.Metadata = map[string]any{"jwt/sub": "anna"}
			r := h.Do(filtertest.NewRequest("POST", "/a%20b/c?x=1&x=2", `{"a": [1]}`, "x-two", "1", "x-two", "2", "content-type", "application/json; charset=utf-8"))
			if r.Status != c.status || c.status == 200 && r.Sent != `{"a": [1]}` {
				t.Errorf("got %d %q, sent %q; want %d: %s", r.Status, r.Body, r.Sent, c.status, h.Log())
			}
		})
	}
}

func TestEnvoyDecision(t *testing.T) {
	for _, c := range []struct {
		name, allow, response string
		status                int
		check                 func(r *filtertest.Response) bool
	}{
		{name: "boolean", allow: `true`, status: 200},
		{name: "allowed", allow: `{"allowed": true, "headers": {"x-user": "ann", "x-two": "3"}, "request_headers_to_remove": ["x-secret"]}`, status: 200, check: func(r *filtertest.Response) bool {
			h := r.Upstream.Header
			return h.Get("x-user") == "ann" && fmt.Sprint(h.Values("x-two")) == "[3]" && h.Get("x-secret") == ""
		}},
		{name: "denied", allow: `{"allowed": false, "http_status": 418, "body": "no", "headers": {"x-why": "because"}}`, status: 418, check: func(r *filtertest.Response) bool {
			return r.Body == "no" && r.Header.Get("x-why") == "because"
		}},
		{name: "metadata", allow: `{"allowed": true, "dynamic_metadata": {"score": 7, "tags": ["a"]}}`, status: 200, check: func(r *filtertest.Response) bool {
			return r.Metadata["moe.opa/score"] == 7.0
		}},
		{name: "the other form", allow: `{"allow": true}`, status: 403},
		{name: "no boolean", allow: `{"allowed": "yes"}`, status: 403},
		{name: "no list", allow: `{"allowed": true, "request_headers_to_remove": "x"}`, status: 403},
		{name: "no name", allow: `{"allowed": true, "request_headers_to_remove": [":path"]}`, status: 403},
		{name: "no object", allow: `{"allowed": true, "dynamic_metadata": 1}`, status: 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := authztest.Load(t, alice, "opa", doc(envoyRule("allow := "+c.allow), envoyDoc))
			r := h.Get("/", "x-secret", "s", "x-two", "1", "x-two", "2")
			if r.Status != c.status || c.check != nil && !c.check(r) {
				t.Errorf("got %d %q %v %v, want %d", r.Status, r.Body, r.Header, r.Metadata, c.status)
			}
		})
	}
}

func TestBody(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name, body, kind, rule string
		status                 int
		details                string
	}{
		{name: "JSON", body: `{"n": 12345678901234567890}`, kind: "application/json", rule: `input.request.body.n == 12345678901234567890`, status: 200},
		{name: "problem", body: `{"n": 1}`, kind: "application/problem+json", rule: `input.request.body.n == 1`, status: 200},
		{name: "form", body: "a=1&a=b+c", kind: form, rule: `input.request.body.a == ["1", "b c"]`, status: 200},
		{name: "text", body: "x", kind: "text/plain", rule: `input.request.body == null; input.request.truncated_body == false`, status: 200},
		{name: "no type", body: "x", rule: `input.request.body == null`, status: 200},
		{name: "none", rule: `input.request.body == null; input.request.truncated_body == false`, status: 200},
		{name: "too large", body: `"` + strings.Repeat("x", 100) + `"`, kind: "application/json", rule: `input.request.body == null; input.request.truncated_body`, status: 200},
		{name: "not JSON", body: `{"n": `, kind: "application/json", rule: `true`, status: 400, details: "moe.opa.body"},
		{name: "a type with a parameter twice", body: `{"n": 1}`, kind: "application/json; a=1; a=2", rule: `true`, status: 400, details: "moe.opa.body"},
		{name: "a type with a malformed parameter", body: `{"n": 1}`, kind: "application/json; a b", rule: `true`, status: 400, details: "moe.opa.body"},
		{name: "two values", body: `1 2`, kind: "application/json", rule: `true`, status: 400, details: "moe.opa.body"},
		{name: "not a form", body: `a=%zz`, kind: form, rule: `true`, status: 400, details: "moe.opa.body"},
		{name: "deep", body: strings.Repeat("[", 100), kind: "application/json", rule: `true`, status: 400, details: "moe.opa.body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := authztest.Load(t, alice, "opa", doc(rule(c.rule), "requestBody: {maxBytes: 100}\nfailOpen: true"))
			h.Chunk = 7
			var header []string
			if c.kind != "" {
				header = append(header, "content-type", c.kind)
			}
			method := "POST"
			r := h.Do(filtertest.NewRequest(method, "/", c.body, header...))
			if r.Status != c.status || r.Details != c.details || c.status == 200 && r.Sent != c.body {
				t.Errorf("got %d %q, sent %q; want %d %q", r.Status, r.Details, r.Sent, c.status, c.details)
			}
		})
	}
}

func TestDecisionLog(t *testing.T) {
	h := authztest.Load(t, alice, "opa", doc(rule(`input.request.path == "/a"`), "logDecisions: true"))
	h.Get("/a?secret=geheim", "authorization", "geheim")
	h.Get("/b")
	log := h.Log()
	if !strings.Contains(log, "result=allow") || !strings.Contains(log, "result=deny") || !strings.Contains(log, "consumer=alice") || strings.Contains(log, "geheim") {
		t.Errorf("got the log\n%s\nwant both decisions and no secret", log)
	}
}

// FuzzBody: a body that a policy sees is what its type says, or it is refused.
func FuzzBody(f *testing.F) {
	f.Add(`{"a": [1, "x"]}`, "application/json")
	f.Add("a=b", "application/x-www-form-urlencoded")
	b := &RequestBody{MaxBytes: 1 << 20}
	f.Fuzz(func(t *testing.T, body, kind string) {
		h := filtertest.New(t, &probe{f: func(h filter.RequestHeaders, data filter.Body) {
			if p, err := b.parse(h, data); err == nil && p == nil {
				t.Error("neither a body nor an error")
			}
		}})
		h.AllowsBugs = true
		h.Post("/", body, "content-type", kind)
	})
}

type probe struct {
	f func(h filter.RequestHeaders, b filter.Body)
}

func init() { filter.Register[probe]("opa-body-probe", filter.Observe) }

func (p *probe) OnRequest(_ filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	p.f(h, b)
	return filter.Continue
}
