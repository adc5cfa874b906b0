package jwtauth

import (
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/plugintest"
)

func BenchmarkJWTAuth(b *testing.B) {
	for _, c := range []struct {
		name, key, alg string
		cache          int
	}{
		{"RS256", "rsa", "RS256", 0},
		{"ES256", "p256", "ES256", 0},
		{"EdDSA", "ed", "EdDSA", 0},
		{"HS256", "hs", "HS256", 0},
		{"cached", "rsa", "RS256", 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := inline(jwks(b, map[string]string{"rsa": "rsa", "p256": "p256", "ed": "ed"}))
			if c.key == "hs" {
				p.Providers[0].Keys = Keys{Secret: filter.NewSecret(string(keyring()["hs"].([]byte)))}
			}
			p.CacheSize, p.Forward = c.cache, true // what is taken off is gone for the next turn
			kid := c.key
			if kid == "hs" {
				kid = ""
			}
			header := withToken(sign(b, c.key, c.alg, kid, good(nil)))
			filtertest.New(b, p)
			plugintest.BenchRequest(b, func(s filter.Stream, h filter.RequestHeaders) {
				if p.OnRequestHeaders(s, h, true) != filter.Continue {
					b.Fatal("refused")
				}
			}, header...)
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := sign(b, "rsa", "RS256", "rsa", good(nil))
	b.ReportAllocs()
	for b.Loop() {
		t, err := jws.Parse(text, nil)
		if err != nil {
			b.Fatalf("jws.Parse: %v", err)
		}
		if _, err := readClaims(t.Payload); err != nil {
			b.Fatalf("readClaims: %v", err)
		}
	}
}
