package conformance

import (
	"maps"
	"os"
	"slices"
	"testing"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// station is an Envoy, what stands behind it, and the listeners it has at present. The scenarios of a group use it
// one after the other.
type station struct {
	Host  Host
	Envoy *envoytest.Envoy
	Up    *upstream.Server // clusters up (HTTP/1.1) and up2 (HTTP/2)
	Other *upstream.Server // cluster other; pair is both
	GRPC  *upstream.GRPC   // cluster grpc

	listeners  []*Listener
	clusters   map[string]M // in force, by name
	releases   map[*Release]bool
	names      int
	controller *Listener
}

func startStation(tb testing.TB, h Host, bin envoytest.Binary, dir string) *station {
	tb.Helper()
	s := &station{Host: h, clusters: map[string]M{}, releases: map[*Release]bool{}}
	var err error
	if s.Up, err = upstream.Start(); err != nil {
		tb.Fatalf("upstream.Start: %v", err)
	}
	tb.Cleanup(s.Up.Close)
	if s.Other, err = upstream.Start(); err != nil {
		tb.Fatalf("upstream.Start: %v", err)
	}
	tb.Cleanup(s.Other.Close)
	if s.GRPC, err = upstream.StartGRPC(); err != nil {
		tb.Fatalf("upstream.StartGRPC: %v", err)
	}
	tb.Cleanup(s.GRPC.Close)
	if s.Envoy, err = envoytest.Start(envoytest.Options{
		Binary: bin, Dir: dir, Env: h.Env(),
		LogLevel: os.Getenv("E2E_LOG"),
	}); err != nil {
		tb.Fatalf("envoytest.Start: %v", err)
	}
	return s
}

// stop ends Envoy; a crash or an unclean end fails tb.
func (s *station) stop(tb testing.TB) {
	tb.Helper()
	client.CloseIdle()
	if err := s.Envoy.Stop(); err != nil {
		tb.Errorf("s.Envoy.Stop: %v", err)
	}
}

func (s *station) baseClusters() []M {
	pair := envoytest.Cluster("pair", false, s.Up.Addr, s.Other.Addr)
	cs := []M{
		envoytest.Cluster("up", false, s.Up.Addr), envoytest.Cluster("up2", true, s.Up.Addr),
		envoytest.Cluster("other", false, s.Other.Addr), envoytest.Cluster("grpc", true, s.GRPC.Addr),
		envoytest.Cluster("dead", false, "127.0.0.1:1"), pair,
	}
	for _, c := range cs {
		if c["typed_extension_protocol_options"] == nil { // trailers also to HTTP/1.1 upstreams
			c["typed_extension_protocol_options"] = M{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": M{
				"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
				"explicit_http_config": M{"http_protocol_options": M{"enable_trailers": true}},
			}}
		}
	}
	return cs
}

// push gives Envoy the clusters that are needed, unless it has them, and the listeners.
func (s *station) push() error {
	want := map[string]M{}
	for _, c := range s.baseClusters() {
		want[c["name"].(string)] = c
	}
	for _, l := range s.listeners {
		for _, c := range slices.Concat(l.filter.Clusters, l.spec.Clusters) {
			want[c["name"].(string)] = c
		}
	}
	maps.Copy(want, s.clusters) // listeners that still drain need theirs
	grown := false
	for name := range want {
		grown = grown || s.clusters[name] == nil
	}
	if grown { // clusters before the listeners that need them
		if err := s.Envoy.SetClusters(slices.Collect(maps.Values(want))); err != nil {
			return err
		}
		s.clusters = want
	}
	var configs []M
	for _, l := range s.listeners {
		configs = append(configs, l.config)
	}
	if err := s.Envoy.SetListeners(configs); err != nil {
		return err
	}
	s.release()
	return nil
}

// release tells the host which filters no listener uses any more.
func (s *station) release() {
	used := map[*Release]bool{}
	for _, l := range s.listeners {
		used[l.filter.Release] = true
	}
	for r := range s.releases {
		if !used[r] {
			delete(s.releases, r)
			r.Func()
		}
	}
}

func (s *station) remove(ln *Listener) {
	s.listeners = slices.DeleteFunc(s.listeners, func(l *Listener) bool { return l == ln })
}
