package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/plantest"
)

const (
	onGateway  = "targetRefs: [{group: networking.istio.io, kind: Gateway, name: public}]"
	onShop     = "targetRefs: [{kind: VirtualService, name: shop}]"
	onCheckout = "targetRefs: [{kind: VirtualService, name: shop, sectionName: checkout}]"
)

// chain is what a test compares of a [plan.ProxyChain].
type chain struct {
	proxies, filter string
	wider           []string
	inherited       bool
	doc             map[string]any
}

func chains(p *plan.Plan) (all []chain) {
	for _, c := range p.ProxyChains {
		all = append(all, chain{
			proxies: c.Proxies.String(), filter: c.Filter, wider: c.Wider, inherited: c.Inherited, doc: c.Sent.Data(),
		})
	}
	return all
}

// route is what a test compares of a [plan.RouteChain].
type route struct {
	part     string
	filters  []string
	own, doc map[string]any
}

func routes(p *plan.Plan) (all []route) {
	// Their order tells nothing.
	for _, r := range slices.SortedFunc(slices.Values(p.RouteChains), func(a, b *plan.RouteChain) int {
		return plan.CompareRouteParts(a.RoutePart, b.RoutePart)
	}) {
		part := fmt.Sprintf("%s:%d/%s", r.Host, r.Port, r.Route)
		all = append(all, route{part, r.Filters, r.Own.Data(), r.Doc.Data()})
	}
	return all
}

// stamp is a document with the plugin stamp, whose entry has these fields.
func stamp(entry map[string]any) map[string]any { return map[string]any{"plugins": []any{entry}} }

func config(fields map[string]any) map[string]any {
	return stamp(map[string]any{"name": "stamp", "config": fields})
}

var unexported = cmp.AllowUnexported(chain{}, route{})

func TestProxyChains(t *testing.T) {
	for name, c := range map[string]struct {
		policies []string
		want     []chain
	}{
		"a gateway": {
			policies: []string{plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp, config: {value: x}}]}")},
			want: []chain{{
				proxies: "Gateways, all namespaces, istio=ingressgateway", filter: "moe", doc: config(map[string]any{"value": "x"}),
			}},
		},
		"selectors that overlap: the older policy wins": {
			policies: []string{
				plantest.Policy("a", "{traffic: [inbound], selector: {matchLabels: {app: a}}, plugins: [{name: stamp, config: {value: a}}]}"),
				plantest.Policy("b", "{traffic: [inbound], selector: {matchLabels: {tier: b}}, plugins: [{name: stamp, config: {value: b, other: b}}]}"),
			},
			want: []chain{
				{
					proxies: "Sidecars, requests received, namespace shop, app=a", filter: "moe.inbound",
					doc: config(map[string]any{"value": "a"}),
				},
				{
					proxies: "Sidecars, requests received, namespace shop, tier=b", filter: "moe.inbound",
					doc: config(map[string]any{"value": "b", "other": "b"}),
				},
				{
					proxies: "Sidecars, requests received, namespace shop, app=a, tier=b", filter: "moe.inbound.3",
					wider: []string{"moe.inbound", "moe.inbound"}, doc: config(map[string]any{"value": "a", "other": "b"}),
				},
			},
		},
		"routes alone: a chain that runs nothing": {
			policies: []string{plantest.Policy("a", "{"+onShop+", plugins: [{name: stamp}]}")},
			want: []chain{{
				proxies: "Gateways, all namespaces, istio=ingressgateway", filter: "moe",
				doc: stamp(map[string]any{"name": "stamp", "id": "moe-base", "disabled": true}),
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := plantest.Must(t, plantest.Shop+strings.Join(c.policies, ""))
			if diff := cmp.Diff(c.want, chains(p), unexported); diff != "" {
				t.Errorf("the chains of proxies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRouteChains(t *testing.T) {
	p := plantest.Must(t, plantest.Shop+
		plantest.Policy("base", "{"+onGateway+", plugins: [{name: stamp, config: {value: gateway}}]}")+
		plantest.Policy("all", "{"+onShop+", plugins: [{name: stamp, config: {other: shop}}]}")+
		plantest.Policy("one", "{"+onCheckout+", plugins: [{id: stamp, disabled: true}]}"))
	off := stamp(map[string]any{"name": "stamp", "disabled": true, "config": map[string]any{"other": "shop"}})
	want := []route{
		{
			part: "shop.example.com:80/", filters: []string{"moe"},
			own: config(map[string]any{"other": "shop"}), doc: config(map[string]any{"other": "shop"}),
		},
		{
			part: "shop.example.com:80/checkout", filters: []string{"moe"}, doc: off,
			own: stamp(map[string]any{"id": "stamp", "disabled": true}),
		},
	}
	got := routes(p)
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Errorf("the chains of routes (-want +got):\n%s", diff)
	}
}

// TestOrigins asks a merged document which policy has decided each part.
func TestOrigins(t *testing.T) {
	p := plantest.Must(t, plantest.Shop+
		plantest.Policy("a", "{"+onGateway+", plugins: [{name: stamp, config: {value: a}}]}")+
		plantest.Policy("b", "{"+onGateway+", plugins: [{name: stamp, config: {value: b, other: b}}]}"))
	doc := p.ProxyChains[0].Doc
	for path, want := range map[string]string{
		"plugins[0].config.value": "shop/a spec.plugins[0].config.value",
		"plugins[0].config.other": "shop/b spec.plugins[0].config.other",
	} {
		t.Run(path, func(t *testing.T) {
			from, at := doc.Find(path)
			if got := from.From.Policy.String() + " " + at; got != want {
				t.Errorf("Find(%q): got %s, want %s", path, got, want)
			}
		})
	}
	var all []string
	for _, o := range doc.Origins("plugins[0]") {
		all = append(all, o.From.Policy.String())
	}
	if diff := cmp.Diff([]string{"shop/b", "shop/a"}, all); diff != "" {
		t.Errorf("Origins, the last of which overrules the others (-want +got):\n%s", diff)
	}
}

// TestProblems wants the policy and the field named that the plan cannot follow.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"an invalid configuration": {"{plugins: [{name: stamp, config: {valu: x}}]}", `spec.plugins[0].config.valu: unknown field`},
		"hosts that differ":        {"{plugins: [{name: stamp}], hosts: [{golang: {}}]}", "spec.hosts: contradicts that of FilterPolicy shop/x"},
		"no such target":           {"{targetRefs: [{kind: VirtualService, name: other}], plugins: [{name: stamp}]}", "spec.targetRefs[0].name: there is no VirtualService shop/other"},
		"no such route": {
			"{targetRefs: [{kind: VirtualService, name: shop, sectionName: none}], plugins: [{name: stamp}]}",
			"spec.targetRefs[0].sectionName: the VirtualService has no route of this name; it has checkout",
		},
		"nothing to disable": {"{" + onShop + ", plugins: [{id: other, disabled: true}]}", `spec.plugins[0].id: disables nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := plantest.Make(t, plantest.Shop+plantest.Policy("x", c.spec)+
				plantest.Policy("y", "{plugins: [{name: stamp}], hosts: [{dynamicModules: {}}]}"))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
