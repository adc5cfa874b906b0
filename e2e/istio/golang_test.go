package istio

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	xdsv3 "github.com/cncf/xds/go/xds/type/v3"
	golangv3 "github.com/envoyproxy/go-control-plane/contrib/envoy/extensions/filters/http/golang/v3alpha"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/pkg/istio/verify"
)

// TestGolang follows a policy for the contrib Golang filter, which no stock Envoy has, up to what a proxy is sent:
// Istio's validation admits it, pilot sends the type, and the document in it is the one of the policy, byte for byte.
func TestGolang(t *testing.T) {
	for _, delivery := range deliveries {
		t.Run(delivery, func(t *testing.T) {
			m := newMesh(t, world, services)
			made := m.generate(policy("istio-system", "base", toGateway+`
delivery: `+delivery+`
hosts: [{golang: {libraryPath: /var/lib/moe/libmoe.so}}]
plugins: [`+auth+", "+marks("x-moe", "base")+`]
routes: [{name: api, plugins: [`+marks("x-moe", "api")+`]}]`))
			for _, o := range made {
				if _, err := m.pilot.Admit(context.Background(), o); err != nil {
					t.Errorf("%s: m.pilot.Admit: %v", o, err)
				}
			}
			m.ok(m.cluster.Apply(made...))
			const chain = `{"plugins":[{"config":{"secret":"s3cret"},"name":"tokenauth"},` +
				`{"config":{"response":{"set":{"x-moe":"base"}}},"name":"headermutation"}]}`
			m.eventually("sent", func() error {
				s, err := verify.Capture(context.Background(), m.pilot.Address(), gatewayNode)
				if err != nil {
					return err
				}
				return sent(t, s, chain)
			})
		})
	}
}

// errNotYet tells that pilot has not looked at the objects yet.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }

func sent(t *testing.T, s *verify.Snapshot, chain string) error {
	t.Helper()
	var name string
	config := new(golangv3.Config)
	for _, h := range s.HTTP() {
		for _, f := range h.Manager.HttpFilters {
			if f.Name != "moe" && !strings.HasPrefix(f.Name, "moe.") {
				continue
			}
			name = f.Name
			a := f.GetTypedConfig()
			if x := s.Extensions[name]; x != nil {
				a = x.TypedConfig
			}
			if a == nil {
				return errNotYet("no configuration of " + name)
			}
			if err := a.UnmarshalTo(config); err != nil {
				t.Fatalf("a.UnmarshalTo: %v", err)
			}
		}
	}
	if name == "" {
		return errNotYet("no filter of MoE's")
	}
	const path = "/var/lib/moe/libmoe.so"
	if config.PluginName != assembly.ChainName || config.LibraryPath != path || config.LibraryId == "" {
		t.Errorf("plugin_name %q, path %q, id %q", config.PluginName, config.LibraryPath, config.LibraryId)
	}
	if got := document(t, config.PluginConfig); got != chain {
		t.Errorf("the chain is sent as\n%s, not\n%s", got, chain)
	}
	for _, r := range s.Routes {
		for _, host := range r.VirtualHosts {
			for _, route := range host.Routes {
				a := route.TypedPerFilterConfig[name]
				if route.Name != "api" || a == nil {
					continue
				}
				per := new(golangv3.ConfigsPerRoute)
				if err := a.UnmarshalTo(per); err != nil {
					t.Fatalf("a.UnmarshalTo: %v", err)
				}
				got := document(t, per.PluginsConfig[assembly.ChainName].GetConfig())
				if !strings.Contains(got, `"x-moe":"api"`) {
					t.Errorf("the route api is sent %s", got)
				}
				return nil
			}
		}
	}
	return errNotYet("no configuration for the route api")
}

// document returns what the host parses, as JSON: the object in a Struct, or in a TypedStruct. It is one that MoE
// accepts.
func document(t *testing.T, a *anypb.Any) string {
	t.Helper()
	m, err := a.UnmarshalNew()
	if err != nil {
		t.Fatalf("a.UnmarshalNew: %v", err)
	}
	var doc map[string]any
	switch m := m.(type) {
	case *structpb.Struct:
		doc = m.AsMap()
	case *xdsv3.TypedStruct:
		doc = m.Value.AsMap()
	default:
		t.Fatalf("the document is a %s", a.TypeUrl)
	}
	if err := assembly.Validate(assembly.ChainName, doc, ^filter.Capability(0)); err != nil {
		t.Errorf("assembly.Validate: %v", err)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	return string(text)
}
