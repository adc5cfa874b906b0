package bootstrap

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	typev3 "github.com/cncf/xds/go/xds/type/v3"
	golangv3 "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/http/golang/v3alpha"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_modules/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// strictly reads a printed configuration as Envoy does: what no message knows is an error.
func strictly(t *testing.T, text []byte) *hcmv3.HttpConnectionManager {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatalf("yaml.Unmarshal: %v", err)
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(asJSON, &b); err != nil {
		t.Fatalf("protojson.Unmarshal: %v\n%s", err, text)
	}
	if err := b.ValidateAll(); err != nil {
		t.Fatalf("b.ValidateAll: %v", err)
	}
	return unpack[*hcmv3.HttpConnectionManager](t,
		b.StaticResources.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig())
}

func unpack[M proto.Message](t *testing.T, a *anypb.Any) M {
	t.Helper()
	m, err := a.UnmarshalNew()
	if err != nil {
		t.Fatalf("a.UnmarshalNew: %v", err)
	}
	typed, ok := m.(M)
	if !ok {
		t.Fatalf("it is a %T", m)
	}
	return typed
}

// chainOf is the name of the first plugin in a plugin_config.
func chainOf(t *testing.T, a *anypb.Any) string {
	t.Helper()
	plugins := unpack[*typev3.TypedStruct](t, a).GetValue().Fields["plugins"].GetListValue()
	return plugins.GetValues()[0].GetStructValue().Fields["name"].GetStringValue()
}

// The configuration for Envoys with the Golang filter is of that filter's own messages.
func TestGolang(t *testing.T) {
	o := cases(t)["routes"]
	o.Golang = &Golang{Library: "/lib/libmoe.so"}
	text := printed(t, o)
	hcm := strictly(t, text)
	if name := hcm.HttpFilters[0].Name; name != Name {
		t.Errorf("the filter is %s", name)
	}
	c := unpack[*golangv3.Config](t, hcm.HttpFilters[0].GetTypedConfig())
	if err := c.ValidateAll(); err != nil {
		t.Errorf("c.ValidateAll: %v", err)
	}
	if c.LibraryId != "moe" || c.LibraryPath != "/lib/libmoe.so" || c.PluginName != "moe" ||
		chainOf(t, c.PluginConfig) != "a" {
		t.Errorf("got %v, want library and plugin moe with chain a", c)
	}
	route := hcm.GetRouteConfig().VirtualHosts[0].Routes[0]
	per := unpack[*golangv3.ConfigsPerRoute](t, route.TypedPerFilterConfig[Name])
	if err := per.ValidateAll(); err != nil {
		t.Errorf("per.ValidateAll: %v", err)
	}
	if got := chainOf(t, per.PluginsConfig["moe"].GetConfig()); got != "a" {
		t.Errorf("the route has %s", got)
	}
}

