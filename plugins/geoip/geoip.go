// Package geoip finds out from which country and network a request comes, and lets requests pass by that.
package geoip

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/clientaddr"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/reload"
)

// GeoIP tells the upstream where a request comes from, and denies requests by that.
type GeoIP struct {
	// Database is a file in MaxMind's format with countries or cities, such as GeoLite2-Country.mmdb.
	Database string `json:"database"`
	// ASNDatabase is a file in MaxMind's format with networks, such as GeoLite2-ASN.mmdb.
	ASNDatabase string `json:"asnDatabase"`
	// Allow lists where requests may come from. If it is empty, they may from anywhere that is not denied.
	Allow Places `json:"allow"`
	// Deny lists where they may not come from, even if it is in allow.
	Deny Places `json:"deny"`
	// Unknown says what becomes of requests of which the databases do not know what a list asks for: deny, or pass. By
	// default they are not in deny, and not in allow either.
	Unknown string `json:"unknown" enum:"deny,pass"`
	// Headers are those in which the upstream gets what is known. Clients cannot set them.
	Headers Headers `json:"headers"`
	clientaddr.Finder
	authz.Common
	reload.Files

	databases atomic.Pointer[databases]
	sent      []field // the headers that have a name
	unknown   *filter.Counter
	namespace string
	metadata  bool
}

// Places are countries, continents and networks. A request is from one of them if one of the lists has it.
type Places struct {
	// Countries lists countries by the codes of ISO 3166-1, such as DE.
	Countries []string `json:"countries" merge:"append"`
	// Continents lists continents: AF, AN, AS, EU, NA, OC or SA.
	Continents []string `json:"continents" merge:"append" enum:"AF,AN,AS,EU,NA,OC,SA"`
	// ASNs lists networks by the numbers of their autonomous systems.
	ASNs []uint32 `json:"asns" merge:"append"`
}

