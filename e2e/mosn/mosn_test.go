// Package mosn holds MOSN's filters on Envoy against MOSN itself: each request of each configuration goes to both, and
// status, headers, body and what the upstream saw must be the same.
//
// It is a module of its own, because it requires what MOSN requires.
package mosn

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/extproc"
	"mosn.io/moe/e2e/golang"
	_ "mosn.io/moe/plugins/mosn" // for extproc's server, which this binary is
)

func TestMain(t *testing.M) {
	extproc.Main()
	os.Exit(t.Run())
}

// newest is the Envoy on which hosts beside the first one run, unless $ENVOY_VERSIONS says otherwise.
const newest = "1.40.0"

// TestAgainstMOSN compares on every host: dynamic modules on each Envoy, the others on the newest.
func TestAgainstMOSN(t *testing.T) {
	pairs := 0
	for _, c := range configurations {
		for _, r := range c.requests {
			pairs++
			if !r.h1 {
				pairs++
			}
		}
	}
	if pairs < 120 {
		t.Errorf("%d pairs of a configuration and a request, want at least 120", pairs)
	}
	p, stop, err := startPeer(built(t, "E2E_MOSN", "peer", "mosn"), t.TempDir(), configurations)
	if err != nil {
		t.Fatalf("cannot start MOSN: %v", err)
	}
	t.Cleanup(stop)
	t.Setenv("E2E_MODULE", built(t, "E2E_MODULE", "libmoe", "libmoe.so", "-buildmode=c-shared"))
	expected := p.outcomes(t)
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	one := bins
	if at := slices.IndexFunc(bins, func(b envoytest.Binary) bool { return b.Version == newest }); at >= 0 {
		one = bins[at : at+1]
	}
	overProcess := &extproc.Host{}
	t.Cleanup(overProcess.Close)
	for _, on := range []struct {
		name string
		host conformance.Host
		bins []envoytest.Binary
	}{
		{name: "dynmod", host: &dynmod.Host{}, bins: bins},
		{name: "golang", host: &golang.Host{}, bins: one},
		{name: "extproc", host: overProcess, bins: one},
	} {
		t.Run(on.name, func(t *testing.T) {
			conformance.RunGroups(t, on.host, on.bins, func() []conformance.Group {
				return []conformance.Group{{Name: "mosn", Scenarios: scenarios(expected)}}
			})
		})
	}
}

// outcomes asks MOSN, once for all Envoys: over HTTP/1 first, because after a response that its gzip has compressed over
// HTTP/2 it may leave one over HTTP/1 as it is.
func (p *peer) outcomes(t *testing.T) map[string]outcome {
	all := map[string]outcome{}
	p.ask(t, false, all)
	p.ask(t, true, all)
	return all
}

// ask sends MOSN all requests over one protocol.
func (p *peer) ask(t *testing.T, h2 bool, all map[string]outcome) {
	for _, c := range configurations {
		for _, r := range c.requests {
			if h2 && r.h1 {
				continue
			}
			resp, err := r.send(p.addrs[c.name], h2)
			if err != nil {
				t.Fatalf("%s: %s: MOSN does not answer: %v", c.name, r.key(h2), err)
			}
			o := r.withoutEcho(r.of(resp, p.up.Seen(resp.ID)))
			if r.mend != nil {
				r.mend(&o)
			}
			all[c.name+"/"+r.key(h2)] = o
		}
	}
}

// protocols are those over which r is sent: whether it is HTTP/2.
func (r request) protocols() []bool {
	if r.h1 {
		return []bool{false}
	}
	return []bool{false, true}
}

func (r request) key(h2 bool) string {
	if h2 {
		return r.name + ", HTTP/2"
	}
	return r.name
}

// scenarios are the configurations, for one Envoy.
func scenarios(expected map[string]outcome) (all []conformance.Scenario) {
	for _, c := range configurations {
		all = append(all, conformance.Scenario{Name: c.name, Run: func(b *conformance.Bed) {
			ln := c.listen(b)
			for _, r := range c.requests {
				for _, h2 := range r.protocols() {
					b.Run(r.key(h2), func() {
						resp, err := r.send(ln.Addr, h2)
						if err != nil {
							b.Fatalf("Envoy does not answer: %v", err)
						}
						got, want := r.of(resp, b.Up.Seen(resp.ID)), expected[c.name+"/"+r.key(h2)]
						if diff := cmp.Diff(want, got); diff != "" {
							b.Errorf("MOSN and Envoy differ (-MOSN +Envoy):\n%s", diff)
						}
					})
				}
			}
		}})
	}
	return all
}
