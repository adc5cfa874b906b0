package spiffe_test

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"golang.org/x/crypto/ocsp"

	"mosn.io/moe/framework/certvalidator"
	"mosn.io/moe/framework/certvalidator/certvalidatortest"
	"mosn.io/moe/internal/testcert"
	"mosn.io/moe/plugins/spiffe"
)

// domain is a trust domain in a folder of its own.
type domain struct {
	*testcert.Authority
	t *testing.T
}

func newDomain(t *testing.T) domain {
	t.Helper()
	return domain{testcert.New(t, t.TempDir()), t}
}

// svid writes a certificate with these URIs and returns its file.
func (d domain) svid(name string, uris ...string) string { return d.svidLike(name, nil, uris...) }

func (d domain) svidLike(name string, change func(*x509.Certificate), uris ...string) string {
	d.t.Helper()
	if change == nil {
		change = func(*x509.Certificate) {}
	}
	file, _ := d.IssueLike(d.t, name, change, uris...)
	return file
}

// verify has a validator decide about the certificates in files.
func verify(t *testing.T, v certvalidator.Verifier, files ...string) certvalidator.Verdict {
	t.Helper()
	h := certvalidatortest.Handshake{IsServer: true, FilterState: map[string]string{}}
	for _, f := range files {
		h.Certificates = append(h.Certificates, testcert.Read(t, f).Raw)
	}
	return h.Verify(t, v)
}

func mustNew(t *testing.T, conf string) *spiffe.SPIFFE {
	t.Helper()
	v, err := certvalidatortest.New[spiffe.SPIFFE](t, conf)
	if err != nil {
		t.Fatalf("certvalidatortest.New: %v", err)
	}
	return v
}

// wants checks a verdict: alert 0 is accepted.
func wants(t *testing.T, got certvalidator.Verdict, alert certvalidator.Alert, reason string) {
	t.Helper()
	if alert == 0 {
		if !got.Validated() {
			t.Errorf("refused: %s; want accepted", got.Reason())
		}
		return
	}
	if got.Accepted() || got.Alert() != alert || !strings.Contains(got.Reason(), reason) {
		t.Errorf("accepted %v, alert %d, %q; want refused with alert %d, %q", got.Accepted(), got.Alert(), got.Reason(), alert, reason)
	}
}

