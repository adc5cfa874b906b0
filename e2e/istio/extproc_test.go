package istio

import (
	"errors"
	"fmt"
	"testing"

	"mosn.io/moe/e2e/envoytest"
)

// TestExtProc has the plugins in a process of their own: `moe extproc`, to which the chain goes along with each stream.
func TestExtProc(t *testing.T) {
	onEach(t, func(t *testing.T, bin envoytest.Binary) {
		m := newMesh(t, world, services)
		x := m.extproc()
		d := m.start(bin, gatewayNode).open("0.0.0.0_80", "")
		sees := func(what, path, value string) {
			t.Helper()
			m.eventually(what, func() error { return d.sees("www.example.com", path, 200, "x-moe", value) })
		}
		hosts := func(x *extproc) string { return "hosts: [{extProc: {address: \"" + x.addr + "\"}}]\n" }
		base := toGateway + hosts(x) + "plugins: [" + marks("x-moe", "base") + "]"
		m.policies(policy("istio-system", "base", base))
		sees("inserted", "/", "base")
		m.policies(policy("istio-system", "base", base+`
routes:
- {name: api, plugins: [`+marks("x-moe", "api")+`]}
- {name: public, plugins: [{id: headermutation, disabled: true}]}`))
		sees("overridden by the route", "/api", "api")
		sees("disabled by the route", "/public", "")
		sees("not overridden", "/", "base")

		m.policies(policy("istio-system", "base", toGateway+hosts(x)+"plugins: ["+auth+"]"))
		m.eventually("authentication", func() error { return d.guarded("www.example.com") })

		x.stop()
		fails := func(headers ...string) error {
			r, err := d.get("www.example.com", "/private", headers...)
			if err != nil {
				return err
			}
			if seen := m.upstream.Seen(r.id); len(seen) > 0 {
				t.Fatalf("a request with headers %q has reached the upstream although nobody has looked at it", headers)
			}
			if r.status < 500 {
				return fmt.Errorf("status %d: the server still answers", r.status)
			}
			return nil
		}
		m.eventually("the server is gone", func() error { return errors.Join(fails(), fails(token("/private")...)) })
		x = m.extproc()
		m.policies(policy("istio-system", "base", toGateway+hosts(x)+"plugins: ["+auth+"]"))
		m.eventually("another server", func() error { return d.guarded("www.example.com") })
		m.policies()
		m.eventually("removed", func() error { return d.sees("www.example.com", "/private", 200, "x-moe", "") })
	})
}
