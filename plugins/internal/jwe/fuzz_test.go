package jwe

import (
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
)

const secret = "0123456789abcdef"

// FuzzDecrypt: nothing decrypts to anything but what somebody who has the key has encrypted, and nothing panics.
func FuzzDecrypt(f *testing.F) {
	s, err := ReadKeys([]byte(`{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZg"}`))
	if err != nil {
		f.Fatalf("ReadKeys: %v", err)
	}
	encrypt := func(alg jwa.KeyEncryptionAlgorithm) string {
		out, err := jwe.Encrypt([]byte("said"), jwe.WithKey(alg, []byte(secret)), jwe.WithContentEncryption(jwa.A128GCM()))
		if err != nil {
			f.Fatalf("jwe.Encrypt: %v", err)
		}
		return string(out)
	}
	f.Add(encrypt(jwa.A128KW()))
	f.Add(encrypt(jwa.A128GCMKW()))
	f.Add(encrypt(jwa.DIRECT()))
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0....")
	f.Fuzz(func(t *testing.T, token string) {
		text, err := s.Decrypt(t.Context(), token)
		if (err == nil) != (text != "") || text != "" && text != "said" {
			t.Fatalf("%q is %q, %v", token, text, err)
		}
	})
}
