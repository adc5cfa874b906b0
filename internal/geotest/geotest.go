// Package geotest writes databases in MaxMind's format for tests.
package geotest

import (
	"bytes"
	"net"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// City is a record of a database of cities.
func City(country, continent, subdivision, city string, latitude, longitude float64) mmdbtype.Map {
	return mmdbtype.Map{
		"continent":    mmdbtype.Map{"code": mmdbtype.String(continent)},
		"country":      mmdbtype.Map{"iso_code": mmdbtype.String(country)},
		"subdivisions": mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(subdivision)}},
		"city":         mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(city), "de": mmdbtype.String("another")}},
		"postal":       mmdbtype.Map{"code": mmdbtype.String("12345")},
		"location": mmdbtype.Map{
			"latitude": mmdbtype.Float64(latitude), "longitude": mmdbtype.Float64(longitude),
			"time_zone": mmdbtype.String("Europe/Berlin"), "accuracy_radius": mmdbtype.Uint16(10),
		},
	}
}

// Country is a record of a database of countries.
func Country(country, continent string) mmdbtype.Map {
	return mmdbtype.Map{
		"continent": mmdbtype.Map{"code": mmdbtype.String(continent)}, "country": mmdbtype.Map{"iso_code": mmdbtype.String(country)},
	}
}

// ASN is a record of a database of autonomous systems.
func ASN(number uint32, organization string) mmdbtype.Map {
	return mmdbtype.Map{
		"autonomous_system_number":       mmdbtype.Uint32(number),
		"autonomous_system_organization": mmdbtype.String(organization),
	}
}

// Database returns a database with records by network, which is for addresses of IPv6 too.
func Database(t testing.TB, kind string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	return write(t, mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true}, records)
}

// DatabaseV4 returns a database that is for addresses of IPv4 only.
func DatabaseV4(t testing.TB, kind string, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	return write(t, mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true, IPVersion: 4}, records)
}

func write(t testing.TB, o mmdbwriter.Options, records map[string]mmdbtype.Map) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(o)
	if err != nil {
		t.Fatalf("mmdbwriter.New: %v", err)
	}
	for text, record := range records {
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatalf("net.ParseCIDR: %v", err)
		}
		if err := tree.Insert(network, record); err != nil {
			t.Fatalf("inserting %s: %v", text, err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatalf("writing the database: %v", err)
	}
	return b.Bytes()
}