// Headers are names of request headers, "" for none.
type Headers struct {
	// Country is for the country's code, such as DE.
	Country string `json:"country"`
	// Continent is for the continent's code, such as EU.
	Continent string `json:"continent"`
	// Subdivision is for the code of the region or state in the country, such as BY.
	Subdivision string `json:"subdivision"`
	// City is for the city's name in English.
	City string `json:"city"`
	// Postal is for the postal code.
	Postal string `json:"postal"`
	// Latitude and Longitude are for the coordinates, in degrees.
	Latitude  string `json:"latitude"`
	Longitude string `json:"longitude"`
	// TimeZone is for the time zone, such as Europe/Berlin.
	TimeZone string `json:"timeZone"`
	// ASN is for the number of the autonomous system, such as 64496.
	ASN string `json:"asn"`
	// Organization is for the name of the autonomous system.
	Organization string `json:"organization"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[GeoIP]("geoip", filter.Access, filter.Docs(docs)) }

// Validate checks that there are the databases that the lists and headers need.
func (p *GeoIP) Validate() error {
	errs := []error{p.Files.Validate(), p.Finder.Validate()}
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Database == "" && p.ASNDatabase == "" {
		bad("database: is required, or asnDatabase")
	}
	if p.Database != "" && p.Database == p.ASNDatabase {
		bad("asnDatabase: must not be database")
	}
	for i, l := range []*Places{&p.Allow, &p.Deny} {
		at := []string{"allow", "deny"}[i]
		for k, c := range l.Countries {
			if len(c) != 2 || c[0] < 'A' || c[0] > 'Z' || c[1] < 'A' || c[1] > 'Z' {
				bad("%s.countries[%d]: expected a code of ISO 3166-1 with two capital letters, such as DE", at, k)
			}
		}
		if p.Database == "" && len(l.Countries)+len(l.Continents) > 0 {
			bad("%s: countries and continents need database", at)
		}
		if p.ASNDatabase == "" && len(l.ASNs) > 0 {
			bad("%s: asns need asnDatabase", at)
		}
	}
	if p.Unknown != "" && p.Allow.empty() && p.Deny.empty() {
		bad("unknown: needs allow or deny")
	}
	for _, f := range p.Headers.fields() {
		if *f.header == "" {
			continue
		}
		if err := fieldname.Check(*f.header); err != nil {
			bad("headers.%s: %w", f.name, err)
		}
		if f.asn && p.ASNDatabase == "" {
			bad("headers.%s: needs asnDatabase", f.name)
		} else if !f.asn && p.Database == "" {
			bad("headers.%s: needs database", f.name)
		}
	}
	return errors.Join(errs...)
}

// OwnsRequestHeaders returns the headers, so that clients cannot set them.
func (p *GeoIP) OwnsRequestHeaders() []string {
	names := []string{}
	for _, f := range p.Headers.fields() {
		if *f.header != "" {
			names = append(names, *f.header)
		}
	}
	return names
}

// Provision reads the databases and goes on to follow them.
func (p *GeoIP) Provision(env *filter.Env) error {
	p.Start(env)
	p.unknown = env.Counter("unknown")
	p.sent = nil
	for _, f := range p.Headers.fields() {
		if *f.header != "" {
			p.sent = append(p.sent, f)
		}
	}
	p.namespace, p.metadata = "moe."+env.ID, env.Has(filter.CanSetMetadata)
	var paths []string
	for _, f := range []string{p.Database, p.ASNDatabase} {
		if f != "" {
			paths = append(paths, f)
		}
	}
	return p.Follow(env, nil, paths, p.load)
}

// rawPath is for the log only.
var rawPath = authz.Path{Mode: "raw"}

// OnRequestHeaders looks the address up.
func (p *GeoIP) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := rawPath.Request(s, h)
	return p.Ask(&r, nil, func() authz.Verdict { return p.verdict(&r) })
}

func (p *GeoIP) verdict(r *authz.Request) authz.Verdict {
	decides := !p.Allow.empty() || !p.Deny.empty()
	addr, err := p.Find(&p.Mode, r)
	if err != nil {
		switch {
		case !decides:
			p.unknown.Inc()
			return authz.Allow
		case errors.Is(err, clientaddr.ErrSource):
			return authz.Fail(err)
		}
		return authz.Verdict{Reason: err.Error()} // the client may have written it: no case for failOpen
	}
	found, err := p.databases.Load().find(addr)
	if err != nil {
		if !decides {
			r.Stream.Log().Warn("cannot look an address up", "error", err)
			return authz.Allow
		}
		return authz.Fail(err)
	}
	p.tell(r, &found)
	if !decides {
		if found == (place{}) {
			p.unknown.Inc()
		}
		return authz.Allow
	}
	switch in, known := p.Deny.has(&found); {
	case in:
		return authz.Verdict{Reason: "the place is in the list deny"}
	case !known && p.Unknown == "deny":
		p.unknown.Inc()
		return authz.Verdict{Reason: "it is not known where the address is"}
	case p.Allow.empty():
		if !known {
			p.unknown.Inc()
		}
		return authz.Allow
	}
	switch in, known := p.Allow.has(&found); {
	case in:
		return authz.Allow
	case !known:
		if p.unknown.Inc(); p.Unknown == "pass" {
			return authz.Allow
		}
		return authz.Verdict{Reason: "it is not known where the address is"}
	}
	return authz.Verdict{Reason: "the place is not in the list allow"}
}

func (l *Places) empty() bool { return len(l.Countries)+len(l.Continents)+len(l.ASNs) == 0 }

// has reports whether one of the lists has a place, and whether enough is known of it to say so.
func (l *Places) has(p *place) (in, known bool) {
	known = true
	if len(l.Countries) > 0 {
		in, known = in || slices.Contains(l.Countries, p.country), known && p.country != ""
	}
	if len(l.Continents) > 0 {
		in, known = in || slices.Contains(l.Continents, p.continent), known && p.continent != ""
	}
	if len(l.ASNs) > 0 {
		in, known = in || slices.Contains(l.ASNs, p.asn), known && p.asn != 0
	}
	return in, known
}
