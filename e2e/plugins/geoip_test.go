package plugins

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"mosn.io/moe/internal/geotest"
)

func init() {
	add("geoip: lists, headers, routes, a new database", func(b *bed) {
		dir := b.TempDir()
		write := func(name string, data []byte) string {
			file := filepath.Join(dir, name)
			if err := os.WriteFile(file+".new", data, 0o600); err != nil {
				b.Fatalf("os.WriteFile: %v", err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				b.Fatalf("os.Rename: %v", err)
			}
			return strconv.Quote(file)
		}
		country := func(code string) []byte {
			return geotest.Database(b, "Test-Country", map[string]mmdbtype.Map{
				"192.0.2.0/24": geotest.Country(code, "EU"), "2001:db8::/32": geotest.Country("US", "NA"),
			})
		}
		asn := geotest.Database(b, "Test-ASN", map[string]mmdbtype.Map{"192.0.2.0/25": geotest.ASN(64496, "Example")})
		ln := b.listen(fmt.Sprintf(`plugins: [{name: geoip, config: {database: %s, asnDatabase: %s, poll: 10ms, address: xForwardedFor,
			trustedProxies: [127.0.0.0/8, "::1/128"], allow: {countries: [DE]}, deny: {asns: [64496]}, headers: {country: x-country, asn: x-asn}}}]`,
			write("country", country("DE")), write("asn", asn)),
			route{"/body/", `plugins: [{name: geoip, config: {allow: {countries: [US]}, status: 451}}]`})
		for _, c := range []struct {
			path, from string
			status     int
		}{
			{path: "/echo", from: "192.0.2.200", status: 200},
			{path: "/echo", from: "192.0.2.1", status: 403},
			{path: "/echo", from: "2001:db8::1", status: 403},
			{path: "/echo", from: "10.0.0.1", status: 403},
			{path: "/echo", from: "evil", status: 403},
			{path: "/body/x", from: "2001:db8::1", status: 200},
			{path: "/body/x", from: "192.0.2.1", status: 451},
		} {
			r := ln.get(c.path, "x-forwarded-for", c.from, "x-country", "XX", "x-asn", "1")
			if r.Status != c.status || c.status != 200 && b.reached(r) {
				b.Errorf("%s from %s: got %d %q, want %d", c.path, c.from, r.Status, r.Body, c.status)
			}
			if c.path != "/echo" || c.status != 200 {
				continue
			}
			if h := b.upstream(r).Header; h.Get("x-country") != "DE" || h.Get("x-asn") != "" {
				b.Errorf("the upstream sees x-country: %q, x-asn: %q; want DE and none", h.Get("x-country"), h.Get("x-asn"))
			}
		}
		write("country", country("FR"))
		b.Poll(func() error {
			if r := ln.get("/echo", "x-forwarded-for", "192.0.2.200"); r.Status != 403 {
				return fmt.Errorf("got %d by the new database, want 403", r.Status)
			}
			return nil
		})
	})
}
