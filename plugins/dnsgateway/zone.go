package dnsgateway

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// zone has the records of names, by their canonical form.
type zone map[string][]dns.RR

// add reads a line of a zone file.
func (z zone) add(line string) error {
	parser := dns.NewZoneParser(strings.NewReader(line+"\n"), ".", "") // which opens no other file
	parser.SetDefaultTTL(3600)
	rr, ok := parser.Next()
	if err := parser.Err(); err != nil {
		return fmt.Errorf("not a line of a zone file: %w", err)
	}
	if !ok || strings.HasPrefix(strings.TrimSpace(line), "$") {
		return errors.New(`expected a record such as "www.example.com. 60 IN A 192.0.2.1"`)
	}
	if _, more := parser.Next(); more {
		return errors.New("expected one record")
	}
	if rr.String() == rr.Header().String() {
		return errors.New("the record has no data")
	}
	h := rr.Header()
	if h.Class != dns.ClassINET {
		return errors.New("expected a record of the class IN")
	}
	name := dns.CanonicalName(h.Name)
	for _, other := range z[name] {
		if (h.Rrtype == dns.TypeCNAME) != (other.Header().Rrtype == dns.TypeCNAME) || h.Rrtype == dns.TypeCNAME {
			return errors.New("a name with a CNAME has no other record")
		}
	}
	z[name] = append(z[name], rr)
	return nil
}

// maxAliases is how many CNAMEs are followed; they may form a circle.
const maxAliases = 8

// answer returns what the zone has for a question, whose name has records. Where a CNAME leads out of the zone, it is the
// last record: the client asks on.
func (z zone) answer(q dns.Question, records []dns.RR) (all []dns.RR) {
	for owner := q.Name; len(all) < maxAliases; {
		alias := ""
		for _, rr := range records {
			t := rr.Header().Rrtype
			if t != q.Qtype && t != dns.TypeCNAME && q.Qtype != dns.TypeANY {
				continue
			}
			rr = dns.Copy(rr)
			rr.Header().Name = owner // in the client's spelling
			all = append(all, rr)
			if c, ok := rr.(*dns.CNAME); ok && q.Qtype != dns.TypeCNAME && q.Qtype != dns.TypeANY {
				alias = c.Target
			}
		}
		if alias == "" {
			return all
		}
		owner, records = alias, z[dns.CanonicalName(alias)]
	}
	return all
}

// zeroTTL is how long clients keep the address of a blocked name, in seconds.
const zeroTTL = 60

// zeros returns an address that leads nowhere, for questions about addresses.
func zeros(q dns.Question) []dns.RR {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: zeroTTL}
	switch q.Qtype {
	case dns.TypeA:
		return []dns.RR{&dns.A{Hdr: h, A: net.IPv4zero}}
	case dns.TypeAAAA:
		return []dns.RR{&dns.AAAA{Hdr: h, AAAA: net.IPv6zero}}
	}
	return nil
}
