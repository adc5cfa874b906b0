package conformance

import (
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// OnEnvoys is for tests of a host that are not the suite's. It runs f on each Envoy of the matrix, or on those that which
// picks by their versions, with an upstream as cluster "up". The host's environment comes before that of o; o.Binary and
// o.Dir are set here.
func OnEnvoys(
	t *testing.T, h Host, which func(version string) bool, o envoytest.Options,
	f func(t *testing.T, e *envoytest.Envoy, up *upstream.Server),
) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	h.Build(t)
	for _, bin := range bins {
		if which != nil && !which(bin.Version) {
			continue
		}
		t.Run(bin.Version, func(t *testing.T) {
			up, err := upstream.Start()
			if err != nil {
				t.Fatalf("upstream.Start: %v", err)
			}
			defer up.Close()
			o := o
			o.Binary, o.Dir, o.Env = bin, t.TempDir(), append(h.Env(), o.Env...)
			e, err := envoytest.Start(o)
			if err != nil {
				t.Fatalf("envoytest.Start: %v", err)
			}
			defer func() {
				client.CloseIdle()
				if err := e.Stop(); err != nil {
					t.Errorf("e.Stop: %v", err)
				}
				if t.Failed() {
					t.Log(envoytest.Tail(e.Log.Since(0), 60))
				}
			}()
			if err := e.SetClusters([]M{envoytest.Cluster("up", false, up.Addr)}); err != nil {
				t.Fatalf("e.SetClusters: %v", err)
			}
			f(t, e, up)
		})
	}
}

// OwnListener is one for [OnEnvoys]: with these filters before the upstream, and routes before the one for all else.
func OwnListener(name string, routes A, filters ...M) M {
	all := A{}
	for _, f := range filters {
		all = append(all, f)
	}
	routes = append(routes, M{"match": M{"prefix": "/"}, "route": M{"cluster": "up", "timeout": "30s"}})
	return M{
		"name": name, "address": envoytest.Address("127.0.0.1:0"),
		"filter_chains": A{M{"filters": A{M{"name": "hcm", "typed_config": M{
			"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." +
				"HttpConnectionManager",
			"stat_prefix": name, "http_filters": append(all, router()),
			"route_config": M{"name": name, "virtual_hosts": A{M{"name": "all", "domains": A{"*"}, "routes": routes}}},
		}}}}},
	}
}