func TestTrust(t *testing.T) {
	ours, partner, foreign := newDomain(t), newDomain(t), newDomain(t)
	td := spiffeid.RequireTrustDomainFromString("partner.example")
	bundle, err := spiffebundle.FromX509Authorities(td, []*x509.Certificate{testcert.Read(t, partner.File)}).Marshal()
	if err != nil {
		t.Fatalf("marshalling a bundle: %v", err)
	}
	jsonFile := filepath.Join(t.TempDir(), "bundle.json")
	if err := os.WriteFile(jsonFile, bundle, 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	v := mustNew(t, fmt.Sprintf(`
trustDomains: [{name: example.org, bundle: %s}, {name: partner.example, bundle: %s}]
ids: ["spiffe://example.org/ns/*", spiffe://partner.example/billing]
filterState: spiffe.id
`, ours.File, jsonFile))
	past := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	for _, c := range []struct {
		name, file string
		alert      certvalidator.Alert
		reason     string
	}{
		{name: "ours", file: ours.svid("a", "spiffe://example.org/ns/a")},
		{name: "deeper", file: ours.svid("b", "spiffe://example.org/ns/a/b")},
		{name: "a partner's", file: partner.svid("c", "spiffe://partner.example/billing")},
		{
			name: "the top of those below", file: ours.svid("d", "spiffe://example.org/ns"),
			alert: certvalidator.AccessDenied, reason: "spiffe://example.org/ns: not one of ids",
		},
		{
			name: "a name that begins likewise", file: ours.svid("e", "spiffe://example.org/nsx/a"),
			alert: certvalidator.AccessDenied, reason: "not one of ids",
		},
		{
			name: "another one of the partner's", file: partner.svid("f", "spiffe://partner.example/ns/a"),
			alert: certvalidator.AccessDenied, reason: "not one of ids",
		},
		{
			name: "the partner's authority for our domain", file: partner.svid("g", "spiffe://example.org/ns/a"),
			alert: certvalidator.UnknownCA, reason: "could not verify",
		},
		{
			name: "nobody's authority", file: foreign.svid("h", "spiffe://example.org/ns/a"),
			alert: certvalidator.UnknownCA, reason: "could not verify",
		},
		{
			name: "another domain", file: foreign.svid("i", "spiffe://foreign.example/ns/a"),
			alert: certvalidator.UnknownCA, reason: "the trust domain is not trusted",
		},
		{
			name: "expired", file: ours.svidLike("j", past, "spiffe://example.org/ns/a"),
			alert: certvalidator.CertificateExpired, reason: "expired",
		},
		{
			name: "not yet valid", alert: certvalidator.CertificateExpired, reason: "not yet valid",
			file: ours.svidLike("k", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "spiffe://example.org/ns/a"),
		},
		{name: "no ID", file: ours.svid("l", "example.org"), alert: certvalidator.UnsupportedCertificate, reason: "no URI SAN"},
		{
			name: "two IDs", file: ours.svid("m", "spiffe://example.org/ns/a", "spiffe://example.org/ns/b"),
			alert: certvalidator.UnsupportedCertificate, reason: "more than one",
		},
		{
			name: "a URI of another kind", file: ours.svid("n", "https://example.org/ns/a"),
			alert: certvalidator.UnsupportedCertificate, reason: "scheme",
		},
		{
			name: "an authority", alert: certvalidator.BadCertificate, reason: "CA flag",
			file: ours.svidLike("o", func(c *x509.Certificate) {
				c.IsCA, c.BasicConstraintsValid = true, true
			}, "spiffe://example.org/ns/a"),
		},
	} {
		t.Run(c.name, func(t *testing.T) { wants(t, verify(t, v, c.file), c.alert, c.reason) })
	}
	t.Run("filter state", func(t *testing.T) {
		h := certvalidatortest.Handshake{
			Certificates: [][]byte{testcert.Read(t, ours.svid("z", "spiffe://example.org/ns/z")).Raw}, FilterState: map[string]string{},
		}
		wants(t, h.Verify(t, v), 0, "")
		if diff := cmp.Diff(map[string]string{"spiffe.id": "spiffe://example.org/ns/z"}, h.FilterState); diff != "" {
			t.Errorf("the filter state (-want +got):\n%s", diff)
		}
		h.NoFilterState = true // as in Envoy 1.38
		wants(t, h.Verify(t, v), 0, "")
	})
	t.Run("no certificates in Go's eyes", func(t *testing.T) {
		for _, raw := range [][][]byte{{nil}, {[]byte("x")}, {{0x30, 0x80}}} {
			wants(t, certvalidatortest.Handshake{Certificates: raw}.Verify(t, v), certvalidator.BadCertificate, "certificate 1")
		}
		good := testcert.Read(t, ours.svid("y", "spiffe://example.org/ns/y")).Raw
		cut := certvalidatortest.Handshake{Certificates: [][]byte{good, good[:100]}}
		wants(t, cut.Verify(t, v), certvalidator.BadCertificate, "certificate 2")
		many := certvalidatortest.Handshake{Certificates: slicesRepeat(good, 11)}
		wants(t, many.Verify(t, v), certvalidator.BadCertificate, "11 certificates")
	})
}

func slicesRepeat(p []byte, n int) (all [][]byte) {
	for range n {
		all = append(all, p)
	}
	return all
}

// responder is a certificate of an authority, and its key.
func responder(t *testing.T, d domain, name string, usage ...x509.ExtKeyUsage) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	crt, key := d.IssueLike(t, name, func(c *x509.Certificate) { c.ExtKeyUsage = usage }, "spiffe://example.org/"+name)
	pair, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		t.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	return testcert.Read(t, crt), pair.PrivateKey.(crypto.Signer)
}

