package dnsgateway

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mosn.io/moe/framework/udp/udptest"
)

const conf = `
block: [ads.example, Blocked.example.]
allow: [good.ads.example]
records:
- www.corp.example. 60 IN A 10.0.0.1
- www.corp.example. 60 IN A 10.0.0.2
- www.corp.example. 60 IN TXT "hello"
- Alias.corp.example 60 CNAME www.corp.example.
- out.corp.example. 60 IN CNAME elsewhere.example.
- here.ads.example. 60 IN A 10.0.0.3
- one.corp.example. 60 IN CNAME two.corp.example.
- two.corp.example. 60 IN CNAME one.corp.example.
refuseTypes: [ANY]
`

func gateway(t testing.TB, conf string) *udptest.Filter[DNSGateway] {
	t.Helper()
	f, err := udptest.New[DNSGateway](t, conf)
	if err != nil {
		t.Fatalf("udptest.New: %v", err)
	}
	return f
}

// ask returns a query.
func ask(t testing.TB, name string, typ uint16, change func(*dns.Msg)) string {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, typ)
	m.Id = 7
	if change != nil {
		change(m)
	}
	p, err := m.Pack()
	if err != nil {
		t.Fatalf("m.Pack: %v", err)
	}
	return string(p)
}

// reply describes what the gateway does with a datagram: "passed", "dropped", or its answer.
func reply(t testing.TB, r udptest.Result) string {
	t.Helper()
	switch {
	case r.Passed:
		return "passed"
	case len(r.Sent) == 0:
		return "dropped"
	}
	var m dns.Msg
	if err := m.Unpack([]byte(r.Sent[0].Data)); err != nil || !m.Response || len(r.Sent) > 1 || r.Sent[0].To.IsValid() {
		t.Errorf("the answer is %v, %v", r.Sent, err)
	}
	lines := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		lines = append(lines, strings.Join(strings.Fields(rr.String()), " "))
	}
	return strings.Join(lines, "; ")
}

func TestQueries(t *testing.T) {
	for _, c := range []struct {
		name, ask string
		typ       uint16
		change    func(*dns.Msg)
		want      string
	}{
		{name: "another name", ask: "example.", want: "passed"},
		{name: "the root", ask: ".", typ: dns.TypeNS, want: "passed"},
		{name: "a blocked name", ask: "ads.example.", want: "NXDOMAIN"},
		{name: "in another spelling", ask: "aDs.eXample.", want: "NXDOMAIN"},
		{name: "below a blocked name", ask: "a.b.ads.example.", want: "NXDOMAIN"},
		{name: "that ends alike", ask: "bads.example.", want: "passed"},
		{name: "above a blocked name", ask: "example.", want: "passed"},
		{name: "spelt otherwise in the list", ask: "blocked.example.", want: "NXDOMAIN"},
		{name: "an exception", ask: "good.ads.example.", want: "passed"},
		{name: "below an exception", ask: "a.good.ads.example.", want: "passed"},
		{name: "a dot within a label", ask: `x\.ads.example.`, want: "passed"},
		{name: "a record", ask: "www.corp.example.", want: "NOERROR; www.corp.example. 60 IN A 10.0.0.1; www.corp.example. 60 IN A 10.0.0.2"},
		{name: "a record of another type", ask: "www.corp.example.", typ: dns.TypeTXT, want: `NOERROR; www.corp.example. 60 IN TXT "hello"`},
		{name: "no record of the type", ask: "www.corp.example.", typ: dns.TypeMX, want: "NOERROR"},
		{name: "in the client's spelling", ask: "WWW.corp.example.", typ: dns.TypeTXT, want: `NOERROR; WWW.corp.example. 60 IN TXT "hello"`},
		{name: "a record below a blocked name", ask: "here.ads.example.", want: "NOERROR; here.ads.example. 60 IN A 10.0.0.3"},
		{name: "below a name with records", ask: "a.www.corp.example.", want: "passed"},
		{
			name: "an alias", ask: "alias.corp.example.", typ: dns.TypeTXT,
			want: `NOERROR; alias.corp.example. 60 IN CNAME www.corp.example.; www.corp.example. 60 IN TXT "hello"`,
		},
		{name: "the alias itself", ask: "alias.corp.example.", typ: dns.TypeCNAME, want: "NOERROR; alias.corp.example. 60 IN CNAME www.corp.example."},
		{name: "an alias of another's name", ask: "out.corp.example.", want: "NOERROR; out.corp.example. 60 IN CNAME elsewhere.example."},
		{name: "a refused type", ask: "example.", typ: dns.TypeANY, want: "REFUSED"},
		{name: "another operation", ask: "example.", change: func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, want: "NOTIMP"},
		{name: "an answer", ask: "example.", change: func(m *dns.Msg) { m.Response = true }, want: "dropped"},
		{name: "no question", ask: "example.", change: func(m *dns.Msg) { m.Question = nil }, want: "FORMERR"},
		{name: "two questions", ask: "example.", change: func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, want: "FORMERR"},
		{name: "another class", ask: "www.corp.example.", change: func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, want: "passed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.typ == 0 {
				c.typ = dns.TypeA
			}
			got := reply(t, gateway(t, conf).Receive(udptest.Peer{}, ask(t, c.ask, c.typ, c.change)))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("what becomes of the query (-want +got):\n%s", diff)
			}
		})
	}
}

