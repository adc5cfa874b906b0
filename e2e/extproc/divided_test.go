package extproc

import (
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// TestPrintedBetween runs an Envoy with what --print-config prints for a file with one of Envoy's filters between plugins: the
// plugins behind know the consumer that those in front have found.
func TestPrintedBetween(t *testing.T) {
	binary := moe(t)
	up, err := upstream.Start()
	if err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(up.Close)
	config := "listen: 127.0.0.1:0\nupstream: http://" + up.Addr + `
plugins:
- name: keyauth
- {name: consumerrestriction, config: {allow: [{groups: [staff]}]}}
- {name: hello, config: {header: x-plan, value: standard}}
consumers:
- {name: alice, groups: [staff], credentials: {keyauth: {key: a}}, plugins: [{id: hello, config: {value: gold}}]}
- {name: bob, credentials: {keyauth: {key: b}}}
envoyFilters:
- name: envoy.filters.http.rbac
  stage: authz
  config:
    rules:
      action: DENY
      policies:
        all: {permissions: [{header: {name: x-stop, present_match: true}}], principals: [{any: true}]}
`
	server := startMoe(t, binary, config)
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) {
			addr := run(t, bin, printed(t, binary, config, server.addr))
			for _, c := range []struct {
				name   string
				header []string
				status int
				plan   string
			}{
				{name: "a consumer with a chain of its own", header: []string{"x-api-key", "a"}, status: 200, plan: "gold"},
				{name: "one that the plugin behind refuses", header: []string{"x-api-key", "b"}, status: 403},
				{name: "a request that the filter between refuses", header: []string{"x-api-key", "a", "x-stop", "1"}, status: 403},
				{name: "nobody", status: 401},
			} {
				t.Run(c.name, func(t *testing.T) {
					r, err := client.Do(addr, client.Request{Path: "/mirror", Header: c.header})
					if err != nil {
						t.Fatalf("client.Do: %v", err)
					}
					if got := r.Header.Get("x-plan"); r.Status != c.status || got != c.plan {
						t.Errorf("got status %d and x-plan %q, want %d and %q", r.Status, got, c.status, c.plan)
					}
				})
			}
		})
	}
}
