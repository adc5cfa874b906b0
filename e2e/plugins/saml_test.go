package plugins

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"html"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/crewjam/saml/samlidp"

	"mosn.io/moe/e2e/client"
)

// samlProvider is a real identity provider, of github.com/crewjam/saml/samlidp, and the browser's cookies there.
type samlProvider struct {
	b       *bed
	url     string
	browser *http.Client
}

// rsaPair makes a key with a certificate, and their files.
func (b *bed) rsaPair() (key *rsa.PrivateKey, cert *x509.Certificate, certFile, keyFile string) {
	b.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatalf("rsa.GenerateKey: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "saml"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		b.Fatalf("x509.CreateCertificate: %v", err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		b.Fatalf("x509.ParseCertificate: %v", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatalf("x509.MarshalPKCS8PrivateKey: %v", err)
	}
	dir := b.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			b.Fatalf("os.WriteFile: %v", err)
		}
	}
	return key, cert, certFile, keyFile
}

func (b *bed) samlProvider() *samlProvider {
	b.Helper()
	key, cert, _, _ := b.rsaPair()
	var idp http.Handler
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { idp.ServeHTTP(w, r) }))
	b.Cleanup(s.Close)
	at, err := url.Parse(s.URL)
	if err != nil {
		b.Fatalf("url.Parse: %v", err)
	}
	if idp, err = samlidp.New(samlidp.Options{
		URL: *at, Key: key, Certificate: cert, Store: &samlidp.MemoryStore{}, Logger: log.New(io.Discard, "", 0),
	}); err != nil {
		b.Fatalf("samlidp.New: %v", err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatalf("cookiejar.New: %v", err)
	}
	p := &samlProvider{b: b, url: s.URL, browser: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.put("/users/tom", `{"name": "tom", "password": "hunter2", "email": "tom@app.test", "groups": ["staff", "admins"]}`)
	return p
}

// put sets something up.
func (p *samlProvider) put(path, text string) {
	p.b.Helper()
	r, err := http.NewRequest(http.MethodPut, p.url+path, strings.NewReader(text))
	if err != nil {
		p.b.Fatalf("http.NewRequest: %v", err)
	}
	p.answer(p.browser.Do(r))
}

// answer returns where the identity provider leads to, or its page.
func (p *samlProvider) answer(r *http.Response, err error) (location, page string) {
	p.b.Helper()
	if err != nil {
		p.b.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode >= 400 {
		p.b.Fatalf("the identity provider says %s: %s", r.Status, text)
	}
	return r.Header.Get("location"), string(text)
}

// fields are the hidden ones of a page's form, and action is where it is posted.
func fields(page string) (action string, form url.Values) {
	between := func(text, from, to string) (string, string) {
		_, text, _ = strings.Cut(text, from)
		text, rest, _ := strings.Cut(text, to)
		return html.UnescapeString(text), rest
	}
	action, rest := between(page, `action="`, `"`)
	form = url.Values{}
	for strings.Contains(rest, `type="hidden"`) {
		var name, value string
		name, rest = between(rest, `type="hidden" name="`, `"`)
		value, rest = between(rest, `value="`, `"`)
		form.Set(name, value)
	}
	return action, form
}

// consent signs the user in, and returns the form for the service. It signs in before it goes to the address, because the identity
// provider loses the signature of a request over its page for signing in.
func (p *samlProvider) consent(address string) url.Values {
	p.b.Helper()
	p.answer(p.browser.PostForm(p.url+"/login", url.Values{"user": {"tom"}, "password": {"hunter2"}}))
	_, page := p.answer(p.browser.Get(address))
	to, form := fields(page)
	if to != "http://app.test/saml/acs" {
		p.b.Fatalf("the identity provider leads to %q: %s", to, page)
	}
	return form
}

// post posts a form to Envoy, as a page of another site does.
func (w *browser) post(path string, form url.Values) *client.Response {
	w.b.Helper()
	return w.do(client.Request{Method: "POST", Path: path, Body: form.Encode(), Header: []string{
		"content-type", "application/x-www-form-urlencoded", "sec-fetch-site", "cross-site", "sec-fetch-mode", "navigate",
	}})
}

// samlDoc is a chain with saml, and more of its configuration.
func samlDoc(more string) string {
	return `
plugins:
- name: saml
  config:
    acs: http://app.test/saml/acs
    cookieSecrets: [0123456789abcdef0123456789abcdef]
    cookie: {name: session, insecure: true}` + more
}

func init() {
	add("saml: sign in and out", func(b *bed) {
		p := b.samlProvider()
		_, _, cert, key := b.rsaPair()
		ln := b.listen(samlDoc(fmt.Sprintf(`
    idp: {metadataURL: %q}
    certFile: %s
    keyFile: %s
    logout: {path: /logout, service: /saml/slo, provider: true, redirect: /bye}
    claimsToHeaders:
    - {claim: sub, header: x-user}
    - {claim: "urn:oid:1.3.6.1.4.1.5923.1.1.1.1", header: x-groups}`, p.url+"/metadata", cert, key)))
		w := &browser{b, ln, map[string]string{}}
		r := w.get("/saml/metadata")
		if r.Status != 200 {
			b.Fatalf("the metadata: got %d %s, want 200", r.Status, r.Body)
		}
		p.put("/services/app", r.Body)

		if r := ln.get("/echo"); r.Status != 401 || b.reached(r) {
			b.Errorf("a program: got %d, want 401", r.Status)
		}
		form := p.consent(w.get("/echo?a=b").Header.Get("location"))
		answer, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
		if err != nil || !bytes.Contains(answer, []byte("EncryptedAssertion")) {
			b.Errorf("the assertion is not encrypted: %v %s", err, answer)
		}
		state := map[string]string{}
		for k, v := range w.jar {
			state[k] = v
		}
		other := &browser{b, ln, map[string]string{}}
		other.get("/echo")
		if r := other.post("/saml/acs", form); r.Status != 400 || other.jar["session"] != "" {
			b.Errorf("in another browser: got %d, want 400", r.Status)
		}
		if r := w.post("/saml/acs", form); r.Status != 303 || r.Header.Get("location") != "/echo?a=b" {
			b.Fatalf("got %d %q %s, want 303 to /echo?a=b", r.Status, r.Header.Get("location"), r.Body)
		}
		thief := &browser{b, ln, state}
		r = thief.post("/saml/acs", form)
		if got := b.Access(r.ID)["details"]; r.Status != 403 || got != "moe.saml.assertion" || thief.jar["session"] != "" {
			b.Errorf("the answer once more: got %d %v, want 403 moe.saml.assertion", r.Status, got)
		}
		w.jar["mine"] = "1"
		r = w.get("/echo", "x-user", "root", "x-groups", "root")
		if r.Status != 200 {
			b.Fatalf("with a session: got %d %s, want 200", r.Status, r.Body)
		}
		seen := b.upstream(r).Header
		if seen.Get("x-groups") != "staff,admins" || len(seen.Values("x-user")) != 1 || seen.Get("x-user") == "root" ||
			strings.Join(seen.Values("cookie"), "; ") != "mine=1" {
			b.Errorf("the upstream sees %v, want the user, the groups and the other cookie", seen)
		}

		begun := &browser{b, ln, map[string]string{}}
		form = p.consent(begun.get("/echo").Header.Get("location"))
		forged := strings.Replace(string(answer), "status:Success", "status:success", 1)
		form.Set("SAMLResponse", base64.StdEncoding.EncodeToString([]byte(forged)))
		if r := begun.post("/saml/acs", form); r.Status != 403 || begun.jar["session"] != "" {
			b.Errorf("a changed answer: got %d, want 403", r.Status)
		}

		r = w.get("/logout", "sec-fetch-site", "same-origin")
		if r.Status != 303 || w.jar["session"] != "" {
			b.Fatalf("signing out: got %d %s, want 303", r.Status, r.Body)
		}
		to, page := p.answer(p.browser.Get(r.Header.Get("location")))
		if to == "" {
			var answer url.Values
			if to, answer = fields(page); answer.Has("SAMLResponse") {
				r = w.post("/saml/slo", answer)
			}
		} else if u, err := url.Parse(to); err == nil {
			r = w.get(u.RequestURI())
		}
		if !strings.HasPrefix(to, "http://app.test/saml/slo") || r.Status != 303 || r.Header.Get("location") != "/bye" {
			b.Errorf("the identity provider leads to %q, and that to %d %q, want /bye", to, r.Status, r.Header.Get("location"))
		}
		if log := b.HostLog().Since(0); strings.Contains(log, "tom@app.test") {
			b.Error("the user's address is in the log")
		}
	})

	add("saml: the identity provider ends sessions", func(b *bed) {
		p := b.samlProvider()
		_, _, cert, key := b.rsaPair()
		metadata := filepath.Join(b.TempDir(), "idp.xml")
		_, text := p.answer(p.browser.Get(p.url + "/metadata"))
		if err := os.WriteFile(metadata, []byte(text), 0o600); err != nil {
			b.Fatalf("os.WriteFile: %v", err)
		}
		ln := b.listen(samlDoc(fmt.Sprintf(`
    idp: {metadataFile: %q}
    certFile: %s
    keyFile: %s
    logout: {service: /saml/slo}`, metadata, cert, key)))
		w := &browser{b, ln, map[string]string{}}
		p.put("/services/app", w.get("/saml/metadata").Body)
		if r := w.post("/saml/acs", p.consent(w.get("/echo").Header.Get("location"))); r.Status != 303 {
			b.Fatalf("signing in: got %d %s, want 303", r.Status, r.Body)
		}
		if r := w.get("/echo"); r.Status != 200 {
			b.Fatalf("with a session: got %d, want 200", r.Status)
		}
		// The browser posts the identity provider's form without the session's cookie, whose sameSite is lax.
		bare := &browser{b, ln, map[string]string{}}
		to, page := p.answer(p.browser.Get(p.url + "/logout"))
		var r *client.Response
		if to == "" {
			to, form := fields(page)
			if to != "http://app.test/saml/slo" {
				b.Fatalf("the identity provider leads to %q: %s", to, page)
			}
			r = bare.post("/saml/slo", form)
		} else {
			u, err := url.Parse(to)
			if err != nil {
				b.Fatalf("url.Parse: %v", err)
			}
			r = bare.get(u.RequestURI())
		}
		if back := r.Header.Get("location"); r.Status != 303 || !strings.HasPrefix(back, p.url+"/slo?") {
			b.Fatalf("got %d %q %s, want 303 to the identity provider", r.Status, back, r.Body)
		}
		if _, page := p.answer(p.browser.Get(r.Header.Get("location"))); strings.Contains(strings.ToLower(page), "not") {
			b.Errorf("the identity provider says %s", page)
		}
		if r := w.get("/echo"); r.Status != 302 || b.reached(r) {
			b.Errorf("after that: got %d, want 302", r.Status)
		}
	})

	add("saml: an identity provider that is down", func(b *bed) {
		s := httptest.NewServer(http.NotFoundHandler())
		s.Close()
		ln := b.listen(samlDoc(fmt.Sprintf(`
    idp: {metadataURL: %q}`, s.URL+"/metadata")))
		w := &browser{b, ln, map[string]string{}}
		if r := w.get("/echo"); r.Status != 503 || b.reached(r) || r.Header.Get("retry-after") == "" {
			b.Errorf("got %d %s, want 503", r.Status, r.Body)
		}
	})
}
