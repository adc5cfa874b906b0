package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

type (
	m = conformance.M
	a = conformance.A
)

const (
	patience = 30 * time.Second

	// Where callouts of the background were left to a configuration until its end, Envoy died within 15 pushes, mostly.
	pushes           = 100
	pushPause        = 50 * time.Millisecond
	calloutsAtOnce   = 8
	outlivingStreams = 8
)

// discovered is the extension configuration "moe", which Envoy takes from a file. Each change of it replaces the filter's
// configuration at once, while streams go on with the one that they began with.
type discovered struct {
	envoy   *envoytest.Envoy
	path    string
	version int
}

func discover(envoy *envoytest.Envoy) (*discovered, error) {
	d := &discovered{envoy: envoy, path: filepath.Join(envoy.Dir, "ecds", "moe.json")}
	return d, os.Mkdir(filepath.Dir(d.path), 0o755)
}

// filter is the HTTP filter whose configuration is discovered.
func (d *discovered) filter() m {
	return m{"name": conformance.FilterName, "config_discovery": m{
		"config_source": m{"path_config_source": m{"path": d.path}, "resource_api_version": "V3"},
		"type_urls":     a{"type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"},
	}}
}

// replace has Envoy find another configuration.
func (d *discovered) replace(filter m) error {
	d.version++
	p, err := json.Marshal(m{"version_info": fmt.Sprint(d.version), "resources": a{m{
		"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
		"name":  conformance.FilterName, "typed_config": filter["typed_config"],
	}}})
	if err != nil {
		return err
	}
	return envoytest.Replace(d.path, p)
}

// A configuration is replaced while its plugin has requests of the background under way and streams still use it. Envoy
// then ends the configuration on the thread of the last of these streams, not on the one that its callouts belong to.
func TestReplacedConfigurationWithCallouts(t *testing.T) {
	conformance.OnEnvoys(t, &dynmod.Host{}, nil, envoytest.Options{}, func(t *testing.T, envoy *envoytest.Envoy, up *upstream.Server) {
		// Each generation opens connections of its own: more can go wrong with them than with open ones.
		clusters := []m{envoytest.Cluster("up", false, up.Addr)}
		for n := range pushes + 1 {
			clusters = append(clusters, envoytest.Cluster(fmt.Sprintf("g%d", n), n%2 == 0, up.Addr))
		}
		if err := envoy.SetClusters(clusters); err != nil {
			t.Fatalf("the clusters should be good: %v", err)
		}
		d, err := discover(envoy)
		if err != nil {
			t.Fatalf("making the folder of discovered configurations: %v", err)
		}
		generation := func(n int) m {
			callouts := strings.Repeat(fmt.Sprintf("background g%d GET /bytes?n=60000&chunk=200&pause=1ms; ", n), calloutsAtOnce)
			doc := conformance.Chain(
				conformance.Probe("fetch", "provision", callouts),
				conformance.Probe("slow", "request_headers", "go; sleep 150ms", "response_headers", fmt.Sprintf("set x-generation %d", n)))
			f, err := (&dynmod.Host{}).Filter(t, conformance.FilterName, doc)
			if err != nil {
				t.Fatalf("the filter of generation %d: %v", n, err)
			}
			return f.HTTP[0]
		}
		if err := d.replace(generation(0)); err != nil {
			t.Fatalf("writing the first configuration: %v", err)
		}
		if err := envoy.SetListeners([]m{conformance.OwnListener("l", nil, d.filter())}); err != nil {
			t.Fatalf("the listener should be good: %v", err)
		}
		addr, err := envoy.ListenerAddress("l")
		if err != nil {
			t.Fatalf("the listener's address: %v", err)
		}
		stop := make(chan struct{})
		streams := make(chan error, outlivingStreams)
		for range outlivingStreams {
			go func() {
				for {
					select {
					case <-stop:
						streams <- nil
						return
					default:
					}
					if r, err := client.Do(addr, client.Request{Path: "/body/x"}); err != nil || r.Status != 200 {
						streams <- fmt.Errorf("a request was not answered 200: %v, status %d", err, r.Status)
						return
					}
				}
			}()
		}
		for n := 1; n <= pushes; n++ {
			if err := d.replace(generation(n)); err != nil {
				t.Errorf("replacing the configuration: %v", err)
			}
			time.Sleep(pushPause)
			if err := envoy.Alive(); err != nil {
				t.Errorf("after %d configurations: %v", n, err)
				break
			}
		}
		close(stop)
		for range outlivingStreams {
			if err := <-streams; err != nil {
				t.Errorf("a stream that outlives the configuration: %v", err)
			}
		}
		if t.Failed() {
			return
		}
		want := fmt.Sprint(pushes)
		if err := envoytest.Poll(patience, func() error {
			r, err := client.Do(addr, client.Request{Path: "/body/x"})
			if got := r.Header.Get("x-generation"); err != nil || got != want {
				return fmt.Errorf("generation: got %q, want %q (%v)", got, want, err)
			}
			return nil
		}); err != nil {
			t.Errorf("the last configuration does not serve: %v", err)
		}
	})
}
