package istio

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/pkg/istio"
	"mosn.io/moe/pkg/istio/verify"

	_ "mosn.io/moe/plugins"
)

// world is what most tests have beside their policies: a Gateway of Istio's with two hosts.
const world = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: ["*.example.com"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: www, namespace: default}
spec:
  hosts: [www.example.com]
  gateways: [istio-system/gw]
  http:
  - name: api
    match: [{uri: {prefix: /api}}]
    route: [{destination: {host: echo.test, port: {number: 8080}}}]
  - name: public
    match: [{uri: {prefix: /public}}]
    route: [{destination: {host: echo.test, port: {number: 8080}}}]
  - name: rest
    route: [{destination: {host: echo.test, port: {number: 8080}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [shop.example.com]
  gateways: [istio-system/gw]
  http:
  - name: shop
    route: [{destination: {host: echo.test, port: {number: 8080}}}]
`

// services are a service that sidecars and gateways call, and one behind a sidecar; both are the same server.
const services = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: echo, namespace: default}
spec:
  hosts: [echo.test]
  addresses: [10.97.0.1]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: UPSTREAM}}]
---
apiVersion: v1
kind: Service
metadata: {name: app, namespace: default}
spec:
  selector: {app: app}
  ports: [{name: http, port: 8080, targetPort: UPSTREAM}]
`

// gatewayAPI is what there is of the Gateway API.
const gatewayAPI = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  gatewayClassName: istio
  listeners: [{name: web, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: Service
metadata: {name: front-istio, namespace: default}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: front}
  ports: [{name: http, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: default}
spec:
  parentRefs: [{name: front}]
  hostnames: [front.example.com]
  rules:
  - name: api
    matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{group: networking.istio.io, kind: Hostname, name: echo.test, port: 8080}]
  - backendRefs: [{group: networking.istio.io, kind: Hostname, name: echo.test, port: 8080}]
`

// frontNode is the proxy of the Gateway API's Gateway.
var frontNode = verify.Proxy{
	Role: verify.Gateway, Name: "front", Namespace: "default", IP: "192.0.2.3",
	Labels: map[string]string{"gateway.networking.k8s.io/gateway-name": "front"},
}

// policy writes a FilterPolicy of the namespace; spec is YAML without indentation.
func policy(namespace, name, spec string) string {
	const format = `apiVersion: moe.mosn.io/v1alpha1
kind: FilterPolicy
metadata: {name: %s, namespace: %s}
spec:
  %s
`
	return fmt.Sprintf(format, name, namespace, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

// marks is the plugin headermutation; it sets a response header.
func marks(name, value string) string {
	return fmt.Sprintf("{name: headermutation, config: {response: {set: {%s: %s}}}}", name, value)
}

const secret = "s3cret"

// auth is the plugin tokenauth.
const auth = "{name: tokenauth, config: {secret: " + secret + "}}"

// token returns the request header with which tokenauth lets a request for path pass.
func token(path string) []string {
	sum := md5.Sum([]byte(path + secret))
	return []string{"token", hex.EncodeToString(sum[:])}
}

// generate returns what the policies become in the world.
func (m *mesh) generate(policies ...string) []verify.Object {
	m.Helper()
	in, err := istio.Parse("test.yaml", []byte(strings.Join(append([]string{m.base}, policies...), "\n---\n")))
	m.ok(err)
	result, err := istio.Generate(in, istio.Options{})
	m.ok(err)
	var all []verify.Object
	for _, ef := range result.EnvoyFilters {
		text, err := istio.JSON(ef)
		m.ok(err)
		var o verify.Object
		m.ok(json.Unmarshal(text, &o))
		all = append(all, o)
	}
	return all
}

// policies makes these the policies of the mesh: it applies what they become and prunes what is no longer there, as
// `kubectl apply --prune` does. It returns when the API server has done so.
func (m *mesh) policies(policies ...string) time.Time {
	m.Helper()
	applied := map[string]verify.Object{}
	var changed, gone []verify.Object
	for _, o := range m.generate(policies...) {
		applied[o.String()] = o
		if !cmp.Equal(m.applied[o.String()], o) {
			changed = append(changed, o)
		}
	}
	for key, o := range m.applied {
		if applied[key] == nil {
			gone = append(gone, o)
		}
	}
	clear(m.applied)
	maps.Copy(m.applied, applied)
	m.ok(m.cluster.Apply(changed...))
	m.cluster.Delete(gone...)
	return time.Now()
}