func TestRevocation(t *testing.T) {
	d, other := newDomain(t), newDomain(t)
	later, past := time.Now().Add(time.Hour), time.Now().Add(-time.Second)
	feature, err := asn1.Marshal([]int{5})
	if err != nil {
		t.Fatalf("asn1.Marshal: %v", err)
	}
	staple := func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: feature}}
	}
	good, bad := d.svid("good", "spiffe://example.org/good"), d.svid("bad", "spiffe://example.org/bad")
	stapled := d.svidLike("stapled", staple, "spiffe://example.org/stapled")
	signer, signerKey := responder(t, d, "signer", x509.ExtKeyUsageOCSPSigning)
	workload, workloadKey := responder(t, d, "workload", x509.ExtKeyUsageClientAuth)
	revoked, unknown := certvalidator.CertificateRevoked, certvalidator.CertificateUnknown
	for _, c := range []struct {
		name       string
		crls, ocsp []string
		required   bool
		file       string
		alert      certvalidator.Alert
	}{
		{name: "nothing is known", file: good},
		{name: "a list without it", crls: []string{d.Revoke(t, "1", later, bad)}, required: true, file: good},
		{name: "a list with it", crls: []string{d.Revoke(t, "2", later, bad)}, file: bad, alert: revoked},
		{name: "an old list without it", crls: []string{d.Revoke(t, "3", past, bad)}, file: good, alert: unknown},
		{name: "an old list with it", crls: []string{d.Revoke(t, "4", past, bad)}, file: bad, alert: revoked},
		{name: "another authority's list", crls: []string{other.Revoke(t, "5", later, bad)}, file: bad},
		{
			name: "another authority's list where one is needed", crls: []string{other.Revoke(t, "5", later, bad)}, required: true,
			file: bad, alert: unknown,
		},
		{name: "a good response", ocsp: []string{d.Respond(t, "6", ocsp.Good, later, good)}, required: true, file: good},
		{name: "a bad response", ocsp: []string{d.Respond(t, "7", ocsp.Revoked, later, bad)}, file: bad, alert: revoked},
		{name: "an old good response", ocsp: []string{d.Respond(t, "8", ocsp.Good, past, good)}, file: good, alert: unknown},
		{
			name: "an old response and a list that holds", ocsp: []string{d.Respond(t, "8", ocsp.Good, past, good)},
			crls: []string{d.Revoke(t, "9", later, bad)}, file: good,
		},
		{
			name: "a response about another one", ocsp: []string{d.Respond(t, "10", ocsp.Good, later, good)}, required: true,
			file: bad, alert: unknown,
		},
		{
			name: "another authority's response", ocsp: []string{other.Respond(t, "11", ocsp.Good, later, good)}, required: true,
			file: good, alert: unknown,
		},
		{
			name: "a responder of the authority", ocsp: []string{d.RespondAs(t, "12", ocsp.Good, later, good, signer, signerKey)},
			required: true, file: good,
		},
		{
			name: "a workload that responds", ocsp: []string{d.RespondAs(t, "13", ocsp.Good, later, good, workload, workloadKey)},
			required: true, file: good, alert: unknown,
		},
		{name: "must-staple, and nothing is known", file: stapled, alert: unknown},
		{name: "must-staple, and a good response", ocsp: []string{d.Respond(t, "14", ocsp.Good, later, stapled)}, file: stapled},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := mustNew(t, fmt.Sprintf(`
trustDomains: [{name: example.org, bundle: %s}]
revocation: {crls: [%s], ocsp: [%s], required: %v}
`, d.File, strings.Join(c.crls, ", "), strings.Join(c.ocsp, ", "), c.required))
			wants(t, verify(t, v, c.file), c.alert, "revoked")
		})
	}
}

// What is written holds for the next handshake, what is wrong leaves what was there, and sessions depend on both.
func TestFilesAreFollowed(t *testing.T) {
	d := newDomain(t)
	lists := t.TempDir()
	v := mustNew(t, fmt.Sprintf(
		"trustDomains: [{name: example.org, bundle: %s}]\nrevocation: {crls: [%s]}\npoll: 10ms\n", d.File, lists))
	file := d.svid("a", "spiffe://example.org/a")
	wants(t, verify(t, v, file), 0, "")
	before := v.SessionContext()
	if again := v.SessionContext(); !bytes.Equal(before, again) || len(before) == 0 {
		t.Errorf("SessionContext gives %x and then %x, want the same", before, again)
	}
	list := d.Revoke(t, "a", time.Now().Add(time.Hour), file)
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	write := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(lists, "a.crl"), text, 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
	}
	write(text)
	for deadline := time.Now().Add(10 * time.Second); verify(t, v, file).Accepted(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the certificate is still accepted after 10s, want the list to be read")
		}
	}
	wants(t, verify(t, v, file), certvalidator.CertificateRevoked, "is revoked")
	after := v.SessionContext()
	if bytes.Equal(before, after) {
		t.Error("SessionContext is what it was before the list came, want another one")
	}
	write([]byte("not a list"))
	for range 10 {
		time.Sleep(10 * time.Millisecond)
		wants(t, verify(t, v, file), certvalidator.CertificateRevoked, "is revoked")
	}
}

