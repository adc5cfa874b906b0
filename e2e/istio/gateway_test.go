package istio

import (
	"testing"

	"mosn.io/moe/e2e/envoytest"
)

// toGateway is for all that the Gateway gw serves.
const toGateway = "targetRefs: [{group: networking.istio.io, kind: Gateway, name: gw}]\n"

// TestGateway follows a policy through its life on a gateway: it comes, routes and hosts differ from it, a second one
// is merged over it, and both go again.
func TestGateway(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, world, services)
		d := m.start(bin, gatewayNode).open("0.0.0.0_80", "")
		sees := func(what, host, path, name, value string) {
			t.Helper()
			m.eventually(what, func() error { return d.sees(host, path, 200, name, value) })
		}
		sees("no policy", "www.example.com", "/", "x-moe", "")

		base := toGateway + "plugins: [" + marks("x-moe", "base") + "]"
		m.policies(policy("istio-system", "base", base))
		sees("inserted", "www.example.com", "/", "x-moe", "base")
		sees("inserted", "shop.example.com", "/", "x-moe", "base")

		m.policies(policy("istio-system", "base", base+`
virtualHosts:
- {host: shop.example.com, plugins: [`+marks("x-moe", "shop")+`]}
routes:
- {name: api, plugins: [`+marks("x-moe", "api")+`]}
- {name: public, plugins: [{id: headermutation, disabled: true}]}`))
		sees("overridden by the route", "www.example.com", "/api", "x-moe", "api")
		sees("disabled by the route", "www.example.com", "/public", "x-moe", "")
		sees("overridden by the host", "shop.example.com", "/", "x-moe", "shop")
		sees("not overridden", "www.example.com", "/", "x-moe", "base")

		m.policies(policy("istio-system", "base", base), policy("default", "more",
			`targetRefs: [{group: networking.istio.io, kind: VirtualService, name: www, sectionName: api}]
plugins: [`+marks("x-more", "yes")+"]"))
		sees("merged: the second policy", "www.example.com", "/api", "x-more", "yes")
		sees("merged: the first policy", "www.example.com", "/api", "x-moe", "base")
		sees("the first alone", "www.example.com", "/", "x-more", "")
		sees("no longer overridden", "shop.example.com", "/", "x-moe", "base")

		m.policies(policy("default", "more", `targetRefs: [{kind: VirtualService, name: www}]
plugins: [`+marks("x-more", "yes")+"]"))
		sees("the first is removed", "www.example.com", "/", "x-moe", "")
		sees("the second alone", "www.example.com", "/", "x-more", "yes")
		sees("the second alone, elsewhere", "shop.example.com", "/", "x-more", "")
		m.policies()
		sees("removed", "www.example.com", "/", "x-more", "")
	})
}

// TestGatewayAPI has policies on a Gateway of the Gateway API and on HTTPRoutes.
func TestGatewayAPI(t *testing.T) {
	m := newMesh(t, gatewayAPI, services)
	bin := binaries(t)[0]
	d := m.start(bin, frontNode).open("0.0.0.0_80", "")
	sees := func(what, path, name, value string) {
		t.Helper()
		m.eventually(what, func() error { return d.sees("front.example.com", path, 200, name, value) })
	}
	m.policies(
		policy("default", "front", `targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: front}]
plugins: [`+marks("x-moe", "gateway")+"]"),
		policy("default", "api", `targetRefs: [{kind: HTTPRoute, name: front, sectionName: api}]
plugins: [`+marks("x-moe", "rule")+"]"),
	)
	sees("of the Gateway", "/", "x-moe", "gateway")
	sees("of a rule of the HTTPRoute", "/api", "x-moe", "rule")
	m.policies(policy("default", "api", `targetRefs: [{kind: HTTPRoute, name: front}]
plugins: [`+marks("x-moe", "route")+"]"))
	sees("of the HTTPRoute", "/", "x-moe", "route")
	sees("of the HTTPRoute", "/api", "x-moe", "route")
}
