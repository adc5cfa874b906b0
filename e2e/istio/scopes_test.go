package istio

import (
	"fmt"
	"testing"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/pkg/istio/verify"
)

// TestScopes has policies whose workloads are a part of one another's: for the whole mesh, for a namespace, for a
// workload in it. Each proxy has one chain, with all that is for it, in whatever order the policies come and go.
func TestScopes(t *testing.T) {
	m := newMesh(t, services, `
apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec:
  selector: {app: other}
  ports: [{name: http, port: 8080, targetPort: UPSTREAM}]
`)
	other := verify.Proxy{
		Role: verify.Sidecar, Name: "other", Namespace: "default", IP: "192.0.2.4", Labels: map[string]string{"app": "other"},
	}
	bin := binaries(t)[0]
	destination := fmt.Sprintf("127.0.0.1:%d", m.port())
	appProxy, otherProxy := m.start(bin, appNode), m.start(bin, other)
	toTheApp, toTheOther := appProxy.open("virtualInbound", destination), otherProxy.open("virtualInbound", destination)

	mesh := policy("istio-system", "mesh", "traffic: [inbound]\nplugins: ["+auth+", "+marks("x-a", "mesh")+"]")
	namespace := policy("default", "namespace", "traffic: [inbound]\nplugins: ["+marks("x-a", "namespace")+"]")
	workload := policy("default", "workload", toApp+"traffic: [inbound]\nplugins: ["+marks("x-a", "workload")+"]")
	for _, c := range []struct {
		name       string
		policies   []string
		app, other string
	}{
		{"mesh", []string{mesh}, "mesh", "mesh"},
		{"mesh and workload", []string{mesh, workload}, "workload", "mesh"},
		{"all", []string{mesh, workload, namespace}, "workload", "namespace"},
		{"mesh and namespace", []string{mesh, namespace}, "namespace", "namespace"},
		{"mesh again", []string{mesh}, "mesh", "mesh"},
	} {
		m.policies(c.policies...)
		for _, x := range []struct {
			door  *door
			proxy *proxy
			value string
		}{{toTheApp, appProxy, c.app}, {toTheOther, otherProxy, c.other}} {
			m.eventually(c.name+", "+x.proxy.node.Name, func() error {
				chains, err := x.proxy.filters("virtualInbound")
				if err == nil {
					err = order{before: router}.check(chains, "ecds")
				}
				if err == nil {
					err = x.door.guarded("app")
				}
				if err == nil {
					err = x.door.sees("app", "/", 200, "x-a", x.value, token("/")...)
				}
				return err
			})
		}
	}
}

// TestLibraryPath has Envoy load libmoe.so from a path that the policy names. For routes that differ, Envoy 1.38 looks
// for it by name, in its search path, where it is here.
func TestLibraryPath(t *testing.T) {
	lib, err := module()
	if err != nil {
		t.Fatalf("module: %v", err)
	}
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, world, services)
		d := m.start(bin, gatewayNode).open("0.0.0.0_80", "")
		spec := toGateway + "hosts: [{dynamicModules: {libraryPath: " + lib + "}}]\nplugins: [" + auth + ", " +
			marks("x-moe", "base") + "]\n"
		m.policies(policy("istio-system", "base", spec))
		m.eventually("in force", func() error {
			return d.sees("www.example.com", "/", 200, "x-moe", "base", token("/")...)
		})
		m.ok(d.guarded("www.example.com"))
		m.policies(policy("istio-system", "base", spec+"routes: [{name: api, plugins: ["+marks("x-moe", "api")+"]}]"))
		m.eventually("overridden", func() error {
			return d.sees("www.example.com", "/api", 200, "x-moe", "api", token("/api")...)
		})
	})
}
