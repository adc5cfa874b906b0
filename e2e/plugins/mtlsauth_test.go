package plugins

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/internal/testcert"
)

// authority signs the certificates of Envoy and of clients.
type authority struct {
	*testcert.Authority
	b *bed
}

func newAuthority(b *bed) *authority { return &authority{testcert.New(b, b.TempDir()), b} }

// client returns a certificate with a common name, and a URI unless that is "".
func (a *authority) client(name, uri string) tls.Certificate {
	a.b.Helper()
	var names []string
	if uri != "" {
		names = append(names, uri)
	}
	pair, err := tls.LoadX509KeyPair(a.Issue(a.b, name, names...))
	if err != nil {
		a.b.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	return pair
}

// listenTLS adds a listener with a document of plugins that asks clients for certificates of the authority.
func (a *authority) listenTLS(doc string, hcm m) *listener {
	a.b.Helper()
	certificate, key := a.Issue(a.b, "envoy", "envoy.test")
	return &listener{a.b.Listen(conformance.Listen{Chain: a.b.parse(doc), HCM: hcm, TLS: m{"common_tls_context": m{
		"tls_certificates": conformance.A{m{
			"certificate_chain": m{"filename": certificate}, "private_key": m{"filename": key},
		}},
		"validation_context": m{"trusted_ca": m{"filename": a.File}},
	}}}), a.b}
}

// get sends a GET over TLS, with a client's certificate unless it is nil.
func (a *authority) get(ln *listener, pair *tls.Certificate, header ...string) *client.Response {
	a.b.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "envoy.test"}
	trusted, err := os.ReadFile(a.File)
	if err != nil || !config.RootCAs.AppendCertsFromPEM(trusted) {
		a.b.Fatalf("reading the authority's certificate: %v", err)
	}
	if pair != nil {
		config.Certificates = []tls.Certificate{*pair}
	}
	transport := &http.Transport{TLSClientConfig: config}
	defer transport.CloseIdleConnections()
	q, err := http.NewRequest("GET", "https://"+ln.Addr+"/echo", nil)
	if err != nil {
		a.b.Fatalf("http.NewRequest: %v", err)
	}
	id := client.NewID()
	q.Header.Set("x-id", id)
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	r, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Do(q)
	if err != nil {
		a.b.Fatalf("a request over TLS: %v", err)
	}
	return client.Read(id, r)
}

func init() {
	add("mtlsauth: certificates of the connection and of proxies", func(b *bed) {
		a := newAuthority(b)
		web, other := a.client("web", "spiffe://mesh/web"), a.client("other", "spiffe://mesh/other")
		pinned, proxy := a.client("pinned", ""), a.client("proxy", "spiffe://mesh/gateway")
		digest := fmt.Sprintf("%x", sha256.Sum256(pinned.Certificate[0]))
		doc := fmt.Sprintf(`
plugins: [{name: mtlsauth%%s}]
consumerHeader: x-who
consumers:
- {name: web, credentials: {mtlsauth: {uri: "spiffe://mesh/web"}}}
- {name: pinned, credentials: {mtlsauth: {sha256: %q}}}
- {name: behind, credentials: {mtlsauth: {subject: "CN=behind"}}}`, digest)
		ln := a.listenTLS(fmt.Sprintf(doc, ""), nil)
		behind := a.listenTLS(fmt.Sprintf(doc, `, config: {forwarded: {peers: [{uri: "spiffe://mesh/gateway"}]}}`),
			m{"forward_client_cert_details": "ALWAYS_FORWARD_ONLY"})
		const xfcc = `By=spiffe://mesh/gateway;Subject="CN=behind"`
		for _, c := range []struct {
			name, who, details string
			ln                 *listener
			pair               *tls.Certificate
			header             string
		}{
			{name: "a URI", ln: ln, pair: &web, who: "web"},
			{name: "a digest", ln: ln, pair: &pinned, who: "pinned"},
			{name: "nobody's", ln: ln, pair: &other, details: "unknown"},
			{name: "no certificate", ln: ln, details: "missing"},
			{name: "no certificate, but the header", ln: ln, header: xfcc, details: "missing"},
			{name: "a proxy's header", ln: behind, pair: &proxy, header: xfcc, who: "behind"},
			{name: "a client's header", ln: behind, pair: &web, header: xfcc, who: "web"},
			{name: "nobody's header", ln: behind, header: xfcc, details: "missing"},
			{name: "a proxy's malformed header", ln: behind, pair: &proxy, header: `Subject="`, details: "malformed"},
		} {
			b.Run(c.name, func() {
				header := []string{"x-who", "forged"}
				if c.header != "" {
					header = append(header, "x-forwarded-client-cert", c.header)
				}
				r := a.get(c.ln, c.pair, header...)
				if c.who != "" {
					if r.Status != 200 {
						b.Fatalf("got %d %s, want 200", r.Status, r.Body)
					}
					if got := strings.Join(b.upstream(r).Header.Values("x-who"), ","); got != c.who {
						b.Errorf("the upstream sees %s, want %s", got, c.who)
					}
					return
				}
				if got := b.Access(r.ID)["details"]; r.Status != 401 || b.reached(r) || got != "moe.mtlsauth."+c.details {
					b.Errorf("got %d %v, want 401 moe.mtlsauth.%s", r.Status, got, c.details)
				}
			})
		}
	})
}
