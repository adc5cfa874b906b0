package plugins

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"mosn.io/moe/e2e/client"
)

// proof is one of DPoP (RFC 9449), by the key two, for a GET with a token.
func (b *bed) proof(token, address string) string {
	b.Helper()
	public, err := jwk.PublicKeyOf(keyring()["two"])
	if err != nil {
		b.Fatalf("jwk.PublicKeyOf: %v", err)
	}
	header := jws.NewHeaders()
	if err := header.Set(jws.TypeKey, "dpop+jwt"); err != nil {
		b.Fatalf("header.Set: %v", err)
	}
	if err := header.Set(jws.JWKKey, public); err != nil {
		b.Fatalf("header.Set: %v", err)
	}
	sum := sha256.Sum256([]byte(token))
	text, err := json.Marshal(m{
		"jti": rand.Text(), "htm": "GET", "htu": address, "iat": time.Now().Unix(), "ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	if err != nil {
		b.Fatalf("json.Marshal: %v", err)
	}
	signed, err := jws.Sign(text, jws.WithKey(jwa.ES256(), keyring()["two"], jws.WithProtectedHeaders(header)))
	if err != nil {
		b.Fatalf("jws.Sign: %v", err)
	}
	return string(signed)
}

func init() {
	add("jwtauth: DPoP", func(b *bed) {
		public, err := jwk.PublicKeyOf(keyring()["two"])
		if err != nil {
			b.Fatalf("jwk.PublicKeyOf: %v", err)
		}
		sum, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			b.Fatalf("Thumbprint: %v", err)
		}
		bound := token(b, "one", m{"cnf": m{"jkt": base64.RawURLEncoding.EncodeToString(sum)}})
		ln := b.listen(fmt.Sprintf(`plugins: [{name: jwtauth, config: {payloadHeader: x-payload, dpop: {},
			providers: [{issuer: "https://issuer.test", keys: {inline: %q}}]}}]`, jwks(b, "one")))
		proof := b.proof(bound, "http://api.test/echo")
		for _, c := range []struct {
			name, path string
			header     []string
			details    string // "": it passes
		}{
			{name: "proven", path: "/echo?a=b", header: []string{"authorization", "DPoP " + bound, "dpop", proof}},
			{name: "the same proof", path: "/echo", header: []string{"authorization", "DPoP " + bound, "dpop", proof}, details: "proof_replayed"},
			{
				name: "for another path", path: "/body/x", details: "proof",
				header: []string{"authorization", "DPoP " + bound, "dpop", b.proof(bound, "http://api.test/echo")},
			},
			{
				name: "two proofs", path: "/echo", details: "proof",
				header: []string{"authorization", "DPoP " + bound, "dpop", b.proof(bound, "http://api.test/echo"), "dpop", b.proof(bound, "http://api.test/echo")},
			},
			{name: "as a bearer token", path: "/echo", header: []string{"authorization", "Bearer " + bound}, details: "bound"},
			{name: "nothing", path: "/echo", details: "missing"},
		} {
			b.Run(c.name, func() {
				r := ln.Do(client.Request{Host: "api.test", Path: c.path, Header: c.header})
				if c.details == "" {
					if r.Status != 200 {
						b.Fatalf("got %d %s, want 200", r.Status, r.Body)
					}
					if h := b.upstream(r).Header; h.Get("authorization") != "" || h.Get("dpop") != "" || h.Get("x-payload") == "" {
						b.Errorf("the upstream sees %v, want the payload, and neither token nor proof", h)
					}
					return
				}
				if got := b.Access(r.ID)["details"]; r.Status != 401 || b.reached(r) || got != "moe.jwtauth."+c.details {
					b.Errorf("got %d %v, want 401 moe.jwtauth.%s", r.Status, got, c.details)
				}
			})
		}
	})
}
