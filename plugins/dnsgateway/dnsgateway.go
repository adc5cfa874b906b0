// Package dnsgateway stands before a DNS server: it blocks names, answers some itself, and lets other queries pass.
package dnsgateway

import (
	"embed"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"mosn.io/moe/framework/udp"
)

// DNSGateway looks at each DNS query that comes over UDP. It blocks names and types of records, answers names that it has
// records for, and lets other queries pass to the upstream. It is a UDP filter.
type DNSGateway struct {
	// Block lists names that are not resolved, with all names below them.
	Block []string `json:"block"`
	// Allow lists exceptions below blocked names, with all names below them; the longer name decides.
	Allow []string `json:"allow"`
	// BlockWith is the answer to a query for a blocked name: that there is no such name, that the query is refused, the
	// addresses 0.0.0.0 and ::, or none.
	BlockWith string `json:"blockWith" enum:"nxdomain,refused,zero,drop" default:"nxdomain"`
	// Records are the records of names that are answered here, as lines of a zone file, such as "www.example.com. 60 IN A
	// 192.0.2.1". A name that has one is never asked of the upstream.
	Records []string `json:"records"`
	// RefuseTypes lists types of records that are not asked for, such as ANY, whatever the name.
	RefuseTypes []string `json:"refuseTypes"`

	verdicts map[string]bool // by name: true blocks, false allows
	zone     zone
	refused  map[uint16]bool // types

	queries, blocked, answered, passed, malformed *udp.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() { udp.Register[DNSGateway]("dnsgateway", udp.Docs(docs)) }

// Validate prepares the look-ups.
func (g *DNSGateway) Validate() error {
	var errs []error
	g.verdicts = map[string]bool{}
	for _, list := range []struct {
		field string
		names []string
		block bool
	}{{"block", g.Block, true}, {"allow", g.Allow, false}} {
		for i, text := range list.names {
			name, err := nameOf(text)
			if other, ok := g.verdicts[name]; err == nil && ok && other != list.block {
				err = errors.New("is blocked, too")
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("%s[%d]: %w", list.field, i, err))
				continue
			}
			g.verdicts[name] = list.block
		}
	}
	g.zone = zone{}
	for i, line := range g.Records {
		if err := g.zone.add(line); err != nil {
			errs = append(errs, fmt.Errorf("records[%d]: %w", i, err))
		}
	}
	g.refused = map[uint16]bool{}
	for i, text := range g.RefuseTypes {
		t, ok := dns.StringToType[text]
		if !ok {
			errs = append(errs, fmt.Errorf("refuseTypes[%d]: expected a type of records such as ANY or TXT", i))
		}
		g.refused[t] = true
	}
	return errors.Join(errs...)
}

// nameOf returns a domain name in its canonical form.
func nameOf(text string) (string, error) {
	if _, ok := dns.IsDomainName(text); !ok || text == "" {
		return "", errors.New("expected a domain name such as ads.example.com")
	}
	for _, c := range []byte(text) {
		if c < '!' || c > '~' || c == '*' {
			return "", errors.New("expected a domain name of ASCII letters, as in DNS (xn--… for others), without a wildcard: " +
				"a name stands for all names below it")
		}
	}
	return dns.CanonicalName(text), nil
}

// Provision declares metrics.
func (g *DNSGateway) Provision(env *udp.Env) error {
	g.queries, g.blocked, g.answered = env.Counter("queries"), env.Counter("blocked"), env.Counter("answered")
	g.passed, g.malformed = env.Counter("passed"), env.Counter("malformed")
	return nil
}

// OnDatagram decides about one message.
func (g *DNSGateway) OnDatagram(d *udp.Datagram, p []byte) udp.Action {
	q, err := parse(p)
	if err != nil {
		g.malformed.Inc()
		return q.fail(dns.RcodeFormatError)
	}
	g.queries.Inc()
	switch {
	case q.msg.Opcode != dns.OpcodeQuery:
		g.blocked.Inc()
		return q.fail(dns.RcodeNotImplemented)
	case g.refused[q.question().Qtype]:
		g.blocked.Inc()
		return q.fail(dns.RcodeRefused)
	}
	name := dns.CanonicalName(q.question().Name)
	if records, ok := g.zone[name]; ok && q.question().Qclass == dns.ClassINET {
		g.answered.Inc()
		return q.answer(g.zone.answer(q.question(), records))
	}
	if g.blocks(name) {
		g.blocked.Inc()
		return g.block(q)
	}
	g.passed.Inc()
	return udp.Continue
}

// blocks reports whether a name, or the longest one above it that is listed, is blocked.
func (g *DNSGateway) blocks(name string) bool {
	for at, end := 0, false; !end; at, end = dns.NextLabel(name, at) {
		if block, ok := g.verdicts[name[at:]]; ok {
			return block
		}
	}
	return g.verdicts["."]
}

// block answers a query for a name that is blocked.
func (g *DNSGateway) block(q *query) udp.Action {
	switch g.BlockWith {
	case "drop":
		return udp.Drop
	case "refused":
		return q.fail(dns.RcodeRefused)
	case "zero":
		return q.answer(zeros(q.question()))
	}
	return q.fail(dns.RcodeNameError)
}
