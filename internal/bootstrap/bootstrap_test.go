package bootstrap

import (
	"bytes"
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"

	"mosn.io/moe/framework/config"
	"mosn.io/moe/internal/build"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/internal/testcert"
)

var update = flag.Bool("update", false, "write the golden files anew")

func options(t *testing.T, upstream string) Options {
	u, err := ParseUpstream(upstream)
	if err != nil {
		t.Fatalf("ParseUpstream: %v", err)
	}
	return Options{
		Listeners: []Listener{{Name: Name, Address: "127.0.0.1:0"}}, Admin: "127.0.0.1:0",
		Upstreams: []Upstream{UpstreamOf(Name, u)}, Default: Name, Edge: DefaultEdge(),
	}
}

// cases are the configurations of the golden files in testdata.
func cases(t *testing.T) map[string]Options {
	t.Setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
	echo := options(t, "http://127.0.0.1:10001")
	echo.Upstreams[0].Protocol = "downstream"
	echo.Filter = map[string]any{
		"plugins": []any{
			map[string]any{"config": map[string]any{"rate": int64(10), "on": true, "no": nil, "x": 0.5}, "name": "a"},
		},
		"order": "listed",
	}
	routes := options(t, "h2c://localhost:8080")
	routes.Listeners[0].Address, routes.Admin = ":8000", "localhost:9901"
	routes.Filter = map[string]any{"plugins": []any{map[string]any{"name": "a"}}}
	off := map[string]any{"plugins": []any{map[string]any{"name": "a", "disabled": true}}}
	routes.Routes = []Route{
		{Match: Match{Path: "/exact", Methods: []string{"GET", "X.Y"}}, Doc: off},
		{Match: Match{Prefix: "/public", Host: "*.example.com"}, Doc: off},
		{Match: Match{Regex: "/v[0-9]+/.*", Headers: map[string]string{"x-b": "1", "x-a": ""}}},
		{Match: Match{Host: "example.com"}},
	}
	routes.Edge.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8"), netip.MustParsePrefix("fd00::/8")}
	routes.Edge.HTTP = HTTP{
		PathWithEscapedSlashesAction: "keepUnchanged", HeadersWithUnderscoresAction: "dropHeader", RequestTimeout: time.Minute,
		MaxConnectionDuration: time.Hour, MaxRequestHeaders: 8 << 20, MaxHeadersCount: 1000, MaxConcurrentStreams: 1,
		InitialStreamWindowSize: 65535, InitialConnectionWindowSize: 1 << 30,
	}
	routes.Edge.Limits = Limits{MaxConnections: 1, BufferSize: 16 << 10}
	address := options(t, "https://[::1]:8443/")
	address.Edge.TrustedHops = 2
	many := parsed(t, manyText)
	return map[string]Options{
		"many": many, "echo": echo, "routes": routes, "https": options(t, "https://example.com"), "https-address": address,
		"http": options(t, "http://example.com"),
	}
}

// certificates is where the files of manyText are.
const certificates = "/etc/envoy/tls"

