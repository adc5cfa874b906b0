// Package bridge tests the bridge: filters built with upstream's Golang SDK, on stock Envoy.
package bridge

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
)

type (
	m = envoytest.M
	a = envoytest.A
)

// patience is how long tests wait for what must happen.
const patience = 30 * time.Second

// plugins is the library of ./plugins, built with the newest of upstream's SDKs, and oldPlugins with the oldest.
var plugins, oldPlugins string

func TestMain(main *testing.M) {
	code, err := run(main)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(main *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "moe-bridge-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	plugins, oldPlugins = filepath.Join(dir, "plugins.so"), filepath.Join(dir, "oldplugins.so")
	for _, args := range [][]string{
		{"-o", plugins, "."},
		{"-modfile=go.1362.mod", "-tags=sdk1362", "-o", oldPlugins, "."},
	} {
		cmd := exec.Command("go", append([]string{"build", "-buildmode=c-shared"}, args...)...)
		cmd.Dir = "plugins" // a module of its own
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building ./plugins: %w\n%s", err, out)
		}
	}
	return main.Run(), nil
}

// bed is one Envoy, with the bridge and an upstream.
type bed struct {
	*envoytest.Envoy

	mu        sync.Mutex
	sites     []*site
	listeners []m
}

// onEnvoys runs test on each Envoy of the matrix.
func onEnvoys(t *testing.T, test func(t *testing.T, b *bed)) {
	t.Helper()
	onEnvoysAfter(t, func(*testing.T) {}, test)
}

// onEnvoysAfter is onEnvoys with something done before each of them starts.
func onEnvoysAfter(t *testing.T, before func(t *testing.T), test func(t *testing.T, b *bed)) {
	t.Helper()
	found, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	for _, binary := range found {
		t.Run(binary.Version, func(t *testing.T) {
			before(t)
			test(t, start(t, binary, nil))
		})
	}
}

// start starts an Envoy, with more in its bootstrap; it is checked for crashes at the end of t.
func start(t *testing.T, binary envoytest.Binary, more m) *bed {
	t.Helper()
	dir := t.TempDir()
	envoytest.Bridge(t, dir)
	env := envoytest.GolangBridge.Env(dir, "cgocheck=0")
	if preload := os.Getenv("BRIDGE_PRELOAD"); preload != "" {
		env = append(env, "LD_PRELOAD="+preload)
	}
	e, err := envoytest.Start(envoytest.Options{Binary: binary, Dir: dir, Env: env, Bootstrap: more})
	if err != nil {
		t.Fatalf("envoytest.Start: %v", err)
	}
	t.Cleanup(func() {
		if err := e.Stop(); err != nil {
			t.Errorf("e.Stop: %v", err)
		}
		if t.Failed() {
			t.Log(envoytest.Tail(e.Log.Since(0), 60))
		}
	})
	return &bed{Envoy: e}
}

// listen is a listener with the bridge in it.
type listen struct {
	plugin  string
	library string // default: plugins
	config  any    // plugin_config's value; a map: of a TypedStruct
	more    m      // merged into the bridge's configuration
	vhost   m      // merged into the virtual host
	routes  a      // default: everything to cluster "up"
	hcm     m      // merged into the connection manager
	before  a      // HTTP filters before the bridge
	after   a      // and after it
	buffer  int    // per_connection_buffer_limit_bytes
	tls     m      // transport_socket
	cluster m      // merged into the cluster
	secure  bool   // the upstream speaks TLS

	endpoints []string // of the cluster, besides the upstream

	// answer is the upstream; default: 200.
	answer http.HandlerFunc
}

// site is a listener that is up, and what its upstream has seen.
type site struct {
	bed      *bed
	addr     string
	name     string
	upstream *httptest.Server

	mu   sync.Mutex
	seen []seen
}

// seen is a request as the upstream got it.
type seen struct {
	*http.Request
	body string
	err  error
}

// golang writes the bridge's filter.
func golang(config m) m {
	return envoytest.GolangBridge.HTTPFilter("golang", "golang", envoytest.Document(envoytest.Struct, config))
}

// perRoute writes a typed_per_filter_config for the bridge, of a ConfigsPerRoute.
func perRoute(config m) m {
	return m{"golang": envoytest.GolangBridge.PerRoute("golang", envoytest.Document(envoytest.Struct, config))}
}

// log writes the access logger by which a filter of the bridge gets its log phases.
func log(name string) m { return envoytest.GolangBridge.AccessLog("golang", name, nil) }

// typedStruct writes a plugin's configuration as xds.type.v3.TypedStruct.
func typedStruct(config any) m {
	return m{"@type": "type.googleapis.com/" + envoytest.TypedStruct, "value": config}
}

// forRoute writes perRoute's configuration of one plugin.
func forRoute(plugin string, config m) m {
	return perRoute(m{"plugins_config": m{plugin: m{"config": typedStruct(config)}}})
}

// to writes a route of a prefix to the upstream.
func to(prefix string, more ...m) m {
	r := m{"match": m{"prefix": prefix}, "route": m{"cluster": "up"}}
	for _, x := range more {
		maps.Copy(r, x)
	}
	return r
}

// serve adds a listener; Envoy must accept it.
func (b *bed) serve(t *testing.T, l listen) *site {
	t.Helper()
	s, err := b.tryServe(t, l)
	if err != nil {
		t.Fatalf("the configuration should be good: %v", err)
	}
	return s
}

