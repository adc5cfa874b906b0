package jwtauth

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"mosn.io/moe/framework/filtertest"
)

const sixteen = "0123456789abcdef"

// ring is the JSON Web Key Set of private keys of the keyring, with their names as ids, and of a secret.
func ring(t *testing.T, names ...string) string {
	t.Helper()
	set := jwk.NewSet()
	add := func(raw any, id string) {
		k, err := jwk.Import(raw)
		if err != nil {
			t.Fatalf("jwk.Import: %v", err)
		}
		if err := k.Set(jwk.KeyIDKey, id); err != nil {
			t.Fatalf("k.Set: %v", err)
		}
		if err := set.AddKey(k); err != nil {
			t.Fatalf("set.AddKey: %v", err)
		}
	}
	for _, name := range names {
		add(keyring()[name], name)
	}
	add([]byte(sixteen), "secret")
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	return string(text)
}

// encrypt makes a JWE of a text.
func encrypt(t *testing.T, text string, alg jwa.KeyEncryptionAlgorithm, with any, options ...jwe.EncryptOption) string {
	t.Helper()
	if k, ok := with.(string); ok {
		public, err := jwk.PublicRawKeyOf(keyring()[k])
		if err != nil {
			t.Fatalf("jwk.PublicRawKeyOf: %v", err)
		}
		with = public
	}
	out, err := jwe.Encrypt([]byte(text), append(options, jwe.WithKey(alg, with))...)
	if err != nil {
		t.Fatalf("jwe.Encrypt: %v", err)
	}
	return string(out)
}

func TestEncryptedTokens(t *testing.T) {
	inner := sign(t, "p384", "ES384", "", good(nil))
	parts := strings.Split(encrypt(t, inner, jwa.RSA_OAEP_256(), "rsa"), ".")
	spoilt := strings.Join([]string{parts[0], parts[1], parts[2], parts[3], strings.Repeat("A", len(parts[4]))}, ".")
	for _, c := range []struct{ name, token, more, want string }{
		{name: "RSA", token: encrypt(t, inner, jwa.RSA_OAEP(), "rsa")},
		{name: "RSA with SHA-256 and CBC", token: encrypt(t, inner, jwa.RSA_OAEP_256(), "rsa", jwe.WithContentEncryption(jwa.A256CBC_HS512()))},
		{name: "EC", token: encrypt(t, inner, jwa.ECDH_ES(), "p256")},
		{name: "EC with wrapping", token: encrypt(t, inner, jwa.ECDH_ES_A256KW(), "p256")},
		{name: "a secret", token: encrypt(t, inner, jwa.A128KW(), []byte(sixteen))},
		{name: "a secret itself", token: encrypt(t, inner, jwa.DIRECT(), []byte(sixteen), jwe.WithContentEncryption(jwa.A128GCM()))},
		{name: "not encrypted", token: inner},
		{name: "not encrypted, but it has to be", token: inner, more: `, "required": true`, want: "not_encrypted"},
		{name: "another key", token: encrypt(t, inner, jwa.RSA_OAEP(), "rsa2"), want: "encryption"},
		{name: "an algorithm with an oracle", token: encrypt(t, inner, jwa.RSA1_5(), "rsa"), want: "encryption"},
		{name: "a password", token: encrypt(t, inner, jwa.PBES2_HS256_A128KW(), []byte(sixteen)), want: "encryption"},
		{name: "compressed", token: encrypt(t, inner, jwa.RSA_OAEP(), "rsa", jwe.WithCompress(jwa.Deflate())), want: "encryption"},
		{name: "a spoilt tag", token: spoilt, want: "encryption"},
		{name: "claims that nobody has signed", token: encrypt(t, `{"iss":"`+issuer+`","sub":"root"}`, jwa.RSA_OAEP(), "rsa"), want: "malformed"},
		{name: "signed by another", token: encrypt(t, sign(t, "p521", "ES512", "", good(nil)), jwa.RSA_OAEP(), "rsa"), want: "algorithm"},
		{name: "encrypted twice", token: encrypt(t, encrypt(t, inner, jwa.RSA_OAEP(), "rsa"), jwa.RSA_OAEP(), "rsa"), want: "malformed"},
		{name: "nothing in it", token: "....", want: "encryption"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(ring(t, "rsa", "p256"))
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			keys, err := json.Marshal(jwks(t, map[string]string{"": "p384"}))
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			h := filtertest.New(t, filtertest.Config{Name: "jwtauth", JSON: fmt.Sprintf(
				`{"cacheSize": 100, "providers": [{"issuer": %q, "keys": {"inline": %s}}], "decryption": {"keys": %s%s}}`,
				issuer, keys, text, c.more)})
			for i := range 2 { // the second time from the cache
				r := h.Get("/", withToken(c.token)...)
				if got := details(r); got != c.want {
					t.Errorf("request %d: got %q, want %q", i, got, c.want)
				}
				if hits := h.Metric("moe.jwtauth.cache_hits"); c.want == "" && hits != int64(i) {
					t.Errorf("request %d: %d hits of the cache, want %d", i, hits, i)
				}
			}
		})
	}
}

func TestDecryptionKeys(t *testing.T) {
	for _, c := range []struct{ name, keys, want string }{
		{"no key", "hush", "neither"},
		{"a public key", jwks(t, map[string]string{"": "rsa"}), "is not a private or secret key"},
		{"a key for signatures", `{"kty":"oct","use":"sig","k":"MDEyMzQ1Njc4OWFiY2RlZg"}`, "is not for encryption"},
		{"a short secret", `{"kty":"oct","k":"aHVzaA"}`, "of another length"},
		{"an algorithm that does not fit", `{"kty":"oct","alg":"RSA-OAEP","k":"MDEyMzQ1Njc4OWFiY2RlZg"}`, "does not fit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.keys)
			if err != nil {
				t.Fatalf("json.Marshal: %v", err)
			}
			err = (&filtertest.Host{}).Load(t, filtertest.Config{Name: "jwtauth", JSON: fmt.Sprintf(
				`{"providers": [{"keys": {"secret": "0123456789abcdef0123456789abcdef"}}], "decryption": {"keys": %s}}`, text)})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") ||
				strings.Contains(err.Error(), "aHVzaA") {
				t.Errorf("got error %v, want one with %q that does not quote the key", err, c.want)
			}
		})
	}
}
