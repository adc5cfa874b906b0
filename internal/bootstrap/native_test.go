package bootstrap

import (
	"maps"
	"slices"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
)

// Envoy's own filters stand around the plugins and between them whatever host those have, for tunnels too.
func TestEnvoyFiltersOfHosts(t *testing.T) {
	const (
		cors, mutation, router = "envoy.filters.http.cors", "envoy.filters.http.header_mutation", "envoy.filters.http.router"
		limit, second          = "envoy.filters.http.local_ratelimit", "second"
	)
	want := []string{cors, "moe-access-authn", limit, "moe-authz-transform", second, "moe-observe", mutation, router}
	for name, set := range map[string]func(o *Options){
		"dynmod": func(*Options) {},
		"golang": func(o *Options) { o.Golang = &Golang{Library: "/libmoe.so"} },
		"bridge": func(o *Options) { o.Golang = &Golang{Library: "/libmoe.so", Bridge: true} },
		"extproc": func(o *Options) {
			o.ExtProc = &ExtProc{
				Server: "127.0.0.1:9000", Mode: &extprocv3.ProcessingMode{RequestBodyMode: extprocv3.ProcessingMode_STREAMED},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, "http://127.0.0.1:1")
			o.Filter = map[string]any{"plugins": []any{map[string]any{"name": "a"}}}
			o.EnvoyFilters = []EnvoyFilter{
				{Name: mutation, Placement: Placement{Position: "after"}},
				{Name: cors, ID: second, Placement: Placement{Position: "before", Stage: "observe"}},
				{Name: cors, Placement: Placement{Position: "before"}},
				{Name: limit, Placement: Placement{Position: "after", Stage: "authn"}, Config: map[string]any{"stat_prefix": "x"}},
			}
			o.Routes = []Route{{Name: "r", Doc: map[string]any{"timeout": "1s"}}}
			set(&o)
			b, err := New(o)
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			m := &hcmv3.HttpConnectionManager{}
			packed := b.StaticResources.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig()
			if err := packed.UnmarshalTo(m); err != nil {
				t.Fatalf("UnmarshalTo: %v", err)
			}
			if diff := cmp.Diff(want, filterList(m.HttpFilters)); diff != "" {
				t.Errorf("the filters (-want +got):\n%s", diff)
			}
			if got, want := m.GetRouteConfig().Name, Name+"/authz/observe"; got != want {
				t.Errorf("the routes have the name %q, want %q, which no other division has", got, want)
			}
			var configured []string
			for _, r := range m.GetRouteConfig().VirtualHosts[0].Routes {
				configured = append(configured, slices.Sorted(maps.Keys(r.TypedPerFilterConfig))...)
			}
			wantConfigured := []string{"moe-access-authn", "moe-authz-transform", "moe-observe"}
			if name == "extproc" {
				wantConfigured = nil // the server knows routes by their names
			}
			if diff := cmp.Diff(wantConfigured, configured); diff != "" {
				t.Errorf("the filters that the route configures (-want +got):\n%s", diff)
			}
			for _, u := range m.UpgradeConfigs {
				if name != "extproc" {
					continue // the listener's own filters serve tunnels
				}
				if diff := cmp.Diff(want, filterList(u.Filters)); diff != "" {
					t.Errorf("the filters of %s (-want +got):\n%s", u.UpgradeType, diff)
				}
			}
		})
	}
}

func filterList(filters []*hcmv3.HttpFilter) (names []string) {
	for _, f := range filters {
		names = append(names, f.Name)
	}
	return names
}
