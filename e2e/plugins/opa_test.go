package plugins

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// opaServer starts OPA's own server, without a policy.
func opaServer(t testing.TB) *httptest.Server {
	t.Helper()
	store := inmem.New()
	manager, err := plugins.New([]byte(`{}`), "e2e", store)
	if err != nil {
		t.Fatalf("plugins.New: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := manager.Start(ctx); err != nil {
		t.Fatalf("manager.Start: %v", err)
	}
	s, err := server.New().WithStore(store).WithManager(manager).Init(ctx)
	if err != nil {
		t.Fatalf("Init: %v", err)
	}
	h := httptest.NewServer(s.Handler)
	t.Cleanup(func() {
		h.Close()
		manager.Stop(ctx)
		cancel()
	})
	return h
}

// put gives the server a policy, as an operator would.
func put(t testing.TB, address, module string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPut, address+"/v1/policies/moe", strings.NewReader(module))
	if err != nil {
		t.Fatalf("http.NewRequest: %v", err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatalf("http.DefaultClient.Do: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal("OPA refuses the policy: ", resp.StatusCode)
	}
}

const regoPolicy = `package moe

allow if {
	"staff" in input.consumer.groups
	input.request.segments[0] == "public"
	net.cidr_contains("127.0.0.0/8", input.source.address)
}
`

const regoConsumers = `
consumers:
- {name: alice, groups: [staff], credentials: {keyauth: {key: a}}}
- {name: bob, credentials: {keyauth: {key: b}}}
`

func init() {
	add("opa: a policy here", func(b *bed) {
		module := "      " + strings.ReplaceAll(regoPolicy, "\n", "\n        ")
		ln := b.listen("plugins:\n- name: keyauth\n- name: opa\n  id: authz\n  config:\n    timeout: 20s\n    modules:\n" +
			"      policy.rego: |\n  " + module + "\n" + regoConsumers)
		ln.decides("allow", 200, "/public/x", "x-api-key", "a")
		ln.decides("deny", 403, "/private/x", "x-api-key", "a")
		ln.decides("deny", 403, "/public/x", "x-api-key", "b")
		ln.keepsOut("x-api-key", "a")
		if why := b.refused(`plugins: [{name: opa, config: {modules: {a.rego: "package moe\nallow {"}}}]`); !strings.Contains(why, "a.rego:2") {
			b.Errorf("refused: %s", why)
		}
	})

	add("opa: a server", func(b *bed) {
		s := opaServer(b)
		ln := b.listen(`plugins: [{name: keyauth}, {name: opa, id: authz, config: {timeout: 20s, remote: {timeout: 20s, url: "` +
			s.URL + `/v1/data/moe/allow"}}}]` + regoConsumers)
		ln.decides("deny", 403, "/public/x", "x-api-key", "a") // no policy: undefined
		put(b, s.URL, regoPolicy)
		ln.decides("allow", 200, "/public/x", "x-api-key", "a")
		ln.decides("deny", 403, "/private/x", "x-api-key", "a")
		ln.decides("deny", 403, "/public/x", "x-api-key", "b")
		ln.keepsOut("x-api-key", "a")
		put(b, s.URL, "package moe\nallow := {\"allow\": false, \"status\": 429, \"body\": \"later\", \"headers\": {\"retry-after\": \"7\"}}")
		if r := ln.get("/public/x", "x-api-key", "a"); r.Status != 429 || r.Body != "later" || r.Header.Get("retry-after") != "7" {
			b.Errorf(`r.Status = %d, want 429; r.Body = %q, want %q; r.Header.Get("retry-after") = %q, want %q: %v`,
				r.Status, r.Body, "later", r.Header.Get("retry-after"), "7", r.Header)
		}
		s.Close()
		ln.decides("error", 403, "/public/x", "x-api-key", "a")
	})

	add("opa: a server that lies", func(b *bed) {
		for name, answer := range map[string]string{
			"true as a string": `{"result": "true"}`, "no object": `true`, "a page": `<html>`, "nothing": ``,
			"nested too deep": `{"result": ` + strings.Repeat("[", 1<<20),
		} {
			b.Run(name, func() {
				url := serve(b, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
				ln := b.listen(`plugins: [{name: opa, id: authz, config: {timeout: 20s, remote: {timeout: 20s, url: "` + url + `"}}}]`)
				if r := ln.get("/echo"); r.Status != 403 || b.reached(r) || b.Access(r.ID)["decision"] != "error" {
					b.Errorf("got status %d, decision %v and body %s, want 403 and error", r.Status, b.Access(r.ID)["decision"], r.Body)
				}
			})
		}
	})
}

const envoyPolicy = `package envoy.authz

allow := d if {
	input.attributes.request.http.method == "POST"
	d := {
		"allowed": input.parsed_body.n > 1, "http_status": 418, "headers": {"x-n": sprintf("%d", [input.parsed_body.n])},
		"request_headers_to_remove": ["x-secret"],
	}
}

allow if {
	input.attributes.request.http.method == "GET"
	input.parsed_path[0] == "body"
}
`

func init() {
	add("opa: Envoy's input and answer, with bodies", func(b *bed) {
		ln := b.listen(`plugins: [{name: opa, config: {decision: envoy/authz/allow, input: envoy, requestBody: {maxBytes: 100}, logDecisions: true,
			timeout: 20s, modules: {p: ` + strconv.Quote(envoyPolicy) + `}}}]`)
		for _, c := range []struct {
			name, body string
			status     int
		}{
			{name: "allowed", body: `{"n": 2}`, status: 200},
			{name: "denied", body: `{"n": 1}`, status: 418},
			{name: "not JSON", body: `{"n": `, status: 400},
			{name: "too large", body: `{"n": 2, "x": "` + strings.Repeat("x", 100) + `"}`, status: 403},
		} {
			b.Run(c.name, func() {
				r := ln.post("/echo", c.body, "content-type", "application/json", "x-secret", "1")
				if r.Status != c.status || c.status != 200 && b.reached(r) {
					b.Fatalf("got %d %q, want %d", r.Status, r.Body, c.status)
				}
				if c.status != 200 {
					return
				}
				if seen := b.upstream(r); seen.Body != c.body || seen.Header.Get("x-n") != "2" || seen.Header.Get("x-secret") != "" {
					b.Errorf("the upstream sees %q, x-n: %q, x-secret: %q", seen.Body, seen.Header.Get("x-n"), seen.Header.Get("x-secret"))
				}
			})
		}
		if r := ln.get("/body/x"); r.Status != 200 {
			b.Errorf("without a body: got %d, want 200", r.Status)
		}
		b.WaitLog("decision")
	})
}