// manyText has every field of listeners, upstreams and routes that is not its default.
const manyText = `
listeners:
- name: web
  address: ":8443"
  http3: true
  tls:
    certificates:
    - {certificateChain: /etc/envoy/tls/a.crt, privateKey: /etc/envoy/tls/a.key}
    - {certificateChain: /etc/envoy/tls/b.crt, privateKey: /etc/envoy/tls/b.key}
    serverNames: [a.test, "*.b.test"]
    minimumProtocolVersion: TLSv1_3
- name: clients
  address: ":8445"
  tls:
    certificates: [{certificateChain: /etc/envoy/tls/a.crt, privateKey: /etc/envoy/tls/a.key}]
    clientCertificates:
      trustedCa: /etc/envoy/tls/ca.crt
      subjectAltNames: [client.test, "spiffe://test/client", "a@client.test", 192.0.2.1]
      forward: true
- name: discovered
  address: 127.0.0.1:8444
  tls:
    certificates:
    - sdsSecretConfig:
        name: own
        sds_config: {resource_api_version: V3, path_config_source: {path: /etc/envoy/tls/own.yaml}}
    clientCertificates: {trustedCa: /etc/envoy/tls/ca.crt, required: false}
    alpnProtocols: [http/1.1]
- {name: plain, address: "127.0.0.1:0"}
upstreams:
- {name: url, endpoints: ["127.0.0.1:1"], protocol: downstream, timeout: 20s, hostRewrite: up.test}
- name: api
  endpoints: [10.0.0.1:80, 10.0.0.2:80]
  connectTimeout: 1s
  lbPolicy: ringHash
  hashPolicy: {header: x-user}
  healthCheck: {path: /healthy, host: api.test, expectedStatuses: [200, 204], interval: 1s, timeout: 500ms}
  outlierDetection: {consecutive5xx: 2, baseEjectionTime: 1s}
  circuitBreakers: {maxConnections: 1}
  retry: {retryOn: [5xx], numRetries: 2, perTryTimeout: 1s, retriableStatusCodes: [409]}
- name: secure
  endpoints: ["api.test:443"]
  dnsLookupFamily: all
  lbPolicy: maglev
  hashPolicy: {sourceIp: true}
  tls:
    trustedCa: /etc/envoy/tls/ca.crt
    certificate: {certificateChain: /etc/envoy/tls/a.crt, privateKey: /etc/envoy/tls/a.key}
- name: grpc
  endpoints: ["a.test:443", "b.test:443"]
  protocol: http2
  lbPolicy: leastRequest
  tls: {serverName: grpc.test, subjectAltNames: [other.test], trustedCa: /etc/envoy/tls/ca.crt}
  healthCheck: {grpc: true}
- name: weighted
  endpoints: [10.0.0.1:80, 10.0.0.2:80]
  endpointWeights: {"10.0.0.1:80": 3}
- name: quic
  endpoints: ["quic.test:443"]
  protocol: http3
  tls: {trustedCa: /etc/envoy/tls/ca.crt}
- name: tcp
  endpoints: ["127.0.0.1:1"]
  lbPolicy: maglev
  hashPolicy: {cookie: session}
  healthCheck: {}
envoyFilters:
- name: envoy.filters.http.local_ratelimit
  config: {stat_prefix: all}
- {name: envoy.filters.http.header_mutation, id: last, position: after}
- {name: envoy.filters.http.cors}
routes:
- match: {prefix: /}
  listeners: [plain]
  redirect: {httpsRedirect: true, portRedirect: 8443, responseCode: 308}
- match: {path: /old}
  redirect: {hostRedirect: other.test, pathRedirect: /new, stripQuery: true}
- match: {prefix: /was/}
  redirect: {prefixRewrite: /is/}
- match: {path: /robots.txt}
  directResponse: {status: 200, body: "User-agent: *", contentType: text/robots}
- match: {prefix: /canary}
  weightedUpstreams: [{upstream: api, weight: 9}, {upstream: url, weight: 1}]
- match: {prefix: /api/}
  upstream: api
  rewrite: {prefix: /, host: rewritten.test}
  retry: {}
  upstreamTimeout: 3s
  idleTimeout: 2s
- match: {prefix: /regex}
  upstream: secure
  rewrite: {regex: {pattern: "^/regex/([0-9]+)", substitution: "/\\1"}, autoHost: true}
  envoyFilters:
  - name: envoy.filters.http.local_ratelimit
    config: {stat_prefix: regex, token_bucket: {max_tokens: 5, fill_interval: 1s}}
  - {name: envoy.filters.http.cors, disabled: true}
  - {id: last, config: {mutations: {response_mutations: [{remove: server}]}}}
- match: {prefix: /tcp}
  upstream: tcp
- match: {prefix: /grpc}
  upstream: grpc
`

// parsed decodes listeners, upstreams and routes, with the upstream url for what matches no route.
func parsed(t *testing.T, text string) Options {
	t.Helper()
	raw, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("config.Parse: %v", err)
	}
	var d struct {
		Listeners []Listener `json:"listeners"`
		Upstreams []Upstream `json:"upstreams"`

		EnvoyFilters []EnvoyFilter `json:"envoyFilters"`
		Routes       []struct {
			Match     Match    `json:"match"`
			Listeners []string `json:"listeners"`
			Action
			EnvoyFilters []RouteEnvoyFilter `json:"envoyFilters"`
		} `json:"routes"`
	}
	if err := config.Decode(raw, &d); err != nil {
		t.Fatalf("config.Decode: %v", err)
	}
	o := Options{Listeners: d.Listeners, Admin: "127.0.0.1:0", Upstreams: d.Upstreams, Edge: DefaultEdge(), EnvoyFilters: d.EnvoyFilters}
	for _, r := range d.Routes {
		o.Routes = append(o.Routes, Route{Match: r.Match, Listeners: r.Listeners, Action: r.Action, EnvoyFilters: r.EnvoyFilters})
	}
	if len(o.Upstreams) > 0 {
		o.Default = o.Upstreams[0].Name
	}
	return o
}

