package istio

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	clientv1alpha3 "istio.io/client-go/pkg/apis/networking/v1alpha3"

	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/policy"
	"mosn.io/moe/pkg/istio/internal/render"
)

// bypassWorld is a waypoint with two services, of which one has two ports and routes.
const bypassWorld = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, namespace: shop}\n" +
	"spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}\n" +
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: shop, labels: {istio.io/use-waypoint: wp}}\n" +
	"spec: {ports: [{name: http, port: 80}, {name: http-2, port: 81}]}\n" +
	"---\napiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: shop, labels: {istio.io/use-waypoint: wp}}\n" +
	"spec: {ports: [{name: http, port: 80}]}\n" +
	"---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a, namespace: shop}\n" +
	"spec: {parentRefs: [{group: '', kind: Service, name: a}], rules: [{name: r1}, {name: r2}, {name: r3}]}\n"

// request is one that a waypoint takes: for a service's host and port, by a route. Without a host it is for a pod.
type request struct {
	host  string
	port  int
	route string
}

// requests are one for each way through the waypoint.
var requests = []request{
	{"a", 80, "r1"},
	{"a", 80, "r2"},
	{"a", 80, "r3"},
	{"a", 81, "r1"},
	{"a", 81, "r2"},
	{"a", 81, "r3"},
	{"b", 80, "default"},
	{"", 0, "default"},
}

// waypointTargets are what policies of the test are for, and which requests these are.
var waypointTargets = []struct {
	namespace, target string
	takes             func(r request) bool
}{
	{"istio-system", "traffic: [waypoint]", func(request) bool { return true }},
	{"shop", "traffic: [waypoint]", func(request) bool { return true }},
	{"shop", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]", func(request) bool { return true }},
	{"shop", "targetRefs: [{kind: Service, name: a}]", func(r request) bool { return r.host == "a" }},
	{"shop", "targetRefs: [{kind: Service, name: a, sectionName: http-2}]", func(r request) bool { return r.host == "a" && r.port == 81 }},
	{"shop", "targetRefs: [{kind: Service, name: b}]", func(r request) bool { return r.host == "b" }},
	{"shop", "targetRefs: [{kind: HTTPRoute, name: a}]", func(r request) bool { return r.host == "a" }},
	{"shop", "targetRefs: [{kind: HTTPRoute, name: a, sectionName: r1}]", func(r request) bool { return r.route == "r1" }},
	{"shop", "targetRefs: [{kind: HTTPRoute, name: a, sectionName: r2}]", func(r request) bool { return r.route == "r2" }},
}

// TestWaypointNoBypass generates from random policies on a waypoint and its parts, and applies the result to each of its
// filter chains: a request must pass one filter of MoE's, before the router, with every plugin that guards it and no other.
func TestWaypointNoBypass(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 7))
		var text strings.Builder
		takes := map[string]func(request) bool{}
		delivery := []string{"", "delivery: inline\n", "insert: {position: first}\n", "hosts: [{extProc: {address: 'x:1'}}]\n"}[r.IntN(4)]
		for n := range 1 + r.IntN(4) {
			c := waypointTargets[r.IntN(len(waypointTargets))]
			id := fmt.Sprintf("guard%d", n)
			spec := fmt.Sprintf("%s\n%splugins: [{name: tokenauth, id: %s, config: {secret: s3cret}}]", c.target, delivery, id)
			open := ""
			if strings.Contains(c.target, "Gateway") || strings.Contains(c.target, "Service, name: a}") {
				if r.IntN(2) == 0 {
					open = []string{"r1", "r3"}[r.IntN(2)]
					spec += fmt.Sprintf("\nroutes: [{name: %s, plugins: [{id: %s, disabled: true}]}]", open, id)
				}
			}
			text.WriteString("---\n" + strings.Replace(policyText(id, spec), "namespace: shop", "namespace: "+c.namespace, 1))
			takes[id] = func(r request) bool { return c.takes(r) && (open == "" || r.route != open) }
		}
		all := generate(t, text.String()+bypassWorld).EnvoyFilters
		for _, q := range requests {
			var want []string
			for id, takes := range takes {
				if takes(q) {
					want = append(want, id)
				}
			}
			slices.Sort(want)
			if got, problem := passed(all, q); problem != "" || !slices.Equal(got, want) {
				t.Fatalf("seed %d: request %+v passes %v, want %v; %s\n%s", seed, q, got, want, problem, text.String())
			}
		}
	}
}

