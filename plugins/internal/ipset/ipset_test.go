package ipset

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, text := range list {
		p, err := ParseNetwork(text)
		if err != nil {
			panic(text)
		}
		ps = append(ps, p)
	}
	return ps
}

func TestHas(t *testing.T) {
	s := New(prefixes("10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "192.0.2.2/31", "0.0.0.0/32", "255.255.255.255",
		"::ffff:198.51.100.0/120", "fd00::/8", "2001:db8::1", "2001:db8:1::/64", "::1", "172.16.9.9/12"))
	for a, want := range map[string]bool{
		"10.0.0.0": true, "10.1.2.3": true, "10.255.255.255": true, "11.0.0.0": false, "9.255.255.255": false,
		"192.0.2.0": false, "192.0.2.1": true, "192.0.2.2": true, "192.0.2.3": true, "192.0.2.4": false,
		"0.0.0.0": true, "0.0.0.1": false, "255.255.255.255": true, "255.255.255.254": false,
		"198.51.100.7": true, "::ffff:198.51.100.7": true, "::ffff:10.0.0.1": true, "::ffff:11.0.0.1": false,
		"::10.0.0.1": false, "fd12::1": true, "fe00::": false, "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": false,
		"2001:db8::1": true, "2001:db8::2": false, "2001:db8:1::ffff:0:0:1": true, "2001:db8:1:1::": false, "::1": true,
		"fd00::1%eth0": true, "172.31.255.255": true, "172.32.0.0": false, "172.15.255.255": false,
	} {
		t.Run(a, func(t *testing.T) {
			if got := s.Has(netip.MustParseAddr(a)); got != want {
				t.Errorf("%s: s.Has(netip.MustParseAddr(a)) = %v, want %v", a, got, want)
			}
		})
	}
	if s.Has(netip.Addr{}) || (&Set{}).Has(netip.MustParseAddr("10.0.0.1")) {
		t.Error("what is not there is found")
	}
	all := New(prefixes("0.0.0.0/0", "::/0"))
	if !all.Has(netip.MustParseAddr("255.1.2.3")) || !all.Has(netip.MustParseAddr("ffff::")) || all.Len() != 2 {
		t.Error("not everything is in 0/0", all)
	}
}

// Against the obvious way.
func TestRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	address := func(spread int) netip.Addr {
		if r.IntN(2) == 0 {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0x0a000000+uint32(r.IntN(spread)))
			return netip.AddrFrom4(b)
		}
		var b [16]byte
		b[0] = 0x20
		binary.BigEndian.PutUint32(b[6:], uint32(r.IntN(spread)))
		binary.BigEndian.PutUint32(b[12:], uint32(r.IntN(spread)))
		return netip.AddrFrom16(b)
	}
	for range 200 {
		var list []netip.Prefix
		for range r.IntN(40) {
			a := address(1 << 12)
			list = append(list, netip.PrefixFrom(a, a.BitLen()-r.IntN(12)))
		}
		s := New(list)
		for range 500 {
			a, want := address(1<<12), false
			for _, p := range list {
				want = want || p.Masked().Contains(a)
			}
			if s.Has(a) != want {
				t.Fatalf("%v: %v, in %v", a, !want, list)
			}
		}
	}
}

func TestParseFile(t *testing.T) {
	list, err := ParseFile("f", []byte("# office\n10.0.0.0/8 # all\r\n\n  ::1;loop\nfd00::/8"))
	if err != nil || len(list) != 3 || list[1] != netip.MustParsePrefix("::1/128") {
		t.Errorf("ParseFile: got %d of ParseFile(…) and error %v, want 3: %v; got %v, want list[1] %v",
			len(list), err, list, list, netip.MustParsePrefix("::1/128"))
	}
	for text, want := range map[string]string{
		"10.0.0.0/33": "f:1", "\n\n10.0.0": "f:3", "10.0.0.1 10.0.0.2": "f:1", "fe80::1%eth0": "f:1", "10.0.0.0/08": "f:1",
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := ParseFile("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf(`%q: ParseFile("f", []byte(text)): got error %v, want one with %q`, text, err, want)
			}
		})
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("10.0.0.0/8\n::1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseFile("f", data)
		if err != nil {
			return
		}
		s := New(list)
		for _, p := range list {
			if !s.Has(p.Addr()) {
				t.Fatalf("%v is missing", p)
			}
		}
	})
}

func BenchmarkHas(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{10, 10_000, 100_000} {
		var list []netip.Prefix
		for range n {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{
				byte(r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)),
			}), 28))
		}
		s, a := New(list), list[n/2].Addr()
		b.Run(map[int]string{10: "10", 10_000: "10000", 100_000: "100000"}[n], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !s.Has(a) {
					b.Fatal("missing")
				}
			}
		})
	}
}
