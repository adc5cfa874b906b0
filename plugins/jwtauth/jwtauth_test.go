package jwtauth

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/place"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/remember"
)

func TestClaimsToHeaders(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "rsa"}))
	for _, name := range []string{
		"sub", "n", "ok", "roles", "realm.roles", "https://a.b/c", "obj", "none", "null", "Sub",
	} {
		header := "X-" + strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(name)
		if name == "Sub" {
			header = "x-other"
		}
		p.ClaimsToHeaders = append(p.ClaimsToHeaders, claims.ToHeader{Claim: name, Header: header})
	}
	h := filtertest.New(t, p)
	said := good(map[string]any{
		"n": 12.5, "ok": true, "roles": []any{"a", "b", 3}, "realm": map[string]any{"roles": []string{"x"}},
		"https://a.b/c": "d é", "obj": map[string]any{"a": []int{1}}, "null": json.RawMessage("null"),
	})
	forged := append(withToken(sign(t, "rsa", "RS256", "", said)),
		"x-sub", "admin", "x-none", "admin", "X-NULL", "admin", "x-other", "admin")
	r := h.Get("/", forged...)
	if r.Status != 200 {
		t.Fatalf("r.Status = %d, want 200: %q", r.Status, r.Details)
	}
	for name, want := range map[string]string{
		"x-sub": "alice", "x-n": "12.5", "x-ok": "true", "x-roles": "a,b,3", "x-realm-roles": "x",
		"x-https---a-b-c": "d é", "x-obj": `{"a":[1]}`, "x-none": "", "x-null": "", "x-other": "",
	} {
		t.Run(name, func(t *testing.T) {
			if got := r.Upstream.Header.Get(name); got != want || len(r.Upstream.Header.Values(name)) > 1 {
				t.Errorf("%s is %q, want %q", name, r.Upstream.Header.Values(name), want)
			}
		})
	}
	for name, v := range map[string]any{
		"a line break": "a\r\nx-admin: 1", "a NUL": "\x00", "a space before": " alice", "long": strings.Repeat("x", 9<<10),
		"a comma in a list": []string{"a,b", "c"},
	} {
		t.Run(name, func(t *testing.T) {
			r := h.Get("/", withToken(sign(t, "rsa", "RS256", "", good(map[string]any{"sub": "x", "roles": v})))...)
			if r.Status != 401 || details(r) != "unfit_claim" {
				t.Errorf("%s: r.Status = %d, want 401; details(r) = %q, want %q: %s",
					name, r.Status, details(r), "unfit_claim", r.Details)
			}
		})
	}
}

func TestClaimsToMetadata(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "rsa"}))
	p.ClaimsToMetadata = []string{"sub", "realm.roles", "none", "null", "*"}
	h := filtertest.New(t, p)
	said := good(map[string]any{"realm": map[string]any{"roles": []any{"x", nil}}, "null": json.RawMessage("null")})
	r := h.Get("/", withToken(sign(t, "rsa", "RS256", "", said))...)
	if r.Status != 200 || r.Metadata["moe.jwtauth/sub"] != "alice" {
		t.Errorf("got %d and %v, want 200 and sub", r.Status, r.Metadata)
	}
	if diff := cmp.Diff(any([]any{"x"}), r.Metadata["moe.jwtauth/realm.roles"]); diff != "" {
		t.Errorf("realm.roles (-want +got):\n%s", diff)
	}
	all, _ := r.Metadata["moe.jwtauth/claims"].(map[string]any)
	if all["sub"] != "alice" || all["null"] != nil || all["exp"] == nil || len(all) != 6 {
		t.Errorf("got %v, want all six claims but the null", all)
	}
	err := (&filtertest.Host{Lacks: filter.CanSetMetadata}).Load(t, p)
	if err == nil || !strings.Contains(err.Error(), "claimsToMetadata") {
		t.Errorf("Load(p): got error %v, want one with %q", err, "claimsToMetadata")
	}
}

