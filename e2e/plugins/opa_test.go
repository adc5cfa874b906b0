package plugins

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
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
