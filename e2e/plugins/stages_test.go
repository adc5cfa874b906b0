package plugins

import (
	"strings"

	"mosn.io/moe/e2e/conformance"
)

// mutation is Envoy's header_mutation, which shows where requests and responses pass it, and what the plugins in front of it
// have sent on.
func mutation(name string) m {
	header := func(value string) m {
		return m{"append": m{"header": m{"key": "x-path", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}}
	}
	return m{"name": name, "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
		"mutations": m{
			"request_mutations":  []any{header(name + " after %REQ(x-seen)%")},
			"response_mutations": []any{header(name)},
		},
	}}
}

// rbac is Envoy's, and refuses requests that have a header of that name.
func rbac(header string) m {
	return m{"name": "rbac", "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
		"rules": m{"action": "DENY", "policies": m{"all": m{
			"permissions": []any{m{"header": m{"name": header, "present_match": true}}}, "principals": []any{m{"any": true}},
		}}},
	}}
}

// divided has plugins of four stages in three filters, with Envoy's own in between.
const divided = `
consumerHeader: x-user
consumers:
- {name: alice, groups: [staff], credentials: {keyauth: {key: a}}}
- name: bob
  credentials: {keyauth: {key: b}}
  plugins: [{id: late, config: {request: {set: {x-late: of bob}}}}]
plugins:
- {name: headermutation, id: late, config: {request: {set: {x-late: "%CONSUMER%"}}}}
- name: keyauth
- {name: consumerrestriction, config: {allow: [{groups: [staff]}, {consumers: [bob]}]}}
- {name: ratelimit, config: {rules: [{key: [{from: consumer}], limit: 3, per: 1h}]}}
stages: `

func init() {
	add("native filters between plugins", func(b *bed) {
		l := conformance.Listen{
			Chain: b.parse(divided + "[access, authn]"),
			Parts: []conformance.Part{
				{Name: "moe-authz", Between: []m{mutation("first")}, Chain: b.parse(divided + "[authz]")},
				{Name: "moe-traffic", Between: []m{mutation("second"), rbac("x-stop")}, Chain: b.parse(divided + "[traffic, transform, observe]")},
			},
		}
		ln := &listener{b.Listen(l), b}
		l.Routes = []m{
			conformance.To("up", "/open", b.PerRoute(b.parse(
				"plugins: [{id: keyauth, disabled: true}, {id: consumerrestriction, disabled: true}]"), "moe-authz", "moe-traffic")),
			conformance.To("up", "/"),
		}
		if err := ln.Update(l); err != nil {
			b.Fatalf("the routes should be good: %v", err)
		}
		b.Run("the consumer is known behind", func() {
			r := ln.get("/echo", "x-api-key", "a", "x-user", "root", "x-moe-consumer", "root")
			if r.Status != 200 {
				b.Fatalf("got %d %s, want 200", r.Status, r.Body)
			}
			seen := b.upstream(r)
			if got := strings.Join(seen.Header.Values("x-user"), ","); got != "alice" {
				b.Errorf("the upstream sees x-user %q, want alice", got)
			}
			if got := strings.Join(seen.Header.Values("x-path"), ","); !strings.HasPrefix(got, "first") || !strings.Contains(got, "second") {
				b.Errorf("the upstream sees x-path %q, want that of both filters, in order", got)
			}
			if got := strings.Join(r.Header.Values("x-path"), ","); got != "second,first" {
				b.Errorf("the client sees x-path %q, want second,first", got)
			}
			if got := b.Access(r.ID)["consumer"]; got != "alice" {
				b.Errorf("Envoy's access log has the consumer %v", got)
			}
		})
		b.Run("a consumer's own plugins", func() {
			r := ln.get("/echo", "x-api-key", "b")
			if got := b.upstream(r).Header.Get("x-late"); got != "of bob" {
				b.Errorf("the upstream sees x-late %q, want that of bob's own plugin", got)
			}
		})
		b.Run("refused before", func() {
			r := ln.get("/echo", "x-api-key", "unknown")
			if r.Status != 401 || b.reached(r) {
				b.Errorf("got %d, want 401 before the upstream", r.Status)
			}
		})
		b.Run("refused between", func() {
			r := ln.get("/echo", "x-api-key", "a", "x-stop", "1")
			if r.Status != 403 || b.reached(r) || r.Header.Get("ratelimit") != "" {
				b.Errorf("got %d and header %v, want 403, which passes no plugin behind", r.Status, r.Header)
			}
		})
		b.Run("limited behind, by the consumer", func() {
			var got []int
			for range 3 {
				got = append(got, ln.get("/echo", "x-api-key", "a").Status)
			}
			if got[1] != 200 || got[2] != 429 { // of three, one is used above
				b.Errorf("got the statuses %v, want the fourth request of alice's to be limited", got)
			}
			if r := ln.get("/echo", "x-api-key", "b"); r.Status != 200 {
				b.Errorf("got %d for bob, want 200", r.Status)
			}
		})
		b.Run("a route that changes all parts", func() {
			r := ln.get("/open/echo")
			if r.Status == 401 || r.Status == 403 || r.Status == 500 {
				b.Errorf("got %d %s, want the upstream's answer", r.Status, r.Body)
			}
		})
	})
	add("native filters between plugins: without the part before", func(b *bed) {
		ln := b.listen(divided + "[authz, traffic, transform, observe]")
		if r := ln.get("/echo", "x-api-key", "a"); r.Status != 500 || b.reached(r) {
			b.Errorf("got %d, want 500 before the upstream", r.Status)
		}
		b.WaitLog("refused at the bounds of its filter's stages")
	})
}