func TestRequiredClaims(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "rsa"}))
	p.Providers[0].RequiredClaims = []claims.Requirement{
		{Claim: "scope", AllOf: []string{"read", "write"}}, {Claim: "roles", AnyOf: []string{"a", "b"}}, {Claim: "email"},
	}
	h := filtertest.New(t, p)
	for _, c := range []struct {
		name                string
		scope, roles, email any
		ok                  bool
	}{
		{name: "all, in one text", scope: "read write", roles: []string{"b", "x"}, email: "e", ok: true},
		{name: "all, in a list", scope: []string{"write", "read"}, roles: "a", email: "e", ok: true},
		{name: "not all scopes", scope: "read", roles: "a", email: "e"},
		{name: "scopes run together", scope: "readwrite", roles: "a", email: "e"},
		{name: "a role with a space", scope: "read write", roles: "a b", email: "e"}, // only scopes have words
		{name: "another role", scope: "read write", roles: []string{"c"}, email: "e"},
		{name: "no email", scope: "read write", roles: "a"},
		{name: "null for an email", scope: "read write", roles: "a", email: json.RawMessage("null")},
		{name: "no scope", roles: "a", email: "e"},
		{name: "a map for a scope", scope: map[string]any{"read": 1}, roles: "a", email: "e"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.Get("/", withToken(sign(t, "rsa", "RS256", "",
				good(map[string]any{"scope": c.scope, "roles": c.roles, "email": c.email})))...)
			if (r.Status == 200) != c.ok || !c.ok && (r.Status != 403 || details(r) != "claims" ||
				!strings.Contains(r.Header.Get("www-authenticate"), `error="insufficient_scope"`)) {
				t.Errorf("%+v: got %d %s, want 200: %v", c, r.Status, r.Details, c.ok)
			}
		})
	}
}

func TestProviderOptions(t *testing.T) {
	keys := jwks(t, map[string]string{"": "rsa"})
	now := time.Now()
	for _, c := range []struct {
		name   string
		set    func(*Provider)
		claims map[string]any
		want   string
	}{
		{"no expiry", func(p *Provider) { p.AllowNoExpiry = true }, map[string]any{"exp": nil}, ""},
		{"old", func(p *Provider) { p.MaxAge = time.Minute }, map[string]any{"iat": now.Add(-time.Hour).Unix()}, "too_old"},
		{"not old", func(p *Provider) { p.MaxAge = time.Minute }, nil, ""},
		{"no iat", func(p *Provider) { p.MaxAge = time.Minute }, map[string]any{"iat": nil}, "too_old"},
		{"any issuer", func(p *Provider) { p.Issuer = "" }, map[string]any{"iss": "x"}, ""},
		{"any audience", func(p *Provider) { p.Audiences = nil }, map[string]any{"aud": "x"}, ""},
		{"algorithm", func(p *Provider) { p.Algorithms = []string{"PS256"} }, nil, "algorithm"},
		{"type", func(p *Provider) { p.Type = "at+jwt" }, nil, "type"},
		{"type with application", func(p *Provider) { p.Type = "application/jwt" }, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := inline(keys)
			c.set(&p.Providers[0])
			r := filtertest.New(t, p).Get("/", withToken(sign(t, "rsa", "RS256", "", good(c.claims)))...)
			if details(r) != c.want {
				t.Errorf("%s: %q, want %q", c.name, details(r), c.want)
			}
		})
	}
}

