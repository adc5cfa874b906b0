package saml

import (
	"encoding/pem"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crewjam/saml"
	dsig "github.com/russellhaering/goxmldsig"

	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func TestConfiguration(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.metadata())
	cert, key := service().files(t)
	_, other := stranger().files(t)
	good := map[string]any{
		"acs": "https://app.example/saml/acs", "idp": map[string]any{"metadataFile": file}, "cookieSecrets": []string{cookieSecret},
	}
	load := func(t *testing.T, changes map[string]any) error {
		t.Helper()
		return plugintest.Load(t, "saml", good, changes)
	}
	if err := load(t, nil); err != nil {
		t.Errorf("load: %v", err)
	}
	in := func(name string, more map[string]any) map[string]any { return map[string]any{name: more} }
	withFile := func(text string) map[string]any {
		return in("idp", map[string]any{"metadataFile": write(t, []byte(text))})
	}
	changed := func(change func(*saml.EntityDescriptor)) map[string]any {
		m := newIDP(t).Metadata()
		change(m)
		text, err := xml.Marshal(m)
		if err != nil {
			t.Fatalf("writing metadata: %v", err)
		}
		return withFile(string(text))
	}
	for _, c := range []struct {
		name, want string
		change     map[string]any
	}{
		{name: "no acs", want: "acs", change: map[string]any{"acs": nil}},
		{name: "acs over http", want: "acs: must be an https URL", change: map[string]any{"acs": "http://app.example/acs"}},
		{name: "acs at the root", want: "acs", change: map[string]any{"acs": "https://app.example/"}},
		{name: "acs with a query", want: "acs", change: map[string]any{"acs": "https://app.example/acs?x"}},
		{name: "acs is the metadata's", want: "metadataPath: must not be the path of acs", change: map[string]any{"acs": "https://app.example/saml/metadata"}},
		{name: "no name", want: "entityID", change: map[string]any{"metadataPath": ""}},
		{name: "no metadata", want: "idp.metadataFile: exactly one", change: in("idp", map[string]any{})},
		{name: "metadata twice", want: "idp.metadataFile: exactly one", change: in("idp", map[string]any{"metadataFile": file, "metadataURL": "https://idp.example"})},
		{name: "metadata over http", want: "idp.metadataURL: must be https", change: in("idp", map[string]any{"metadataURL": "http://idp.example/metadata"})},
		{name: "too often", want: "idp.refresh", change: in("idp", map[string]any{"metadataURL": "https://idp.example/metadata", "refresh": "100ms"})},
		{name: "no such file", want: "no such file", change: in("idp", map[string]any{"metadataFile": "/does/not/exist"})},
		{name: "not metadata", want: "metadata", change: withFile("<x/>")},
		{name: "not XML", want: "metadata", change: withFile("geheim")},
		{name: "a service's metadata", want: "not that of an identity provider", change: changed(func(m *saml.EntityDescriptor) { m.IDPSSODescriptors = nil })},
		{name: "no certificate", want: "no certificate", change: changed(func(m *saml.EntityDescriptor) { m.IDPSSODescriptors[0].KeyDescriptors = nil })},
		{name: "bad certificate", want: "certificate", change: changed(func(m *saml.EntityDescriptor) {
			m.IDPSSODescriptors[0].KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data = "AAAA"
		})},
		{name: "expired", want: "valid until", change: changed(func(m *saml.EntityDescriptor) { m.ValidUntil = time.Now().Add(-time.Hour) })},
		{name: "nowhere to sign in", want: "no single sign-on service", change: changed(func(m *saml.EntityDescriptor) { m.IDPSSODescriptors[0].SingleSignOnServices = nil })},
		{name: "signing in over http", want: "is not https", change: changed(func(m *saml.EntityDescriptor) {
			m.IDPSSODescriptors[0].SingleSignOnServices[0].Location = "http://idp.example/sso"
		})},
		{name: "a script to sign in", want: "invalid url scheme", change: changed(func(m *saml.EntityDescriptor) {
			m.IDPSSODescriptors[0].SingleSignOnServices[0].Location = "javascript:alert(1)"
		})},
		{name: "another identity provider", want: "no entity found", change: in("idp", map[string]any{"metadataFile": file, "entityID": "https://other"})},
		{name: "unsigned metadata", want: "metadata", change: in("idp", map[string]any{"metadataFile": file, "signedBy": cert})},
		{name: "no certificate to sign by", want: "idp.signedBy", change: in("idp", map[string]any{"metadataFile": file, "signedBy": file})},
		{name: "a certificate without a key", want: "certFile", change: map[string]any{"certFile": cert}},
		{name: "another key", want: "certFile", change: map[string]any{"certFile": cert, "keyFile": other}},
		{name: "no certificate for logout.service", want: "logout.service", change: in("logout", map[string]any{"service": "/slo"})},
		{
			name: "logout.provider without a service", want: "logout.provider",
			change: map[string]any{"certFile": cert, "keyFile": key, "logout": map[string]any{"path": "/out", "provider": true}},
		},
		{name: "logout to another host", want: "logout.redirect", change: in("logout", map[string]any{"path": "/x", "redirect": "https://evil.example"})},
		{name: "skew", want: "clockSkew", change: map[string]any{"clockSkew": "4m"}},
		{name: "short cookie secret", want: "cookieSecrets[0]", change: map[string]any{"cookieSecrets": []string{"geheim"}}},
		{name: "cookie over http", want: "cookie.insecure", change: in("cookie", map[string]any{"insecure": true})},
		{name: "lifetime", want: "lifetime", change: map[string]any{"lifetime": "1s"}},
		{name: "misspelt field", want: "typo", change: map[string]any{"typo": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := load(t, c.change)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestMetadataURL: metadata is read from a URL, again and again; what is bad leaves what was there.
func TestMetadataURL(t *testing.T) {
	p := newIDP(t)
	var answer atomic.Pointer[string]
	set := func(text string) { answer.Store(&text) }
	set("")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := *answer.Load(); text != "" {
			_, _ = w.Write([]byte(text))
			return
		}
		w.WriteHeader(503)
	}))
	t.Cleanup(server.Close)
	s := p.config()
	s.IDP.MetadataFile, s.IDP.MetadataURL = "", address(t, server.URL+"/metadata?key=geheim")
	s.IDP.Refresh = time.Second
	h := filtertest.New(t, s)
	u := newUser(p, h)
	if r := u.Ask("/"); r.Status != 503 || r.Details != "moe.saml.provider" || r.Header.Get("retry-after") == "" {
		t.Errorf("without metadata: got %d %s, want 503 moe.saml.provider", r.Status, r.Details)
	}
	until := func(what string, want int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); u.Ask("/").Status != want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: it never answers with %d:\n%s", what, want, h.Log())
			}
		}
	}
	set(string(p.metadata()))
	until("with metadata", 302)
	u.signIn("/")
	fetched := filtertest.Value(s.idp.failed)
	set("<nonsense/>")
	for end := time.Now().Add(20 * time.Second); filtertest.Value(s.idp.failed) == fetched; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nonsense is never read")
		}
	}
	if r := u.Ask("/"); r.Status != 200 {
		t.Errorf("with nonsense: got %d %s, want the session to go on", r.Status, r.Details)
	}
	u.Jar = map[string]string{}
	u.signIn("/")
	if strings.Contains(h.Log(), "geheim") {
		t.Error("the log has the query of the URL")
	}
}

