package clienthello

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/listener/listenertest"
)

func TestClientHello(t *testing.T) {
	tls := string(records(message(chrome), 100))
	_, ja3 := chrome.ja3()
	told := map[string]any{"sni": "clients1.google.com", "alpn": "h2,http/1.1", "ja3": ja3, "ja4": chromeJA4}
	for _, c := range []struct {
		name, conf, in string
		closed         string
		counted        string
		metadata       map[string]any
	}{
		{name: "TLS", in: tls, counted: "read", metadata: told},
		{name: "TLS, required", conf: "require: true", in: tls, counted: "read", metadata: told},
		{name: "plain text", in: "GET / HTTP/1.1\r\n\r\n", counted: "other"},
		{name: "plain text, and TLS is required", conf: "require: true", in: "GET / HTTP/1.1\r\n\r\n", closed: "no ClientHello", counted: "other"},
		{name: "too long", conf: "maxSize: 512", in: tls[:5] + "\x01\x00\x02\x00" + tls[9:], counted: "malformed"},
		{name: "cut, and TLS is required", conf: "require: true", in: "\x16\x03\x01\x00\x00", closed: "no ClientHello", counted: "malformed"},
		{name: "a JA4 that is denied", conf: "deny: [" + chromeJA4 + "]", in: tls, closed: "denied fingerprint", counted: "denied", metadata: told},
		{name: "a JA3 that is denied", conf: "deny: [" + strings.ToUpper(ja3) + "]", in: tls, closed: "denied fingerprint", counted: "denied", metadata: told},
	} {
		for pieces, size := range map[string]int{"in one piece": len(c.in), "one byte at a time": 1, "in pieces of 7": 7} {
			t.Run(c.name+" "+pieces, func(t *testing.T) {
				f, err := listenertest.New[ClientHello](t, "filterState: true\nnamespace: ns\n"+c.conf)
				if err != nil {
					t.Fatalf("listenertest.New: %v", err)
				}
				s := f.Accept(listenertest.Peer{})
				for rest := c.in; rest != ""; rest = rest[min(size, len(rest)):] {
					s.FromClient(rest[:min(size, len(rest))])
				}
				if got := strings.TrimPrefix(s.Closed(), "moe.clienthello: "); got != c.closed || s.Passed() != (c.closed == "") {
					t.Errorf("passed: %v, closed with %q; want %q", s.Passed(), got, c.closed)
				}
				if c.closed == "" && s.Rest() != c.in {
					t.Errorf("those behind see %q, want all that was sent", s.Rest())
				}
				if n := f.Counted(c.counted); n != 1 {
					t.Errorf("%s is %d, want 1", c.counted, n)
				}
				wantKnown(t, s.Known(), c.metadata)
			})
		}
	}
}

// wantKnown compares what Envoy knows with the metadata; nil: nothing.
func wantKnown(t *testing.T, k listenertest.Known, metadata map[string]any) {
	t.Helper()
	want := listenertest.Known{FilterState: map[string]string{}, Metadata: map[string]map[string]any{}}
	if metadata != nil {
		want.Metadata["ns"] = metadata
		for key, v := range metadata {
			want.FilterState["ns."+key] = v.(string)
		}
		want.ServerName, want.TransportProtocol, want.ApplicationProtocols = "clients1.google.com", "tls", []string{"h2", "http/1.1"}
		want.JA3, want.JA4 = metadata["ja3"].(string), metadata["ja4"].(string)
	}
	if diff := cmp.Diff(want, k, cmp.FilterPath(func(p cmp.Path) bool {
		last := p.Last().String()
		return last == ".Remote" || last == ".Local"
	}, cmp.Ignore())); diff != "" {
		t.Errorf("what Envoy knows (-want +got):\n%s", diff)
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"a fingerprint that is none", "deny: [abc]", "deny[0]"},
		{"a JA4 that is cut", "deny: [t13d1516h2_8daaf6152771]", "deny[0]"},
		{"a message that cannot be", "maxSize: 100", "maxSize"},
		{"filter state of Envoy's", "filterState: true\nnamespace: envoy.x", "namespace"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := listenertest.New[ClientHello](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
