package jwtauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

const issuer = "https://issuer.example"

// keyring are keys that tests sign with. They are made once, as that takes long.
var keyring = sync.OnceValue(func() map[string]any {
	must := func(k any, err error) any {
		if err != nil {
			panic(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return map[string]any{
		"rsa": must(rsa.GenerateKey(rand.Reader, 2048)), "rsa2": must(rsa.GenerateKey(rand.Reader, 2048)),
		"p256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"p384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"p521": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		"ed":   must(ed, err), "hs": []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
	}
})

// jwks is the JSON Web Key Set of public keys of the ring, by their ids, each with more members.
func jwks(t testing.TB, kidToName map[string]string, more ...map[string]any) string {
	t.Helper()
	list := []any{}
	for _, kid := range slices.Sorted(maps.Keys(kidToName)) {
		k, err := jwk.PublicKeyOf(keyring()[kidToName[kid]])
		if err != nil {
			t.Fatalf("jwk.PublicKeyOf: %v", err)
		}
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		m := map[string]any{}
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatalf("json.Unmarshal: %v", err)
		}
		if kid != "" {
			m["kid"] = kid
		}
		for _, x := range more {
			maps.Copy(m, x)
		}
		list = append(list, m)
	}
	b, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	return string(b)
}

// good are claims that pass, with changes: nil removes one.
func good(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	m := map[string]any{
		"iss": issuer, "sub": "alice", "aud": []string{"api", "other"}, "iat": now, "exp": now + 3600,
	}
	for k, v := range changes {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return m
}

// sign makes a token.
func sign(t testing.TB, name, alg, kid string, claims map[string]any) string {
	t.Helper()
	header := map[string]any{"alg": alg, "typ": "JWT"}
	if kid != "" {
		header["kid"] = kid
	}
	return signAs(t, keyring()[name], alg, header, claims)
}

// signAs makes a token of any header and claims, which are JSON already if they are strings.
func signAs(t testing.TB, with any, alg string, header, claims any) string {
	t.Helper()
	encode := func(v any) string {
		s, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			s = string(b)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	text := encode(header) + "." + encode(claims)
	sig, err := jwsbb.Sign(with, alg, []byte(text), rand.Reader)
	if err != nil {
		t.Fatalf("jwsbb.Sign: %v", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// inline is a configuration with keys that are at hand.
func inline(keys string) *JWTAuth {
	return &JWTAuth{Providers: []Provider{{
		Issuer: issuer, Audiences: []string{"api"}, Keys: Keys{Inline: filter.NewSecret(keys)}, Leeway: time.Minute,
	}}, Realm: "moe"}
}

func withToken(token string) []string { return []string{"authorization", "Bearer " + token} }

// details is what became of a request: "" if it passed.
func details(r *filtertest.Response) string {
	if r.Upstream != nil {
		return ""
	}
	return r.Details[len("moe.jwtauth."):]
}