// A document's secrets are the filter's own field, and not the plugins'.
func TestGolangSecrets(t *testing.T) {
	doc := func() map[string]any {
		return map[string]any{
			"plugins": []any{map[string]any{"name": "a"}},
			"generic_secrets": []any{
				map[string]any{"name": "static"},
				map[string]any{"name": "sds", "sds_config": map[string]any{
					"path_config_source": map[string]any{"path": "/etc/envoy/sds.json"}, "initial_fetch_timeout": "3s",
				}},
			},
		}
	}
	for _, bridge := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge=%v", bridge), func(t *testing.T) {
			o := cases(t)["routes"]
			o.Golang, o.Filter = &Golang{Library: "/lib/libmoe.so", Bridge: bridge}, doc()
			text := printed(t, o)
			c := &golangv3.Config{}
			typed := strictly(t, text).HttpFilters[0].GetTypedConfig()
			if bridge {
				asJSON, err := protojson.Marshal(unpack[*structpb.Struct](t, unpack[*filterv3.DynamicModuleFilter](t, typed).FilterConfig))
				if err != nil {
					t.Fatalf("protojson.Marshal: %v", err)
				}
				if err := protojson.Unmarshal(asJSON, c); err != nil {
					t.Fatalf("protojson.Unmarshal: %v: %s", err, asJSON)
				}
			} else {
				c = unpack[*golangv3.Config](t, typed)
			}
			if err := c.ValidateAll(); err != nil {
				t.Errorf("c.ValidateAll: %v", err)
			}
			if len(c.GenericSecrets) != 2 || c.GenericSecrets[0].Name != "static" || c.GenericSecrets[0].SdsConfig != nil ||
				c.GenericSecrets[1].SdsConfig.GetPathConfigSource().GetPath() != "/etc/envoy/sds.json" {
				t.Errorf("got the secrets %v, want a static one and one from the file", c.GenericSecrets)
			}
			if unpack[*typev3.TypedStruct](t, c.PluginConfig).GetValue().Fields["generic_secrets"] != nil ||
				chainOf(t, c.PluginConfig) != "a" {
				t.Errorf("the plugins have %v", c.PluginConfig)
			}
			if len(o.Filter) != 2 {
				t.Error("the document is changed")
			}
		})
	}
	for want, bad := range map[string]any{
		"generic_secrets: expected a list": map[string]any{},
		"generic_secrets[0]: not an SdsSecretConfig of Envoy's: ": []any{map[string]any{
			"name": "a", "sds_config": map[string]any{"nonsense": 1.0},
		}},
		"generic_secrets[1]: invalid SdsSecretConfig.Name": []any{map[string]any{"name": "a"}, map[string]any{}},
		"generic_secrets[0].name: ":                        []any{map[string]any{"name": make(chan int)}},
	} {
		t.Run(want, func(t *testing.T) {
			o := cases(t)["routes"]
			o.Golang, o.Filter = &Golang{Library: "/lib/libmoe.so"}, doc()
			o.Filter["generic_secrets"] = bad
			if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// The bridge is given the same messages, as the Struct that a dynamic module is configured with.
func TestBridge(t *testing.T) {
	o := cases(t)["routes"]
	o.Golang = &Golang{Library: "/lib/libmoe.so", Bridge: true}
	text := printed(t, o)
	hcm := strictly(t, text)
	read := func(a *anypb.Any, m proto.Message) {
		t.Helper()
		asJSON, err := protojson.Marshal(unpack[*structpb.Struct](t, a))
		if err != nil {
			t.Fatalf("protojson.Marshal: %v", err)
		}
		if err := protojson.Unmarshal(asJSON, m); err != nil {
			t.Fatalf("protojson.Unmarshal: %v: %s", err, asJSON)
		}
	}
	f := unpack[*filterv3.DynamicModuleFilter](t, hcm.HttpFilters[0].GetTypedConfig())
	var c golangv3.Config
	read(f.FilterConfig, &c)
	if f.DynamicModuleConfig.Name != BridgeName || c.LibraryPath != "/lib/libmoe.so" || chainOf(t, c.PluginConfig) != "a" {
		t.Errorf("got the filter %v, want the bridge with chain a", f)
	}
	route := hcm.GetRouteConfig().VirtualHosts[0].Routes[0]
	r := unpack[*filterv3.DynamicModuleFilterPerRoute](t, route.TypedPerFilterConfig[Name])
	var per golangv3.ConfigsPerRoute
	read(r.FilterConfig, &per)
	if r.DynamicModuleConfig.Name != BridgeName || chainOf(t, per.PluginsConfig["moe"].GetConfig()) != "a" {
		t.Errorf(`r.DynamicModuleConfig.Name = %q, want %q; chainOf(per.PluginsConfig["moe"].GetConfig()) = %q, want %q: %v`,
			r.DynamicModuleConfig.Name, BridgeName, chainOf(t, per.PluginsConfig["moe"].GetConfig()), "a", r)
	}
}

func TestGolangRefuses(t *testing.T) {
	for _, bridge := range []bool{false, true} {
		t.Run(fmt.Sprintf("bridge=%v", bridge), func(t *testing.T) {
			o := cases(t)["routes"]
			o.Golang = &Golang{Library: "/lib/libmoe.so", Bridge: bridge}
			o.Filter = map[string]any{"x": make(chan int)}
			if _, err := New(o); err == nil {
				t.Error("a filter's document that cannot be written is accepted")
			}
			o = cases(t)["routes"]
			o.Golang = &Golang{Library: "/lib/libmoe.so", Bridge: bridge}
			o.Routes = []Route{{Doc: map[string]any{"x": make(chan int)}}}
			if _, err := New(o); err == nil {
				t.Error("a route's is accepted")
			}
		})
	}
}
