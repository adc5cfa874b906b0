package istio

import (
	"errors"
	"strings"
	"testing"
)

// TestUnmet refuses what a policy names and nothing has.
func TestUnmet(t *testing.T) {
	const (
		world = "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
			"spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n" +
			"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: shop}\n" +
			"spec: {hosts: [a.example], gateways: [edge], http: [{name: public, match: [{uri: {exact: /public}}]}, {name: rest}]}\n"
		toGateway = "targetRefs: [{group: networking.istio.io, kind: Gateway, name: edge}]\n"
		guard     = toGateway + "plugins: [{name: tokenauth, id: token, config: {secret: {env: NOT_HERE}}}]\n"
		toPublic  = "targetRefs: [{kind: VirtualService, name: v, sectionName: public}]\n"
		consumer  = toGateway + "plugins: [{name: keyauth}]\nconsumers: [{name: bob, credentials: "
	)
	for _, c := range []struct {
		name     string
		policies []string
		want     string // "" for none
	}{
		{name: "an id of the chain's", policies: []string{guard + "routes: [{name: public, plugins: [{id: token, disabled: true}]}]"}},
		{
			name: "a misspelt id", policies: []string{guard + "routes: [{name: public, plugins: [{id: tokn, disabled: true}]}]"},
			want: `in.yaml:7:38: spec.routes[0].plugins[0].id: disables nothing: the filter has no plugin with id "tokn"; did you mean "token"?`,
		},
		{
			name: "a name where the entry has an id", policies: []string{guard, toPublic + "plugins: [{name: tokenauth, disabled: true}]"},
			want: `in.yaml:13:13: spec.plugins[0]: disables nothing: the filter has no plugin with id "tokenauth"; ` +
				`did you mean "token", the id of its tokenauth?`,
		},
		{
			name: "a route without a chain around it", policies: []string{toPublic + "plugins: [{name: tokenauth, disabled: true}]"},
			want: `in.yaml:6:13: spec.plugins[0]: disables nothing: the filter has no plugin with id "tokenauth"`,
		},
		{
			name: "an id that a selector's policy disables", policies: []string{
				"plugins: [{name: tokenauth, config: {secret: s3cret}}]", "selector: {matchLabels: {app: a}}\nplugins: [{id: tokn, disabled: true}]",
			},
			want: `in.yaml:12:13: spec.plugins[0].name: disables nothing: no policy for these requests has a plugin with id "tokn"`,
		},
		{name: "a credential for the chain's plugin", policies: []string{consumer + "{keyauth: {key: x}}}]"}},
		{
			name: "a credential for another plugin", policies: []string{consumer + "{jwtauth: {subject: bob}}}]"},
			want: `in.yaml:7:41: spec.consumers[0].credentials.jwtauth: the chain has no plugin "jwtauth"`,
		},
		{name: "a credential for a route's plugin", policies: []string{
			consumer + "{hmacauth: {accessKey: a, secret: s3cret}}}]", toPublic + "plugins: [{name: hmacauth}]",
		}},
		{name: "an id that one of two chains has", policies: []string{
			"selector: {matchLabels: {app: a}}\ntraffic: [outbound]\n" +
				"plugins: [{name: accesslog, id: log}]",
			"traffic: [outbound]\nplugins: [{name: hello, config: {value: x}}]\n" +
				"virtualHosts: [{host: web.shop.svc.cluster.local, plugins: [{id: log, disabled: true}]}]",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text strings.Builder
			for i, spec := range c.policies {
				text.WriteString(policyText(string(rune('a'+i)), strings.TrimSuffix(spec, "\n")) + "---\n")
			}
			text.WriteString("apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n" +
				"spec: {selector: {app: web}, ports: [{name: http, port: 80}]}\n" + world)
			in, err := Parse("in.yaml", []byte(text.String()))
			if err != nil {
				t.Fatalf("Parse: got %v, want no error", err)
			}
			_, err = Generate(in, Options{})
			var es Errors
			errors.As(err, &es)
			switch {
			case c.want == "" && err != nil:
				t.Errorf("Generate: got %v, want no error", err)
			case c.want != "" && (len(es) != 1 || !strings.HasPrefix(es[0].Error(), c.want)):
				t.Errorf("Generate: got %v, want one error that begins with %q", err, c.want)
			}
		})
	}
}
