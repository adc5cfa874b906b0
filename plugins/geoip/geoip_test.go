package geoip

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/oschwald/maxminddb-golang/v2"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/internal/geotest"
	"mosn.io/moe/plugins/internal/reload"
)

var places = map[string]mmdbtype.Map{
	"192.0.2.0/25":    geotest.City("DE", "EU", "BY", "München", 48.125, 11.5),
	"192.0.2.128/25":  geotest.Country("US", "NA"),
	"198.51.100.0/24": {"registered_country": mmdbtype.Map{"iso_code": mmdbtype.String("CH")}},
	"198.51.101.0/24": {"country_code": mmdbtype.String("FR")},
	"203.0.113.0/24":  {"country": mmdbtype.String("wrong")},
	"2001:db8::/32":   geotest.Country("JP", "AS"),
	"198.51.102.0/24": {},
	"198.51.103.0/24": {"continent": mmdbtype.Map{"code": mmdbtype.String("EU")}},
}

var networks = map[string]mmdbtype.Map{
	"192.0.2.0/24":  geotest.ASN(64496, "Example\nAG 100 %"),
	"2001:db8::/32": geotest.ASN(4200000000, "Six"),
}

// files writes the databases and returns the fields of the configuration that name them.
func files(t testing.TB) map[string]any {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return file
	}
	return map[string]any{
		"database":    write("city.mmdb", geotest.Database(t, "Test-City", places)),
		"asnDatabase": write("asn.mmdb", geotest.Database(t, "Test-ASN", networks)),
	}
}

func config(t testing.TB, fields map[string]any, more string) filtertest.Config {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	if more != "" {
		more = ", " + more
	}
	return filtertest.Config{Name: "geoip", JSON: strings.TrimSuffix(string(text), "}") + more + "}"}
}

func TestDecisions(t *testing.T) {
	base := files(t)
	for _, c := range []struct {
		name, more, from string
		status           int
		reason           string
	}{
		{name: "no list", from: "192.0.2.1", status: 200},
		{name: "allowed", more: `allow: {countries: [FR, DE]}`, from: "192.0.2.1", status: 200},
		{name: "not allowed", more: `allow: {countries: [FR, DE]}`, from: "192.0.2.200", status: 403, reason: "the place is not in the list allow"},
		{name: "denied", more: `deny: {countries: [US]}`, from: "192.0.2.200", status: 403, reason: "the place is in the list deny"},
		{name: "not denied", more: `deny: {countries: [US]}`, from: "192.0.2.1", status: 200},
		{name: "deny goes first", more: `allow: {countries: [DE]}, deny: {asns: [64496]}`, from: "192.0.2.1", status: 403, reason: "the place is in the list deny"},
		{name: "continent", more: `allow: {continents: [EU]}`, from: "192.0.2.1", status: 200},
		{name: "one of two lists", more: `allow: {countries: [FR], asns: [64496]}`, from: "192.0.2.1", status: 200},
		{name: "a large number", more: `allow: {asns: [4200000000]}`, from: "2001:db8::1", status: 200},
		{name: "IPv6", more: `allow: {countries: [JP]}`, from: "2001:db8::1", status: 200},
		{name: "IPv4 in IPv6", more: `allow: {countries: [DE]}`, from: "::ffff:192.0.2.1", status: 200},
		{name: "registered", more: `allow: {countries: [CH]}`, from: "198.51.100.1", status: 200},
		{name: "a database with codes only", more: `allow: {countries: [FR]}`, from: "198.51.101.1", status: 200},
		{name: "unknown and allow", more: `allow: {countries: [DE]}`, from: "10.0.0.1", status: 403, reason: "it is not known where the address is"},
		{name: "unknown and allow, passes", more: `allow: {countries: [DE]}, unknown: pass`, from: "10.0.0.1", status: 200},
		{name: "unknown and deny", more: `deny: {countries: [DE]}`, from: "10.0.0.1", status: 200},
		{name: "unknown and deny, denied", more: `deny: {countries: [DE]}, unknown: deny`, from: "10.0.0.1", status: 403, reason: "it is not known where the address is"},
		{name: "allowed, in a network that is not known", more: `allow: {countries: [CH]}, deny: {asns: [64496]}`, from: "198.51.100.1", status: 200},
		{name: "allowed, in a network that is not known, denied", more: `allow: {countries: [CH]}, deny: {asns: [64496]}, unknown: deny`, from: "198.51.100.1", status: 403, reason: "it is not known where the address is"},
		{name: "an empty record", more: `allow: {countries: [DE]}`, from: "198.51.102.1", status: 403, reason: "it is not known where the address is"},
		{name: "a continent without a country", more: `deny: {countries: [DE]}, unknown: deny`, from: "198.51.103.1", status: 403, reason: "it is not known where the address is"},
		{name: "a record that is wrong", more: `deny: {countries: [DE]}`, from: "203.0.113.1", status: 403},
		{name: "a record that is wrong, failOpen", more: `deny: {countries: [DE]}, failOpen: true`, from: "203.0.113.1", status: 200},
		{name: "a record that is wrong, no list", from: "203.0.113.1", status: 200},
		{name: "shadow", more: `deny: {countries: [DE]}, shadow: true`, from: "192.0.2.1", status: 200, reason: "the place is in the list deny"},
		{name: "status", more: `deny: {countries: [DE]}, status: 451`, from: "192.0.2.1", status: 451, reason: "the place is in the list deny"},
		{name: "no address", more: `deny: {countries: [DE]}`, from: "", status: 403},
		{name: "no address, no list", from: "", status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &filtertest.Host{}
			if c.from != "" {
				h.Attrs = map[filter.Attr]string{filter.AttrSourceAddress: netip.AddrPortFrom(netip.MustParseAddr(c.from), 1234).String()}
			}
			if err := h.Load(t, config(t, base, c.more)); err != nil {
				t.Fatalf("loading the plugin: %v", err)
			}
			r := h.Get("/")
			if reason, _ := r.Metadata["moe.geoip/reason"].(string); r.Status != c.status || reason != c.reason {
				t.Errorf("got %d %q, want %d %q", r.Status, reason, c.status, c.reason)
			}
		})
	}
}

