package bootstrap

import (
	"net/url"
	"path/filepath"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resources are what Envoy is configured with, each by itself. If [Options.Dir] is empty, listeners hold all that they
// need, and the other kinds that they could refer to are empty.
type Resources struct {
	Listeners []*listenerv3.Listener
	Clusters  []*clusterv3.Cluster
	// Routes, filters and secrets are in files of their own if there is a directory for them.
	Routes  []*routev3.RouteConfiguration
	Filters []*corev3.TypedExtensionConfig
	Secrets []*tlsv3.Secret
}

// Names of the files of [Resources.Files] that each directory has.
const (
	ListenersFile = "listeners.yaml"
	ClustersFile  = "clusters.yaml"
)

// Files returns what Envoy reads from files in [Options.Dir], by the name of the file: answers of Envoy's discovery
// services. Envoy sees a new file only if it replaces the old one by a rename.
func (r *Resources) Files() map[string]*discoveryv3.DiscoveryResponse {
	files := map[string]*discoveryv3.DiscoveryResponse{
		ListenersFile: discovery(r.Listeners...), ClustersFile: discovery(r.Clusters...),
	}
	for _, c := range r.Routes {
		files[fileOf("routes", c.Name)] = discovery(c)
	}
	for _, f := range r.Filters {
		files[fileOf("filter", f.Name)] = discovery(f)
	}
	for _, s := range r.Secrets {
		files[fileOf("secret", s.Name)] = discovery(s)
	}
	return files
}

func discovery[M proto.Message](all ...M) *discoveryv3.DiscoveryResponse {
	d := &discoveryv3.DiscoveryResponse{}
	for _, m := range all {
		d.Resources = append(d.Resources, pack(m))
	}
	return d
}

// fileOf names the file of one resource.
func fileOf(kind, name string) string { return kind + "-" + url.PathEscape(name) + ".yaml" }

// builder makes the resources of o.
type builder struct {
	o *Options
	r *Resources
}

// in is a file of the directory, as Envoy's configuration refers to it.
func (b *builder) in(file string) *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion: corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{PathConfigSource: &corev3.PathConfigSource{
			Path: filepath.Join(b.o.Dir, file),
		}},
	}
}

// refer has m find its routes.
func (b *builder) refer(m *hcmv3.HttpConnectionManager, routes *routev3.RouteConfiguration) {
	if b.o.Dir == "" {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes}
		return
	}
	b.r.Routes = append(b.r.Routes, routes)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
		RouteConfigName: routes.Name, ConfigSource: b.in(fileOf("routes", routes.Name)),
	}}
}

// plugins is the filter with this configuration; all listeners share its resource.
func (b *builder) plugins(config proto.Message) *hcmv3.HttpFilter {
	if b.o.Dir == "" {
		return httpFilter(Name, config)
	}
	packed := pack(config)
	if len(b.r.Filters) == 0 {
		b.r.Filters = []*corev3.TypedExtensionConfig{{Name: Name, TypedConfig: packed}}
	}
	return &hcmv3.HttpFilter{Name: Name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{
		ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: b.in(fileOf("filter", Name)), TypeUrls: []string{packed.TypeUrl},
		},
	}}
}

// secret adds a secret and returns how to refer to it. It is only for a configuration with a directory.
func (b *builder) secret(s *tlsv3.Secret) *tlsv3.SdsSecretConfig {
	known := false
	for _, other := range b.r.Secrets {
		known = known || other.Name == s.Name
	}
	if !known {
		b.r.Secrets = append(b.r.Secrets, s)
	}
	return &tlsv3.SdsSecretConfig{Name: s.Name, SdsConfig: b.in(fileOf("secret", s.Name))}
}

// serve has the bootstrap b find the resources.
func (b *builder) serve(s *bootstrapv3.Bootstrap) {
	if b.o.Dir == "" {
		s.StaticResources = &bootstrapv3.Bootstrap_StaticResources{Listeners: b.r.Listeners, Clusters: b.r.Clusters}
		return
	}
	s.DynamicResources = &bootstrapv3.Bootstrap_DynamicResources{
		LdsConfig: b.in(ListenersFile), CdsConfig: b.in(ClustersFile),
	}
}

// pack cannot fail: only a string that is not UTF-8 could make it, and those are refused before.
func pack(m proto.Message) *anypb.Any {
	packed, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return packed
}
