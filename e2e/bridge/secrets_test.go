package bridge

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"mosn.io/moe/e2e/envoytest"
)

// onEnvoysWith runs test on each Envoy of the matrix with more in its bootstrap.
func onEnvoysWith(t *testing.T, bootstrap func(t *testing.T) m, test func(t *testing.T, b *bed)) {
	t.Helper()
	found, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	for _, binary := range found {
		t.Run(binary.Version, func(t *testing.T) { test(t, start(t, binary, bootstrap(t))) })
	}
}

func staticSecret(*testing.T) m {
	return m{"static_resources": m{"secrets": a{
		m{"name": "static_secret", "generic_secret": m{"secret": m{"inline_string": "static_secret_value"}}},
	}}}
}

// secret writes a generic_secrets entry.
func secret(name string, source m) m { return m{"name": name, "sds_config": source} }

func fileSource(path string) m {
	return m{"path_config_source": m{"path": path}, "resource_api_version": "V3"}
}

// secretFile writes a file with one secret, all at once.
func secretFile(t testing.TB, path, name, value string) {
	t.Helper()
	text := fmt.Sprintf(`{"resources":[{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
		"name":%q,"generic_secret":{"secret":{"inline_string":%q}}}]}`, name, value)
	replace(t, path, text)
}

// replace replaces a file at once.
func replace(t testing.TB, path, text string) {
	t.Helper()
	if err := envoytest.Replace(path, []byte(text)); err != nil {
		t.Fatalf("envoytest.Replace: %v", err)
	}
}

// shows has a plugin reply with a secret; more is added to the request's query.
func shows(t testing.TB, s *site, name, more, value string, code int) {
	t.Helper()
	got := s.do(t, ask("?name="+name+more))
	status(t, got, code)
	equal(t, "the secret", value, got.Body)
}

// becomes waits until the plugin replies with value: each of Envoy's workers gets a new value in its own time.
func becomes(t testing.TB, s *site, name, more, value string) {
	t.Helper()
	if err := envoytest.Poll(patience, func() error {
		if got := s.do(t, ask("?name="+name+more)); got.Status != 200 || got.Body != value {
			return fmt.Errorf("got %d %q, want %q", got.Status, got.Body, value)
		}
		return nil
	}); err != nil {
		t.Errorf("envoytest.Poll: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	get := func(name, async, value string, code int) func(t testing.TB, s *site) {
		return func(t testing.TB, s *site) { shows(t, s, name, async, value, code) }
	}
	onEnvoysWith(t, staticSecret, func(t *testing.T, b *bed) {
		file := filepath.Join(t.TempDir(), "secret.json")
		secretFile(t, file, "dynamic_secret", "dynamic_secret_value")
		cases{
			"DynamicSecret":          get("dynamic_secret", "", "dynamic_secret_value", 200),
			"DynamicSecretGoRoutine": get("dynamic_secret", "&async=1", "dynamic_secret_value", 200),
			"StaticSecret":           get("static_secret", "", "static_secret_value", 200),
			"StaticSecretGoRoutine":  get("static_secret", "&async=1", "static_secret_value", 200),
			"MissingSecret":          get("missing_secret", "", "", 404),
			"MissingSecretGoRoutine": get("missing_secret", "&async=1", "", 404),
		}.on(t, b, listen{plugin: "secrets", more: m{"generic_secrets": a{
			m{"name": "static_secret"}, secret("dynamic_secret", fileSource(file)),
		}}})
	})
}

// TestSecretFiles has secrets in files of several kinds, and one replaced while it is in use.
func TestSecretFiles(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		dir := t.TempDir()
		apart := func(name string) string { // Envoy looks up whenever something changes in the folder
			folder := filepath.Join(dir, name)
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatalf("os.Mkdir: %v", err)
			}
			return filepath.Join(folder, "s."+name)
		}
		json, yaml := apart("json"), apart("yaml")
		secretFile(t, json, "of_json", "first")
		replace(t, yaml, `resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: of_yaml
  generic_secret: { secret: { inline_string: "in YAML" } }
`)
		s := b.serve(t, listen{plugin: "secrets", more: m{"generic_secrets": a{
			secret("of_json", fileSource(json)), secret("of_yaml", fileSource(yaml)),
		}}})
		cases{"a secret in a YAML file": func(t testing.TB, s *site) {
			shows(t, s, "of_yaml", "", "in YAML", 200)
		}}.at(t, s)
		shows(t, s, "of_json", "", "first", 200)
		secretFile(t, json, "of_json", "second")
		becomes(t, s, "of_json", "", "second")
		becomes(t, s, "of_json", "&async=1", "second")
		mark := b.Log.Mark()
		replace(t, json, "{")
		if err := envoytest.Poll(patience, func() error { // the bridge says so when it is asked
			s.do(t, ask("?name=of_json"))
			if b.Log.Count(mark, `s\.json`) == 0 {
				return fmt.Errorf("no word of a broken file in the log")
			}
			return nil
		}); err != nil {
			t.Errorf("envoytest.Poll: %v", err)
		}
		becomes(t, s, "of_json", "", "second")
		secretFile(t, json, "of_json", "third")
		becomes(t, s, "of_json", "", "third")
	})
}