// printed is the configuration as YAML.
func printed(t *testing.T, o Options) []byte {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	text, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	return text
}

func TestGolden(t *testing.T) {
	for name, o := range cases(t) {
		t.Run(name, func(t *testing.T) {
			got := printed(t, o)
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatalf("os.WriteFile: %v", err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("os.ReadFile: %v", err)
			}
			if string(got) != string(want) {
				t.Errorf("%s differs; if that is right, run the test with -update. Got:\n%s", file, got)
			}
		})
	}
}

// TestEnvoyAccepts has real Envoys, all that are installed, check what does not need the dynamic module; cmd/moe tests
// the rest.
func TestEnvoyAccepts(t *testing.T) {
	dir := t.TempDir()
	ca := testcert.New(t, dir)
	ca.Issue(t, "a", "a.test")
	ca.Issue(t, "b", "b.test")
	if err := os.WriteFile(filepath.Join(dir, "own.yaml"), nil, 0o600); err != nil { // it must exist
		t.Fatalf("os.WriteFile: %v", err)
	}
	root, err := build.Checkout("")
	if err != nil {
		t.Fatalf("build.Checkout: %v", err)
	}
	binaries := envoy.Installed(root)
	if len(binaries) == 0 {
		t.Fatalf("no Envoy is installed: %v", envoy.ErrNotFound)
	}
	for name, o := range cases(t) {
		o.Filter = nil
		for i := range o.Routes {
			o.Routes[i].Doc = nil
		}
		text := bytes.ReplaceAll(printed(t, o), []byte(certificates), []byte(dir))
		for _, path := range binaries {
			t.Run(name+"/"+filepath.Base(filepath.Dir(path)), func(t *testing.T) {
				if err := envoy.Validate(t.Context(), envoy.Options{Path: path, Config: text}); err != nil {
					t.Errorf("envoy.Validate: %v\n%s", err, text)
				}
			})
		}
	}
}

func TestRefused(t *testing.T) {
	base := options(t, "http://localhost")
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{"listeners[0].address: \"nowhere\": expected HOST:PORT", func(o *Options) { o.Listeners = []Listener{{Address: "nowhere"}} }},
		{"listeners[0].address: \"127.0.0.1:x\": expected a port", func(o *Options) { o.Listeners = []Listener{{Address: "127.0.0.1:x"}} }},
		{"admin: \"example.com:1\": expected an IP address", func(o *Options) { o.Admin = "example.com:1" }},
		{"routes[0]: match: path: \"x\" must begin", func(o *Options) { o.Routes = []Route{{Match: Match{Path: "x"}}} }},
		{"routes[0]: match: prefix: \"x\"", func(o *Options) { o.Routes = []Route{{Match: Match{Prefix: "x"}}} }},
		{"routes[0]: match: regex:", func(o *Options) { o.Routes = []Route{{Match: Match{Regex: "("}}} }},
		{"give one of path, prefix and regex", func(o *Options) {
			o.Routes = []Route{{Match: Match{Path: "/x", Regex: "y"}}}
		}},
		{"methods[1]: must not be empty", func(o *Options) {
			o.Routes = []Route{{Match: Match{Methods: []string{"GET", ""}}}}
		}},
		{"plugins[0].n: the integer is 2^53 or more", func(o *Options) {
			o.Filter = map[string]any{"plugins": []any{map[string]any{"n": int64(1)<<53 + 1}}}
		}},
		{"x: a number must be finite", func(o *Options) { o.Filter = map[string]any{"x": math.NaN()} }},
		{"x: proto:", func(o *Options) { o.Filter = map[string]any{"x": make(chan int)} }},
		{"must be UTF-8", func(o *Options) { o.Filter = map[string]any{"\xff": 1} }},
		{"a: proto:", func(o *Options) { o.Routes = []Route{{Doc: map[string]any{"a": "\xff"}}} }},
	} {
		t.Run(c.want, func(t *testing.T) {
			o := base
			c.change(&o)
			if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %s", err, c.want)
			}
		})
	}
}

func TestParseUpstream(t *testing.T) {
	for text, want := range map[string]string{
		"ftp://x": "expected HOST:PORT", "localhost": "expected HOST:PORT", "http://": "no host", "localhost:http": "port",
		"http://u:secret@x": "password are not supported", "http://x/path": "must end after the host",
		"http://x?q": "must end after", "http://x:0": "port 0", "http://x:66000": "port 66000", "http://a b": "no URL",
	} {
		t.Run(text, func(t *testing.T) {
			_, err := ParseUpstream(text)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: %v; want %s", text, err, want)
			}
		})
	}
}
