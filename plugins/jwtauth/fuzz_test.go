package jwtauth

import (
	"strings"
	"testing"

	"mosn.io/moe/plugins/internal/jws"
)

func FuzzToken(f *testing.F) {
	p := inline(jwks(f, everyKey()))
	if err := p.Providers[0].validate(); err != nil {
		f.Fatalf("p.Providers[0].validate: %v", err)
	}
	set, _, err := p.Providers[0].fixed()
	if err != nil {
		f.Fatalf("p.Providers[0].fixed: %v", err)
	}
	p.Providers[0].local.Store(set)
	real := sign(f, "p256", "ES256", "p256", good(nil))
	f.Add(real)
	f.Add("eyJhbGciOiJub25lIn0.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := jws.Parse(text, nil)
		if err != nil {
			return
		}
		if _, err := readClaims(tok.Payload); err != nil {
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
