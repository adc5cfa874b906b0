package jwtauth

import (
	"slices"
	"strings"
	"testing"
)

func FuzzToken(f *testing.F) {
	p := inline(jwks(f, everyKey()))
	if err := p.Providers[0].validate(); err != nil {
		f.Fatal(err)
	}
	set, err := p.Providers[0].fixed()
	if err != nil {
		f.Fatal(err)
	}
	p.Providers[0].local.Store(set)
	real := sign(f, "p256", "ES256", "p256", good(nil))
	f.Add(real)
	f.Add("eyJhbGciOiJub25lIn0.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := parse(text, nil)
		if err != nil {
			return
		}
		if _, err := readClaims(tok.payload); err != nil {
			return
		}
		_, why := p.Providers[0].verify(tok)
		if why == nil && text != real {
			// ECDSA has a second signature for each (s and n-s); the signed part must be the same.
			if text[:strings.LastIndexByte(text, '.')] != real[:strings.LastIndexByte(real, '.')] {
				t.Errorf("%q is verified", text)
			}
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add(jwks(f, everyKey()))
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Add(`{"keys":[{"kty":"oct","k":"AAAA"}]}`)
	f.Add(`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`)
	f.Fuzz(func(t *testing.T, text string) {
		set, _, err := parseKeys([]byte(text), all)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			_, secret := k.raw.([]byte)
			for _, alg := range k.algs {
				if slices.Contains(symmetric, alg) != secret {
					t.Errorf("%q: a %T is good for %s", text, k.raw, alg)
				}
			}
		}
	})
}
