package saml

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
	"github.com/crewjam/saml/xmlenc"
	"github.com/google/go-cmp/cmp"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/signin"
)

const cookieSecret = "0123456789abcdef0123456789abcdef"

// pair is a key with its certificate.
type pair struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func newPair(bits int) pair {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return pair{k, certificate(k, &k.PublicKey)}
}

func certificate(key, public any) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		panic(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return c
}

var (
	provider = sync.OnceValue(func() pair { return newPair(2048) })
	stranger = sync.OnceValue(func() pair { return newPair(2048) })
	service  = sync.OnceValue(func() pair { return newPair(2048) })
)

// files writes a certificate and its key.
func (p pair) files(t *testing.T) (cert, key string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		t.Fatalf("writing a key: %v", err)
	}
	return write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})),
		write(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func write(t *testing.T, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatalf("writing a file: %v", err)
	}
	return path
}

func address(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	return u
}

// testIDP is the library's identity provider, whose answers a test can change.
type testIDP struct {
	saml.IdentityProvider
	t       *testing.T
	service *saml.EntityDescriptor
	user    saml.Session
}

func newIDP(t *testing.T) *testIDP {
	p := &testIDP{t: t, user: saml.Session{
		ID: "1", Index: "one", NameID: "tom", NameIDFormat: string(saml.PersistentNameIDFormat), UserEmail: "tom@app.example",
		Groups: []string{"a", "b"},
	}}
	p.IdentityProvider = saml.IdentityProvider{
		Key: provider().key, Certificate: provider().cert, Logger: log.New(io.Discard, "", 0),
		MetadataURL: *address(t, "https://idp.example/metadata"), SSOURL: *address(t, "https://idp.example/sso"),
		LogoutURL: *address(t, "https://idp.example/slo"), LogoutBindings: []string{saml.HTTPRedirectBinding, saml.HTTPPostBinding},
		ServiceProviderProvider: p,
	}
	return p
}

// GetServiceProvider is that of saml.ServiceProviderProvider.
func (p *testIDP) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	if p.service == nil || p.service.EntityID != id {
		return nil, os.ErrNotExist
	}
	return p.service, nil
}

func (p *testIDP) metadata() []byte {
	p.t.Helper()
	text, err := xml.Marshal(p.Metadata())
	if err != nil {
		p.t.Fatalf("writing metadata: %v", err)
	}
	return text
}

// config is a plugin that knows the identity provider by a file.
func (p *testIDP) config() *SAML {
	p.t.Helper()
	s := &SAML{
		ACS: address(p.t, "https://app.example/saml/acs"), MetadataPath: "/saml/metadata", NameIDFormat: "unspecified",
		IDP:           IDP{MetadataFile: write(p.t, p.metadata()), Refresh: time.Hour},
		CookieSecrets: []filter.Secret{filter.NewSecret(cookieSecret)},
		Cookie:        Cookie{Name: "__Host-saml", Attributes: signin.Attributes{SameSite: "lax"}},
		Lifetime:      time.Hour, ClockSkew: time.Minute, Login: "/login", Logout: Logout{Path: "/logout"},
	}
	s.IDP.Connection.Timeout = 10 * time.Second
	return s
}

// withKey is config for a service that has a key, and that the identity provider may tell of signing out.
func (p *testIDP) withKey() *SAML {
	p.t.Helper()
	s := p.config()
	s.CertFile, s.KeyFile = service().files(p.t)
	s.Logout = Logout{Path: "/logout", Service: "/saml/slo", Provider: true, Redirect: "/bye"}
	return s
}

// user is one that signs in at an idp.
type user struct {
	*plugintest.User
	p *testIDP
}

// newUser also tells the identity provider what the service says of itself.
func newUser(p *testIDP, h *filtertest.Host) *user {
	p.t.Helper()
	u := &user{plugintest.NewUser(p.t, h), p}
	r := u.Ask("/saml/metadata")
	m, err := samlsp.ParseMetadata([]byte(r.Body))
	if r.Status != 200 || err != nil {
		p.t.Fatalf("the metadata: got %d %s %v, want 200\n%s", r.Status, r.Body, err, h.Log())
	}
	p.service = m
	return u
}

