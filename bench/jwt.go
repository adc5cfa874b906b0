package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
)

// jwtBase is the variant that those with tokens are compared with: no filter either, and the same request.
const jwtBase = "jwt-none"

// issued is a token as a service of middling size gives it, and the key set that verifies it.
type issued struct{ keys, token string }

// issue makes a key of 2048 bits and an RS256 token that lasts for as long as any run of the benchmark.
var issue = sync.OnceValue(func() issued {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the system has no randomness
	}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	keys, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench", "n": number(key.N), "e": number(big.NewInt(int64(key.E))),
	}}})
	if err != nil {
		panic(err)
	}
	signed := text(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "bench"}) + "." + text(map[string]any{
		"iss": "https://issuer.example", "sub": "248289761001", "aud": []string{"api"}, "iat": 1700000000,
		"exp": 4000000000, "scope": "openid profile email", "email": "alice@example.com", "name": "Alice Example",
	})
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return issued{string(keys), signed + "." + base64.RawURLEncoding.EncodeToString(sig)}
})

// jwtVariants verify an RS256 token in each request: issuer, audience and expiry, and take it off.
func jwtVariants() []variant {
	bearer := []string{"authorization: Bearer " + issue().token}
	return []variant{
		{name: jwtBase, what: "no filter, requests with a token", fields: bearer},
		{
			name: "native-jwt", what: "Envoy's jwt_authn, RS256", base: jwtBase, fields: bearer, refuses: true,
			filters: []filterConfig{nativeJWT(0)},
		},
		{
			name: "native-jwt-cached", what: "Envoy's jwt_authn with its cache", base: jwtBase, fields: bearer, refuses: true,
			filters: []filterConfig{nativeJWT(100)},
		},
		{
			name: "moe-jwt", what: "MoE, jwtauth, RS256", module: "moe", base: jwtBase, fields: bearer, refuses: true,
			filters: []filterConfig{moeJWT(0)},
		},
		{
			name: "moe-jwt-cached", what: "MoE, jwtauth with its cache", module: "moe", base: jwtBase, fields: bearer,
			refuses: true, filters: []filterConfig{moeJWT(100)},
		},
	}
}

func nativeJWT(cache int) filterConfig {
	provider := map[string]any{
		"issuer": "https://issuer.example", "audiences": []any{"api"},
		"local_jwks": map[string]any{"inline_string": issue().keys},
	}
	if cache > 0 {
		provider["jwt_cache_config"] = map[string]any{"jwt_cache_size": cache}
	}
	return filter("jwt_authn", httpFilters+"jwt_authn.v3.JwtAuthentication", map[string]any{
		"providers": map[string]any{"bench": provider},
		"rules": []any{map[string]any{
			"match": map[string]any{"prefix": "/"}, "requires": map[string]any{"provider_name": "bench"},
		}},
	})
}

func moeJWT(cache int) filterConfig {
	return moduleFilter("moe", "jwtauth", object(map[string]any{
		"providers": []any{map[string]any{
			"issuer": "https://issuer.example", "audiences": []any{"api"}, "keys": map[string]any{"inline": issue().keys},
		}},
		"cacheSize": cache,
	}))
}

// refuses checks that a request without the variant's fields does not pass.
func refuses(status int, v variant) error {
	if status != 401 {
		return fmt.Errorf("%s answers %d to a request without a token", v.name, status)
	}
	return nil
}
