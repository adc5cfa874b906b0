package istio

import (
	"testing"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/pkg/istio/verify"
)

// ambient is a waypoint with two services and a ServiceEntry; all are the same server. One of the services has a port for
// TCP and one whose protocol Istio detects, and routes for the first.
const ambient = `
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio.io/use-waypoint: wp}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: default}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Service
metadata:
  name: wp
  namespace: default
  labels: {gateway.istio.io/managed: istio.io-mesh-controller, gateway.networking.k8s.io/gateway-name: wp}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: wp}
  ports: [{name: mesh, port: 15008, appProtocol: hbone}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec:
  clusterIP: 10.98.0.1
  clusterIPs: [10.98.0.1]
  ports:
  - {name: http, port: 8080, targetPort: UPSTREAM}
  - {name: tcp, port: 9000, targetPort: UPSTREAM}
  - {name: any, port: 9001, targetPort: UPSTREAM}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, namespace: default, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: UPSTREAM}, {name: tcp, port: UPSTREAM}, {name: any, port: UPSTREAM}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec:
  clusterIP: 10.98.0.2
  clusterIPs: [10.98.0.2]
  ports: [{name: http, port: 8080, targetPort: UPSTREAM}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: reviews-1, namespace: default, labels: {kubernetes.io/service-name: reviews}}
addressType: IPv4
ports: [{name: http, port: UPSTREAM}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo.test]
  addresses: [10.98.0.3]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: UPSTREAM}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: cart, port: 8080}]
  rules:
  - name: api
    matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{name: cart, port: 8080}]
  - backendRefs: [{name: cart, port: 8080}]
`

// waypointNode is a proxy of the waypoint wp.
var waypointNode = verify.Proxy{
	Role: verify.Waypoint, Name: "wp", Namespace: "default", IP: "192.0.2.9", Labels: map[string]string{
		"gateway.networking.k8s.io/gateway-name": "wp", "gateway.istio.io/managed": "istio.io-mesh-controller",
	},
}

// Doors to what the waypoint serves.
const (
	cartHTTP    = "10.98.0.1:8080"
	cartTCP     = "10.98.0.1:9000"
	cartAny     = "10.98.0.1:9001"
	reviewsHTTP = "10.98.0.2:8080"
	echoHTTP    = "10.98.0.3:8080"
)