// begin asks for a page and returns what the browser takes to the identity provider.
func (u *user) begin(path string) *saml.IdpAuthnRequest {
	u.T.Helper()
	r := u.Ask(path)
	if r.Status != 302 || r.Upstream != nil {
		u.T.Fatalf("got %d %s, want 302:\n%s", r.Status, r.Details, u.Host.Log())
	}
	to := r.Header.Get("location")
	if !strings.HasPrefix(to, "https://idp.example/sso?") {
		u.T.Fatalf("the browser is sent to %q", to)
	}
	return u.request(httptest.NewRequest("GET", to, nil))
}

func (u *user) request(r *http.Request) *saml.IdpAuthnRequest {
	u.T.Helper()
	q, err := saml.NewIdpAuthnRequest(&u.p.IdentityProvider, r)
	if err != nil {
		u.T.Fatalf("the identity provider cannot read the request: %v", err)
	}
	if err := q.Validate(); err != nil {
		u.T.Fatalf("the identity provider refuses the request: %v", err)
	}
	return q
}

// assert has the identity provider answer a request, with a change of the assertion before it is signed.
func (u *user) assert(q *saml.IdpAuthnRequest, change func(*saml.Assertion)) {
	u.T.Helper()
	if err := (saml.DefaultAssertionMaker{}).MakeAssertion(q, &u.p.user); err != nil {
		u.T.Fatalf("making an assertion: %v", err)
	}
	if change != nil {
		change(q.Assertion)
	}
	if err := q.MakeResponse(); err != nil {
		u.T.Fatalf("making a response: %v", err)
	}
	q.ResponseEl = reread(q.ResponseEl)
}

func (u *user) form(q *saml.IdpAuthnRequest) url.Values {
	u.T.Helper()
	f, err := q.PostBinding()
	if err != nil {
		u.T.Fatalf("writing a response: %v", err)
	}
	return url.Values{"SAMLResponse": {f.SAMLResponse}, "RelayState": {f.RelayState}}
}

// post posts a form as the identity provider's page does.
func (u *user) post(path string, form url.Values) *filtertest.Response {
	u.T.Helper()
	return u.Do(filtertest.NewRequest("POST", path, form.Encode(), "content-type", "application/x-www-form-urlencoded",
		"origin", "https://idp.example", "sec-fetch-site", "cross-site", "sec-fetch-mode", "navigate"))
}

// signIn signs in and returns where it led.
func (u *user) signIn(path string) string {
	u.T.Helper()
	q := u.begin(path)
	u.assert(q, nil)
	r := u.post("/saml/acs", u.form(q))
	if r.Status != 303 || r.Details != "moe.saml.signed_in" {
		u.T.Fatalf("got %d %s %q, want 303:\n%s", r.Status, r.Details, r.Body, u.Host.Log())
	}
	return r.Header.Get("location")
}