// TestSecretServers has secrets that a management server hands out.
func TestSecretServers(t *testing.T) {
	var server *secretServer
	grpcSource := m{"api_type": "GRPC", "transport_api_version": "V3", "grpc_services": a{
		m{"envoy_grpc": m{"cluster_name": "management"}},
	}}
	onEnvoysWith(t, func(t *testing.T) m {
		server = serveSecrets(t)
		return m{
			"static_resources":  m{"clusters": a{envoytest.Cluster("management", true, server.addr)}},
			"dynamic_resources": m{"ads_config": grpcSource},
		}
	}, func(t *testing.T, b *bed) {
		const wait = "0s" // for ever
		direct := m{"api_config_source": grpcSource, "resource_api_version": "V3", "initial_fetch_timeout": wait}
		ads := m{"ads": m{}, "resource_api_version": "V3", "initial_fetch_timeout": wait}
		impatient := m{"api_config_source": grpcSource, "resource_api_version": "V3", "initial_fetch_timeout": "0.1s"}
		server.set("direct", "direct 1")
		server.set("ads", "ads 1")
		changes := func(name string) func(t testing.TB, s *site) {
			return func(t testing.TB, s *site) {
				if got := s.do(t, ask("?name="+name)); got.Status != 200 {
					t.Fatalf("status %d", got.Status)
				}
				shows(t, s, name, "&async=1", name+" 1", 200)
				server.set(name, name+" 2")
				becomes(t, s, name, "", name+" 2")
			}
		}
		cases{
			"a secret of a server": changes("direct"),
			"a secret over ADS":    changes("ads"),
			"a secret that comes late": func(t testing.TB, s *site) {
				if got := s.do(t, ask("?name=late")); got.Status != 200 || got.Body != "" { // as in contrib Envoys
					t.Fatalf("%d %q before it has come", got.Status, got.Body)
				}
				server.set("late", "late 1")
				becomes(t, s, "late", "", "late 1")
			},
		}.on(t, b, listen{plugin: "secrets", more: m{"generic_secrets": a{
			secret("direct", direct), secret("ads", ads), secret("late", impatient),
		}}})
	})
}

