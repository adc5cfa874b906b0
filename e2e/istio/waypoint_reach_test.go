package istio

import (
	"fmt"
	"strings"
	"testing"
)

// wide is the mesh of ambient with a waypoint for everything: also for a service of another namespace, for a wildcard
// ServiceEntry, and for the addresses of pods.
var wide = strings.NewReplacer(
	"metadata: {name: wp, namespace: default}\nspec:\n  gatewayClassName",
	"metadata: {name: wp, namespace: default, labels: {istio.io/waypoint-for: all}}\nspec:\n  gatewayClassName",
	"protocol: HBONE}]", "protocol: HBONE, allowedRoutes: {namespaces: {from: All}}}]",
).Replace(ambient) + `
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/use-waypoint: wp, istio.io/use-waypoint-namespace: default}}
---
apiVersion: v1
kind: Service
metadata: {name: till, namespace: shop}
spec:
  clusterIP: 10.98.1.1
  clusterIPs: [10.98.1.1]
  ports: [{name: http, port: 8080, targetPort: UPSTREAM}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: till-1, namespace: shop, labels: {kubernetes.io/service-name: till}}
addressType: IPv4
ports: [{name: http, port: UPSTREAM}]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: wild, namespace: default}
spec:
  hosts: ["*.localhost"]
  addresses: [10.98.1.3]
  location: MESH_EXTERNAL
  resolution: DYNAMIC_DNS
  ports: [{number: 8080, name: http, protocol: HTTP}]
---
apiVersion: v1
kind: Pod
metadata: {name: batch, namespace: default, labels: {app: batch}}
spec: {containers: [{name: batch, image: batch}]}
status: {phase: Running, podIP: 192.0.2.77, podIPs: [{ip: 192.0.2.77}]}
`

// Doors of wide, beside those of ambient.
const (
	tillHTTP = "10.98.1.1:8080"
	wildHTTP = "10.98.1.3:8080"
	podHTTP  = "192.0.2.77:8080"
)

// TestWaypointReach follows policies to what a waypoint serves beside the services of its own namespace.
func TestWaypointReach(t *testing.T) {
	bin := binaries(t)[0]
	m := newMesh(t, wide)
	p := m.start(bin, waypointNode)
	cart, till, wild, pod := p.hbone(cartHTTP), p.hbone(tillHTTP), p.hbone(wildHTTP), p.hbone(podHTTP)
	sees := func(what string, d *door, host, value string) {
		t.Helper()
		m.eventually(what+", "+d.addr, func() error { return d.sees(host, "/", 200, "x-moe", value) })
	}
	all := policy("default", "all", toWP+"plugins: ["+marks("x-moe", "wp")+"]")
	m.policies(all)
	sees("the waypoint", cart, "any.host", "wp")
	sees("the waypoint", till, "any.host", "wp")

	m.policies(all, policy("shop", "till", "targetRefs: [{kind: Service, name: till}]\nplugins: ["+marks("x-moe", "till")+"]"))
	sees("a service of another namespace", till, "any.host", "till")
	sees("beside it", cart, "any.host", "wp")

	// Nothing listens behind the wildcard and the pod, so a guard shows that their requests take the chain. The name has an
	// address everywhere: Istio's dynamic_forward_proxy, which comes before the plugins, answers for names that have none.
	m.policies(all, policy("default", "wild",
		"targetRefs: [{group: networking.istio.io, kind: ServiceEntry, name: wild}]\nplugins: ["+auth+"]"))
	m.eventually("a wildcard ServiceEntry", func() error { return wild.refuses("a.localhost") })
	sees("beside it", till, "any.host", "wp")

	m.policies(policy("default", "auth", toWP+"plugins: ["+auth+"]"))
	m.eventually("the address of a pod", func() error { return pod.refuses("any.host") })
}

// refuses reports a request without a token that does not get the guard's 403. It is for destinations where nothing listens.
func (d *door) refuses(host string) error {
	r, err := d.get(host, "/private")
	if err == nil && r.status != 403 {
		err = fmt.Errorf("status %d: %.100s", r.status, r.body)
	}
	return err
}
