package istio

import (
	"fmt"
	"testing"

	"mosn.io/moe/e2e/envoytest"
)

// toApp is for the sidecar of app.
const toApp = "selector: {matchLabels: {app: app}}\n"

// TestSidecar has policies on what a sidecar receives and on what it sends.
func TestSidecar(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, services)
		p := m.start(bin, appNode)
		in := p.open("virtualInbound", fmt.Sprintf("127.0.0.1:%d", m.port()))
		out := p.open("virtualOutbound", "10.97.0.1:8080")
		both := func(what, inbound, outbound string) {
			t.Helper()
			m.eventually(what+", inbound", func() error { return in.sees("app", "/", 200, "x-moe", inbound) })
			m.eventually(what+", outbound", func() error { return out.sees("echo.test", "/", 200, "x-moe", outbound) })
		}
		both("no policy", "", "")
		m.policies(policy("default", "app", toApp+"plugins: ["+marks("x-moe", "in")+"]"))
		both("received", "in", "")
		m.policies(
			policy("default", "app", toApp+"traffic: [inbound]\nplugins: ["+marks("x-moe", "in")+"]"),
			policy("default", "calls", toApp+"traffic: [outbound]\nplugins: ["+marks("x-moe", "out")+"]"),
		)
		both("received and sent", "in", "out")
		m.policies(policy("default", "calls", toApp+`traffic: [outbound]
virtualHosts: [{host: echo.test, plugins: [`+marks("x-moe", "host")+"]}]"))
		both("sent to a host", "", "host")
		m.policies(policy("default", "app", `targetRefs: [{kind: Service, name: app}]
plugins: [`+marks("x-moe", "service")+"]"))
		both("received for a Service", "service", "")
		m.policies()
		both("removed", "", "")
	})
}