// TestWrongSecrets has secrets that Envoy 1.40 refuses, as contrib Envoys do. The bridge cannot tell older ones of them.
func TestWrongSecrets(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		missing := filepath.Join(t.TempDir(), "missing.json")
		for name, c := range map[string]struct {
			secret m
			says   string // before 1.40: a warning or nothing
		}{
			"no static secret": {m{"name": "nobody"}, `secret nobody has no sds_config, and Envoy's bootstrap has no`},
			"no source":        {secret("x", m{}), `(?s)config source specifier.*secret x: Envoy refuses its sds_config`},
			"an unknown field": {secret("x", m{"nonsense": 1}), `(?s)'nonsense'.*secret x: Envoy refuses its sds_config`},
			"no such file":     {secret("x", fileSource(missing)), `(?s)missing\.json.*secret x: Envoy refuses its sds_config`},
			// Envoy throws an exception here, which the bridge must survive.
			"ADS without a server": {secret("x", m{"ads": m{}, "resource_api_version": "V3"}), `ADS must be configured`},
		} {
			t.Run(name, func(t *testing.T) {
				l := listen{plugin: "secrets", more: m{"generic_secrets": a{c.secret}}}
				if limited("StaticSecret", b.Binary.Version) != "" {
					mark := b.Log.Mark()
					shows(t, b.serve(t, l), c.secret["name"].(string), "", "", 404)
					const word = `secret \w+ has no path_config_source|missing\.json: it cannot be read`
					if _, err := b.Log.Wait(mark, word, patience); err != nil {
						t.Errorf("b.Log.Wait: %v", err)
					}
				} else if said := b.refused(t, l); !regexp.MustCompile(c.says).MatchString(said) {
					t.Errorf("the log should have %q:\n%s", c.says, said)
				}
			})
		}
		s := b.serve(t, listen{plugin: "stress"})
		if err := envoytest.Poll(patience, func() error {
			if n := s.counts(t)["configs"]; n != 1 {
				return fmt.Errorf("%d configurations live", n)
			}
			return nil
		}); err != nil {
			t.Errorf("envoytest.Poll: %v", err)
		}
	})
}

// secretServer is a management server that serves secrets alone.
type secretServer struct {
	secretservice.UnimplementedSecretDiscoveryServiceServer
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	addr string

	mu      sync.Mutex
	version int
	values  map[string]string
	changed chan struct{} // closed and replaced by set
}

func serveSecrets(t *testing.T) *secretServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	s := &secretServer{addr: ln.Addr().String(), values: map[string]string{}, changed: make(chan struct{})}
	g := grpc.NewServer()
	secretservice.RegisterSecretDiscoveryServiceServer(g, s)
	discovery.RegisterAggregatedDiscoveryServiceServer(g, s)
	go g.Serve(ln)
	t.Cleanup(g.Stop)
	return s
}

func (s *secretServer) set(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.values[name] = value
	close(s.changed)
	s.changed = make(chan struct{})
}

// answer returns the present secrets among names, and a channel that is closed when they change.
func (s *secretServer) answer(names []string) (*discovery.DiscoveryResponse, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := fmt.Sprint(s.version)
	r := &discovery.DiscoveryResponse{VersionInfo: version, Nonce: version}
	for _, name := range names {
		value, ok := s.values[name]
		if !ok {
			continue
		}
		var one tlsv3.Secret
		text := fmt.Sprintf(`{"name":%q,"generic_secret":{"secret":{"inline_string":%q}}}`, name, value)
		if err := protojson.Unmarshal([]byte(text), &one); err != nil {
			return nil, nil, err
		}
		packed, err := anypb.New(&one)
		if err != nil {
			return nil, nil, err
		}
		r.Resources = append(r.Resources, packed)
		r.TypeUrl = packed.GetTypeUrl()
	}
	return r, s.changed, nil
}

// StreamSecrets serves SDS.
func (s *secretServer) StreamSecrets(g grpc.BidiStreamingServer[discovery.DiscoveryRequest, discovery.DiscoveryResponse]) error {
	return s.stream(g)
}

// StreamAggregatedResources serves ADS.
func (s *secretServer) StreamAggregatedResources(g discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return s.stream(g)
}

func (s *secretServer) stream(g grpc.BidiStreamingServer[discovery.DiscoveryRequest, discovery.DiscoveryResponse]) error {
	asked := make(chan []string)
	go func() {
		defer close(asked)
		for {
			r, err := g.Recv()
			if err != nil || g.Context().Err() != nil {
				return
			}
			select {
			case asked <- r.GetResourceNames():
			case <-g.Context().Done():
				return
			}
		}
	}()
	var names []string
	told := map[string]string{} // last versions, by names: an acknowledgement asks for the same again
	for {
		r, changed, err := s.answer(names)
		if err != nil {
			return err
		}
		key := strings.Join(names, " ")
		if len(r.Resources) > 0 && told[key] != r.GetVersionInfo() {
			told[key] = r.GetVersionInfo()
			if err := g.Send(r); err != nil {
				return err
			}
		}
		select {
		case <-changed:
		case more, ok := <-asked:
			if !ok {
				return nil
			}
			names = more
		}
	}
}
