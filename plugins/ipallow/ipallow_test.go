package ipallow

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mosn.io/moe/framework/network/networktest"
)

func TestIPAllow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(file, []byte("192.0.2.0/24 # office\n"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	for _, c := range []struct {
		name, conf, from, direct string
		reset                    bool
	}{
		{name: "in allow", conf: "allow: [10.0.0.0/8]", from: "10.1.2.3:4"},
		{name: "not in allow", conf: "allow: [10.0.0.0/8]", from: "192.0.2.1:4", reset: true},
		{name: "in deny", conf: "allow: [10.0.0.0/8]\ndeny: [10.9.0.0/16]", from: "10.9.0.1:4", reset: true},
		{name: "not in deny", conf: "deny: [10.9.0.0/16]", from: "10.8.0.1:4"},
		{name: "in a file", conf: "allowFile: " + file, from: "192.0.2.7:4"},
		{name: "IPv4 in IPv6", conf: "allow: [10.0.0.0/8]", from: "[::ffff:10.0.0.1]:4"},
		{name: "no address", conf: "allow: [10.0.0.0/8]", reset: true},
		{name: "shadow", conf: "deny: [10.0.0.0/8]\nshadow: true", from: "10.1.2.3:4"},
		{name: "what PROXY tells", conf: "allow: [10.0.0.0/8]", from: "10.0.0.1:4", direct: "192.0.2.1:4"},
		{name: "direct", conf: "allow: [10.0.0.0/8]\ndirect: true", from: "10.0.0.1:4", direct: "192.0.2.1:4", reset: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := networktest.New[IPAllow](t, c.conf)
			if err != nil {
				t.Fatalf("networktest.New: %v", err)
			}
			var peer networktest.Peer
			if c.from != "" {
				peer.Remote = netip.MustParseAddrPort(c.from)
			}
			if c.direct != "" {
				peer.DirectRemote = netip.MustParseAddrPort(c.direct)
			}
			conn := f.Connect(peer)
			if closed := conn.Closed(); (closed != nil && closed.Reset) != c.reset {
				t.Errorf("closed as %+v, want a reset: %v", closed, c.reset)
			}
			want := int64(0)
			if c.reset || strings.Contains(c.conf, "shadow") {
				want = 1
			}
			if n := f.Counted("denied"); n != want {
				t.Errorf("%d connections are counted as denied, want %d", n, want)
			}
			if c.reset {
				return
			}
			conn.FromClient("x")
			if got := conn.ToUpstream(); got != "x" || conn.Crossings() != 1 {
				t.Errorf("%q has passed with %d crossings, want x with the one of the connection", got, conn.Crossings())
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"no list", "{}", "give one list"},
		{"no network", "allow: [ten]", "allow[0]"},
		{"no such file", "denyFile: /no/such/file", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := networktest.New[IPAllow](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