// Aliases that form a circle are followed for a while.
func TestCircle(t *testing.T) {
	got := reply(t, gateway(t, conf).Receive(udptest.Peer{}, ask(t, "one.corp.example.", dns.TypeA, nil)))
	if n := strings.Count(got, "CNAME"); n != maxAliases {
		t.Errorf("the answer has %d records, want %d: %s", n, maxAliases, got)
	}
}

func TestBlockWith(t *testing.T) {
	for _, c := range []struct {
		name, with string
		typ        uint16
		want       string
	}{
		{"nxdomain", "nxdomain", dns.TypeA, "NXDOMAIN"},
		{"refused", "refused", dns.TypeA, "REFUSED"},
		{"drop", "drop", dns.TypeA, "dropped"},
		{"zero IPv4", "zero", dns.TypeA, "NOERROR; ads.example. 60 IN A 0.0.0.0"},
		{"zero IPv6", "zero", dns.TypeAAAA, "NOERROR; ads.example. 60 IN AAAA ::"},
		{"zero of another type", "zero", dns.TypeMX, "NOERROR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := gateway(t, "{block: [ads.example], blockWith: "+c.with+"}")
			if got := reply(t, f.Receive(udptest.Peer{}, ask(t, "ads.example.", c.typ, nil))); got != c.want {
				t.Errorf("the answer is %q, want %q", got, c.want)
			}
			if n := f.Counted("blocked"); n != 1 {
				t.Errorf("%d queries are counted as blocked, want 1", n)
			}
		})
	}
	t.Run("everything", func(t *testing.T) {
		f := gateway(t, "{block: [.], allow: [example]}")
		got := reply(t, f.Receive(udptest.Peer{}, ask(t, "www.example.", dns.TypeA, nil))) + ", " +
			reply(t, f.Receive(udptest.Peer{}, ask(t, "other.", dns.TypeA, nil)))
		if got != "passed, NXDOMAIN" {
			t.Errorf("an exception and another name: %q, want passed, NXDOMAIN", got)
		}
	})
}

