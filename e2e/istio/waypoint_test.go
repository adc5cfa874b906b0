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