func TestProviders(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "rsa"}))
	p.Providers = append(p.Providers,
		Provider{Issuer: "second", Keys: Keys{Secret: filter.NewSecret(string(keyring()["hs"].([]byte)))}},
		Provider{Keys: Keys{Inline: filter.NewSecret(jwks(t, map[string]string{"k": "p256"}))}})
	h := filtertest.New(t, p)
	for _, c := range []struct{ key, alg, iss, want string }{
		{"rsa", "RS256", issuer, ""},
		{"hs", "HS256", "second", ""},
		{"hs", "HS512", "second", ""},
		{"p256", "ES256", "third", ""},
		{"rsa", "RS256", "second", "algorithm"},
		{"hs", "HS256", issuer, "algorithm"},
		{"p256", "ES256", issuer, "algorithm"},
		{"rsa2", "RS256", "third", "algorithm"},
	} {
		t.Run(fmt.Sprintf("%v %v", c.alg, c.iss), func(t *testing.T) {
			r := h.Get("/", withToken(sign(t, c.key, c.alg, "", good(map[string]any{"iss": c.iss})))...)
			if details(r) != c.want {
				t.Errorf("%+v: details(r) = %q, want %q", c, details(r), c.want)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "p256"}))
	p.From = place.Places{
		Headers: []place.Header{{Name: "X-Token"}}, Queries: []string{"access_token"}, Cookies: []string{"jwt"},
	}
	token := sign(t, "p256", "ES256", "", good(nil))
	h := filtertest.New(t, p)
	r := h.Get("/a?x=1&access_token=" + token)
	if r.Status != 200 || r.Upstream.RequestURI != "/a?x=1" {
		t.Errorf("r.Status = %d, want 200; r.Upstream.RequestURI = %q, want %q: %+v",
			r.Status, r.Upstream.RequestURI, "/a?x=1", r.Upstream)
	}
	r = h.Get("/", "cookie", "a=b; jwt="+token)
	if r.Status != 200 || r.Upstream.Header.Get("cookie") != "a=b" {
		t.Errorf(`r.Status = %d, want 200; r.Upstream.Header.Get("cookie") = %q, want %q: %+v`,
			r.Status, r.Upstream.Header.Get("cookie"), "a=b", r.Upstream)
	}
	if r := h.Get("/", "x-token", token); r.Status != 200 || r.Upstream.Header.Get("x-token") != "" {
		t.Errorf(`r.Status = %d, want 200; r.Upstream.Header.Get("x-token") = %q, want %q: %+v`,
			r.Status, r.Upstream.Header.Get("x-token"), "", r.Upstream)
	}
	if r := h.Get("/", withToken(token)...); details(r) != "missing" {
		t.Errorf("details(r) = %q, want %q: %d", details(r), "missing", r.Status)
	}
	if r := h.Get("/?access_token="+token, "x-token", token); r.Status != 400 {
		t.Errorf("r.Status = %d, want 400", r.Status)
	}
	p.Forward = true
	r = filtertest.New(t, p).Get("/", "x-token", token)
	if r.Upstream.Header.Get("x-token") != token {
		t.Errorf(`r.Upstream.Header.Get("x-token") = %q, want %q: %v`,
			r.Upstream.Header.Get("x-token"), token, r.Upstream.Header)
	}
}

func TestConsumers(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "p256"}))
	p.ConsumerClaim, p.CacheSize = "sub", 10
	h := &filtertest.Host{Consumers: []*filter.Consumer{
		{Name: "tom", Credentials: map[string]map[string]any{"jwtauth": {"subject": "alice", "issuer": issuer}}},
		{Name: "tim", Credentials: map[string]map[string]any{"jwtauth": {"subject": "bob"}}},
		{Name: "eve", Credentials: map[string]map[string]any{"jwtauth": {"subject": "carl", "issuer": "https://other"}}},
		{Name: "ann"},
	}}
	if err := h.Load(t, p, &plugintest.Probe{Request: func(s filter.Stream, h filter.RequestHeaders) {
		h.Set("x-consumer", s.Consumer().Name)
	}}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	for subject, want := range map[string]string{"alice": "tom", "bob": "tim", "carl": "", "ann": "", "": "", "tom": ""} {
		t.Run(fmt.Sprintf("%q", subject), func(t *testing.T) {
			for range 2 { // the second time from the cache
				r := h.Get("/", withToken(sign(t, "p256", "ES256", "", good(map[string]any{"sub": subject})))...)
				got := ""
				if r.Upstream != nil {
					got = r.Upstream.Header.Get("x-consumer")
				} else if r.Status != 401 || details(r) != "consumer" {
					t.Errorf("%q: r.Status = %d, want 401; details(r) = %q, want %q: %q",
						subject, r.Status, details(r), "consumer", r.Details)
				}
				if got != want {
					t.Errorf("%q is %q, want %q", subject, got, want)
				}
			}
		})
	}
}