// TestForwarded: a client cannot get past a list by a header that it writes, even with failOpen.
func TestForwarded(t *testing.T) {
	h := filtertest.New(t, config(t, files(t), `allow: {countries: [DE]}, address: xForwardedFor, trustedProxies: [10.0.0.0/8], failOpen: true`))
	for value, want := range map[string]int{
		"192.0.2.1, 10.0.0.1": 200, "192.0.2.1, 192.0.2.200": 403, "192.0.2.1, x, 10.0.0.1": 403, "": 403, "x": 403,
	} {
		t.Run(value, func(t *testing.T) {
			if r := h.Get("/", "x-forwarded-for", value); r.Status != want {
				t.Errorf("got %d %v, want %d", r.Status, r.Metadata, want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.1:1"}}
	err := h.Load(t, config(t, files(t), `headers: {country: X-Country, continent: x-continent, subdivision: x-sub, city: x-city, postal: x-postal,
		latitude: x-lat, longitude: x-long, timeZone: x-tz, asn: x-asn, organization: x-org}`))
	if err != nil {
		t.Fatalf("loading the plugin: %v", err)
	}
	r := h.Get("/", "x-country", "XX", "x-asn", "1")
	got := map[string]string{}
	for _, name := range []string{"country", "continent", "sub", "city", "postal", "lat", "long", "tz", "asn", "org"} {
		got[name] = strings.Join(r.Upstream.Header.Values("x-"+name), "|")
	}
	want := map[string]string{
		"country": "DE", "continent": "EU", "sub": "BY", "city": "M%C3%BCnchen", "postal": "12345", "lat": "48.125", "long": "11.5",
		"tz": "Europe/Berlin", "asn": "64496", "org": "Example%0AAG 100 %25",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if r.Metadata["moe.geoip/country"] != "DE" || r.Metadata["moe.geoip/asn"] != "64496" || r.Metadata["moe.geoip/city"] != "München" {
		t.Errorf("got the metadata %v", r.Metadata)
	}
	// What is not known is not what the client says.
	h.Attrs = map[filter.Attr]string{filter.AttrSourceAddress: "10.0.0.1:1"}
	if r := h.Get("/", "x-country", "DE"); len(r.Upstream.Header.Values("x-country")) != 0 || h.Metric("unknown") != 1 {
		t.Errorf("got x-country: %v, unknown = %d; want none, 1", r.Upstream.Header.Values("x-country"), h.Metric("unknown"))
	}
}

func TestReload(t *testing.T) {
	base := files(t)
	h := &filtertest.Host{Attrs: map[filter.Attr]string{filter.AttrSourceAddress: "192.0.2.1:1"}}
	if err := h.Load(t, config(t, base, `deny: {countries: [DE]}, poll: 10ms`)); err != nil {
		t.Fatalf("loading the plugin: %v", err)
	}
	put := func(data []byte) {
		t.Helper()
		file := base["database"].(string)
		if err := os.WriteFile(file+".new", data, 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatalf("os.Rename: %v", err)
		}
	}
	wait := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s does not come: %s", what, h.Log())
			}
		}
	}
	if r := h.Get("/"); r.Status != 403 {
		t.Errorf("got %d, want 403", r.Status)
	}
	put(geotest.Database(t, "Test-City", map[string]mmdbtype.Map{"192.0.2.0/24": geotest.Country("FR", "EU")}))
	wait("the new database", func() bool { return h.Get("/").Status == 200 })
	put([]byte("half a file"))
	wait("the refusal", func() bool { return h.Metric("reload_failed") == 1 })
	put(geotest.DatabaseV4(t, "Test-City", map[string]mmdbtype.Map{"192.0.2.0/24": geotest.Country("DE", "EU")}))
	wait("a third database", func() bool { return h.Get("/").Status == 403 })
	h.Attrs = map[filter.Attr]string{filter.AttrSourceAddress: "[2001:db8::1]:1"}
	if r := h.Get("/"); r.Status != 200 { // a database for IPv4 does not know it
		t.Errorf("IPv6: got %d %v, want 200", r.Status, r.Metadata)
	}
}

func TestRefused(t *testing.T) {
	base := files(t)
	bad := filepath.Join(t.TempDir(), "bad.mmdb")
	if err := os.WriteFile(bad, []byte("\xab\xcd\xefMaxMind.com"), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	one := func(name string) map[string]any { return map[string]any{name: base[name]} }
	for _, c := range []struct {
		name   string
		fields map[string]any
		more   string
		want   string
	}{
		{name: "none", fields: map[string]any{"status": 403}, want: "database: is required"},
		{name: "missing", fields: map[string]any{"database": "/does/not/exist"}, want: "/does/not/exist"},
		{name: "not one", fields: map[string]any{"database": bad}, want: "not a database in MaxMind's format"},
		{name: "country", fields: base, more: `allow: {countries: [de]}`, want: "allow.countries[0]"},
		{name: "continent", fields: base, more: `allow: {continents: [XX]}`, want: "allow.continents[0]"},
		{name: "countries of networks", fields: one("asnDatabase"), more: `deny: {countries: [DE]}`, want: "deny: countries and continents need"},
		{name: "networks of countries", fields: one("database"), more: `deny: {asns: [1]}`, want: "deny: asns need"},
		{name: "header of networks", fields: one("database"), more: `headers: {asn: x-asn}`, want: "headers.asn: needs asnDatabase"},
		{name: "header of countries", fields: one("asnDatabase"), more: `headers: {city: x-city}`, want: "headers.city: needs database"},
		{name: "header", fields: base, more: `headers: {city: ":path"}`, want: "headers.city"},
		{name: "unknown", fields: base, more: `unknown: pass`, want: "unknown: needs allow or deny"},
		{name: "hops", fields: base, more: `trustedHops: 1`, want: "trustedHops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, config(t, c.fields, c.more))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

// FuzzDatabase: a database that is damaged gives an error or an answer, whatever it says.
func FuzzDatabase(f *testing.F) {
	data := geotest.Database(f, "Test-City", places)
	f.Add(10, byte(0xff), 1000, byte(0x20))
	f.Fuzz(func(t *testing.T, at int, b byte, at2 int, b2 byte) {
		damaged := append([]byte(nil), data...)
		damaged[uint(at)%uint(len(data))] = b
		damaged[uint(at2)%uint(len(data))] ^= b2
		p := &GeoIP{Database: "x"}
		if err := p.load([]reload.File{{Path: "x", Data: damaged}}); err != nil {
			return
		}
		for _, text := range []string{"192.0.2.1", "203.0.113.1", "2001:db8::1", "10.0.0.1"} {
			_, _ = p.databases.Load().find(netip.MustParseAddr(text))
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	reader, err := maxminddb.OpenBytes(geotest.Database(b, "Test-City", places))
	if err != nil {
		b.Fatalf("maxminddb.OpenBytes: %v", err)
	}
	d, addr := &databases{places: reader}, netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if p, err := d.find(addr); err != nil || p.country != "DE" {
			b.Fatalf("got %v, %v; want DE", p, err)
		}
	}
}
