package bootstrap

import (
	"strings"
	"testing"
)

// tcpListener passes TCP on through a network filter.
func tcpListener() Options {
	return Options{
		Listeners: []Listener{{
			Name: "redis", Address: "127.0.0.1:6379", TCP: &TCP{Upstream: "up", ServerNames: true},
			NetworkFilters: []NetworkFilter{{Name: "guard", Config: map[string]any{"deny": []any{"DEL"}}}},
		}},
		Admin: "127.0.0.1:0", Upstreams: []Upstream{{Name: "up", Endpoints: []string{"127.0.0.1:1"}}}, Edge: DefaultEdge(),
	}
}

func TestTCPListener(t *testing.T) {
	b, err := New(tcpListener())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	text := string(p)
	for _, c := range []struct{ name, want string }{
		{"the filter", "filter_name: guard"},
		{"its configuration", "- DEL"},
		{"tcp_proxy", "cluster: up"},
		{"the TLS inspector", "envoy.filters.listener.tls_inspector"},
		{"the runtime", "envoy.reloadable_features.connection_close_through_filter_manager: true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(text, c.want) {
				t.Errorf("the bootstrap has no %q:\n%s", c.want, text)
			}
		})
	}
	if strings.Index(text, "filter_name: guard") > strings.Index(text, "cluster: up") {
		t.Error("tcp_proxy stands before the network filter")
	}
	if strings.Contains(text, "http_connection_manager") {
		t.Error("a listener of TCP has a connection manager")
	}
}

// Network filters of a listener that speaks TLS know the server name; a protocol in plain text, in which the server may
// speak first, waits for the client only if asked to.
func TestServerNameForNetworkFilters(t *testing.T) {
	certificate := Certificate{CertificateChain: "/tls.crt", PrivateKey: "/tls.key"}
	for _, c := range []struct {
		name   string
		want   bool
		change func(l *Listener)
	}{
		{"TLS", true, func(l *Listener) { l.TLS = &ListenerTLS{Certificates: []Certificate{certificate}} }},
		{"TLS without network filters", false, func(l *Listener) {
			l.TLS, l.NetworkFilters = &ListenerTLS{Certificates: []Certificate{certificate}}, nil
		}},
		{"plain text", false, func(*Listener) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := tcpListener()
			l := &o.Listeners[0]
			l.TCP.ServerNames = false
			c.change(l)
			b, err := New(o)
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			p, err := YAML(b)
			if err != nil {
				t.Fatalf("YAML: %v", err)
			}
			if got := strings.Contains(string(p), "envoy.filters.listener.tls_inspector"); got != c.want {
				t.Errorf("a TLS inspector: %v, want %v", got, c.want)
			}
		})
	}
}

func TestTCPRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(o *Options)
	}{
		{"an upstream that is not there", "listeners[0].tcp.upstream", func(o *Options) { o.Listeners[0].TCP.Upstream = "down" }},
		{"HTTP/3", "listeners[0].http3: a listener with tcp takes no HTTP", func(o *Options) { o.Listeners[0].HTTP3 = true }},
		{"a host that has none", "listeners[0].networkFilters", func(o *Options) { o.ExtProc = &ExtProc{} }},
		{"a route", `the listener "redis" takes no HTTP and has no routes`, func(o *Options) {
			o.Routes = []Route{{Listeners: []string{"redis"}, Action: Action{Upstream: "up"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := tcpListener()
			c.change(&o)
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
