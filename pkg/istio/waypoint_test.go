package istio

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
)

// ambientText is a waypoint with a Service and a ServiceEntry, in manifests that tests change.
const ambientText = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {hosts: [out.example], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules:
  - {name: public, matches: [{path: {type: PathPrefix, value: /public}}]}
  - {name: rest}
`

const (
	toWaypoint = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]\n"
	toWeb      = "targetRefs: [{kind: Service, name: web}]\n"
	toOut      = "targetRefs: [{kind: ServiceEntry, name: out}]\n"
	toPublic   = "targetRefs: [{kind: HTTPRoute, name: web, sectionName: public}]\n"
	guardText  = "plugins: [{name: tokenauth, config: {secret: s3cret}}]\n"
)

// namespaceText is a Namespace with labels.
func namespaceText(name, labels string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {%s}}\n", name, labels)
}

// TestWaypointChains wants a filter in the filter chains that a policy is for, and in no others.
func TestWaypointChains(t *testing.T) {
	const (
		web  = "inbound-vip|80|http|web.shop.svc.cluster.local"
		out  = "inbound-vip|80|http|out.example"
		each = "every chain"
	)
	for _, c := range []struct {
		name, spec, world string
		old, new          string // in the world
		want              []string
	}{
		{name: "a waypoint", spec: toWaypoint, want: []string{each}},
		{name: "its listener", spec: strings.Replace(toWaypoint, "name: wp", "name: wp, sectionName: mesh", 1), want: []string{each}},
		{name: "its namespace", spec: "", want: []string{each}},
		{name: "a namespace, but for waypoints", spec: "traffic: [gateway, inbound]\n"},
		{name: "a Service", spec: toWeb, want: []string{web}},
		{name: "a Service, by its sidecars", spec: toWeb + "traffic: [inbound]\n"},
		{name: "its port", spec: strings.Replace(toWeb, "name: web", "name: web, sectionName: http", 1), want: []string{web}},
		{name: "a ServiceEntry", spec: toOut, want: []string{out}},
		{name: "an HTTPRoute", spec: strings.Replace(toPublic, ", sectionName: public", "", 1), want: []string{web}},
		{name: "a route", spec: toPublic, want: []string{web}},
		{name: "a host", spec: toWaypoint + "virtualHosts: [{host: out.example, plugins: [{name: hello, config: {value: x}}]}]\n", want: []string{each, out}},
		{name: "a Service that opts out", spec: toWeb, old: "name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}", new: "name: web, namespace: shop, labels: {istio.io/use-waypoint: none}"},
		{
			name: "a Service whose namespace is enrolled", spec: toWeb, world: namespaceText("shop", "istio.io/use-waypoint: wp"),
			old: "name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}", new: "name: web, namespace: shop", want: []string{web},
		},
		{
			name: "a waypoint of another namespace that admits all", spec: toWeb, old: "{name: wp, namespace: shop, labels: {istio.io/waypoint-for: service}}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}",
			new:  "{name: wp, namespace: infra}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}",
			want: []string{web}, world: namespaceText("shop", "istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra"),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := ambientText
			if c.old != "" {
				if !strings.Contains(world, c.old) {
					t.Fatalf("the world has no %q", c.old)
				}
				world = strings.Replace(world, c.old, c.new, 1)
			}
			if strings.Contains(c.new, "namespace: infra") {
				world = strings.Replace(world, "{name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}}", "{name: web, namespace: shop}", 1)
			}
			r := generate(t, policyText("p", strings.TrimSpace(c.spec+guardText))+world+c.world)
			var got []string
			for _, ef := range r.EnvoyFilters {
				for _, cp := range ef.Spec.ConfigPatches {
					l := cp.Match.GetListener()
					if cp.ApplyTo != networking.EnvoyFilter_HTTP_FILTER || l.GetName() != "main_internal" || cp.Patch.Operation == networking.EnvoyFilter_Patch_REMOVE {
						continue
					}
					if len(ef.Spec.TargetRefs) != 1 || ef.Spec.WorkloadSelector != nil {
						t.Errorf("EnvoyFilter %s: got targetRefs %v and selector %v, want one reference", ef.Name, ef.Spec.TargetRefs, ef.Spec.WorkloadSelector)
					}
					name := l.GetFilterChain().GetName()
					if name == "" {
						name = each
					}
					if !slices.Contains(got, name) {
						got = append(got, name)
					}
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("filter chains: got %q, want %q", got, c.want)
			}
		})
	}
}

// TestWaypointErrors refuses policies for what no waypoint takes.
func TestWaypointErrors(t *testing.T) {
	const enrolledWeb = "name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}"
	for _, c := range []struct {
		name, spec, old, new, world, want string
	}{
		{
			name: "a waypoint that is not there", spec: toWeb, old: enrolledWeb, new: "name: web, namespace: shop, labels: {istio.io/use-waypoint: pw}",
			want: "spec.targetRefs[0].name: no waypoint takes the requests of the Service (in.yaml:13): the label istio.io/use-waypoint names " +
				"Gateway shop/pw, which is not among the objects given",
		},
		{
			name: "a Gateway of another class", spec: toWeb, old: "gatewayClassName: istio-waypoint", new: "gatewayClassName: istio",
			want: "names Gateway shop/wp (in.yaml:8), whose class is not istio-waypoint",
		},
		{
			name: "a waypoint for workloads", spec: toWeb, old: "waypoint-for: service", new: "waypoint-for: workload",
			want: "waypoint shop/wp (in.yaml:8) takes no requests for services, because its label istio.io/waypoint-for is workload",
		},
		{
			name: "a waypoint for nothing", spec: toWaypoint, old: "waypoint-for: service", new: "waypoint-for: none",
			want: "no plugin can run there: the waypoint (in.yaml:8) takes no requests, because its label istio.io/waypoint-for is none",
		},
		{
			name: "a class of waypoints for workloads", spec: toWeb, old: ", labels: {istio.io/waypoint-for: service}", new: "",
			world: "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: istio-waypoint, labels: {istio.io/waypoint-for: workload}}\n",
			want:  "because its label istio.io/waypoint-for is workload",
		},
		{
			name: "a Service that opts out", spec: toWeb + "traffic: [waypoint]\n", old: enrolledWeb, new: "name: web, namespace: shop, labels: {istio.io/use-waypoint: none}",
			want: "no waypoint takes the requests of the Service (in.yaml:14): its label istio.io/use-waypoint is none",
		},
		{
			name: "a Service without a label", spec: toWeb + "traffic: [waypoint]\n", old: enrolledWeb, new: "name: web, namespace: shop",
			want: "neither it nor its namespace, as far as the input tells, has the label istio.io/use-waypoint",
		},
		{
			name: "a ServiceEntry without a label", spec: toOut, old: "name: out, namespace: shop, labels: {istio.io/use-waypoint: wp}", new: "name: out, namespace: shop",
			want: "no waypoint takes the requests of the ServiceEntry (in.yaml:18): neither it nor its namespace",
		},
		{
			name: "a waypoint of another namespace that does not admit it", spec: toWeb,
			old: enrolledWeb, new: "name: web, namespace: shop, labels: {istio.io/use-waypoint: far, istio.io/use-waypoint-namespace: infra}",
			world: "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: far, namespace: infra}\n" +
				"spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n",
			want: "is in another namespace, and allowedRoutes of its listener do not admit namespace shop",
		},
		{
			name: "a waypoint of another namespace that asks for a label", spec: toWeb,
			old: enrolledWeb, new: "name: web, namespace: shop, labels: {istio.io/use-waypoint: far, istio.io/use-waypoint-namespace: infra}",
			world: namespaceText("shop", "a: b") + "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: far, namespace: infra}\n" +
				"spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, " +
				"allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {far: 'yes'}}}}}]}\n",
			want: "admits only namespaces with the label far: yes",
		},
		{
			name: "a ServiceEntry with a wildcard", spec: toOut, old: "hosts: [out.example], resolution: DNS", new: "hosts: ['*.example'], addresses: [10.0.0.1], resolution: NONE",
			want: "no plugin can run there: a waypoint serves the wildcard *.example only with resolution: DYNAMIC_DNS (in.yaml:18)",
		},
		{
			name: "a ServiceEntry without addresses", spec: toOut, old: "resolution: DNS", new: "resolution: NONE",
			want: "no plugin can run there: a ServiceEntry with resolution NONE and without addresses has no address",
		},
		{
			name: "a headless Service", spec: toWeb, old: "spec: {selector: {app: web}", new: "spec: {clusterIP: None, selector: {app: web}",
			want: "no plugin can run there: a headless Service has no address by which a waypoint would know it",
		},
		{
			name: "a port for TCP", spec: toOut, old: "protocol: HTTP", new: "protocol: TCP",
			want: "no plugin can run there: the ServiceEntry (in.yaml:18) has no port for HTTP; 80 is TCP",
		},
		{
			name: "sidecars of a ServiceEntry", spec: toOut + "traffic: [inbound]\n", want: "spec.traffic[0]: inbound is not for a ServiceEntry",
		},
		{
			name: "a selector", spec: "selector: {matchLabels: {app: web}}\ntraffic: [waypoint]\n",
			want: "spec.traffic[0]: Istio selects no waypoint by labels; use targetRefs",
		},
		{
			name: "a namespace without a waypoint", spec: "traffic: [waypoint]\n", old: "metadata: {name: wp, namespace: shop", new: "metadata: {name: wp, namespace: infra",
			want: "spec.traffic[0]: there is no waypoint of namespace shop among the objects given",
		},
		{
			name: "another listener", spec: strings.Replace(toWaypoint, "name: wp", "name: wp, sectionName: http", 1),
			want: "the waypoint has no listener of this name for HBONE; it has mesh",
		},
		{
			name: "a gateway's traffic", spec: toWaypoint + "traffic: [gateway]\n", want: "spec.traffic[0]: gateway is not for a waypoint",
		},
		{
			name: "routes of a third namespace", spec: "targetRefs: [{kind: HTTPRoute, name: web}]\n",
			old: "metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}}\n", new: "metadata: {name: web, namespace: bank, labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: infra}}\n",
			world: "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: infra}\n" +
				"spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]}\n",
			want: "waypoint infra/wp, which serves web.bank.svc.cluster.local, has no routes of namespace shop",
		},
		{
			name: "routes for a service whose waypoint is not there", spec: toPublic, old: enrolledWeb,
			new:  "name: web, namespace: shop, labels: {istio.io/use-waypoint: pw}",
			want: "no waypoint takes the requests of the Service shop/web (in.yaml:13), for which the HTTPRoute has routes: the label",
		},
		{
			name: "a place where a route has no name yet", spec: toWeb + "insert: {position: afterAuthn}\nroutes: [{name: public, plugins: [{id: tokenauth, disabled: true}]}]\n",
			want: "spec.insert: a chain for which the waypoint's route public (FilterPolicy shop/p, in.yaml:7) has one of its own is at position beforeRouter or first",
		},
		{
			name: "a place where a route that leaves a filter of Envoy's out has no name yet", spec: toWeb + "insert: {position: afterAuthn}\n" +
				"envoyFilters: [{name: envoy.filters.http.rbac}]\nroutes: [{name: public, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}]\n",
			want: "spec.insert: a chain for which the waypoint's route public (FilterPolicy shop/p, in.yaml:8) has one of its own is at position beforeRouter or first",
		},
		{
			name: "a filter of Envoy's whose message for routes is another", spec: toWaypoint + "envoyFilters: [{name: envoy.filters.http.rbac}]\n" +
				"routes: [{name: public, envoyFilters: [{name: envoy.filters.http.rbac, config: {rbac: {}}}]}]\n",
			want: "in.yaml:7:74: spec.routes[0].envoyFilters[0].config: Istio applies no patches to the routes of a waypoint, and " +
				"envoy.filters.http.rbac takes a message of its own there; list the filter a second time",
		},
		{
			name: "a host that it does not serve", spec: toWaypoint + "virtualHosts: [{host: elsewhere.example, plugins: [{name: hello, config: {value: x}}]}]\n",
			want: "spec.virtualHosts[0].host: no gateway, sidecar or waypoint that the policy is for serves this host; there are out.example, web.shop.svc.cluster.local",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := ambientText
			if c.old != "" {
				if !strings.Contains(world, c.old) {
					t.Fatalf("the world has no %q", c.old)
				}
				world = strings.Replace(world, c.old, c.new, 1)
			}
			if c.name == "routes of a third namespace" {
				world = strings.Replace(world, "kind: Service, name: web}", "kind: Service, name: web, namespace: bank}", 1)
			}
			in, err := Parse("in.yaml", []byte(policyText("p", strings.TrimSpace(c.spec+guardText))+world+c.world))
			if err != nil {
				t.Fatalf("Parse: got %v, want no error", err)
			}
			_, err = Generate(in, Options{})
			var es Errors
			if !errors.As(err, &es) || len(es) != 1 || !strings.Contains(es[0].Error(), c.want) {
				t.Errorf("Generate: got %v, want one error with %q", err, c.want)
			}
		})
	}
}

// TestWaypointWarnings tells of requests that a guard does not see.
func TestWaypointWarnings(t *testing.T) {
	const gateway = "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\n" +
		"spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n"
	for _, c := range []struct {
		name, spec, old, new, world string
		want                        []string
	}{
		{name: "nothing passes by", spec: toWeb + guardText},
		{
			name: "a port for TCP", spec: toWeb + guardText, old: "ports: [{name: http, port: 80}]", new: "ports: [{name: http, port: 80}, {name: tcp, port: 90}]",
			want: []string{"spec.targetRefs[0].name: tokenauth sees HTTP alone, and not all that the Service shop/web (in.yaml:13) takes is HTTP: port 90 is TCP"},
		},
		{
			name: "a port whose protocol is detected", spec: toWaypoint + guardText, old: "{name: http, port: 80}", new: "{name: web, port: 80}",
			want: []string{"spec.targetRefs[0].name: tokenauth sees HTTP alone, and not all that the Service shop/web (in.yaml:13) takes is HTTP: port 80 takes"},
		},
		{
			name: "sidecars with a port for TCP", spec: toWeb + "traffic: [inbound]\n" + guardText,
			old: "ports: [{name: http, port: 80}]", new: "ports: [{name: http, port: 80}, {name: tcp, port: 90}]",
			want: []string{"tokenauth sees HTTP alone"},
		},
		{
			name: "a port for TCP beside a plugin that guards nothing", spec: toWeb + "plugins: [{name: hello, config: {value: x}}]\n",
			old: "ports: [{name: http, port: 80}]", new: "ports: [{name: http, port: 80}, {name: tcp, port: 90}]",
		},
		{
			name: "pods' addresses", spec: toWeb + guardText, old: "waypoint-for: service", new: "waypoint-for: all",
			want: []string{"spec.targetRefs[0].name: tokenauth guards the Service's address alone: waypoint shop/wp (in.yaml:8) also takes"},
		},
		{
			name: "gateways", spec: toWeb + guardText, world: gateway,
			want: []string{"spec.targetRefs[0].name: requests that come by Gateway shop/edge (in.yaml:32) go past the waypoint and tokenauth, unless"},
		},
		{
			name: "gateways that use the waypoint", spec: toWeb + guardText, world: gateway + namespaceText("shop", "istio.io/ingress-use-waypoint: 'true'"),
		},
		{
			name: "a Namespace that is not given", spec: toWeb + guardText, old: "name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}", new: "name: web, namespace: shop",
			want: []string{"spec.targetRefs[0].name: the policy is for sidecars, since the Service (in.yaml:13) has no label istio.io/use-waypoint; its Namespace may have it"},
		},
		{
			name: "a Namespace without the label", spec: toWeb + guardText, old: "name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}", new: "name: web, namespace: shop",
			world: namespaceText("shop", "a: b"),
		},
		{
			name: "a route without a guard", spec: toWeb + guardText + "routes: [{name: public, plugins: [{id: tokenauth, disabled: true}]}]\n",
			want: []string{"spec.routes[0].plugins[0].disabled: route public of web.shop.svc.cluster.local takes /public* without tokenauth"},
		},
		{
			name: "a route without a guard where Istio decodes slashes", spec: toWeb + guardText + "routes: [{name: public, plugins: [{id: tokenauth, disabled: true}]}]\n",
			world: "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n" +
				"data: {mesh: 'pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}'}\n",
		},
		{
			name: "a route of sidecars without a guard", spec: toWeb + "traffic: [outbound]\n" + guardText + "routes: [{name: public, plugins: [{id: tokenauth, disabled: true}]}]\n",
			want: []string{"spec.routes[0].plugins[0].disabled: route public of web.shop.svc.cluster.local takes /public* without tokenauth"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			world := ambientText
			if c.old != "" {
				if !strings.Contains(world, c.old) {
					t.Fatalf("the world has no %q", c.old)
				}
				world = strings.Replace(world, c.old, c.new, 1)
			}
			got := generate(t, policyText("p", strings.TrimSpace(c.spec))+world+c.world).Warnings()
			if len(got) != len(c.want) {
				t.Fatalf("Warnings: got %v, want %d", got, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("Warnings: got %v, want one with %q", got[i], want)
				}
			}
		})
	}
}

// TestWaypointRest wants another name for a service's filter once a route has one of its own: Envoy refuses another type of
// configuration under a name that it has.
func TestWaypointRest(t *testing.T) {
	guard := policyText("guard", strings.TrimSpace(toWeb+guardText))
	open := "---\n" + policyText("open", toPublic+"plugins: [{id: tokenauth, disabled: true}]")
	for name, c := range map[string]struct{ policies, want string }{
		"a service":             {guard, "name: moe.waypoint.web.shop.svc.cluster.local.80\n"},
		"a service and a route": {guard + open, "name: moe.waypoint.web.shop.svc.cluster.local.80.rest\n"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := generate(t, c.policies+ambientText).YAML()
			if err != nil || !strings.Contains(string(text), c.want) {
				t.Errorf("YAML: got error %v and\n%s\nwant one with %q", err, text, c.want)
			}
		})
	}
}

// TestWaypointExplain asks for hosts of a waypoint, with chains of their own and without.
func TestWaypointExplain(t *testing.T) {
	r := generate(t, policyText("all", toWaypoint+"plugins: [{name: hello, config: {value: x}}]")+"---\n"+
		policyText("guard", strings.TrimSpace(toWeb+guardText))+ambientText)
	for name, c := range map[string]struct{ ask, want string }{
		"a chain of its own": {"web.shop.svc.cluster.local", "Waypoints, requests for web.shop.svc.cluster.local at port 80"},
		"the waypoint's":     {"OUT.example", "Waypoints"},
		"another host":       {"elsewhere.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, _ := strings.Cut(r.Explain(c.ask), ", namespace shop")
			if got != c.want {
				t.Errorf("Explain(%q): got a title that begins with %q, want %q", c.ask, got, c.want)
			}
		})
	}
}

// TestWaypointGuide holds the EnvoyFilters of the guide's ambient example against what its policies come to.
func TestWaypointGuide(t *testing.T) {
	const dir = "../../docs/istio-ambient"
	in, err := Load(nil, filepath.Join(dir, "mesh.yaml"), filepath.Join(dir, "policies.yaml"))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	r, err := Generate(in, Options{})
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	text, err := r.YAML()
	if err != nil {
		t.Fatalf("r.YAML: %v", err)
	}
	golden(t, filepath.Join(dir, "envoyfilters.yaml"), text)
	valid(t, text)
}

// TestWaypointFilterTypes wants a filter's name to tell the type of its configuration, whatever policies there are: Envoy
// refuses another type for a filter whose configuration it discovers.
func TestWaypointFilterTypes(t *testing.T) {
	const filters = "envoyFilters: [{name: envoy.filters.http.rbac}]\n"
	types := map[string]string{} // by name
	for _, c := range []struct{ name, spec string }{
		{name: "no routes", spec: toWaypoint + guardText + filters},
		{name: "a Service", spec: toWeb + guardText},
		{name: "a route that says nothing", spec: toWaypoint + guardText + "routes: [{name: public}]\n"},
		{name: "a route with plugins: none", spec: toWaypoint + guardText + "routes: [{name: public, plugins: []}]\n"},
		{name: "a route with a chain", spec: toWaypoint + guardText + "routes: [{name: public, order: listed}]\n"},
		{
			name: "a route that leaves a filter of Envoy's out",
			spec: toWaypoint + guardText + filters + "routes: [{name: public, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}]\n",
		},
		{
			name: "both",
			spec: toWaypoint + guardText + filters + "routes: [{name: public, order: stage, envoyFilters: [{name: envoy.filters.http.rbac, disabled: true}]}]\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := 0
			for _, ef := range generate(t, policyText("p", strings.TrimSpace(c.spec))+ambientText).EnvoyFilters {
				for _, cp := range ef.Spec.ConfigPatches {
					if cp.ApplyTo != networking.EnvoyFilter_EXTENSION_CONFIG {
						continue
					}
					found++
					value := cp.Patch.Value.GetFields()
					name := value["name"].GetStringValue()
					got := value["typed_config"].GetStructValue().GetFields()["@type"].GetStringValue()
					if want, ok := types[name]; ok && got != want {
						t.Errorf("filter %s: got %s, want %s, which it has for other policies", name, got, want)
					}
					types[name] = got
				}
			}
			if found == 0 {
				t.Error("configurations that are discovered: got none, want some")
			}
		})
	}
}