func TestConfiguration(t *testing.T) {
	d := newDomain(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return path
	}
	trust := "trustDomains: [{name: example.org, bundle: " + d.File + "}]\n"
	for _, c := range []struct{ name, conf, want string }{
		{name: "nothing", conf: "", want: "trustDomains: is required"},
		{name: "no bundle", conf: "trustDomains: [{name: example.org}]", want: "trustDomains[0].bundle: is required"},
		{name: "a name that is none", conf: "trustDomains: [{name: Example, bundle: x}]", want: "trustDomains[0].name"},
		{name: "an ID for a name", conf: "trustDomains: [{name: spiffe://example.org/a, bundle: x}]", want: "trustDomains[0].name: expected"},
		{
			name: "the same name", want: `trustDomains[1].name: duplicate trust domain "example.org"`,
			conf: "trustDomains: [{name: example.org, bundle: x}, {name: example.org, bundle: y}]",
		},
		{name: "an ID of another domain", conf: trust + "ids: [spiffe://other.example/a]", want: "ids[0]: other.example is not one of"},
		{name: "an ID that is none", conf: trust + "ids: [example.org/a]", want: "ids[0]: expected"},
		{name: "a star within", conf: trust + `ids: ["spiffe://example.org/a*"]`, want: "ids[0]: expected"},
		{name: "required of nothing", conf: trust + "revocation: {required: true}", want: "revocation.required: needs"},
		{name: "too many looks", conf: trust + "poll: 1ms", want: "poll: must be"},
		{name: "no such file", conf: "trustDomains: [{name: example.org, bundle: /no/such}]", want: "/no/such"},
		{name: "a bundle that is empty", conf: "trustDomains: [{name: example.org, bundle: " + file("empty", "") + "}]", want: "trustDomains[0].bundle"},
		{name: "a bundle that is none", conf: "trustDomains: [{name: example.org, bundle: " + file("json", "{}") + "}]", want: "trustDomains[0].bundle"},
		{name: "a list that is none", conf: trust + "revocation: {crls: [" + file("text", "text") + "]}", want: "revocation.crls"},
		{name: "certificates for a list", conf: trust + "revocation: {crls: [" + d.File + "]}", want: "expected X509 CRL in PEM, not \"CERTIFICATE\""},
		{name: "a response that is none", conf: trust + "revocation: {ocsp: [" + d.File + "]}", want: "revocation.ocsp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := certvalidatortest.New[spiffe.SPIFFE](t, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

// Lists that are not what they seem are refused when they are read.
func TestPartialLists(t *testing.T) {
	d := newDomain(t)
	crt, key := d.IssueLike(t, "list", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCRLSign
	})
	pair, err := tls.LoadX509KeyPair(crt, key)
	if err != nil {
		t.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	for _, c := range []struct {
		name string
		list x509.RevocationList
		want string
	}{
		{
			name: "changes only", want: "critical extension 2.5.29.27",
			list: x509.RevocationList{ExtraExtensions: []pkix.Extension{
				{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}},
			}},
		},
		{
			name: "an entry of another issuer", want: "critical extension 2.5.29.29",
			list: x509.RevocationList{RevokedCertificateEntries: []x509.RevocationListEntry{{
				SerialNumber: big.NewInt(1), RevocationTime: time.Now(),
				ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{48, 0}}},
			}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.list
			l.Number, l.ThisUpdate, l.NextUpdate = big.NewInt(1), time.Now(), time.Now().Add(time.Hour)
			der, err := x509.CreateRevocationList(nil, &l, testcert.Read(t, crt), pair.PrivateKey.(crypto.Signer))
			if err != nil {
				t.Fatalf("x509.CreateRevocationList: %v", err)
			}
			file := filepath.Join(t.TempDir(), "list.crl")
			if err := os.WriteFile(file, der, 0o600); err != nil {
				t.Fatalf("os.WriteFile: %v", err)
			}
			conf := fmt.Sprintf("trustDomains: [{name: example.org, bundle: %s}]\nrevocation: {crls: [%s]}\n", d.File, file)
			if _, err := certvalidatortest.New[spiffe.SPIFFE](t, conf); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}
