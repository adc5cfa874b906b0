package edge

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

// nativeText has Envoy's own filters before the plugins (local_ratelimit, cors) and after them (header_mutation, rbac).
const nativeText = `
listen: 127.0.0.1:0
plugins:
- {name: hello, config: {header: x-hello, value: "%[2]s"}}
envoyFilters:
- name: envoy.filters.http.local_ratelimit
  config: {stat_prefix: all}
- name: envoy.filters.http.cors
- name: envoy.filters.http.rbac
  position: after
  config:
    rules:
      action: DENY
      policies:
        internal:
          permissions: [{url_path: {path: {prefix: /internal}}}]
          principals: [{any: true}]
- name: envoy.filters.http.header_mutation
  position: after
  config:
    mutations:
      request_mutations: [{append: {header: {key: x-native, value: request}}}]
      response_mutations: [{append: {header: {key: x-native, value: response}}}]
upstreams: [{name: up, endpoints: ["%[1]s"]}]
routes:
- match: {prefix: /limited}
  envoyFilters:
  - name: envoy.filters.http.local_ratelimit
    config:
      stat_prefix: limited
      token_bucket: {max_tokens: 3, fill_interval: 3600s}
      filter_enabled: {default_value: {numerator: 100}}
      filter_enforced: {default_value: {numerator: 100}}
- match: {prefix: /shop}
  envoyFilters:
  - name: envoy.filters.http.cors
    config: {allow_origin_string_match: [{exact: "https://shop.test"}], allow_methods: "GET, PUT"}
- match: {prefix: /refused}
  plugins: [{name: iprestriction, config: {deny: [127.0.0.0/8]}}]
- match: {prefix: /internal/public}
  envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]
`

// TestEnvoyFilters: Envoy's own filters run before and after the plugins, with what routes have for them.
func TestEnvoyFilters(t *testing.T) {
	up := servers(t, 1)
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, fmt.Sprintf(nativeText, up[0], "hi"))
		t.Run("before: local_ratelimit", func(t *testing.T) {
			var got []int
			for range 5 {
				got = append(got, e.do(client.Request{Path: "/limited"}).Status)
			}
			if want := []int{200, 200, 200, 429, 429}; !slices.Equal(got, want) {
				t.Errorf("got statuses %v on a route with three tokens, want %v", got, want)
			}
			if r := e.do(client.Request{Path: "/"}); r.Status != 200 {
				t.Errorf("got status %d on another route, want 200", r.Status)
			}
			if got := e.do(client.Request{Path: "/limited"}).Header.Get("x-hello"); got != "hi" {
				t.Errorf("the filter's reply has x-hello %q, want hi: it passes the plugins' response phases", got)
			}
		})
		t.Run("before: cors", func(t *testing.T) {
			r := e.do(client.Request{Method: "OPTIONS", Path: "/shop", Header: []string{
				"origin", "https://shop.test", "access-control-request-method", "PUT",
			}})
			if got := r.Header.Get("access-control-allow-origin"); r.Status != 200 || got != "https://shop.test" {
				t.Errorf("a preflight: got status %d and access-control-allow-origin %q, want 200 and https://shop.test", r.Status, got)
			}
		})
		t.Run("after: header_mutation", func(t *testing.T) {
			r := e.do(client.Request{Path: "/echo"})
			if got := r.Header.Get("x-native"); got != "response" || r.Header.Get("x-hello") != "hi" {
				t.Errorf("got header %v, want x-native of the filter and x-hello of the plugin", r.Header)
			}
		})
		t.Run("after: a reply of a plugin's", func(t *testing.T) {
			r := e.do(client.Request{Path: "/refused"})
			if got := r.Header.Get("x-native"); r.Status != 403 || got != "response" {
				t.Errorf("got status %d and x-native %q, want 403 that passes the filter as a response", r.Status, got)
			}
		})
		t.Run("after: rbac", func(t *testing.T) {
			if r := e.do(client.Request{Path: "/internal/keys"}); r.Status != 403 || r.Header.Get("x-hello") != "hi" {
				t.Errorf("got status %d and x-hello %q, want 403 that the plugins before the filter have seen", r.Status,
					r.Header.Get("x-hello"))
			}
			if r := e.do(client.Request{Path: "/internal/public"}); r.Status != 200 {
				t.Errorf("got status %d on a route that disables the filter, want 200", r.Status)
			}
		})
	})
}

// Envoy takes a change of one of its own filters from a file, as it does that of plugins, and keeps the listener.
func TestEnvoyFiltersFromFiles(t *testing.T) {
	up := servers(t, 1)
	onEnvoys(t, func(t *testing.T, s *site) {
		dir := t.TempDir()
		e := s.runIn(t, fmt.Sprintf(nativeText, up[0], "hi"), dir, false)
		if err := envoytest.Poll(20*time.Second, func() error {
			if e.addr = e.listener("moe"); e.addr == "" {
				return fmt.Errorf("there is no listener yet")
			}
			if r := e.do(client.Request{Path: "/internal"}); r.Status != 403 {
				return fmt.Errorf("got status %d, want 403", r.Status)
			}
			return nil
		}); err != nil {
			t.Fatalf("waiting for the filters: %v", err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "filter-*.yaml"))
		if err != nil || len(files) != 5 {
			t.Errorf("got the files %v and error %v, want one for each of five filters", files, err)
		}
	})
}