// Answers keep to what the client takes over UDP.
func TestSizes(t *testing.T) {
	long := "records: ["
	for range 40 {
		long += `'long.example. 60 IN TXT "` + strings.Repeat("x", 100) + `"', `
	}
	f := gateway(t, long+"]")
	for _, c := range []struct {
		name string
		edns uint16
		most int
	}{
		{"without EDNS", 0, 512}, {"less than everybody takes", 100, 512}, {"a little more", 800, 800}, {"as much as there may be", 65535, udpSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := f.Receive(udptest.Peer{}, ask(t, "long.example.", dns.TypeTXT, func(m *dns.Msg) {
				if c.edns > 0 {
					m.SetEdns0(c.edns, false)
				}
			}))
			var m dns.Msg
			if len(r.Sent) != 1 || len(r.Sent[0].Data) > c.most || m.Unpack([]byte(r.Sent[0].Data)) != nil {
				t.Fatalf("the gateway sends %v", r.Sent)
			}
			if !m.Truncated || len(m.Answer) == 0 || (m.IsEdns0() != nil) != (c.edns > 0) {
				t.Errorf("truncated: %v; %d records; EDNS: %v", m.Truncated, len(m.Answer), m.IsEdns0())
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	query := ask(t, "www.example.", dns.TypeA, nil)
	f := gateway(t, conf)
	for _, c := range []struct{ name, sent, want string }{
		{"nothing", "", "dropped"},
		{"a byte", "x", "dropped"},
		{"less than a header", query[:11], "dropped"},
		{"a header alone", query[:12], "FORMERR"},
		{"half a name", query[:15], "FORMERR"},
		{"no class", query[:len(query)-2], "FORMERR"},
		{"a name that points to itself", query[:12] + "\xc0\x0c\x00\x01\x00\x01", "FORMERR"},
		{"more questions than there are", query[:5] + "\x02" + query[6:], "FORMERR"},
		{"64 KiB", strings.Repeat("\x00", 65507), "FORMERR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := f.Counted("malformed")
			if got := reply(t, f.Receive(udptest.Peer{}, c.sent)); got != c.want {
				t.Errorf("the answer is %q, want %q", got, c.want)
			}
			if n := f.Counted("malformed") - before; n != 1 {
				t.Errorf("%d messages are counted as malformed, want 1", n)
			}
		})
	}
}

func TestBadConfiguration(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"a name that is none", "block: [a..b]", "block[0]: expected a domain name"},
		{"a wildcard", "allow: ['*.example']", "allow[0]: expected a domain name of ASCII letters"},
		{"a name in Unicode", "block: [bücher.example]", "block[0]: expected a domain name of ASCII letters"},
		{"blocked and allowed", "{block: [a.example], allow: [A.example.]}", "allow[0]: is blocked, too"},
		{"no record", "records: ['']", "records[0]: expected a record"},
		{"a comment", "records: ['; x']", "records[0]: expected a record"},
		{"half a record", "records: [www.example. 60 IN A]", "records[0]: the record has no data"},
		{"no line of a zone file", "records: [www.example. 60 IN A nowhere]", "records[0]: not a line of a zone file"},
		{"two records", `records: ["a. 1 IN A 10.0.0.1\nb. 1 IN A 10.0.0.1"]`, "records[0]: expected one record"},
		{"another file", "records: [$INCLUDE /etc/passwd]", "records[0]: "},
		{"many records", "records: ['$GENERATE 1-9 a$. 1 IN A 10.0.0.$']", "records[0]: expected a record"},
		{"another class", `records: [a. 1 CH TXT "x"]`, "records[0]: expected a record of the class IN"},
		{"a CNAME beside others", "records: [a. 1 IN A 10.0.0.1, a. 1 IN CNAME b.]", "records[1]: a name with a CNAME"},
		{"an unknown type", "refuseTypes: [all]", "refuseTypes[0]: expected a type"},
		{"an unknown answer", "blockWith: nothing", "blockWith"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := udptest.New[DNSGateway](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// Whatever comes, an answer is one to it, and what passes is one question for a name that is not blocked.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte(ask(f, "www.corp.example.", dns.TypeA, nil)))
	f.Add([]byte(ask(f, "a.ads.example.", dns.TypeTXT, func(m *dns.Msg) { m.SetEdns0(4096, true) })))
	f.Add([]byte(ask(f, ".", dns.TypeNS, nil)))
	f.Add([]byte{})
	g := gateway(f, conf)
	f.Fuzz(func(t *testing.T, p []byte) {
		r := g.Receive(udptest.Peer{}, string(p))
		if r.Passed {
			var m dns.Msg
			if err := m.Unpack(p); err != nil || len(m.Question) != 1 || m.Response {
				t.Fatalf("%x passes: %v", p, err)
			}
			name := "." + dns.CanonicalName(m.Question[0].Name)
			if strings.HasSuffix(name, ".ads.example.") && !strings.HasSuffix(name, ".good.ads.example.") && !strings.Contains(name, `\`) {
				t.Fatalf("%s passes", name)
			}
			return
		}
		if len(r.Sent) == 0 {
			return
		}
		answer := r.Sent[0].Data
		var m dns.Msg
		if err := m.Unpack([]byte(answer)); err != nil || !m.Response || len(answer) > udpSize || answer[:2] != string(p[:2]) {
			t.Fatalf("the answer to %x is %x: %v", p, answer, err)
		}
	})
}