func TestSignIn(t *testing.T) {
	for name, of := range map[string]func(*testIDP) *SAML{
		"no key": (*testIDP).config,
		"signed requests and encrypted assertions": (*testIDP).withKey,
		"by a form": func(p *testIDP) *SAML {
			m := p.Metadata()
			m.IDPSSODescriptors[0].SingleSignOnServices = []saml.Endpoint{{Binding: saml.HTTPPostBinding, Location: "https://idp.example/sso"}}
			text, err := xml.Marshal(m)
			if err != nil {
				t.Fatalf("writing metadata: %v", err)
			}
			s := p.withKey()
			s.IDP.MetadataFile = write(t, text)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newIDP(t)
			s := of(p)
			s.ClaimsToHeaders = []claims.ToHeader{
				{Claim: "sub", Header: "X-User"}, {Claim: "iss", Header: "x-idp"}, {Claim: "urn:oid:1.3.6.1.4.1.5923.1.1.1.1", Header: "x-groups"},
			}
			h := filtertest.New(t, s)
			u := newUser(p, h)
			var q *saml.IdpAuthnRequest
			if name == "by a form" {
				r := u.Ask("/page?a=b")
				if r.Status != 200 || !strings.Contains(r.Header.Get("content-security-policy"), "script-src 'nonce-") ||
					!strings.Contains(r.Body, `action="https://idp.example/sso"`) {
					t.Fatalf("got %d %v %s, want a form", r.Status, r.Header, r.Body)
				}
				f := url.Values{}
				for _, name := range []string{"SAMLRequest", "RelayState"} {
					_, rest, _ := strings.Cut(r.Body, `name="`+name+`" value="`)
					value, _, _ := strings.Cut(rest, `"`)
					f.Set(name, strings.ReplaceAll(value, "&#43;", "+"))
				}
				post := httptest.NewRequest("POST", "https://idp.example/sso", strings.NewReader(f.Encode()))
				post.Header.Set("content-type", "application/x-www-form-urlencoded")
				q = u.request(post)
			} else {
				q = u.begin("/page?a=b")
			}
			u.assert(q, nil)
			if encrypted := q.AssertionEl.Tag == "EncryptedAssertion"; encrypted != (s.CertFile != "") {
				t.Errorf("encrypted: got %v, want %v", encrypted, s.CertFile != "")
			}
			r := u.post("/saml/acs", u.form(q))
			if r.Status != 303 || r.Header.Get("location") != "/page?a=b" || r.Upstream != nil || r.Header.Get("cache-control") != "no-store" {
				t.Fatalf("got %d %s to %q, want 303 to /page?a=b:\n%s", r.Status, r.Details, r.Header.Get("location"), h.Log())
			}
			if len(u.Jar) != 1 {
				t.Errorf("got the cookies %v, want one", u.Jar)
			}
			u.Jar["other"] = "x"
			r = u.Ask("/page", "x-user", "root", "x-groups", "admin")
			if r.Upstream == nil {
				t.Fatalf("got %d %s, want it to pass:\n%s", r.Status, r.Details, h.Log())
			}
			seen := r.Upstream.Header
			if got := strings.Join(seen.Values("x-user"), ";"); got != "tom" {
				t.Errorf("x-user: got %q, want tom", got)
			}
			if got := strings.Join(seen.Values("x-groups"), ";"); got != "a,b" {
				t.Errorf("x-groups: got %q, want a,b", got)
			}
			if seen.Get("x-idp") != "https://idp.example/metadata" || seen.Get("cookie") != "other=x" {
				t.Errorf("the upstream sees %v, want the identity provider and the other cookie", seen)
			}
			if strings.Contains(h.Log(), "tom") {
				t.Error("the log has the user's name")
			}
		})
	}
}

func TestStateCookie(t *testing.T) {
	p := newIDP(t)
	u := newUser(p, filtertest.New(t, p.config()))
	r := u.Ask("/")
	cookies := (&http.Response{Header: r.Header}).Cookies()
	if len(cookies) != 1 || cookies[0].SameSite != http.SameSiteNoneMode || !cookies[0].Secure || !cookies[0].HttpOnly ||
		cookies[0].MaxAge != 600 {
		t.Errorf("got %v, want one cookie that browsers send with the identity provider's form", cookies)
	}
}

// TestOthers: what is not for the plugin, or not for a page.
func TestOthers(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, p.config())
	for _, c := range []struct {
		name, method, path string
		body               string
		header             []string
		status             int
		details            string
	}{
		{name: "program", method: "GET", path: "/", status: 401, details: "sign_in"},
		{name: "form of a page", method: "POST", path: "/", body: "a=b", status: 401, details: "sign_in"},
		{name: "ACS by GET", method: "GET", path: "/saml/acs?SAMLResponse=x", status: 405, details: "method"},
		{name: "ACS without a body", method: "POST", path: "/saml/acs", status: 400, details: "form"},
		{name: "ACS with JSON", method: "POST", path: "/saml/acs", body: "{}", header: []string{"content-type", "application/json"}, status: 400, details: "form"},
		{name: "metadata by POST", method: "POST", path: "/saml/metadata", body: "x", status: 405, details: "method"},
		{name: "ACS written otherwise", method: "GET", path: "/%73aml/acs", status: 405, details: "method"},
		{name: "logout from elsewhere", method: "GET", path: "/logout", header: []string{"sec-fetch-site", "cross-site"}, status: 403, details: "logout"},
		{
			name: "too long", method: "POST", path: "/saml/acs", body: "SAMLResponse=" + strings.Repeat("A", maxForm), status: 413, details: "form",
			header: []string{"content-type", "application/x-www-form-urlencoded"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := plugintest.NewUser(t, h).Do(filtertest.NewRequest(c.method, c.path, c.body, c.header...))
			if r.Status != c.status || r.Details != "moe.saml."+c.details || r.Upstream != nil {
				t.Errorf("got %d %s, want %d moe.saml.%s", r.Status, r.Details, c.status, c.details)
			}
		})
	}
}

