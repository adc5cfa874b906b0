package bootstrap

import (
	"flag"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/internal/envoy"
)

var update = flag.Bool("update", false, "write the golden files anew")

func options(t *testing.T, upstream string) Options {
	u, err := ParseUpstream(upstream)
	if err != nil {
		t.Fatalf("ParseUpstream: %v", err)
	}
	return Options{Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Upstream: u, Edge: DefaultEdge()}
}

// cases are the configurations of the golden files in testdata.
func cases(t *testing.T) map[string]Options {
	t.Setenv("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
	echo := options(t, "http://127.0.0.1:10001")
	echo.KeepProtocol = true
	echo.Filter = map[string]any{
		"plugins": []any{
			map[string]any{"config": map[string]any{"rate": int64(10), "on": true, "no": nil, "x": 0.5}, "name": "a"},
		},
		"order": "listed",
	}
	routes := options(t, "h2c://localhost:8080")
	routes.Listen, routes.Admin = ":8000", "localhost:9901"
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
	return map[string]Options{
		"echo": echo, "routes": routes, "https": options(t, "https://example.com"), "https-address": address,
		"http": options(t, "http://example.com"),
	}
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

// TestEnvoyAccepts has a real Envoy check what does not need the dynamic module; cmd/moe tests the rest.
func TestEnvoyAccepts(t *testing.T) {
	for name, o := range cases(t) {
		t.Run(name, func(t *testing.T) {
			o.Filter = nil
			for i := range o.Routes {
				o.Routes[i].Doc = nil
			}
			text := printed(t, o)
			if err := envoy.Validate(t.Context(), envoy.Options{Config: text}); err != nil {
				t.Errorf("envoy.Validate: %v\n%s", err, text)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	base := options(t, "http://localhost")
	for _, c := range []struct {
		want   string
		change func(*Options)
	}{
		{"listen: \"nowhere\": expected HOST:PORT", func(o *Options) { o.Listen = "nowhere" }},
		{"listen: \"127.0.0.1:x\": expected a port", func(o *Options) { o.Listen = "127.0.0.1:x" }},
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
		"ftp://x": "expected http://", "localhost:80": "expected http://", "http://": "no host",
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
