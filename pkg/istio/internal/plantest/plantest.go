// Package plantest makes plans for tests of the stages.
package plantest

import (
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/internal/manifest"
	"mosn.io/moe/pkg/istio/internal/mesh"
	"mosn.io/moe/pkg/istio/internal/plan"
	"mosn.io/moe/pkg/istio/internal/policy"
)

// Root is Istio's root namespace.
const Root = "istio-system"

// Stamp is the plugin "stamp".
type Stamp struct {
	Value string `json:"value"`
	Other string `json:"other"`
}

// OnRequestHeaders does nothing.
func (*Stamp) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

func init() { filter.Register[Stamp]("stamp", filter.Traffic) }

// Make plans for the objects of a text, in the file in.yaml and the namespace default, and returns what is wrong.
func Make(t testing.TB, text string) (*plan.Plan, error) {
	t.Helper()
	in, err := manifest.Parse("in.yaml", []byte(text))
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	var p manifest.Problems
	made := plan.Make(mesh.Read(in, "default", &p), policy.ReadAll(in, "default", &p), Root, &p)
	return made, p.Err()
}

// Must is Make for a text without mistakes.
func Must(t testing.TB, text string) *plan.Plan {
	t.Helper()
	made, err := Make(t, text)
	if err != nil {
		t.Fatalf("the plan: %v", err)
	}
	return made
}

// Shop is a gateway, public, and a VirtualService, shop, with a route called checkout and one without a name.
const Shop = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [public]
  http:
  - name: checkout
    match: [{uri: {prefix: /checkout}}]
    route: [{destination: {host: checkout}}]
  - route: [{destination: {host: web}}]
`

// Policy is a FilterPolicy of the namespace shop, as a further object of a text; spec is in YAML's flow style.
func Policy(name, spec string) string {
	return "---\napiVersion: moe.mosn.io/v1alpha1\nkind: FilterPolicy\nmetadata: {name: " + name + ", namespace: shop}\nspec: " +
		spec + "\n"
}
