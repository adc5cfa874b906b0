package geoip

import (
	"fmt"
	"strconv"
	"strings"

	"mosn.io/moe/plugins/internal/authz"
)

// field is one of the headers.
type field struct {
	name   string
	header *string
	asn    bool // it is of the database of networks
	value  func(p *place) string
}

// fields returns the headers, by the names that configuration and metadata have for them.
func (h *Headers) fields() []field {
	return []field{
		{name: "country", header: &h.Country, value: func(p *place) string { return p.country }},
		{name: "continent", header: &h.Continent, value: func(p *place) string { return p.continent }},
		{name: "subdivision", header: &h.Subdivision, value: func(p *place) string { return p.subdivision }},
		{name: "city", header: &h.City, value: func(p *place) string { return p.city }},
		{name: "postal", header: &h.Postal, value: func(p *place) string { return p.postal }},
		{name: "latitude", header: &h.Latitude, value: func(p *place) string { return p.degrees(p.latitude) }},
		{name: "longitude", header: &h.Longitude, value: func(p *place) string { return p.degrees(p.longitude) }},
		{name: "timeZone", header: &h.TimeZone, value: func(p *place) string { return p.timeZone }},
		{name: "asn", header: &h.ASN, asn: true, value: (*place).number},
		{name: "organization", header: &h.Organization, asn: true, value: func(p *place) string { return p.organization }},
	}
}

func (p *place) degrees(v float64) string {
	if !p.located {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func (p *place) number() string {
	if p.asn == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(p.asn), 10)
}

// tell sets headers and metadata. What is not known is left out.
func (p *GeoIP) tell(r *authz.Request, found *place) {
	for i := range p.sent {
		f := &p.sent[i]
		if v := f.value(found); v != "" {
			r.Headers.Set(*f.header, ascii(v))
		} else if r.Headers.Has(*f.header) {
			r.Headers.Del(*f.header)
		}
	}
	if !p.metadata {
		return
	}
	for _, x := range [...]struct{ key, value string }{
		{"country", found.country},
		{"continent", found.continent},
		{"subdivision", found.subdivision},
		{"city", found.city},
		{"asn", found.number()},
		{"organization", found.organization},
	} {
		if x.value != "" {
			_ = r.Stream.SetMetadata(p.namespace, x.key, x.value) // a host that cannot does not make the request fail
		}
	}
}

// ascii returns text for a header: bytes other than printable ASCII, and the per cent sign, are encoded as in a URL.
func ascii(text string) string {
	plain := func(c byte) bool { return c >= ' ' && c < 0x7f && c != '%' }
	for i := range len(text) {
		if plain(text[i]) {
			continue
		}
		var b strings.Builder
		for i := range len(text) {
			if plain(text[i]) {
				b.WriteByte(text[i])
			} else {
				fmt.Fprintf(&b, "%%%02X", text[i])
			}
		}
		return b.String()
	}
	return text
}
