package bootstrap

import (
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/google/go-cmp/cmp"
)

// Envoy's own filters stand around the plugins whatever host those have, for tunnels too.
func TestEnvoyFiltersOfHosts(t *testing.T) {
	const cors, mutation, router = "envoy.filters.http.cors", "envoy.filters.http.header_mutation", "envoy.filters.http.router"
	want := []string{cors, Name, mutation, router}
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
			o.EnvoyFilters = []EnvoyFilter{{Name: mutation, Position: "after"}, {Name: cors, Position: "before"}}
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
