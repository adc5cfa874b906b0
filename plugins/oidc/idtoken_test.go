package oidc

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"testing"
	"time"

	"mosn.io/moe/framework/filtertest"
)

// finish ends a sign-in that was begun, with more in the query of the provider's answer.
func (b *browser) finish(state, more string) *filtertest.Response {
	b.T.Helper()
	return b.Ask("/cb?code=abc&state=" + state + more)
}

// TestProviderKeys: which of the provider's keys verify ID tokens.
func TestProviderKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	// The library that makes JWKs makes none of this one.
	enc := base64.RawURLEncoding.EncodeToString
	weakKey := map[string]any{"kty": "RSA", "n": enc(weak.N.Bytes()), "e": "AQAB"}
	good := publicKey(t, signing(), map[string]any{"kid": "a"})
	for _, c := range []struct {
		name   string
		jwks   []any
		key    *rsa.PrivateKey
		status int
	}{
		{"one key", []any{good}, signing(), 302},
		{"beside a key of an unknown type", []any{map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, good}, signing(), 302},
		{"beside a key of an unknown curve", []any{good, map[string]any{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}}, signing(), 302},
		{"beside a key with a broken certificate", []any{publicKey(t, signing(), map[string]any{"x5c": []string{"!"}}), good}, signing(), 302},
		{"beside what is not a key", []any{7, nil, "x", good}, signing(), 302},
		{"for encryption", []any{publicKey(t, signing(), map[string]any{"use": "enc"})}, signing(), 502},
		{"for another algorithm", []any{publicKey(t, signing(), map[string]any{"alg": "RS512"})}, signing(), 502},
		{"1024 bits", []any{weakKey}, weak, 502},
		{"1024 bits beside a good one", []any{weakKey, good}, weak, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			p.set(func() { p.jwks, p.key = c.jwks, c.key })
			h := filtertest.New(t, config(p))
			b := newBrowser(t, h)
			r := b.finish(b.begin(p, "/").Get("state"), "")
			if r.Status != c.status || (b.Jar["__Host-oidc"] != "") != (c.status == 302) {
				t.Errorf("got %d %s, want %d:\n%s", r.Status, r.Details, c.status, h.Log())
			}
		})
	}
}

// TestProviderRotatesKeys: a key that the provider has made since is asked for, and one that it no longer names is not good.
func TestProviderRotatesKeys(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatalf("making a key: %v", err)
	}
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	newBrowser(t, h).signIn(p, "/")
	p.set(func() { p.jwks, p.key = []any{publicKey(t, other, nil)}, other })
	newBrowser(t, h).signIn(p, "/")
	p.set(func() { p.key = signing() })
	b := newBrowser(t, h)
	if r := b.finish(b.begin(p, "/").Get("state"), ""); r.Status != 502 {
		t.Errorf("signed with a key that is gone: got %d %s, want 502", r.Status, r.Details)
	}
}

// TestAnswerNamesIssuer: a provider that says that its answers name it must do so (RFC 9207, section 2.4).
func TestAnswerNamesIssuer(t *testing.T) {
	p := newIDP(t)
	p.set(func() { p.meta = map[string]any{"authorization_response_iss_parameter_supported": true} })
	h := filtertest.New(t, config(p))
	for _, c := range []struct {
		name, more string
		status     int
	}{
		{"named", "&iss=" + p.URL, 302},
		{"not named", "", 400},
		{"another", "&iss=https://evil.example", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t, h)
			if r := b.finish(b.begin(p, "/").Get("state"), c.more); r.Status != c.status {
				t.Errorf("got %d %s, want %d", r.Status, r.Details, c.status)
			}
		})
	}
}

func TestTokenType(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	for name, value := range map[string]any{"in lower case": "bearer", "missing": nil, "in capitals": "BEARER"} {
		t.Run(name, func(t *testing.T) {
			p.set(func() { p.answer = map[string]any{"token_type": value} })
			newBrowser(t, h).signIn(p, "/")
		})
	}
	t.Run("of a refreshed token", func(t *testing.T) {
		b := newBrowser(t, h)
		p.set(func() { p.answer = map[string]any{"expires_in": 5} })
		b.signIn(p, "/")
		p.set(func() { p.answer = map[string]any{"token_type": "DPoP"} })
		if r := b.Ask("/"); r.Status != 302 || r.Upstream != nil {
			t.Errorf("got %d %s, want 302 to the provider", r.Status, r.Details)
		}
	})
}

