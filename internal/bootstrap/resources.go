package bootstrap

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

// Resources are what Envoy is configured with, each by itself.
type Resources struct {
	Listeners []*listenerv3.Listener
	Clusters  []*clusterv3.Cluster
	// Routes and filters are empty where listeners hold them, which is so without [Options.Dir] and if it is Static.
	Routes  []*routev3.RouteConfiguration
	Filters []*corev3.TypedExtensionConfig
	// Secrets are certificates. They are empty where listeners and clusters hold them, which is so without Dir.
	Secrets []*tlsv3.Secret

	static bool
}

// Names of files of [Resources.Files].
const (
	ListenersFile = "listeners.yaml"
	ClustersFile  = "clusters.yaml"
)

// secretKind begins the names of files with certificates.
const secretKind = "secret"

// Files returns what Envoy reads from files in [Options.Dir], by the name of the file: answers of Envoy's discovery
// services. Envoy sees a new file only if it replaces the old one by a rename.
func (r *Resources) Files() map[string]*discoveryv3.DiscoveryResponse {
	files := map[string]*discoveryv3.DiscoveryResponse{}
	if !r.static {
		files[ListenersFile], files[ClustersFile] = discovery(r.Listeners...), discovery(r.Clusters...)
	}
	for _, c := range r.Routes {
		files[fileOf("routes", c.Name)] = discovery(c)
	}
	for _, f := range r.Filters {
		files[fileOf("filter", f.Name)] = discovery(f)
	}
	for _, s := range r.Secrets {
		files[fileOf(secretKind, s.Name)] = discovery(s)
	}
	return files
}

// Write puts the files of [Resources.Files] into dir, as YAML, and returns the names of those that were not so before.
// What Envoy must know first comes first: certificates and clusters before listeners. A file that is there and no
// longer needed stays.
func (r *Resources) Write(dir string) (changed []string, err error) {
	files := r.Files()
	order := slices.SortedFunc(maps.Keys(files), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	for _, name := range order {
		text, err := YAML(files[name])
		if err != nil {
			return changed, fmt.Errorf("%s: %w", name, err)
		}
		differs, err := WriteFile(filepath.Join(dir, name), text)
		if err != nil {
			return changed, err
		}
		if differs {
			changed = append(changed, name)
		}
	}
	return changed, nil
}

// WriteFile replaces a file as a whole, which is what Envoy notices, unless it has this text already.
func WriteFile(path string, text []byte) (changed bool, err error) {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return false, nil
	}
	return true, replace(path, text)
}

// rank is smaller for files that others refer to.
func rank(file string) int {
	switch {
	case file == ListenersFile:
		return 2
	case file == ClustersFile:
		return 1
	case strings.HasPrefix(file, secretKind):
		return 0
	}
	return 1
}

// replace puts text into the place of a file in one step. The file is this user's alone, as it may hold secrets.
func replace(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which fails where all is well
	_, err = f.Write(text)
	if err = cmp.Or(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
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

// held reports whether the bootstrap holds everything but the certificates.
func (b *builder) held() bool { return b.o.Dir == "" || b.o.Static }

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
	if b.held() {
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes}
		return
	}
	b.r.Routes = append(b.r.Routes, routes)
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
		RouteConfigName: routes.Name, ConfigSource: b.in(fileOf("routes", routes.Name)),
	}}
}

// filter is the filter of a name with this configuration; all listeners share its resource.
func (b *builder) filter(name string, config proto.Message) *hcmv3.HttpFilter {
	if b.held() {
		return httpFilter(name, config)
	}
	packed := pack(config)
	if !slices.ContainsFunc(b.r.Filters, func(c *corev3.TypedExtensionConfig) bool { return c.Name == name }) {
		b.r.Filters = append(b.r.Filters, &corev3.TypedExtensionConfig{Name: name, TypedConfig: packed})
	}
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{
		ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: b.in(fileOf("filter", name)), TypeUrls: []string{packed.TypeUrl},
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
	return &tlsv3.SdsSecretConfig{Name: s.Name, SdsConfig: b.in(fileOf(secretKind, s.Name))}
}

// serve has the bootstrap b find the resources.
func (b *builder) serve(s *bootstrapv3.Bootstrap) {
	if b.held() {
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