// passed returns the guards that are on in the filters of MoE's that a request passes.
func passed(all []*clientv1alpha3.EnvoyFilter, q request) (on []string, problem string) {
	name := "direct-http"
	if q.host != "" {
		name = fmt.Sprintf("inbound-vip|%d|http|%s.shop.svc.cluster.local", q.port, q.host)
	}
	filters := []built{{name: render.AuthnEnd}, {name: policy.RouterFilter}}
	configs := map[string]*render.Patch{}
	mine := slices.Clone(all)
	slices.SortStableFunc(mine, func(a, b *clientv1alpha3.EnvoyFilter) int { return int(a.Spec.Priority - b.Spec.Priority) })
	for _, ef := range mine {
		if len(ef.Spec.TargetRefs) != 1 {
			return nil, "an EnvoyFilter without a reference"
		}
		for _, cp := range ef.Spec.ConfigPatches {
			switch l := cp.Match.GetListener(); {
			case cp.ApplyTo == networking.EnvoyFilter_EXTENSION_CONFIG:
				configs[cp.Patch.Value.GetFields()["name"].GetStringValue()] = cp
			case cp.ApplyTo != networking.EnvoyFilter_HTTP_FILTER:
			case l.GetName() != "main_internal":
				return nil, "a patch for another listener"
			case l.GetFilterChain().GetName() == "" || l.GetFilterChain().GetName() == name:
				filters = applyHTTP(filters, cp, l.GetFilterChain().GetFilter().GetSubFilter().GetName())
			}
		}
	}
	passes := 0
	for i, f := range filters {
		if f.moe == nil {
			continue
		}
		value := f.moe.Patch.Value.AsMap()
		if value["config_discovery"] != nil {
			if configs[f.name] == nil {
				return nil, "no configuration of the name " + f.name
			}
			value = configs[f.name].Patch.Value.AsMap()
		}
		config, _ := value["typed_config"].(map[string]any)
		if skips(config, q.route) {
			continue
		}
		if passes++; passes > 1 || filters[len(filters)-1].name != policy.RouterFilter || i == len(filters)-1 {
			return nil, "two filters, or one behind the router"
		}
		text := fmt.Sprint(config)
		for n := range 4 {
			id := fmt.Sprintf("guard%d", n)
			if strings.Contains(text, id) && !disabledIn(config, id) {
				on = append(on, id)
			}
		}
	}
	return on, ""
}

// skips evaluates the matcher of a filter for the name of a route.
func skips(config map[string]any, route string) bool {
	matchers, _ := manifest.At(config, "xds_matcher.matcher_list.matchers").([]any)
	for _, m := range matchers {
		call := manifest.At(m, "predicate.single_predicate.custom_match.typed_config.expr_match.cel_expr_parsed.expr.call_expr")
		name, _ := manifest.At(call, "args[1].const_expr.string_value").(string)
		switch function, _ := manifest.At(call, "function").(string); {
		case function == "_==_" && name == route, function == "_!=_" && name != route:
			return true
		}
	}
	return false
}

// disabledIn reports whether a chain has an entry of the id that is off. The chain is in the configuration of the filter, or
// as text in the metadata of its server.
func disabledIn(config any, id string) bool {
	switch v := config.(type) {
	case map[string]any:
		if v["id"] == id && v["disabled"] == true {
			return true
		}
		for _, e := range v {
			if disabledIn(e, id) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return disabledIn(e, id) })
	case string:
		return strings.Contains(v, `"disabled":true,"id":"`+id+`"`)
	}
	return false
}
