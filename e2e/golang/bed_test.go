package golang

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/dynmod"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

type a = conformance.A

const patience = 30 * time.Second

// bed is one Envoy for a test.
type bed struct {
	*envoytest.Envoy
	t    *testing.T
	host *Host
	up   *upstream.Server
}

// onEnvoys runs f with each Envoy of the matrix, with more in its environment.
func onEnvoys(t *testing.T, env []string, f func(b *bed)) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{}
	h.Build(t)
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) {
			up, err := upstream.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			e, err := envoytest.Start(envoytest.Options{Binary: bin, Dir: t.TempDir(), Env: append(h.Env(), env...)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				client.CloseIdle()
				if err := e.Stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Log(envoytest.Tail(e.Log.Since(0), 60))
				}
			}()
			if err := e.SetClusters([]m{envoytest.Cluster("up", false, up.Addr)}); err != nil {
				t.Fatal(err)
			}
			f(&bed{e, t, h, up})
		})
	}
}

// golang is the filter under test, dynmod the same library as a dynamic module.
func (b *bed) golang(name string, doc any) m {
	f, err := b.host.Filter(b.t, name, doc)
	if err != nil {
		b.t.Fatal(err)
	}
	return f.HTTP[0]
}

func (b *bed) dynmod(name string, doc any) m {
	f, err := (&dynmod.Host{}).Filter(b.t, name, doc)
	if err != nil {
		b.t.Fatal(err)
	}
	filter := f.HTTP[0]
	filter["name"] = "dynmod"
	return filter
}

// listener is one with these filters before the upstream, and a route for each of routes.
func listener(name string, routes a, filters ...m) m {
	all := a{}
	for _, f := range filters {
		all = append(all, f)
	}
	all = append(all, m{"name": "router", "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
	}})
	routes = append(routes, m{"match": m{"prefix": "/"}, "route": m{"cluster": "up", "timeout": "30s"}})
	return m{
		"name": name, "address": envoytest.Address("127.0.0.1:0"),
		"filter_chains": a{m{"filters": a{m{"name": "hcm", "typed_config": m{
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
				"HttpConnectionManager",
			"stat_prefix": name, "http_filters": all,
			"route_config": m{"name": name, "virtual_hosts": a{m{"name": "all", "domains": a{"*"}, "routes": routes}}},
		}}}}},
	}
}

// serve has Envoy serve these listeners and no others.
func (b *bed) serve(listeners ...m) {
	b.t.Helper()
	if err := b.SetListeners(listeners); err != nil {
		b.t.Fatal(err)
	}
}

// address waits for a listener.
func (b *bed) address(name string) (addr string) {
	b.t.Helper()
	if err := envoytest.Poll(patience, func() (err error) {
		addr, err = b.ListenerAddress(name)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return addr
}

func (b *bed) get(listener string, r client.Request) *client.Response {
	b.t.Helper()
	resp, err := client.Do(b.address(listener), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp
}

// live asks the plugin golanglive, in the listener of that name.
func (b *bed) live(listener string) (all map[string]int, err error) {
	resp, err := client.Do(b.address(listener), client.Request{})
	if err != nil {
		return nil, err
	}
	if resp.Status != 200 {
		return nil, fmt.Errorf("status %d", resp.Status)
	}
	return all, json.Unmarshal([]byte(resp.Body), &all)
}
