package authz_test

import (
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"

	_ "mosn.io/moe/plugins/casbin"
	_ "mosn.io/moe/plugins/cedar"
	_ "mosn.io/moe/plugins/cel"
	_ "mosn.io/moe/plugins/iprestriction"
	_ "mosn.io/moe/plugins/opa"
)

const model = `[request_definition]
r = a, b
[policy_definition]
p = a, b
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.a == p.a`

// TestForgeableAddress: plugins whose rules decide by the client's address say once that Envoy lets clients choose it.
func TestForgeableAddress(t *testing.T) {
	const warning = "clients can choose the address"
	for _, c := range []struct {
		name, plugin, config string
		warns                bool
	}{
		{"iprestriction", "iprestriction", `{deny: [192.0.2.0/24]}`, true},
		{"iprestriction by header", "iprestriction", `{deny: [192.0.2.0/24], address: xForwardedFor}`, false},
		{"cel", "cel", `{allowIf: "source.address != ''"}`, true},
		{"cel without it", "cel", `{allowIf: "request.method == 'GET'"}`, false},
		{"cedar", "cedar", `{policies: "permit(principal, action, resource) when { context.source.isIpv4() };", subject: {default: x}}`, true},
		{"cedar without it", "cedar", `{policies: "permit(principal, action, resource);", subject: {default: x}}`, false},
		{"opa", "opa", `{modules: {a: "package moe\nallow if input.source.address != \"\""}}`, true},
		{"opa with all of input", "opa", `{modules: {a: "package moe\nallow if { x := input; x.source.port > 0 }"}}`, true},
		{"opa by a variable", "opa", `{modules: {a: "package moe\nallow if { some k; input[k].port > 0 }"}}`, true},
		{"opa by an import", "opa", `{modules: {a: "package moe\nimport input.source as s\nallow if s.port > 0"}}`, true},
		{"opa without it", "opa", `{modules: {a: "package moe\nallow if input.request.method == \"GET\""}}`, false},
		{"casbin by subject", "casbin", `{model: MODEL, policy: "p, 192.0.2.1, x", subject: {from: source}, request: [subject, path]}`, true},
		{"casbin by value", "casbin", `{model: MODEL, policy: "p, 192.0.2.1, x", subject: {default: x}, request: [source, path]}`, true},
		{"casbin without it", "casbin", `{model: MODEL, policy: "p, x, x", subject: {default: x}, request: [subject, path]}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.1:1"}}
			config := strings.ReplaceAll(c.config, "MODEL", `"`+strings.ReplaceAll(model, "\n", `\n`)+`"`)
			if err := h.Load(t, filtertest.Config{Name: c.plugin, JSON: config}); err != nil {
				t.Fatalf("loading %s: %v", config, err)
			}
			h.Get("/", "x-forwarded-for", "192.0.2.1")
			if strings.Contains(h.Log(), warning) {
				t.Errorf("warned about a request with x-forwarded-for:\n%s", h.Log())
			}
			for range 3 {
				h.Get("/")
			}
			want := 0
			if c.warns {
				want = 1
			}
			if got := strings.Count(h.Log(), warning); got != want {
				t.Errorf("%d warnings, want %d:\n%s", got, want, h.Log())
			}
		})
	}
}
