package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/signin"
)

var signing = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// idp is a provider whose answers a test can change. It checks what a provider must.
type idp struct {
	*httptest.Server
	t *testing.T

	mu        sync.Mutex
	challenge string          // of the sign-in under way
	nonce     string          // likewise
	claims    map[string]any  // over those of a good ID token; nil removes one
	answer    map[string]any  // over the token endpoint's; nil removes one
	status    int             // of the token endpoint
	raw       string          // the token endpoint's body instead
	key       *rsa.PrivateKey // that signs
	jwks      []any           // its keys instead
	payload   string          // of ID tokens instead
	redirect  string          // that the client is expected to give
	hold      chan struct{}   // the token endpoint waits until it is closed
	down      bool            // discovery fails
	meta      map[string]any  // over what it says of itself
	refreshed map[string]int  // uses of refresh tokens

	info func(http.ResponseWriter) // what it says of the user
}

func newIDP(t *testing.T) *idp {
	p := &idp{t: t, key: signing(), status: 200, refreshed: map[string]int{}, redirect: "https://app.example/cb"}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("/jwks", p.keys)
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.info == nil || r.Header.Get("authorization") == "" {
			w.WriteHeader(403)
			return
		}
		p.info(w)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Server.Close)
	return p
}

func (p *idp) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *idp) discovery(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		w.WriteHeader(503)
		return
	}
	m := map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/auth?x=1", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/jwks", "userinfo_endpoint": p.URL + "/userinfo", "end_session_endpoint": p.URL + "/end?y=2",
		"id_token_signing_alg_values_supported": []string{"RS256"},
	}
	maps.Copy(m, p.meta)
	p.write(w, m)
}

func (p *idp) keys(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := p.jwks
	if keys == nil {
		keys = []any{publicKey(p.t, signing(), nil)}
	}
	p.write(w, map[string]any{"keys": keys})
}

// publicKey is the JWK of a key, with more members.
func publicKey(t *testing.T, k *rsa.PrivateKey, more map[string]any) map[string]any {
	t.Helper()
	public, err := jwk.PublicKeyOf(k)
	if err != nil {
		t.Fatalf("jwk.PublicKeyOf: %v", err)
	}
	text, err := json.Marshal(public)
	if err != nil {
		t.Fatalf("writing a JWK: %v", err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("reading a JWK: %v", err)
	}
	maps.Copy(m, more)
	return m
}

func (p *idp) write(w http.ResponseWriter, v any) {
	w.Header().Set("content-type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := r.ParseForm(); err != nil {
		p.t.Error(err)
	}
	id, secret, _ := r.BasicAuth()
	if id != "me" || secret != "the-client-secret" {
		p.t.Error("the client does not authenticate")
	}
	refresh := r.PostForm.Get("refresh_token")
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if base64.RawURLEncoding.EncodeToString(sum[:]) != p.challenge {
			p.t.Error("the verifier is not that of the challenge")
		}
		if got := r.PostForm.Get("redirect_uri"); got != p.redirect {
			p.t.Errorf("redirect_uri is %q, want %q", got, p.redirect)
		}
	case "refresh_token":
		p.refreshed[refresh]++
	default:
		p.t.Error("grant_type is", r.PostForm.Get("grant_type"))
	}
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(p.status)
	if p.raw != "" || p.status != 200 {
		fmt.Fprint(w, p.raw)
		return
	}
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": p.URL, "sub": "tom", "aud": "me", "iat": now, "exp": now + 300, "nonce": p.nonce, "roles": []string{"a", "b"},
	}
	answer := map[string]any{
		"access_token": "very-secret-access", "token_type": "Bearer", "expires_in": 300,
		"refresh_token": fmt.Sprint("very-secret-refresh-", len(p.refreshed)), "id_token": p.sign(over(claims, p.claims)),
	}
	if err := json.NewEncoder(w).Encode(over(answer, p.answer)); err != nil {
		p.t.Error(err)
	}
}

// over returns m with changes.
func over(m, changes map[string]any) map[string]any {
	for k, v := range changes {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return m
}

func (p *idp) sign(claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	if p.payload != "" {
		text = []byte(strings.ReplaceAll(p.payload, "CLAIMS", strings.Trim(string(text), "{}")))
	}
	token, err := jws.Sign(text, jws.WithKey(jwa.RS256(), p.key))
	if err != nil {
		p.t.Error(err)
	}
	return string(token)
}

func address(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	return u
}

const cookieSecret = "0123456789abcdef0123456789abcdef"

func config(p *idp) *OIDC {
	o := &OIDC{
		Issuer: address(p.t, p.URL), ClientID: "me", ClientSecret: filter.NewSecret("the-client-secret"),
		Redirect: address(p.t, "https://app.example/cb"), CookieSecrets: []filter.Secret{filter.NewSecret(cookieSecret)},
		Cookie:   Cookie{Name: "__Host-oidc", Attributes: signin.Attributes{SameSite: "lax"}},
		Lifetime: time.Hour, Refresh: true, Login: "/login", Logout: Logout{Path: "/logout"},
	}
	o.Connection.Timeout = 10 * time.Second
	return o
}

// browser is one that signs in at an idp.
type browser struct{ *plugintest.User }

func newBrowser(t *testing.T, h *filtertest.Host) *browser {
	return &browser{plugintest.NewUser(t, h)}
}

// begin asks for a page and returns what the browser takes to the provider.
func (b *browser) begin(p *idp, path string) url.Values {
	b.T.Helper()
	r := b.Ask(path)
	if r.Status != 302 || r.Upstream != nil {
		b.T.Fatal(r.Status, r.Details, b.Host.Log())
	}
	to := address(b.T, r.Header.Get("location"))
	q := to.Query()
	if !strings.HasPrefix(to.String(), p.URL+"/auth?") || q.Get("x") != "1" || q.Get("response_type") != "code" ||
		q.Get("client_id") != "me" || q.Get("redirect_uri") != "https://app.example/cb" ||
		q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 {
		b.T.Error(to)
	}
	p.set(func() { p.challenge, p.nonce = q.Get("code_challenge"), q.Get("nonce") })
	return q
}

// signIn signs in and returns where it led.
func (b *browser) signIn(p *idp, path string) string {
	b.T.Helper()
	q := b.begin(p, path)
	r := b.Ask("/cb?code=abc&state=" + q.Get("state"))
	if r.Status != 302 || r.Details != "moe.oidc.signed_in" {
		b.T.Fatal(r.Status, r.Body, r.Details, b.Host.Log())
	}
	return r.Header.Get("location")
}