// TestWaypoint follows policies for services of a waypoint, for their ports and routes, and for the waypoint.
func TestWaypoint(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, ambient)
		p := m.start(bin, waypointNode)
		doors := map[string]*door{}
		for _, to := range []string{cartHTTP, cartTCP, cartAny, reviewsHTTP, echoHTTP} {
			doors[to] = p.hbone(to)
		}
		sees := func(what, to, path, value string) {
			t.Helper()
			m.eventually(what+", "+to+path, func() error { return doors[to].sees("any.host", path, 200, "x-moe", value) })
		}
		all := func(what string, values map[string]string) {
			t.Helper()
			for _, to := range []string{cartHTTP, cartTCP, cartAny, reviewsHTTP, echoHTTP} {
				sees(what, to, "/", values[to])
			}
		}
		all("no policy", nil)

		cart := policy("default", "cart", "targetRefs: [{kind: Service, name: cart}]\nplugins: ["+marks("x-moe", "cart")+"]")
		m.policies(cart)
		all("a Service", map[string]string{cartHTTP: "cart", cartAny: "cart"})
		m.policies(policy("default", "cart", "targetRefs: [{kind: Service, name: cart, sectionName: http}]\nplugins: ["+marks("x-moe", "port")+"]"))
		all("a port", map[string]string{cartHTTP: "port"})
		m.policies(policy("default", "echo", "targetRefs: [{group: networking.istio.io, kind: ServiceEntry, name: echo}]\nplugins: ["+marks("x-moe", "echo")+"]"))
		all("a ServiceEntry", map[string]string{echoHTTP: "echo"})

		waypoint := policy("default", "all", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]\n"+
			"plugins: ["+marks("x-moe", "wp")+"]")
		m.policies(waypoint)
		all("the waypoint", map[string]string{cartHTTP: "wp", cartAny: "wp", reviewsHTTP: "wp", echoHTTP: "wp"})
		m.policies(waypoint, cart)
		all("the waypoint and a Service", map[string]string{cartHTTP: "cart", cartAny: "cart", reviewsHTTP: "wp", echoHTTP: "wp"})
		m.policies(policy("istio-system", "mesh", "plugins: ["+marks("x-moe", "mesh")+"]"), cart)
		all("the mesh and a Service", map[string]string{cartHTTP: "cart", cartAny: "cart", reviewsHTTP: "mesh", echoHTTP: "mesh"})

		api := policy("default", "api", "targetRefs: [{kind: HTTPRoute, name: cart, sectionName: api}]\nplugins: ["+marks("x-moe", "api")+"]")
		m.policies(waypoint, cart, api)
		sees("a route", cartHTTP, "/api/x", "api")
		all("beside a route", map[string]string{cartHTTP: "cart", cartAny: "cart", reviewsHTTP: "wp", echoHTTP: "wp"})
		m.policies(api)
		sees("a route alone", cartHTTP, "/api/x", "api")
		all("beside a route alone", nil)
		m.policies(policy("default", "api", "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]\n"+
			"plugins: ["+marks("x-moe", "wp")+"]\nvirtualHosts: [{host: reviews.default.svc.cluster.local, plugins: ["+marks("x-moe", "host")+"]}]\n"+
			"routes: [{name: api, plugins: [{id: headermutation, disabled: true}]}]"))
		sees("disabled by the route", cartHTTP, "/api/x", "")
		all("a host", map[string]string{cartHTTP: "wp", cartAny: "wp", reviewsHTTP: "host", echoHTTP: "wp"})
		m.policies()
		sees("removed", cartHTTP, "/api/x", "")
		all("removed", nil)
	})
}

// besideAPI are paths that the route api does not take, however alike they look.
var besideAPI = []string{"/api/../private", "/apix", "/API/x"}

// toWP is for all that the waypoint wp takes.
const toWP = "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}]\n"

// unguarded checks that requests without a token reach the upstream.
func (d *door) unguarded() error { return d.sees("any.host", "/private", 200, "", "") }

// TestWaypointNoBypass proves for every position and delivery that no request of a waypoint gets past a guard once it is in
// force, while the policy moves from one position to the next; and that a guard of a service holds for its ports alone.
func TestWaypointNoBypass(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, ambient, istioAuth)
		p := m.start(bin, waypointNode)
		cart, detected, tcp, reviews, echo := p.hbone(cartHTTP), p.hbone(cartAny), p.hbone(cartTCP), p.hbone(reviewsHTTP), p.hbone(echoHTTP)
		m.eventually("no policy", cart.unguarded)
		var w *watcher
		for _, delivery := range deliveries {
			for _, place := range positions {
				what := place.name + ", " + delivery
				m.policies(policy("default", "auth", toWP+place.insert+"delivery: "+delivery+"\nplugins: ["+auth+"]"))
				m.eventually(what, func() error {
					chains, err := p.filters("main_internal")
					if err == nil {
						err = place.order.check(chains, delivery)
					}
					for _, d := range []*door{cart, detected, reviews, echo} {
						if err == nil {
							err = d.guarded("any.host")
						}
					}
					return err
				})
				if w == nil {
					w = watch(cart, "any.host")
					t.Cleanup(func() { w.stop() })
				}
				if leaks := w.leaks(); len(leaks) > 0 {
					t.Fatalf("up to %s, these requests without a token have reached the upstream: %s", what, leaks)
				}
			}
		}

		// The guard narrows to a service, to its port, and to all but a route of it.
		service := "targetRefs: [{kind: Service, name: cart}]\nplugins: [" + auth + "]"
		port := "targetRefs: [{kind: Service, name: cart, sectionName: http}]\nplugins: [" + auth + "]"
		open := "targetRefs: [{kind: HTTPRoute, name: cart, sectionName: api}]\nplugins: [{id: tokenauth, disabled: true}]"
		for _, c := range []struct {
			name            string
			policies        []string
			guarded, others []*door
		}{
			{
				name: "a service", policies: []string{policy("default", "auth", service)}, guarded: []*door{cart, detected},
				others: []*door{reviews, echo, tcp},
			},
			{
				name: "a port", policies: []string{policy("default", "auth", port)}, guarded: []*door{cart},
				others: []*door{detected, reviews, echo, tcp},
			},
			{
				name: "all but a route", policies: []string{policy("default", "auth", service), policy("default", "open", open)},
				guarded: []*door{cart, detected}, others: []*door{reviews, echo, tcp},
			},
		} {
			m.policies(c.policies...)
			m.eventually(c.name, func() error {
				var err error
				for _, d := range c.guarded {
					if err == nil {
						err = d.guarded("any.host")
					}
				}
				for _, d := range c.others {
					if err == nil {
						err = d.unguarded()
					}
				}
				return err
			})
		}
		m.eventually("the route", func() error { return cart.sees("any.host", "/api/x", 200, "", "") })
		for _, path := range besideAPI {
			if err := cart.sees("any.host", path, 403, "", ""); err != nil {
				t.Errorf("beside the route: %v", err)
			}
		}
		sent := w.stop()
		if leaks := w.leaks(); len(leaks) > 0 || sent == 0 {
			t.Errorf("of %d requests without a token, sent all the while, these have reached the upstream: %s", sent, leaks)
		}
		t.Logf("%d requests without a token, sent while the policy moved: none has reached the upstream", sent)
		m.policies()
		m.eventually("removed", cart.unguarded)
	})
}

