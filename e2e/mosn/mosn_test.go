// Package mosn holds MOSN's filters on Envoy against MOSN itself: each request of each configuration goes to both, and
// status, headers, body and what the upstream saw must be the same.
//
// It is a module of its own, because it requires what MOSN requires.
package mosn

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/extproc"
	"mosn.io/moe/e2e/golang"
	_ "mosn.io/moe/e2e/mosn/demo" // for extproc's server, which this binary is
	"mosn.io/moe/e2e/upstream"
	_ "mosn.io/moe/plugins/mosn" // likewise
)

func TestMain(t *testing.M) {
	extproc.Main()
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "e2e-mosn-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		return t.Run()
	}())
}

// olderToo are the configurations that run on the older Envoys too, by dynamic modules: those with replies, bodies, routes
// and attributes, in which Envoys differ. $ENVOY_VERSIONS has everything run on every host of each Envoy that it names.
var olderToo = []string{
	"ip_access: deny some", "ip_access: by the connection", "header_to_metadata", "payload_limit", "payload_limit: routes", "gzip",
	"fault: abort", "dsl", "several", "rbac: by the client's address",
}

// TestAgainstMOSN compares on every host. MOSN runs with a file, and Envoy with what moe makes of the same file.
func TestAgainstMOSN(t *testing.T) {
	pairs := 0
	for _, c := range configurations() {
		for _, r := range c.requests {
			pairs += len(r.asked())
		}
	}
	if pairs < 120 {
		t.Errorf("%d pairs of a configuration and a request, want at least 120", pairs)
	}
	p := &pair{}
	var err error
	if p.up, err = upstream.Start(); err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(p.up.Close)
	file, addrs, err := write(t.TempDir(), p.up.Addr, configurations())
	if err != nil {
		t.Fatalf("cannot write MOSN's configuration: %v", err)
	}
	bootstrap, err := convert(command.of(t), file)
	if err != nil {
		t.Fatalf("cannot convert MOSN's configuration: %v", err)
	}
	p.converted = takeApart(t, bootstrap)
	stop, err := startMOSN(peer.of(t), file, slices.Collect(maps.Values(addrs))...)
	if err != nil {
		t.Fatalf("cannot start MOSN: %v", err)
	}
	t.Cleanup(stop)
	t.Setenv("E2E_MODULE", library(t))
	p.expect(t, addrs)
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	var older []envoytest.Binary
	if os.Getenv("ENVOY_VERSIONS") == "" {
		older = slices.DeleteFunc(slices.Clone(bins), func(b envoytest.Binary) bool { return b.Version == conformance.Newest })
		bins = slices.DeleteFunc(bins, func(b envoytest.Binary) bool { return b.Version != conformance.Newest })
	}
	if len(bins) == 0 {
		bins, older = older, nil
	}
	overProcess := &extproc.Host{}
	t.Cleanup(overProcess.Close)
	for _, on := range []struct {
		name string
		host conformance.Host
		bins []envoytest.Binary
		some []string // nil: all configurations
	}{
		{name: "dynmod", host: &dynmod.Host{}, bins: bins},
		{name: "golang", host: &golang.Host{}, bins: bins},
		{name: "extproc", host: overProcess, bins: bins},
		{name: "older", host: &dynmod.Host{}, bins: older, some: olderToo},
	} {
		if len(on.bins) == 0 {
			continue
		}
		t.Run(on.name, func(t *testing.T) {
			conformance.RunGroups(t, on.host, on.bins, func() []conformance.Group {
				return []conformance.Group{{Name: "mosn", Scenarios: p.scenarios(t, on.some)}}
			})
		})
	}
}

// pair is MOSN, and what it takes to make Envoy do the same.
type pair struct {
	up        *upstream.Server   // of both
	converted *converted         // for Envoy
	expected  map[string]outcome // of MOSN, by configuration and request
}

// expect asks MOSN, once for all Envoys.
func (p *pair) expect(t *testing.T, addrs map[string]string) {
	p.expected = map[string]outcome{}
	for _, h2 := range []bool{false, true} {
		for _, c := range configurations() {
			for _, r := range c.requests {
				if !slices.Contains(r.asked(), h2) {
					continue
				}
				o := p.ask(t, c, r, addrs[c.name], h2)
				for range 10 {
					if r.again == nil || !r.again(&o) {
						break
					}
					o = p.ask(t, c, r, addrs[c.name], h2)
				}
				if r.mend != nil {
					r.mend(&o)
				}
				p.expected[c.name+"/"+r.key(h2)] = o
			}
		}
	}
}

// ask sends a request to MOSN.
func (p *pair) ask(t *testing.T, c configuration, r request, addr string, h2 bool) outcome {
	t.Helper()
	resp, err := r.send(addr, h2)
	if err != nil {
		t.Fatalf("%s: %s: MOSN does not answer: %v", c.name, r.key(h2), err)
	}
	return r.withoutEcho(r.of(resp, p.up.Seen(resp.ID)))
}

// scenarios are the configurations of these names, or all, for one Envoy.
func (p *pair) scenarios(t *testing.T, names []string) (all []conformance.Scenario) {
	t.Helper()
	for _, c := range configurations() {
		if names != nil && !slices.Contains(names, c.name) {
			continue
		}
		all = append(all, conformance.Scenario{Name: c.name, Run: func(b *conformance.Bed) {
			ln := p.converted.listen(b, c.name)
			for _, r := range c.requests {
				for _, h2 := range []bool{false, true} {
					b.Run(r.key(h2), func() {
						resp, err := r.send(ln.Addr, h2)
						if err != nil {
							b.Fatalf("Envoy does not answer: %v", err)
						}
						got, want := r.of(resp, p.up.Seen(resp.ID)), p.expected[c.name+"/"+r.key(h2 && !r.asHTTP1)]
						if diff := cmp.Diff(want, got); diff != "" {
							b.Errorf("MOSN and Envoy differ (-MOSN +Envoy):\n%s", diff)
						}
					})
				}
			}
		}})
	}
	if names != nil && len(all) != len(names) {
		t.Fatalf("%d configurations are called as the %d of olderToo", len(all), len(names))
	}
	return all
}
