package dynmod

import (
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"mosn.io/moe/e2e/envoytest"
)

// startDNS starts a DNS server that knows an address of every name, and returns its own.
func startDNS(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.ListenPacket: %v", err)
	}
	s := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: net.IPv4(192, 0, 2, 53),
		}}
		_ = w.WriteMsg(m)
	})}
	over := make(chan error, 1)
	go func() { over <- s.ActivateAndServe() }()
	t.Cleanup(func() {
		c.Close()
		<-over
	})
	return c.LocalAddr().String()
}

// dnsListener has the DNS gateway before the server.
func dnsListener() m {
	l := udpListener("dns", 4096, envoytest.MoE.UDPFilter("dnsgateway", envoytest.Document(envoytest.Struct, m{
		"block": a{"ads.example"}, "allow": a{"good.ads.example"}, "refuseTypes": a{"ANY"},
		"records": a{"www.corp.example. 60 IN A 10.0.0.1"},
	})))
	all := l["listener_filters"].(a)
	proxy := all[len(all)-1].(m)["typed_config"].(m)
	proxy["matcher"].(m)["on_no_match"].(m)["action"].(m)["typed_config"].(m)["cluster"] = "dns"
	return l
}

func testDNSGateway(b *udpBed) {
	server := b.dial("dns").RemoteAddr().String()
	for _, c := range []struct {
		name, ask string
		typ       uint16
		want      string
	}{
		{"a name of the upstream's", "example.com.", dns.TypeA, "NOERROR 192.0.2.53"},
		{"a name of its own", "www.corp.example.", dns.TypeA, "NOERROR 10.0.0.1"},
		{"a name of its own without such a record", "www.corp.example.", dns.TypeMX, "NOERROR"},
		{"a blocked name", "x.ads.example.", dns.TypeA, "NXDOMAIN"},
		{"an exception", "good.ads.example.", dns.TypeA, "NOERROR 192.0.2.53"},
		{"a refused type", "example.com.", dns.TypeANY, "REFUSED"},
	} {
		b.Run(c.name, func(t *testing.T) {
			got, err := resolve(server, c.ask, c.typ)
			if err != nil {
				t.Fatalf("resolving %s: %v", c.ask, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the answer (-want +got):\n%s", diff)
			}
		})
	}
	for name, want := range map[string]int64{"queries": 6, "passed": 2, "blocked": 2, "answered": 2} {
		b.Run(name, func(t *testing.T) { (&udpBed{t, b.envoy, b.up}).counted(`moe\.dnsgateway\.`+name+`$`, want) })
	}
	// What is not DNS at all, and what begins like it.
	c := b.dial("dns")
	query, err := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
	if err != nil {
		b.Fatalf("Pack: %v", err)
	}
	for n := range 2000 {
		p := slices.Clone(query)
		for range n % 5 {
			p[rand.IntN(len(p))] = byte(rand.IntN(256))
		}
		_, _ = c.Write(p[:rand.IntN(len(p)+1)])
	}
	if got, err := resolve(server, "www.corp.example.", dns.TypeA); err != nil || got != "NOERROR 10.0.0.1" {
		b.Errorf("after a flood of broken queries: %q, %v", got, err)
	}
	b.counted(`moe\.dnsgateway\.malformed$`, 1)
}

// resolve asks a server, again where a datagram gets lost, and returns the answer's code and addresses.
func resolve(server, name string, typ uint16) (got string, err error) {
	client := &dns.Client{Timeout: time.Second}
	err = envoytest.Poll(patience, func() error {
		answer, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, typ), server)
		if err != nil {
			return err
		}
		words := []string{dns.RcodeToString[answer.Rcode]}
		for _, rr := range answer.Answer {
			if a, ok := rr.(*dns.A); ok {
				words = append(words, a.A.String())
			}
		}
		got = strings.Join(words, " ")
		return nil
	})
	return got, err
}
