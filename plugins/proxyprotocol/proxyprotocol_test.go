package proxyprotocol

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/listener/listenertest"
)

const trust = "trusted: [10.0.0.0/8]\n"

func TestProxyProtocol(t *testing.T) {
	header := v2(0x21, 0x11, v4+of(2, "a.example")+of(0x20, "\x01\x00\x00\x00\x00"+of(0x22, "client\xff"))+of(0xEA, "\x01vpce"))
	for _, c := range []struct {
		name, conf, from, in string
		remote, local        string // as before if ""
		closed, rest         string
		counted              string
		metadata             map[string]any
		state                map[string]string
	}{
		{name: "version 1", in: "PROXY TCP4 192.0.2.1 198.51.100.2 4660 443\r\nhello", remote: "192.0.2.1:4660", local: "198.51.100.2:443", rest: "hello", counted: "read"},
		{name: "version 2", in: v2(0x21, 0x21, v6) + "hello", remote: "[2001:db8::1]:4660", local: "[2001:db8::2]:443", rest: "hello", counted: "read"},
		{name: "local", in: v2(0x20, 0, "") + "hello", rest: "hello", counted: "read"},
		{name: "nothing behind", in: "PROXY UNKNOWN\r\n", counted: "read"},
		{name: "another header behind", in: "PROXY UNKNOWN\r\nPROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", rest: "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", counted: "read"},
		{name: "from elsewhere", from: "192.0.2.9:1", in: "PROXY UNKNOWN\r\n", closed: "untrusted", counted: "refused"},
		{name: "from elsewhere, to pass", conf: "others: pass", from: "192.0.2.9:1", in: "PROXY UNKNOWN\r\n", rest: "PROXY UNKNOWN\r\n", counted: "passed"},
		{name: "no header", in: "GET / HTTP/1.1\r\n\r\n", closed: "missing", counted: "refused"},
		{name: "no header, optional", conf: "optional: true", in: "GET / HTTP/1.1\r\n\r\n", rest: "GET / HTTP/1.1\r\n\r\n", counted: "passed"},
		{name: "a forged header, optional", conf: "optional: true", in: "PROXY TCP9\r\n", closed: "malformed", counted: "refused"},
		{name: "a version that is not read", conf: "versions: [2]", in: "PROXY UNKNOWN\r\n", closed: "version", counted: "refused"},
		{name: "too long", conf: "maxSize: 100", in: v2(0x21, 0x11, v4+strings.Repeat("x", 100)), closed: "malformed", counted: "refused"},
		{
			name: "values", in: header + "hello", remote: "192.0.2.1:4660", local: "198.51.100.2:443", rest: "hello", counted: "read",
			conf: "tlvs: [{type: 2, key: host}, {type: 32, sub: 34, key: name}, {type: 234, key: vpce, encoding: hex}, " +
				"{type: 5, key: id}, {type: 2, key: host64, encoding: base64}]\nfilterState: true\nnamespace: ns",
			metadata: map[string]any{"host": "a.example", "name": "client\uFFFD", "vpce": "0176706365", "host64": "YS5leGFtcGxl"},
			state: map[string]string{
				"ns.host": "a.example", "ns.name": "client\uFFFD", "ns.vpce": "0176706365", "ns.host64": "YS5leGFtcGxl",
			},
		},
	} {
		for pieces, size := range map[string]int{"in one piece": len(c.in), "one byte at a time": 1, "in pieces of 7": 7} {
			t.Run(c.name+" "+pieces, func(t *testing.T) {
				f, err := listenertest.New[ProxyProtocol](t, trust+c.conf)
				if err != nil {
					t.Fatalf("listenertest.New: %v", err)
				}
				peer := listenertest.Peer{Remote: netip.MustParseAddrPort("10.0.0.1:7"), Local: netip.MustParseAddrPort("10.0.0.2:8")}
				if c.from != "" {
					peer.Remote = netip.MustParseAddrPort(c.from)
				}
				s := f.Accept(peer)
				for rest := c.in; rest != ""; rest = rest[min(size, len(rest)):] {
					s.FromClient(rest[:min(size, len(rest))])
				}
				if c.closed != "" {
					if got := s.Closed(); got != "moe.proxyprotocol: "+c.closed {
						t.Errorf("closed with %q, want %q", got, c.closed)
					}
				} else if !s.Passed() || s.Rest() != c.rest {
					t.Errorf("passed: %v (%q), with %q behind; want %q", s.Passed(), s.Closed(), s.Rest(), c.rest)
				}
				if n := f.Counted(c.counted); n != 1 {
					t.Errorf("%s is %d, want 1", c.counted, n)
				}
				k := s.Known()
				if want := or(c.remote, peer.Remote.String()); k.Remote.String() != want {
					t.Errorf("the client's address is %v, want %v", k.Remote, want)
				}
				if want := or(c.local, peer.Local.String()); k.Local.String() != want {
					t.Errorf("the local address is %v, want %v", k.Local, want)
				}
				if diff := cmp.Diff(c.metadata, k.Metadata["ns"]); diff != "" {
					t.Errorf("metadata (-want +got):\n%s", diff)
				}
				if c.state != nil {
					if diff := cmp.Diff(c.state, k.FilterState); diff != "" {
						t.Errorf("filter state (-want +got):\n%s", diff)
					}
				}
			})
		}
	}
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"no network", "{}", "trusted"},
		{"a version that is none", trust + "versions: [3]", "versions[0]"},
		{"no version", trust + "versions: []", "versions"},
		{"a type that is none", trust + "tlvs: [{type: 256, key: a}]", "tlvs[0].type"},
		{"a value within another", trust + "tlvs: [{type: 2, sub: 1, key: a}]", "tlvs[0].sub"},
		{"a key twice", trust + "tlvs: [{type: 2, key: a}, {type: 3, key: a}]", "tlvs[1].key"},
		{"values of version 1", trust + "versions: [1]\ntlvs: [{type: 2, key: a}]", "only version 2"},
		{"filter state of Envoy's", trust + "filterState: true\nnamespace: envoy.x", "namespace"},
		{"a header that cannot be", trust + "maxSize: 15", "maxSize"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := listenertest.New[ProxyProtocol](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
