package bootstrap

import (
	"strings"
	"testing"
)

// dnsListener passes datagrams on through a UDP filter.
func dnsListener() Options {
	return Options{
		Listeners: []Listener{{
			Name: "dns", Address: "127.0.0.1:53", UDP: &UDP{Upstream: "up", MaxDatagramSize: 4096},
			UDPFilters: []UDPFilter{{Name: "gateway", Config: map[string]any{"block": []any{"ads.example"}}}},
		}},
		Admin: "127.0.0.1:0", Upstreams: []Upstream{{Name: "up", Endpoints: []string{"127.0.0.1:1"}}}, Edge: DefaultEdge(),
	}
}

func TestUDPListener(t *testing.T) {
	b, err := New(dnsListener())
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	text := string(p)
	for _, c := range []struct{ name, want string }{
		{"the protocol", "protocol: UDP"},
		{"the filter", "filter_name: gateway"},
		{"its configuration", "- ads.example"},
		{"udp_proxy", "cluster: up"},
		{"the size", "max_rx_datagram_size: \"4096\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(text, c.want) {
				t.Errorf("the bootstrap has no %q:\n%s", c.want, text)
			}
		})
	}
	if filter, proxy := strings.Index(text, "filter_name: gateway"), strings.Index(text, "cluster: up"); filter > proxy {
		t.Errorf("udp_proxy stands before the filter:\n%s", text)
	}
}

// Without an upstream, filters answer all there is.
func TestUDPWithoutUpstream(t *testing.T) {
	o := dnsListener()
	o.Listeners[0].UDP.Upstream = ""
	b, err := New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	p, err := YAML(b)
	if err != nil {
		t.Fatalf("YAML: %v", err)
	}
	if strings.Contains(string(p), "udp_proxy") {
		t.Errorf("there is a udp_proxy:\n%s", p)
	}
}

func TestUDPRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(o *Options)
	}{
		{"an upstream that is not there", "listeners[0].udp.upstream", func(o *Options) { o.Listeners[0].UDP.Upstream = "down" }},
		{"nothing to do", "listeners[0].udp.upstream: is required, or udpFilters", func(o *Options) {
			o.Listeners[0].UDP.Upstream, o.Listeners[0].UDPFilters = "", nil
		}},
		{"TLS", "listeners[0].tls: a listener with udp", func(o *Options) { o.Listeners[0].TLS = &ListenerTLS{} }},
		{"HTTP/3", "listeners[0].http3: a listener with udp", func(o *Options) { o.Listeners[0].HTTP3 = true }},
		{"TCP", "listeners[0].tcp: a listener with udp", func(o *Options) { o.Listeners[0].TCP = &TCP{Upstream: "up"} }},
		{"network filters", "listeners[0].networkFilters: a listener with udp", func(o *Options) {
			o.Listeners[0].NetworkFilters = []NetworkFilter{{Name: "guard"}}
		}},
		{"listener filters", "listeners[0].listenerFilters: a listener with udp", func(o *Options) {
			o.Listeners[0].ListenerFilters = []ListenerFilter{{Name: "first"}}
		}},
		{"filters without UDP", "listeners[0].udpFilters: they are for listeners with udp", func(o *Options) {
			o.Listeners[0].UDP, o.Listeners[0].TCP = nil, &TCP{Upstream: "up"}
		}},
		{"a host that has none", "listeners[0].udpFilters: UDP filters in Go run in", func(o *Options) { o.ExtProc = &ExtProc{} }},
		{"a route", `the listener "dns" takes no HTTP and has no routes`, func(o *Options) {
			o.Routes = []Route{{Listeners: []string{"dns"}, Action: Action{Upstream: "up"}}}
		}},
		{"an address twice", "listeners[1].address: another listener has this address", func(o *Options) {
			o.Listeners = append(o.Listeners, o.Listeners[0])
			o.Listeners[1].Name = "again"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := dnsListener()
			c.change(&o)
			if err := o.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// TCP and UDP have ports of their own.
func TestUDPBesideTCP(t *testing.T) {
	o := dnsListener()
	o.Listeners = append(o.Listeners, Listener{Name: "tcp", Address: "127.0.0.1:53", TCP: &TCP{Upstream: "up"}})
	if err := o.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
}
