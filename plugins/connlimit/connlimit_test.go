package connlimit

import (
	"net/netip"
	"strings"
	"testing"

	"mosn.io/moe/framework/network/networktest"
)

func TestConnLimit(t *testing.T) {
	type dial struct {
		from, name string
		reset      bool
	}
	for _, c := range []struct {
		name, conf string
		dials      []dial
	}{
		{"max", "max: 2", []dial{{from: "10.0.0.1:1"}, {from: "10.0.0.2:1"}, {from: "10.0.0.3:1", reset: true}}},
		{"per address", "perAddress: 1", []dial{
			{from: "10.0.0.1:1"}, {from: "10.0.0.1:2", reset: true}, {from: "10.0.0.2:1"}, {from: "[::ffff:10.0.0.1]:3", reset: true},
		}},
		{"per network", "perAddress: 1\nipv4Bits: 24", []dial{
			{from: "10.0.0.1:1"},
			{from: "10.0.0.2:1", reset: true},
			{from: "10.0.1.1:1"},
			{from: "[2001:db8::1]:1"},
			{from: "[2001:db8::2]:1", reset: true},
			{from: "[2001:db8:0:1::1]:1"},
		}},
		{"per name", "perName: 1", []dial{
			{name: "a"}, {name: "a", reset: true}, {name: "b"}, {name: ""}, {name: "", reset: true},
		}},
		{"except", "max: 1\nexcept: [10.0.0.0/8]", []dial{
			{from: "10.0.0.1:1"}, {from: "10.0.0.1:2"}, {from: "192.0.2.1:1"}, {from: "192.0.2.1:2", reset: true},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := networktest.New[ConnLimit](t, c.conf)
			if err != nil {
				t.Fatalf("networktest.New: %v", err)
			}
			refused := int64(0)
			for round := range 2 { // those of the first have gone when the second begins
				var conns []*networktest.Conn
				for i, d := range c.dials {
					peer := networktest.Peer{ServerName: d.name}
					if d.from != "" {
						peer.Remote = netip.MustParseAddrPort(d.from)
					}
					conn := f.Connect(peer)
					conns = append(conns, conn)
					if closed := conn.Closed(); (closed != nil && closed.Reset) != d.reset {
						t.Errorf("round %d, connection %d: closed as %+v, want a reset: %v", round, i, closed, d.reset)
					}
					if d.reset {
						refused++
						continue
					}
					conn.FromClient("x")
					conn.FromUpstream("y")
					if n := conn.Crossings(); n != 1 {
						t.Errorf("connection %d: %d crossings, want the one of its beginning", i, n)
					}
				}
				for _, conn := range conns {
					conn.Abort()
				}
			}
			if n := f.Counted("refused"); n != refused {
				t.Errorf("%d connections are counted as refused, want %d", n, refused)
			}
			if n := f.Counted("active"); n != 0 {
				t.Errorf("%d connections are active, want none", n)
			}
			if n := len(f.Config.byAddr) + len(f.Config.byName) + f.Config.total; n != 0 {
				t.Errorf("%d counts are left when all connections have gone", n)
			}
		})
	}
}

func TestRefusesNoLimit(t *testing.T) {
	if _, err := networktest.New[ConnLimit](t, "{}"); err == nil || !strings.Contains(err.Error(), "give one limit") {
		t.Errorf("the error is %v, want one that asks for a limit", err)
	}
}