func TestCache(t *testing.T) {
	p := inline(jwks(t, map[string]string{"": "p256"}))
	p.CacheSize = 32
	p.Providers[0].Leeway = 0
	p.ClaimsToHeaders = []claims.ToHeader{{Claim: "sub", Header: "x-user"}}
	h := filtertest.New(t, p)
	token := sign(t, "p256", "ES256", "", good(nil))
	for i := range 3 {
		r := h.Get("/", append(withToken(token), "x-user", "root")...)
		if r.Status != 200 || r.Upstream.Header.Get("x-user") != "alice" || r.Upstream.Header.Get("authorization") != "" {
			t.Errorf("got %d and %v, want 200 for alice without the token", r.Status, r.Upstream)
		}
		if filtertest.Value(p.hits) != uint64(i) {
			t.Errorf("%d hits after %d", filtertest.Value(p.hits), i+1)
		}
	}
	for i := range 100 { // never more than it may hold
		h.Get("/", withToken(sign(t, "p256", "ES256", "", good(map[string]any{"sub": fmt.Sprint(i)})))...)
	}
	if n := p.cache.Len(); n > 32 {
		t.Errorf("%d are remembered", n)
	}
	// What is not verified is not remembered.
	before := p.cache.Len()
	for i := range 10 {
		h.Get("/", withToken(sign(t, "p384", "ES384", "", good(map[string]any{"sub": fmt.Sprint("x", i)})))...)
	}
	if p.cache.Len() != before {
		t.Error("refused tokens are remembered")
	}
	// A token that has expired since, or whose key is gone, is not good any more.
	soon := time.Now().Add(2 * time.Second)
	token = sign(t, "p256", "ES256", "", good(map[string]any{"exp": soon.Unix() + 1}))
	h.Get("/", withToken(token)...)
	sum := remember.Key(sha256.Sum256([]byte(token)))
	remembered := func(now time.Time) bool {
		_, ok := p.cache.Get(&sum, func(id *identity) bool { return id.good(now) })
		return ok
	}
	if !remembered(time.Now()) || remembered(soon.Add(p.Providers[0].Leeway+time.Minute)) {
		t.Error("the expiry does not count")
	}
	set, err := jws.Secret(strings.Repeat("x", 32), jws.Symmetric)
	if err != nil {
		t.Fatalf("jws.Secret: %v", err)
	}
	p.Providers[0].local.Store(set)
	if r := h.Get("/", withToken(token)...); r.Status != 401 {
		t.Error("a token of a key that is gone passes")
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	replace := func(text string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatalf("os.Rename: %v", err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(&keyring()["rsa"].(*rsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatalf("x509.MarshalPKIXPublicKey: %v", err)
	}
	replace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	p := inline("")
	p.Providers[0].Keys = Keys{File: file}
	p.Poll = 10 * time.Millisecond
	h := filtertest.New(t, p)
	one, two := withToken(sign(t, "rsa", "RS256", "", good(nil))), withToken(sign(t, "rsa2", "RS256", "two", good(nil)))
	if h.Get("/", one...).Status != 200 || h.Get("/", two...).Status != 401 {
		t.Fatal("the keys of the file do not hold")
	}
	replace("nonsense")
	eventually(t, "the bad file is noticed", func() bool { return strings.Contains(h.Log(), "cannot reload") })
	if h.Get("/", one...).Status != 200 {
		t.Error("a broken file takes the keys away")
	}
	replace(jwks(t, map[string]string{"two": "rsa2"}))
	eventually(t, "the new file holds", func() bool { return h.Get("/", two...).Status == 200 })
	if h.Get("/", one...).Status != 401 {
		t.Error("the old key holds")
	}
}