// TestMetadataFile: a new key of the identity provider is taken from a file that changes, and the old one goes.
func TestMetadataFile(t *testing.T) {
	p := newIDP(t)
	s := p.config()
	s.IDP.Poll = 10 * time.Millisecond
	u := newUser(p, filtertest.New(t, s))
	u.signIn("/")
	old := s.idp.current.Load()
	p.Key, p.Certificate = stranger().key, stranger().cert
	if err := os.WriteFile(s.IDP.MetadataFile, p.metadata(), 0o600); err != nil {
		t.Fatalf("writing a file: %v", err)
	}
	for end := time.Now().Add(20 * time.Second); s.idp.current.Load() == old; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the file is never read again")
		}
	}
	if r := u.Ask("/"); r.Status != 200 {
		t.Errorf("the session: got %d %s, want 200", r.Status, r.Details)
	}
	u.Jar = map[string]string{}
	u.signIn("/")
	p.Key, p.Certificate = provider().key, provider().cert
	u.Jar = map[string]string{}
	q := u.begin("/")
	u.assert(q, nil)
	if r := u.post("/saml/acs", u.form(q)); r.Status != 403 {
		t.Errorf("with the key that is gone: got %d %s, want 403", r.Status, r.Details)
	}
}

func TestSignedMetadata(t *testing.T) {
	p := newIDP(t)
	p.SignMetadata = true
	e, err := p.SignedMetadata()
	if err != nil {
		t.Fatalf("signing metadata: %v", err)
	}
	text := []byte(text(e))
	for _, c := range []struct {
		name   string
		text   []byte
		signer pair
		good   bool
	}{
		{name: "good", text: text, signer: provider(), good: true},
		{name: "another signer", text: text, signer: stranger()},
		{name: "changed", text: []byte(strings.Replace(string(text), "https://idp.example/sso", "https://evil.example/sso", 1)), signer: provider()},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := p.config()
			s.IDP.MetadataFile = write(t, c.text)
			s.IDP.SignedBy = write(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.signer.cert.Raw}))
			if err := new(filtertest.Host).Load(t, s); (err == nil) != c.good {
				t.Errorf("got %v, want it to be good: %v", err, c.good)
			}
		})
	}
}

// TestMetadataExpires: what was valid until a time is not trusted after it, even if nothing newer can be read.
func TestMetadataExpires(t *testing.T) {
	p := newIDP(t)
	m := p.Metadata()
	m.ValidUntil = time.Now().Add(time.Hour)
	text, err := xml.Marshal(m)
	if err != nil {
		t.Fatalf("writing metadata: %v", err)
	}
	s := p.config()
	s.IDP.MetadataFile = write(t, text)
	s.clock = dsig.NewFakeClockAt(time.Now())
	h := filtertest.New(t, s)
	u := newUser(p, h)
	u.signIn("/")
	s.clock = dsig.NewFakeClockAt(time.Now().Add(2 * time.Hour))
	s.idp.current.Load().Clock = s.clock
	p.Clock = s.clock
	u.Jar = map[string]string{}
	q := u.begin("/")
	u.assert(q, nil)
	if r := u.post("/saml/acs", u.form(q)); r.Status != 403 || !strings.Contains(h.Log(), "metadata expired") {
		t.Errorf("got %d %s, want 403 as the metadata is over:\n%s", r.Status, r.Details, h.Log())
	}
}
