package clientaddr

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/plugintest"
)

func networks(list ...string) (ps []netip.Prefix) {
	for _, text := range list {
		ps = append(ps, netip.MustParsePrefix(text))
	}
	return ps
}

func TestFind(t *testing.T) {
	xff := func(values ...string) (header []string) {
		for _, v := range values {
			header = append(header, "x-forwarded-for", v)
		}
		return header
	}
	proxies := networks("10.0.0.0/8", "2001:db8::/32")
	for _, c := range []struct {
		name   string
		finder Finder
		header []string
		want   string // "" for an error
	}{
		{name: "source", finder: Finder{}, header: xff("192.0.2.1"), want: "198.51.100.1"},
		{name: "last", finder: Finder{Address: "xForwardedFor"}, header: xff("192.0.2.1, 192.0.2.2"), want: "192.0.2.2"},
		{name: "a hop", finder: Finder{Address: "xForwardedFor", TrustedHops: 1}, header: xff("192.0.2.1, 192.0.2.2"), want: "192.0.2.1"},
		{name: "a hop in another field", finder: Finder{Address: "xForwardedFor", TrustedHops: 1}, header: xff("192.0.2.1", "192.0.2.2"), want: "192.0.2.1"},
		{name: "too few", finder: Finder{Address: "xForwardedFor", TrustedHops: 2}, header: xff("192.0.2.1, 192.0.2.2")},
		{name: "none", finder: Finder{Address: "xForwardedFor"}},
		{name: "text", finder: Finder{Address: "xForwardedFor"}, header: xff("192.0.2.1, evil")},
		{name: "text at a hop", finder: Finder{Address: "xForwardedFor", TrustedHops: 1}, header: xff("192.0.2.1, evil")},
		{name: "text before", finder: Finder{Address: "xForwardedFor"}, header: xff("evil, 192.0.2.1:80"), want: "192.0.2.1"},
		{
			name: "proxies", finder: Finder{Address: "xForwardedFor", TrustedProxies: proxies},
			header: xff("192.0.2.9, 192.0.2.1, 10.1.2.3", "[2001:db8::1]:443"), want: "192.0.2.1",
		},
		{name: "no proxy", finder: Finder{Address: "xForwardedFor", TrustedProxies: proxies}, header: xff("10.1.2.3, 192.0.2.1"), want: "192.0.2.1"},
		{name: "proxies only", finder: Finder{Address: "xForwardedFor", TrustedProxies: proxies}, header: xff("10.1.2.3, 10.0.0.1"), want: "10.1.2.3"},
		{name: "mapped proxy", finder: Finder{Address: "xForwardedFor", TrustedProxies: proxies}, header: xff("192.0.2.1, ::ffff:10.0.0.1"), want: "192.0.2.1"},
		{name: "text behind a proxy", finder: Finder{Address: "xForwardedFor", TrustedProxies: proxies}, header: xff("192.0.2.1, evil, 10.0.0.1")},
		{name: "forwarded", finder: Finder{Address: "forwarded"}, header: []string{"forwarded", `for=192.0.2.1;proto=https, For="[2001:db8::7]:99"`}, want: "2001:db8::7"},
		{
			name: "forwarded by proxies", finder: Finder{Address: "forwarded", TrustedProxies: proxies},
			header: []string{"forwarded", `for=192.0.2.1;by="a,b", for="10.0.0.1:80"`, "forwarded", "proto=http;for=10.0.0.2"}, want: "192.0.2.1",
		},
		{name: "an element without for", finder: Finder{Address: "forwarded", TrustedHops: 1}, header: []string{"forwarded", "for=192.0.2.1, proto=http"}},
		{name: "unknown", finder: Finder{Address: "forwarded"}, header: []string{"forwarded", "for=192.0.2.1, for=unknown"}},
		{name: "obfuscated", finder: Finder{Address: "forwarded"}, header: []string{"forwarded", "for=_secret"}},
		{name: "an open quote", finder: Finder{Address: "forwarded", TrustedHops: 1}, header: []string{"forwarded", `for="x, for=192.0.2.1, for=192.0.2.2`}},
		{name: "an address in a quote", finder: Finder{Address: "forwarded", TrustedHops: 1}, header: []string{"forwarded", `for="x, for=192.0.2.9", for=192.0.2.2`}},
		{name: "two of one", finder: Finder{Address: "forwarded"}, header: []string{"forwarded", "for=192.0.2.1;for=192.0.2.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.finder.Validate(); err != nil {
				t.Fatalf("Validate: %v", err)
			}
			h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "198.51.100.1:1234"}}
			err := h.Load(t, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
				r, _ := authz.Path{}.Request(s, h)
				got, err := c.finder.Find(&authz.Mode{}, &r)
				if err != nil && c.want != "" || err == nil && got.Unmap().String() != c.want {
					t.Errorf("got %v, %v; want %q", got, err, c.want)
				}
			}})
			if err != nil {
				t.Fatalf("loading the plugin: %v", err)
			}
			h.Get("/", c.header...)
		})
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		finder Finder
		want   string
	}{
		{name: "hops", finder: Finder{Address: "source", TrustedHops: 1}, want: "trustedHops"},
		{name: "proxies", finder: Finder{Address: "source", TrustedProxies: networks("10.0.0.0/8")}, want: "trustedProxies"},
		{name: "both", finder: Finder{Address: "forwarded", TrustedHops: 1, TrustedProxies: networks("10.0.0.0/8")}, want: "exclusive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.finder.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestElements: the examples of RFC 7239, and what a client may write.
func TestElements(t *testing.T) {
	for field, want := range map[string][]string{
		`for="_gazonk"`:                                  {"_gazonk"},
		`For="[2001:db8:cafe::17]:4711"`:                 {"[2001:db8:cafe::17]:4711"},
		`for=192.0.2.60;proto=http;by=203.0.113.43`:      {"192.0.2.60"},
		`for=192.0.2.43, for=198.51.100.17`:              {"192.0.2.43", "198.51.100.17"},
		`for=192.0.2.43,for="[2001:db8:cafe::17]",for=u`: {"192.0.2.43", "[2001:db8:cafe::17]", "u"},
		`proto=http`:              {""},
		``:                        {""},
		`for=a,,for=b`:            {"a", "", "b"},
		`for="a\"b"`:              {`a"b`},
		`for = a`:                 {""},
		`for=a b`:                 {""},
		`x,for=a`:                 {""},
		`for="a" x`:               {""},
		`for=a;;by=b`:             {"a"},
		`by="for=x, for=y",for=z`: {"", "z"},
	} {
		t.Run(field, func(t *testing.T) {
			if diff := cmp.Diff(want, elements(field)); diff != "" {
				t.Errorf("elements (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzElements: what a proxy appends is the last element, whatever the client has sent in a well-formed field; after a
// malformed one there is none to trust.
func FuzzElements(f *testing.F) {
	f.Add(`for=a;by="b,c"`)
	f.Add(`for="a`)
	f.Fuzz(func(t *testing.T, field string) {
		before, after := elements(field), elements(field+", for=192.0.2.1")
		if slices.Equal(after, []string{""}) {
			return
		}
		if got := after[len(after)-1]; got != "192.0.2.1" || len(after) != len(before)+1 {
			t.Errorf("%q: got %q, then %q", field, before, after)
		}
	})
}

// FuzzLast: there is an address, or an error.
func FuzzLast(f *testing.F) {
	f.Add("10.0.0.1, 192.0.2.1", 1)
	f.Fuzz(func(t *testing.T, value string, hops int) {
		finder := Finder{TrustedHops: hops & 7}
		if a, err := finder.last(backwards([]string{value}), errXFF); (err == nil) != a.IsValid() {
			t.Errorf("got %v, %v", a, err)
		}
	})
}