// tryServe returns Envoy's refusal, with what the bridge logged.
func (b *bed) tryServe(t *testing.T, l listen) (*site, error) {
	t.Helper()
	s := &site{bed: b}
	answer := l.answer
	if answer == nil {
		answer = func(http.ResponseWriter, *http.Request) {}
	}
	s.upstream = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := seen{Request: r.Clone(r.Context())}
		body, err := io.ReadAll(r.Body)
		got.body, got.err = string(body), err
		got.Trailer = r.Trailer
		r.Body = io.NopCloser(strings.NewReader(got.body))
		s.mu.Lock()
		s.seen = append(s.seen, got)
		s.mu.Unlock()
		answer(w, r)
	}))
	if l.secure {
		s.upstream.StartTLS()
	} else {
		s.upstream.Start()
	}
	t.Cleanup(s.upstream.Close)

	b.mu.Lock()
	s.name = fmt.Sprintf("site%d", len(b.sites))
	b.sites = append(b.sites, s)
	b.listeners = append(b.listeners, nil)
	at := len(b.sites) - 1
	b.listeners[at] = s.listener(l)
	b.mu.Unlock()
	if err := b.pushClusters(l, s); err != nil {
		t.Fatalf("b.pushClusters: %v", err)
	}
	if err := b.push(); err != nil {
		b.mu.Lock()
		b.listeners[at] = nil
		b.mu.Unlock()
		if err2 := b.push(); err2 != nil {
			t.Fatalf("after a refused listener was taken away: %v", err2)
		}
		return nil, err
	}
	t.Cleanup(func() {
		b.mu.Lock()
		b.listeners[at] = nil
		b.mu.Unlock()
		if err := b.push(); err != nil {
			t.Errorf("b.push: %v", err)
		}
	})
	return s, envoytest.Poll(patience, func() (err error) {
		s.addr, err = b.ListenerAddress(s.name)
		return err
	})
}

var clusters = struct {
	sync.Mutex
	of map[*bed]map[string]m
}{of: map[*bed]map[string]m{}}

func (b *bed) pushClusters(l listen, s *site) error {
	clusters.Lock()
	defer clusters.Unlock()
	if clusters.of[b] == nil {
		clusters.of[b] = map[string]m{}
	}
	c := envoytest.Cluster(s.name, false, append([]string{s.upstream.Listener.Addr().String()}, l.endpoints...)...)
	c["typed_extension_protocol_options"] = m{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m{
		"@type":                "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		"explicit_http_config": m{"http_protocol_options": m{"enable_trailers": true}},
	}}
	maps.Copy(c, l.cluster)
	clusters.of[b][s.name] = c
	var all []m
	for _, c := range clusters.of[b] {
		all = append(all, c)
	}
	return b.SetClusters(all)
}

func (b *bed) push() error {
	b.mu.Lock()
	var all []m
	for _, l := range b.listeners {
		if l != nil {
			all = append(all, l)
		}
	}
	b.mu.Unlock()
	return b.SetListeners(all)
}

// listener writes Envoy's configuration of l.
func (s *site) listener(l listen) m {
	library := l.library
	if library == "" {
		library = plugins
	}
	config := m{"library_id": filepath.Base(library), "library_path": library, "plugin_name": l.plugin}
	if l.config != nil {
		config["plugin_config"] = typedStruct(l.config)
	}
	maps.Copy(config, l.more)
	filters := append(append(append(a{}, l.before...), golang(config)), l.after...)
	filters = append(filters, m{"name": "router", "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
	}})
	routes := l.routes
	if routes == nil {
		routes = a{to("/")}
	}
	vhost := m{"name": "all", "domains": a{"*"}, "routes": routes}
	maps.Copy(vhost, l.vhost)
	hcm := m{
		"@type":       "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"stat_prefix": s.name, "http_filters": filters, "http_protocol_options": m{"enable_trailers": true},
		"route_config": s.toCluster(m{"name": s.name, "virtual_hosts": a{vhost}}),
	}
	maps.Copy(hcm, l.hcm)
	chain := m{"name": "chain", "filters": a{m{"name": "hcm", "typed_config": hcm}}}
	if l.tls != nil {
		chain["transport_socket"] = l.tls
	}
	out := m{"name": s.name, "address": envoytest.Address("127.0.0.1:0"), "filter_chains": a{chain}}
	if l.buffer > 0 {
		out["per_connection_buffer_limit_bytes"] = l.buffer
	}
	return out
}

// toCluster replaces the cluster "up" by the site's own.
func (s *site) toCluster(v any) any {
	switch v := v.(type) {
	case m:
		out := m{}
		for k, x := range v {
			if k == "cluster" && x == "up" {
				x = s.name
			}
			out[k] = s.toCluster(x)
		}
		return out
	case a:
		out := make(a, len(v))
		for i := range v {
			out[i] = s.toCluster(v[i])
		}
		return out
	}
	return v
}

// do sends a request; there must be a response.
func (s *site) do(t testing.TB, r client.Request) *client.Response {
	t.Helper()
	resp, err := client.Do(s.addr, r)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	return resp
}

// last returns the request that the upstream got last; there must be one.
func (s *site) last(t testing.TB) seen {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		t.Fatal("the upstream got no request")
	}
	return s.seen[len(s.seen)-1]
}

// refused returns what Envoy and the bridge said of a configuration that they must refuse.
func (b *bed) refused(t *testing.T, l listen) string {
	t.Helper()
	mark := b.Log.Mark()
	_, err := b.tryServe(t, l)
	var r *envoytest.Rejected
	if !errors.As(err, &r) {
		t.Fatalf("Envoy should refuse this configuration, and said: %v", err)
	}
	return b.Log.Since(mark)
}

func equal(t testing.TB, what, want, got string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}