// TestMethods: the plugin's own paths answer no other methods than those that they are for.
func TestMethods(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		t.Run(method, func(t *testing.T) {
			b := newBrowser(t, h)
			state := b.begin(p, "/").Get("state")
			r := b.Do(filtertest.NewRequest(method, "/cb?code=abc&state="+state, ""))
			if r.Status != 405 || r.Header.Get("allow") != "GET" || b.Jar["__Host-oidc"] != "" {
				t.Errorf("callback: got %d, allow %q, want 405, GET", r.Status, r.Header.Get("allow"))
			}
			b.signIn(p, "/")
			r = b.Do(filtertest.NewRequest(method, "/logout", "", "sec-fetch-site", "same-origin"))
			if method == "POST" {
				if r.Status != 200 || b.Jar["__Host-oidc"] != "" {
					t.Errorf("logout: got %d %s, want 200 and no session", r.Status, r.Details)
				}
			} else if r.Status != 405 || r.Header.Get("allow") != "GET, POST" || b.Jar["__Host-oidc"] == "" {
				t.Errorf("logout: got %d, allow %q, want 405, \"GET, POST\"", r.Status, r.Header.Get("allow"))
			}
		})
	}
}

// TestWhoSignsOut: only the user and pages of this origin sign a user out.
func TestWhoSignsOut(t *testing.T) {
	p := newIDP(t)
	h := filtertest.New(t, config(p))
	for _, c := range []struct {
		name   string
		header []string
		out    bool
	}{
		{"link of this site", []string{"sec-fetch-site", "same-origin", "sec-fetch-mode", "navigate"}, true},
		{"typed in", []string{"sec-fetch-site", "none", "sec-fetch-mode", "navigate"}, true},
		{"no browser", nil, true},
		{"referer of this site", []string{"referer", "https://app.example/page"}, true},
		{"origin of this site", []string{"origin", "https://app.example"}, true},
		{"link of another site", []string{"sec-fetch-site", "cross-site", "sec-fetch-mode", "navigate"}, false},
		{"image of another site", []string{"sec-fetch-site", "cross-site", "sec-fetch-mode", "no-cors"}, false},
		{"another host of this site", []string{"sec-fetch-site", "same-site", "sec-fetch-mode", "navigate"}, false},
		{"referer of another site", []string{"referer", "https://evil.example/"}, false},
		{"referer that is not an address", []string{"referer", ""}, false},
		{"origin of another site", []string{"origin", "https://evil.example"}, false},
		{"opaque origin", []string{"origin", "null"}, false},
		{"prefetched", []string{"sec-fetch-site", "same-origin", "sec-purpose", "prefetch;prerender"}, false},
		{"prefetched as older browsers say", []string{"purpose", "prefetch"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t, h)
			b.signIn(p, "/")
			r := b.Ask("/logout", c.header...)
			if out := b.Jar["__Host-oidc"] == ""; out != c.out || (r.Status == 200) != c.out {
				t.Errorf("got %d %s, signed out: %v; want %v", r.Status, r.Details, out, c.out)
			}
		})
	}
}

// TestRedirectWithEscapes: the provider's answer is known whatever way its path is written.
func TestRedirectWithEscapes(t *testing.T) {
	for _, c := range []struct{ name, redirect, path string }{
		{"letters beyond ASCII", "https://app.example/zur%C3%BCck", "/zur%C3%BCck"},
		{"letters as they are", "https://app.example/zurück", "/zur%C3%BCck"},
		{"small digits", "https://app.example/zur%C3%BCck", "/zur%c3%bcck"},
		{"an escape that needs none", "https://app.example/%63b", "/cb"},
		{"a blank", "https://app.example/a%20b", "/a%20b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newIDP(t)
			o := config(p)
			o.Redirect = address(t, c.redirect)
			h := filtertest.New(t, o)
			b := newBrowser(t, h)
			r := b.Ask("/page")
			q := address(t, r.Header.Get("location")).Query()
			p.set(func() {
				p.challenge, p.nonce, p.redirect = q.Get("code_challenge"), q.Get("nonce"), o.Redirect.String()
			})
			r = b.Ask(c.path + "?code=abc&state=" + q.Get("state"))
			if r.Status != 302 || r.Header.Get("location") != "/page" || r.Details != "moe.oidc.signed_in" {
				t.Errorf("got %d %s to %q, want 302 to /page", r.Status, r.Details, r.Header.Get("location"))
			}
		})
	}
}

// TestTwiceClaimedSession: a session whose claims cannot be read, as older versions sealed them, signs in anew.
func TestTwiceClaimedSession(t *testing.T) {
	p := newIDP(t)
	o := config(p)
	b := newBrowser(t, filtertest.New(t, o))
	b.signIn(p, "/")
	u := session{Subject: "tom", Claims: []byte(`{"sub":"tom","sub":"eve"}`), Begun: time.Now().Unix()}
	text, err := o.keys.Seal("session", u, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatalf("sealing a session: %v", err)
	}
	b.Jar["__Host-oidc"] = text
	if r := b.Ask("/"); r.Status != 302 || r.Details != "moe.oidc.sign_in" {
		t.Errorf("got %d %s, want 302 moe.oidc.sign_in", r.Status, r.Details)
	}
}
