package geoip

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"mosn.io/moe/plugins/internal/reload"
)

// databases are the files as they are now.
type databases struct{ places, networks *maxminddb.Reader }

// place is what is known of an address.
type place struct {
	country, continent, subdivision, city, postal, timeZone string
	latitude, longitude                                     float64
	located                                                 bool
	asn                                                     uint32
	organization                                            string
}

// placeRecord is a record of MaxMind's databases of countries and cities. CountryCode is for databases that have only that.
type placeRecord struct {
	Continent struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"continent"`
	Country    country `maxminddb:"country"`
	Registered country `maxminddb:"registered_country"`
	City       struct {
		Names struct {
			English string `maxminddb:"en"`
		} `maxminddb:"names"`
	} `maxminddb:"city"`
	Subdivisions []country `maxminddb:"subdivisions"`
	Postal       struct {
		Code string `maxminddb:"code"`
	} `maxminddb:"postal"`
	Location struct {
		Latitude  *float64 `maxminddb:"latitude"`
		Longitude *float64 `maxminddb:"longitude"`
		TimeZone  string   `maxminddb:"time_zone"`
	} `maxminddb:"location"`
	CountryCode string `maxminddb:"country_code"`
}

type country struct {
	Code string `maxminddb:"iso_code"`
}

// networkRecord is a record of MaxMind's databases of autonomous systems.
type networkRecord struct {
	Number       uint32 `maxminddb:"autonomous_system_number"`
	Organization string `maxminddb:"autonomous_system_organization"`
}

// load takes the files into use, all or none.
func (p *GeoIP) load(files []reload.File) error {
	d := &databases{}
	for _, f := range files {
		reader, err := maxminddb.OpenBytes(f.Data)
		if err != nil {
			return fmt.Errorf("%s: is not a database in MaxMind's format: %w", f.Path, err)
		}
		if f.Path == p.ASNDatabase {
			d.networks = reader
		} else {
			d.places = reader
		}
	}
	p.databases.Store(d)
	return nil
}

// find looks an address up. What is not in a database is not known; an IPv6 address is not known to one for IPv4 only.
func (d *databases) find(addr netip.Addr) (p place, err error) {
	addr = addr.Unmap().WithZone("")
	if d.places != nil && has(d.places, addr) {
		var r placeRecord
		if err := d.places.Lookup(addr).Decode(&r); err != nil {
			return place{}, fmt.Errorf("database: %w", err)
		}
		p.country, p.continent = r.Country.Code, r.Continent.Code
		if p.country == "" {
			p.country = r.CountryCode
		}
		if p.country == "" { // a network of satellites or of a company in many countries: where it is registered
			p.country = r.Registered.Code
		}
		if len(r.Subdivisions) > 0 {
			p.subdivision = r.Subdivisions[0].Code
		}
		p.city, p.postal, p.timeZone = r.City.Names.English, r.Postal.Code, r.Location.TimeZone
		if l := r.Location; l.Latitude != nil && l.Longitude != nil {
			p.latitude, p.longitude, p.located = *l.Latitude, *l.Longitude, true
		}
	}
	if d.networks != nil && has(d.networks, addr) {
		var r networkRecord
		if err := d.networks.Lookup(addr).Decode(&r); err != nil {
			return place{}, fmt.Errorf("asnDatabase: %w", err)
		}
		p.asn, p.organization = r.Number, r.Organization
	}
	return p, nil
}

// has reports whether a database is for addresses such as addr.
func has(d *maxminddb.Reader, addr netip.Addr) bool { return addr.Is4() || d.Metadata.IPVersion == 6 }
