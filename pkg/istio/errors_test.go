package istio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/pkg/istio/internal/render"
)

const worldText = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com, www.example.com]
  gateways: [istio-system/public]
  http:
  - name: checkout
  - match: [{uri: {prefix: /}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shared, namespace: shop}
spec:
  hosts: [both.example.com]
  gateways: [istio-system/public]
  http:
  - {}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: sharing, namespace: shop}
spec:
  hosts: [both.example.com]
  gateways: [istio-system/public]
  http:
  - name: named
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lost, namespace: shop}
spec:
  hosts: [lost.example.com]
  gateways: [istio-system/elsewhere]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec: {template: {metadata: {labels: {app: cart}}}}
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {selector: {app: reviews}, ports: [{name: http, port: 80, targetPort: web}]}
`

// policyText is a policy in namespace shop.
func policyText(name, spec string) string {
	return fmt.Sprintf("apiVersion: moe.mosn.io/v1alpha1\nkind: FilterPolicy\nmetadata: {name: %s, namespace: shop}\n"+
		"spec:\n  %s\n", name, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

const hello = "plugins: [{name: hello, config: {value: x}}]\n"

// TestBadInput wants, for every text, one error with file, line and field, or as many as there are lines.
func TestBadInput(t *testing.T) {
	for name, c := range map[string]struct {
		text string // a policy's spec; or whole objects
		want string
	}{
		"unknown plugin": {"plugins:\n- name: helo", `:6:5: spec.plugins[0].name: unknown plugin "helo"; did you mean "hello"?`},
		"unknown field": {
			"plugins:\n- name: hello\n  config:\n    value: x\n    valeu: y",
			`:9:7: spec.plugins[0].config.valeu: unknown field; did you mean "value"?`,
		},
		"unknown field of the policy": {hello + "plugin: []", ":6:3: spec.plugin: unknown field; did you mean"},
		"wrong type":                  {"plugins: 7", ":5:3: spec.plugins: expected a list, got a number"},
		"wrong type in a plugin":      {"plugins:\n- name: hello\n  config: {value: 7}", ":7:14: spec.plugins[0].config.value: expected"},
		"nothing":                     {"order: stage", ":4:1: spec: neither this policy nor one that it meets has plugins"},
		"a filter of Envoy's with a wrong field": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, config: {rule: {}}}]",
			`:6:59: spec.envoyFilters[0].config.rule: unknown field; did you mean "rules"?`,
		},
		"a filter of Envoy's twice": {
			hello + "envoyFilters:\n- {name: envoy.filters.http.rbac}\n- {name: envoy.filters.http.rbac}",
			":8:6: spec.envoyFilters[1].name: duplicate filter; give one of the two an id",
		},
		"a filter of Envoy's for a route": {
			hello + "targetRefs: [{kind: VirtualService, name: shop}]\nenvoyFilters: [{name: envoy.filters.http.rbac}]",
			":7:3: spec.envoyFilters: filters of Envoy's own see all requests of a listener, and this policy is for some of them",
		},
		"a filter of Envoy's between plugins as listed": {
			hello + "order: listed\nenvoyFilters: [{name: envoy.filters.http.rbac, stage: authz}]",
			":7:50: spec.envoyFilters[0].stage: needs order: stage, because plugins that run as listed cannot be divided",
		},
		"only the filter of Envoy's that divides": {
			hello + "order: listed\nenvoyFilters:\n- {name: envoy.filters.http.cors, stage: access, position: before}\n" +
				"- {name: envoy.filters.http.rbac, stage: observe, position: after}\n" +
				"- {name: envoy.filters.http.rbac, id: inside, stage: traffic}",
			"spec.envoyFilters[2].stage: needs order: stage, because plugins that run as listed cannot be divided",
		},
		"a route's entry for a filter of Envoy's that is not listed": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac}]\nroutes:\n- name: checkout\n  envoyFilters:\n" +
				"  - {name: envoy.filters.http.rbca, disabled: true}",
			`:10:8: spec.routes[0].envoyFilters[0].name: unknown filter of envoyFilters; did you mean "envoy.filters.http.rbac"?; ` +
				"list it in spec.envoyFilters of a policy for these proxies: Gateways, ",
		},
		"a route's entry where no filter of Envoy's is listed": {
			hello + "routes:\n- name: checkout\n  envoyFilters: [{id: x, config: {}}]",
			":8:21: spec.routes[0].envoyFilters[0].id: unknown filter of envoyFilters; there is none; list it in spec.envoyFilters",
		},
		"a route's entry without a name": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac}]\nroutes: [{name: checkout, envoyFilters: [{disabled: true}]}]",
			":7:44: spec.routes[0].envoyFilters[0].name: is required",
		},
		"a route's entry twice": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, id: x}]\nroutes:\n- name: checkout\n  envoyFilters:\n" +
				"  - {id: x, disabled: true}\n  - {id: x, config: {}}",
			`:11:8: spec.routes[0].envoyFilters[1].id: duplicate filter "x"`,
		},
		"a route's entry with the name of another filter": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, id: x}]\n" +
				"routes: [{name: checkout, envoyFilters: [{name: envoy.filters.http.cors, id: x, disabled: true}]}]",
			`:7:45: spec.routes[0].envoyFilters[0].name: the filter with id "x" is envoy.filters.http.rbac`,
		},
		"a route's entry that is disabled and configured": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, id: x}]\n" +
				"routes: [{name: checkout, envoyFilters: [{id: x, disabled: true, config: {}}]}]",
			":7:68: spec.routes[0].envoyFilters[0].config: is for a filter that is not disabled",
		},
		"a route's entry that says nothing": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, id: x}]\nroutes: [{name: checkout, envoyFilters: [{id: x}]}]",
			"spec.routes[0].envoyFilters[0].config: is required, or disabled: true",
		},
		"a route's entry with the filter's own message": {
			hello + "envoyFilters: [{name: envoy.filters.http.rbac, id: x}]\n" +
				"routes: [{name: checkout, envoyFilters: [{id: x, config: {rules: {}}}]}]",
			`:7:61: spec.routes[0].envoyFilters[0].config.rules: unknown field; expected "rbac"`,
		},
		"a route's entry with a value that Envoy refuses": {
			hello + "envoyFilters: [{name: envoy.filters.http.local_ratelimit, config: {stat_prefix: x}}]\n" +
				"routes: [{name: checkout, envoyFilters: [{name: envoy.filters.http.local_ratelimit, config: {}}]}]",
			":7:87: spec.routes[0].envoyFilters[0].config: Envoy would refuse it: invalid LocalRateLimit.StatPrefix",
		},
		"a route's entry for a filter that routes cannot configure": {
			hello + "envoyFilters: [{name: envoy.filters.http.grpc_stats, id: x}]\n" +
				"routes: [{name: checkout, envoyFilters: [{id: x, config: {}}]}]",
			":7:52: spec.routes[0].envoyFilters[0].config: envoy.filters.http.grpc_stats has no configuration of a route's own; " +
				"only disabled: true",
		},
		"a route's entry for a filter that the proxies of another policy have": {
			policyText("a", "selector: {matchLabels: {istio: ingressgateway, tier: edge}}\ntraffic: [gateway]\n"+hello+
				"envoyFilters: [{name: envoy.filters.http.rbac}]") + "---\n" +
				policyText("b", "targetRefs: [{kind: VirtualService, name: shop}]\n"+hello+
					"routes:\n- {name: checkout, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}"),
			":17:38: spec.routes[0].envoyFilters[0].name: unknown filter of envoyFilters; there is none; list it in " +
				"spec.envoyFilters of a policy for these proxies: Gateways, all namespaces, istio=ingressgateway",
		},
		"only filters of Envoy's": {
			"envoyFilters: [{name: envoy.filters.http.rbac}]\n" +
				"routes: [{name: checkout, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}]",
			":4:1: spec: neither this policy nor one that it meets has plugins; list some",
		},
		"hosts that Istio makes one, with filters of Envoy's": {
			hello + "traffic: [gateway]\nenvoyFilters: [{name: envoy.filters.http.rbac}]\nroutes:\n" +
				"- {name: checkout, host: www.example.com, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}",
			":9:5: spec.routes[0]: Istio makes one virtual host of",
		},
		"both targets": {
			hello + "selector: {matchLabels: {a: b}}\ntargetRefs: [{kind: Service, name: reviews}]",
			":7:3: spec.targetRefs: a policy has a selector or targetRefs",
		},
		"selector of nothing": {
			hello + "selector: {matchLabels: {app: card}}",
			":6:14: spec.selector.matchLabels: none of the 1 workloads given has these labels",
		},
		"no such target": {
			hello + "targetRefs:\n- kind: VirtualService\n  name: shoq",
			":8:5: spec.targetRefs[0].name: there is no VirtualService shop/shoq among the objects given",
		},
		"gateway without group": {hello + "targetRefs: [{kind: Gateway, name: x}]", ":6:16: spec.targetRefs[0].group: expected gateway."},
		"no such route": {
			hello + "targetRefs: [{kind: VirtualService, name: shop, sectionName: chekout}]",
			":6:51: spec.targetRefs[0].sectionName: the VirtualService has no route of this name; it has checkout",
		},
		"no such inline route": {
			hello + "routes:\n- name: chekout\n  plugins: []",
			":7:5: spec.routes[0].name: there is no route of this name where the policy applies",
		},
		"no such host": {
			"targetRefs: [{kind: VirtualService, name: shop}]\nvirtualHosts: [{host: shop.example.org, plugins: []}]",
			":6:19: spec.virtualHosts[0].host: no gateway, sidecar or waypoint that the policy is for serves this host; there are shop.example.com",
		},
		"target without a gateway": {
			hello + "targetRefs: [{kind: VirtualService, name: lost}]",
			":6:39: spec.targetRefs[0].name: the VirtualService is for Gateway istio-system/elsewhere (in.yaml:",
		},
		"route without a name": {
			hello + "targetRefs: [{kind: VirtualService, name: shared}]",
			":6:16: spec.targetRefs[0]: VirtualService spec.http[0] of ",
		},
		"hosts that Istio makes one": {
			"targetRefs: [{kind: VirtualService, name: shop}]\nvirtualHosts:\n- host: www.example.com\n  " + hello,
			":7:5: spec.virtualHosts[0]: Istio makes one virtual host of",
		},
		"no such port": {
			hello + "targetRefs: [{kind: Service, name: reviews, sectionName: grpc}]",
			":6:47: spec.targetRefs[0].sectionName: the Service has no port of this name",
		},
		"port without a number": {
			hello + "targetRefs: [{kind: Service, name: reviews, sectionName: http}]",
			":6:47: spec.targetRefs[0].sectionName: the port's targetPort is a name",
		},
		"traffic that is not the target's": {
			hello + "targetRefs: [{kind: Service, name: reviews}]\ntraffic: [gateway]",
			":7:13: spec.traffic[0]: gateway is not for a Service",
		},
		"two hosts in one":        {hello + "hosts: [{golang: {}, dynamicModules: {}}]", ":6:11: spec.hosts[0]: give exactly one of"},
		"hosts without a version": {hello + "hosts: [{golang: {}}, {proxyVersion: x, dynamicModules: {}}]", ":6:11: spec.hosts[0].proxyVersion: is required"},
		"bad version":             {hello + "hosts: [{proxyVersion: '(', golang: {}}]", ":6:12: spec.hosts[0].proxyVersion: error parsing regexp"},
		"bad address":             {hello + "hosts: [{extProc: {address: nowhere}}]", ":6:22: spec.hosts[0].extProc.address: "},
		"secrets of a process outside": {
			hello + "genericSecrets: [{name: a}]\nhosts: [{extProc: {address: 'x:1'}}]",
			":6:3: spec.genericSecrets: needs Secrets, which this host cannot",
		},
		"a secret without a name": {hello + "delivery: inline\ngenericSecrets:\n- name: a\n- sds_config: {}", ":9:5: spec.genericSecrets[1].name: is required"},
		"secrets of a discovered filter": {
			hello + "genericSecrets:\n- name: static\n- {name: b, sds_config: {ads: {}}}",
			":8:5: spec.genericSecrets[1]: Envoy fetches a secret of SDS for a filter in its listener",
		},
		"secrets of a route": {
			hello + "genericSecrets: [{name: a}]\ntargetRefs: [{kind: VirtualService, name: shop}]",
			":6:3: spec.genericSecrets: belongs to the filter",
		},
		"secrets of a host": {
			hello + "virtualHosts:\n- host: x\n  genericSecrets: [{name: a}]", ":8:5: spec.virtualHosts[0].genericSecrets: unknown field",
		},
		"a secret that Envoy does not take": {
			hello + "hosts: [{golang: {}}]\ndelivery: inline\ngenericSecrets: [{name: a, sds_config: {nonsense: 1}}]",
			":8:20: spec.genericSecrets[0]: not an SdsSecretConfig of Envoy's",
		},
		"behind the router": {hello + "insert: {after: envoy.filters.http.router}", ":6:12: spec.insert.after: nothing runs behind the router"},
		"two places":        {hello + "insert: {after: x, before: y}", ":6:3: spec.insert: give one of position, before and after"},
		"before itself":     {hello + "insert: {before: moe}", ":6:12: spec.insert.before: moe is the chain itself"},
		"secret that is not mounted": {
			"plugins:\n- name: tokenauth\n  config:\n    secret:\n      secretKeyRef: {name: a, key: b}",
			":9:24: spec.plugins[0].config.secret.secretKeyRef.name: spec.secretMounts has no Secret of this name",
		},
		"open guard": {
			"plugins: [{name: tokenauth, config: {secret: s3cret}}]\nhosts: [{extProc: {address: 'x:1', failOpen: true}}]",
			":5:13: spec.plugins[0]: tokenauth is of stage authn and would be passed by",
		},
		"consumers of another form": {hello + "consumers: {a: b}", ":6:3: spec.consumers: expected a list"},
		"large number": {
			"plugins: [{name: hello, config: {value: x}}]\nconsumers: [{name: a, attributes: {n: 9007199254740993}}]",
			":6:38: spec.consumers[0].attributes.n: the integer is 2^53 or more",
		},
		"no version": {"apiVersion: moe.mosn.io/v1\nkind: FilterPolicy\nmetadata: {name: x}\nspec: {}", ":1: apiVersion: expected moe.mosn.io/v1alpha1"},
		"two of a name": {
			policyText("a", hello) + "---\n" + policyText("a", hello),
			":9:12: metadata.name: duplicate FilterPolicy.moe.mosn.io shop/a; the other is in in.yaml:1",
		},
		"contradiction of hosts": {
			policyText("a", hello+"hosts: [{golang: {}}]") + "---\n" + policyText("b", hello+"hosts: [{dynamicModules: {}}]"),
			":13:3: spec.hosts: contradicts that of FilterPolicy shop/a (in.yaml:6)",
		},
		"contradiction of places": {
			policyText("a", hello+"insert: {position: first}") + "---\n" + policyText("b", hello+"insert: {before: x}"),
			":13:3: spec.insert: contradicts that of FilterPolicy shop/a (in.yaml:6)",
		},
		"contradiction of deliveries": {
			policyText("a", hello+"delivery: inline") + "---\n" + policyText("b", hello+"delivery: ecds"),
			":13:3: spec.delivery: contradicts that of FilterPolicy shop/a (in.yaml:6)",
		},
		"one id for two plugins": {
			policyText("a", "plugins: [{name: hello, id: x, config: {value: y}}]") + "---\n" +
				policyText("b", "plugins: [{name: accesslog, id: x}]"),
			`:5:14: spec.plugins[0].name: id "x" is plugin hello here and plugin accesslog in FilterPolicy shop/b (in.yaml:11)`,
		},
		"not Kubernetes": {"listen: ':80'", ":1: not a Kubernetes object"},
		"no name":        {"apiVersion: v1\nkind: Service\nmetadata: {}", ":3:1: metadata.name: is required"},
		"no YAML":        {"a: [", ": YAML: "},
		"a bomb": {
			"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
				"d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]",
			"aliases repeat more than",
		},
		"twice in one object": {"a: 1\na: 2", ":2:1: duplicate key a"},
		"binary":              {"\xff\xfe", ":1: text is not UTF-8"},
		"nested too deep":     {"a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "inside each other"},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.text
			if !strings.HasPrefix(c.want, ":1: ") && !strings.Contains(text, "Version:") && !strings.Contains(text, "a: ") &&
				name != "no YAML" || strings.HasPrefix(text, "consumers") || strings.Contains(text, "plugins:") &&
				!strings.Contains(text, "apiVersion") {
				text = policyText("p", text)
			}
			dir := t.TempDir()
			write := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatalf("writing the input: %v", err)
				}
			}
			write("in.yaml", text)
			write("world.yaml", worldText)
			in, err := Load(nil, dir)
			if err == nil {
				_, err = Generate(in, Options{})
			}
			var es Errors
			if !errors.As(err, &es) {
				t.Fatalf("no error, or of another type: %v", err)
			}
			for _, e := range es {
				got := strings.NewReplacer(dir+"/", "", "world.yaml", "in.yaml").Replace(e.Error())
				if !strings.Contains(got, c.want) {
					t.Errorf("%v; want %s", e, c.want)
				}
			}
		})
	}
}

// TestNamespaces takes one name in two namespaces for two policies.
func TestNamespaces(t *testing.T) {
	r := generate(t, policyText("a", hello)+"---\n"+strings.Replace(policyText("a", hello), "namespace: shop", "namespace: bank", 1))
	if len(r.EnvoyFilters) != 2 || r.EnvoyFilters[0].Namespace == r.EnvoyFilters[1].Namespace {
		t.Errorf("EnvoyFilters: got %v, want one in each namespace", r.EnvoyFilters)
	}
}

// TestLarge refuses a resource that etcd would, and makes two of one with many routes.
func TestLarge(t *testing.T) {
	var b strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&b, "- {name: consumer-%d, attributes: {a: %s}}\n", i, strings.Repeat("x", 80))
	}
	in, err := Parse("in.yaml", []byte(policyText("a", hello+"consumers:\n"+b.String())))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	if _, err = Generate(in, Options{}); err == nil || !strings.Contains(err.Error(), "in.yaml:4:1: spec: EnvoyFilter shop/moe-") ||
		!strings.Contains(err.Error(), "Kubernetes takes 1500000") {
		t.Errorf("Generate(in, Options{}) succeeded, want an error; got error %v, want one with %q, and one with %q",
			err, "in.yaml:4:1: spec: EnvoyFilter shop/moe-", "Kubernetes takes 1500000")
	}

	var rules strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&rules, "  - name: route-%d\n", i)
	}
	text := strings.Replace(worldText, "  - name: checkout\n", rules.String(), 1) + "---\n" + policyText("a", `
targetRefs: [{kind: VirtualService, name: shared}]
`)
	text = text[:strings.LastIndex(text, "---\n")] + "---\n" + policyText("a", routePolicies(2000))
	r := generate(t, text)
	parts := 0
	for _, ef := range r.EnvoyFilters {
		text, err := render.JSON(ef)
		if err != nil || len(text) > render.MaxResource {
			t.Errorf("%s: %d bytes, %v", ef.Name, len(text), err)
		}
		if strings.Contains(ef.Name, "virtualservice") {
			parts++
		}
	}
	if parts < 2 {
		t.Errorf("%d resources for 2000 routes", parts)
	}
}

func routePolicies(n int) string {
	var b strings.Builder
	b.WriteString("targetRefs: [{kind: VirtualService, name: shop}]\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: route-%d, plugins: [{name: hello, config: {value: %s}}]}\n", i, strings.Repeat("y", 300))
	}
	return b.String()
}