// TestWaypointUpdate changes the chains of a service and of a route while a tunnel is open: the changes reach its requests,
// and no listener is changed.
func TestWaypointUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, ambient)
		p := m.start(bin, waypointNode)
		set := func(value string) {
			m.policies(
				policy("default", "cart", "targetRefs: [{kind: Service, name: cart}]\nplugins: ["+marks("x-moe", value)+"]"),
				policy("default", "api", "targetRefs: [{kind: HTTPRoute, name: cart, sectionName: api}]\nplugins: ["+marks("x-moe", "api-"+value)+"]"),
			)
		}
		set("one")
		d := p.hbone(cartHTTP)
		both := func(value string) error {
			err := d.sees("any.host", "/", 200, "x-moe", value)
			if err == nil {
				err = d.sees("any.host", "/api", 200, "x-moe", "api-"+value)
			}
			return err
		}
		m.eventually("first", func() error { return both("one") })
		before, tunnels := p.listenerChanges(), d.tunnels.Load()
		set("two")
		m.eventually("changed", func() error { return both("two") })
		if after := p.listenerChanges(); after != before {
			t.Errorf("listeners were changed or drained: %v, before %v", after, before)
		}
		if after := d.tunnels.Load(); after != tunnels {
			t.Errorf("tunnels: got %d, want the %d from before the change", after, tunnels)
		}
	})
}

// TestWaypointExtProc has a server run the chains of a waypoint.
func TestWaypointExtProc(t *testing.T) {
	bin := binaries(t)[0]
	m := newMesh(t, ambient)
	server := m.extproc()
	p := m.start(bin, waypointNode)
	hosts := "hosts: [{extProc: {address: '" + server.addr + "'}}]\n"
	m.policies(
		policy("default", "wp", toWP+hosts+"plugins: ["+marks("x-moe", "wp")+"]"),
		policy("default", "api", "targetRefs: [{kind: HTTPRoute, name: cart, sectionName: api}]\nplugins: ["+marks("x-moe", "api")+"]"),
	)
	cart, reviews := p.hbone(cartHTTP), p.hbone(reviewsHTTP)
	m.eventually("the waypoint", func() error { return reviews.sees("any.host", "/", 200, "x-moe", "wp") })
	m.eventually("a service", func() error { return cart.sees("any.host", "/", 200, "x-moe", "wp") })
	m.eventually("a route", func() error { return cart.sees("any.host", "/api", 200, "x-moe", "api") })
}
