package istio

import (
	"fmt"
	"strings"
	"testing"
)

// TestSpellings wants a warning for a route without a guard that other spellings of guarded paths reach.
func TestSpellings(t *testing.T) {
	const guard = "plugins: [{name: tokenauth, config: {secret: s3cret}}]\n"
	meshConfig := func(normalization string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n" +
			"data: {mesh: 'pathNormalization: {normalization: " + normalization + "}'}\n"
	}
	for name, c := range map[string]struct {
		match, plugin, more string
		warns               bool
	}{
		"prefix":                    {match: "uri: {prefix: /public/}", plugin: "{id: tokenauth, disabled: true}", warns: true},
		"regular expression":        {match: "uri: {regex: '/public/.*'}", plugin: "{id: tokenauth, disabled: true}", warns: true},
		"exact path":                {match: "uri: {exact: /public}", plugin: "{id: tokenauth, disabled: true}"},
		"header":                    {match: "headers: {x: {exact: y}}", plugin: "{id: tokenauth, disabled: true}"},
		"a guard that stays on":     {match: "uri: {prefix: /public/}", plugin: "{name: hello, config: {value: x}}"},
		"Istio decodes slashes":     {match: "uri: {prefix: /public/}", plugin: "{id: tokenauth, disabled: true}", more: meshConfig("DECODE_AND_MERGE_SLASHES")},
		"Istio merges slashes only": {match: "uri: {prefix: /public/}", plugin: "{id: tokenauth, disabled: true}", more: meshConfig("MERGE_SLASHES"), warns: true},
	} {
		t.Run(name, func(t *testing.T) {
			text := policyText("p", guard+"targetRefs: [{kind: VirtualService, name: v}]\nroutes: [{name: public, plugins: ["+c.plugin+"]}]") +
				"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
				"spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n" +
				"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n" +
				fmt.Sprintf("spec: {hosts: [a.example], gateways: [edge], http: [{name: public, match: [{%s}]}, {name: rest}]}\n", c.match) + c.more
			got := generate(t, text).Warnings()
			if !c.warns && len(got) != 0 {
				t.Errorf("Warnings: got %v, want none", got)
			}
			const want = "in.yaml:7:53: spec.routes[0].plugins[0].disabled: route public of a.example takes /public/"
			if c.warns && (len(got) != 1 || !strings.HasPrefix(got[0].Error(), want)) {
				t.Errorf("Warnings: got %v, want one that begins with %q", got, want)
			}
		})
	}
}

// TestNativeSpellings wants the same for a guard that is a filter of Envoy's own.
func TestNativeSpellings(t *testing.T) {
	const (
		rbac  = "{name: envoy.filters.http.rbac, config: {rules: {action: DENY}}}"
		jwt   = "{name: envoy.filters.http.jwt_authn, config: {}}"
		fault = "{name: envoy.filters.http.fault, config: {}}"
	)
	for name, c := range map[string]struct {
		filter, match, route string
		warns                bool
	}{
		"disabled":                      {filter: rbac, route: "{name: envoy.filters.http.rbac, disabled: true}", warns: true},
		"without rules":                 {filter: rbac, route: "{name: envoy.filters.http.rbac, config: {}}", warns: true},
		"with nothing in the rules":     {filter: rbac, route: "{name: envoy.filters.http.rbac, config: {rbac: {}}}", warns: true},
		"with shadow rules only":        {filter: rbac, route: "{name: envoy.filters.http.rbac, config: {rbac: {shadow_rules: {}}}}", warns: true},
		"with rules of its own":         {filter: rbac, route: "{name: envoy.filters.http.rbac, config: {rbac: {rules: {action: LOG}}}}"},
		"disabled by its configuration": {filter: jwt, route: "{name: envoy.filters.http.jwt_authn, config: {disabled: true}}", warns: true},
		"with a requirement of its own": {filter: jwt, route: "{name: envoy.filters.http.jwt_authn, config: {requirement_name: r}}"},
		"an exact path":                 {filter: rbac, match: "{uri: {exact: /public}}", route: "{name: envoy.filters.http.rbac, disabled: true}"},
		"a filter that is not a guard":  {filter: fault, route: "{name: envoy.filters.http.fault, disabled: true}"},
	} {
		t.Run(name, func(t *testing.T) {
			match := c.match
			if match == "" {
				match = "{uri: {prefix: /public/}}"
			}
			text := policyText("v", "targetRefs: [{kind: VirtualService, name: v}]\nroutes: [{name: public, envoyFilters: ["+c.route+"]}]") + "---\n" +
				policyText("edge", hello+"targetRefs: [{group: networking.istio.io, kind: Gateway, name: edge}]\nenvoyFilters: ["+c.filter+"]") +
				"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
				"spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n" +
				"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n" +
				"spec: {hosts: [a.example], gateways: [edge], http: [{name: public, match: [" + match + "]}, {name: rest}]}\n"
			got := generate(t, text).Warnings()
			if !c.warns && len(got) != 0 {
				t.Errorf("Warnings: got %v, want none", got)
			}
			const want = "in.yaml:6:42: spec.routes[0].envoyFilters[0]: route public of a.example takes /public/* without envoy.filters.http."
			if c.warns && (len(got) != 1 || !strings.HasPrefix(got[0].Error(), want)) {
				t.Errorf("Warnings: got %v, want one that begins with %q", got, want)
			}
		})
	}
}
