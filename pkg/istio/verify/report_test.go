package verify

import (
	"fmt"
	"strings"
	"testing"
)

func TestMark(t *testing.T) {
	o := object(t, envoyFilter("shop", `configPatches: [
	  {applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, value: {name: moe}}},
	  {applyTo: HTTP_FILTER, patch: {operation: REMOVE}},
	  {applyTo: HTTP_ROUTE, match: {proxy: {metadata: {a: b}}}, patch: {operation: MERGE, value: {name: r}}},
	  {applyTo: CLUSTER, patch: {operation: ADD, value: {name: c}}},
	  {applyTo: EXTENSION_CONFIG, patch: {operation: ADD, value: {name: moe}}},
	  {applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {}}}]`))
	before := o.String()
	marked := mark(o, func(p map[string]any) bool { return text(p["applyTo"]) == "CLUSTER" })
	type row struct{ applyTo, operation, name, only string }
	var got []row
	for _, p := range list(dig(marked, "spec", "configPatches")) {
		got = append(got, row{
			text(dig(p, "applyTo")), text(dig(p, "patch", "operation")), text(dig(p, "patch", "value", "name")),
			text(dig(p, "match", "proxy", "metadata", markKey)),
		})
	}
	want := []row{
		{"HTTP_FILTER", "INSERT_BEFORE", "moe.verify/shop/x/0", markValue},
		{"HTTP_FILTER", "INSERT_BEFORE", "moe", ""},
		{"HTTP_FILTER", "INSERT_BEFORE", "moe.verify/shop/x/1", markValue},
		{"HTTP_FILTER", "REMOVE", "", ""},
		{"HTTP_ROUTE", "MERGE", "", markValue},
		{"HTTP_ROUTE", "MERGE", "r", ""},
		{"CLUSTER", "ADD", "moe.verify/shop/x/3", markValue},
		{"CLUSTER", "ADD", "c", markValue},
		{"EXTENSION_CONFIG", "ADD", "moe", ""},
		{"BOOTSTRAP", "MERGE", "", ""},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d patches, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("patch %d: got %v, want %v", i, got[i], want[i])
		}
	}
	route := list(dig(marked, "spec", "configPatches"))[4]
	if dig(route, "match", "proxy", "metadata", "a") != "b" ||
		dig(route, "patch", "value", "metadata", "filter_metadata", "moe.verify/shop/x/2") == nil {
		t.Errorf("the route's companion: got %v, want the patch's match and the mark moe.verify/shop/x/2", route)
	}
	if o.String() != before || len(list(dig(o, "spec", "configPatches"))) != 6 {
		t.Error("mark changed the caller's object")
	}
}

func TestReport(t *testing.T) {
	app := Proxy{Role: Sidecar, Namespace: "shop", Labels: map[string]string{"app": "app"}}
	placedPatch := &Patch{ApplyTo: "HTTP_FILTER", Operation: "ADD", mark: "moe.verify/shop/x/0", Places: []Place{
		{app, "listener a"}, {app, "listener b"}, {app, "listener c"}, {app, "listener d"},
	}}
	r := &Report{
		Envoy: "Envoy 1.2.3", root: "istio-system",
		Resources: []*Resource{
			{Object: object(t, `{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: shop}}`), Ignored: true},
			{Object: object(t, service), Refused: "bad"},
			{Object: object(t, envoyFilter("shop", "workloadSelector: {labels: {app: app}}")), Patches: []*Patch{
				placedPatch,
				{Index: 1, ApplyTo: "HTTP_ROUTE", Operation: "MERGE", Context: "SIDECAR_INBOUND"},
				{Index: 2, ApplyTo: "HTTP_FILTER", Operation: "REMOVE"},
				{Index: 3, ApplyTo: "BOOTSTRAP", Operation: "MERGE"},
				{Index: 4, ApplyTo: "EXTENSION_CONFIG", Operation: "ADD", name: "moe"},
				{Index: 5, ApplyTo: "HTTP_ROUTE", Operation: "MERGE", Context: "GATEWAY"},
			}, Warnings: []string{"beware"}},
		},
		Proxies: []*ProxyReport{{
			Proxy: app, Listeners: 1, Refusals: []Refusal{{"listener", "a", "no"}, {"Cluster", "", "c is wrong"}},
			Log:     []string{"[config] oh"},
			patches: []placed{{placedPatch, "listener a, filter chain f"}},
		}},
	}
	r.settle()
	var out strings.Builder
	r.Write(&out)
	for _, want := range []string{
		"Deployment shop/d: ignored: Istio's discovery does not read this kind\n", "Service shop/app: REFUSED by Istio: bad\n",
		"EnvoyFilter shop/x: admitted\n  warning: beware\n",
		"  configPatches[0] HTTP_FILTER ADD: listener a; listener b; listener c; 1 more\n",
		"  configPatches[1] SIDECAR_INBOUND HTTP_ROUTE MERGE: NO EFFECT: its match fits nothing that Istio sends to these " +
			"proxies: sidecar in shop (app=app)\n",
		"REMOVE: nothing to remove\n", "BOOTSTRAP MERGE: not tried: Envoy reads its bootstrap only when it starts\n",
		"ADD: NO EFFECT: no listener of the tried proxies has an HTTP filter \"moe\" with config_discovery",
		"configPatches[5] GATEWAY HTTP_ROUTE MERGE: not tried: it is for gateways, and the EnvoyFilter selects none\n",
		"sidecar in shop (app=app), Envoy 1.2.3: serves 1 listener\n",
		"  REFUSED listener a: no (patched there: shop/x/0)\n", "  REFUSED Cluster: c is wrong\n", "  envoy: [config] oh\n",
	} {
		t.Run(fmt.Sprintf("%.40q", want), func(t *testing.T) {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the report lacks %q", want)
			}
		})
	}
	if t.Failed() {
		t.Log(out.String())
	}
	if n := len(r.Problems()); n != 5 {
		t.Errorf("got %d problems, want 5: %q", n, r.Problems())
	}
}

func TestModules(t *testing.T) {
	o := object(t, envoyFilter("shop", `configPatches: [{patch: {value: {typed_config: {
	  "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter,
	  dynamic_module_config: {module: {local: {filename: /there/libmoe.so}}}}}}}]`))
	if !NeedsModule([]Object{o}) || NeedsModule([]Object{object(t, service)}) {
		t.Error("NeedsModule: want true for the EnvoyFilter with a module, and false for the Service")
	}
	hereModule(map[string]any(o), "/here/libmoe.so")
	p := list(dig(o, "spec", "configPatches"))[0]
	got := dig(p, "patch", "value", "typed_config", "dynamic_module_config", "module", "local", "filename")
	if got != "/here/libmoe.so" {
		t.Errorf("the module: got %v, want /here/libmoe.so", got)
	}
}

func TestContains(t *testing.T) {
	text := strings.Repeat("x", 1<<20-5) + "needle" + strings.Repeat("y", 1<<20)
	for needle, want := range map[string]bool{"needle": true, "noodle": false, "xneedley": true} {
		t.Run(needle, func(t *testing.T) {
			if got, err := contains(strings.NewReader(text), needle); got != want || err != nil {
				t.Errorf("contains %q: got %v and error %v, want %v", needle, got, err, want)
			}
		})
	}
}