func TestSessions(t *testing.T) {
	p := newIDP(t)
	s := p.config()
	clock := time.Now()
	s.clock = dsig.NewFakeClockAt(clock)
	h := filtertest.New(t, s)
	u := newUser(p, h)
	sealed := func(change func(*session)) string {
		t.Helper()
		v := session{
			Issuer: "https://idp.example/metadata", Name: name{Value: "tom"}, Claims: []byte(`{"sub":"tom"}`),
			Begun: clock.Add(-time.Minute).Unix(),
		}
		change(&v)
		text, err := s.keys.Seal("session", v, clock.Add(time.Hour))
		if err != nil {
			t.Fatalf("sealing a session: %v", err)
		}
		return text
	}
	state, err := s.keys.Seal("state", session{Issuer: "https://idp.example/metadata", Begun: clock.Unix()}, clock.Add(time.Hour))
	if err != nil {
		t.Fatalf("sealing: %v", err)
	}
	for _, c := range []struct {
		name, cookie string
		status       int
	}{
		{name: "good", cookie: sealed(func(*session) {}), status: 200},
		{name: "of another identity provider", cookie: sealed(func(v *session) { v.Issuer = "https://old.example" }), status: 302},
		{name: "longer than lifetime", cookie: sealed(func(v *session) { v.Begun -= 3600 }), status: 302},
		{name: "longer than the identity provider wants", cookie: sealed(func(v *session) { v.Until = clock.Unix() }), status: 302},
		{name: "a claim twice", cookie: sealed(func(v *session) { v.Claims = []byte(`{"sub":"tom","sub":"eve"}`) }), status: 302},
		{name: "a state", cookie: state, status: 302},
		{name: "nonsense", cookie: "x", status: 302},
	} {
		t.Run(c.name, func(t *testing.T) {
			u.Jar = map[string]string{"__Host-saml": c.cookie}
			if r := u.Ask("/"); r.Status != c.status || (r.Upstream != nil) != (c.status == 200) {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
		})
	}
}

func TestConsumers(t *testing.T) {
	p := newIDP(t)
	s := p.config()
	s.ConsumerClaim = "sub"
	h := &filtertest.Host{Consumers: []*filter.Consumer{
		{Name: "thomas", Credentials: map[string]map[string]any{"saml": {"subject": "tom"}}},
	}}
	if err := h.Load(t, s, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		h.Set("x-consumer", s.Consumer().Name)
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	u := newUser(p, h)
	u.signIn("/")
	if r := u.Ask("/"); r.Status != 200 || r.Upstream.Header.Get("x-consumer") != "thomas" {
		t.Errorf("got %d %s, want the consumer thomas", r.Status, r.Details)
	}
	p.user.NameID = "eve"
	u = newUser(p, h)
	u.signIn("/")
	if r := u.Ask("/"); r.Status != 403 || r.Details != "moe.saml.consumer" {
		t.Errorf("got %d %s, want 403 moe.saml.consumer", r.Status, r.Details)
	}
}

func TestECDSA(t *testing.T) {
	p := newIDP(t)
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatalf("writing a key: %v", err)
	}
	s := p.withKey()
	s.CertFile = write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(k, &k.PublicKey).Raw}))
	s.KeyFile = write(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	u := newUser(p, filtertest.New(t, s))
	p.WantAuthnRequestsSigned = true
	if to := u.signIn("/x"); to != "/x" {
		t.Errorf("led to %q, want /x", to)
	}
}

func TestClaims(t *testing.T) {
	a := &saml.Assertion{AttributeStatements: []saml.AttributeStatement{{Attributes: []saml.Attribute{
		{Name: "sub", Values: []saml.AttributeValue{{Value: "root"}}},
		{Name: "iss", Values: []saml.AttributeValue{{Value: "https://evil"}}},
		{Name: "acr", Values: []saml.AttributeValue{{Value: "strong"}}},
		{Name: "one", FriendlyName: "two", Values: []saml.AttributeValue{{Value: "1"}}},
		{Name: "list", Values: []saml.AttributeValue{{Value: "1"}, {Nil: true}, {NameID: &saml.NameID{Value: "2"}}}},
		{Name: "none"},
	}}, {Attributes: []saml.Attribute{{Name: "one", Values: []saml.AttributeValue{{Value: "2"}}}}}}}
	got := claimsOf(&session{Issuer: "https://idp", Name: name{Value: "tom"}}, "", a)
	want := map[string]any{"sub": "tom", "iss": "https://idp", "one": []string{"1", "2"}, "list": []string{"1", "2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func cbc() xmlenc.Encrypter {
	e := xmlenc.OAEP()
	e.BlockCipher = xmlenc.AES256CBC
	return e
}
