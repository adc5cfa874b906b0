package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

var private = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return map[string]crypto.Signer{
		"rsa":  must(rsa.GenerateKey(rand.Reader, 2048)),
		"p256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		"ed":   must(ed, err),
	}
})

var usableIDs = []string{"ed", "p256", "rsa"}

// usableEntries are JWKs that can be used, in the order of usableIDs.
func usableEntries() (entries []string) {
	for _, id := range usableIDs {
		k, err := jwk.Import(private()[id].Public())
		if err != nil {
			panic(err)
		}
		if err := k.Set(jwk.KeyIDKey, id); err != nil {
			panic(err)
		}
		text, err := json.Marshal(k)
		if err != nil {
			panic(err)
		}
		entries = append(entries, string(text))
	}
	return entries
}

func set(entries ...string) string { return `{"keys":[` + strings.Join(entries, ",") + `]}` }

// badEntries are entries of a key set that cannot be used, from providers that exist and from broken ones.
var badEntries = []struct{ name, entry, why string }{
	{"post-quantum", `{"kty":"AKP","alg":"ML-DSA-44","kid":"pq","pub":"AAAA"}`, "unknown type"},
	{
		"secp256k1",
		`{"kty":"EC","crv":"secp256k1","kid":"k","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`,
		"malformed",
	},
	{"secp256k1 with its algorithm", `{"kty":"EC","crv":"secp256k1","alg":"ES256K","x":"AA","y":"AA"}`, "malformed"},
	{"unknown type", `{"kty":"NTRU","kid":"n"}`, "unknown type"},
	{"type that is a number", `{"kty":7}`, "malformed"},
	{"no type", `{"kid":"x"}`, "malformed"},
	{"Ed448", `{"kty":"OKP","crv":"Ed448","x":"AAAA"}`, ""},
	{"X25519", `{"kty":"OKP","crv":"X25519","x":"` + strings.Repeat("A", 43) + `"}`, ""},
	{"unknown algorithm", `{"kty":"RSA","alg":"RS9999","n":"AQAB","e":"AQAB"}`, ""},
	{"no modulus", `{"kty":"RSA","kid":"r","e":"AQAB"}`, ""},
	{"modulus that is not base64", `{"kty":"RSA","n":"!!","e":"AQAB"}`, "malformed"},
	{"short RSA key", `{"kty":"RSA","n":"AQAB","e":"AQAB"}`, "malformed"},
	{"off its curve", `{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}`, ""},
	{"secret", `{"kty":"oct","k":"` + strings.Repeat("A", 64) + `"}`, "not allowed"},
	{"for encryption", `{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}`, ""},
	{"broken certificate", `{"kty":"RSA","x5c":["!!"],"n":"AQAB","e":"AQAB"}`, "malformed"},
	{"certificate that is a number", `{"kty":"RSA","x5c":7,"n":"AQAB","e":"AQAB"}`, "malformed"},
	{"member twice", `{"kty":"RSA","kty":"EC"}`, "twice"},
	{"null", `null`, "not a JSON object"},
	{"number", `7`, "not a JSON object"},
	{"list", `[]`, "not a JSON object"},
	{"empty object", `{}`, "malformed"},
	{"bytes that are not UTF-8", "{\"kty\":\"\xff\"}", ""},
}

// TestBadEntries: a key that cannot be used takes none of the others with it.
func TestBadEntries(t *testing.T) {
	good := usableEntries()
	for _, c := range badEntries {
		t.Run(c.name, func(t *testing.T) {
			for position := range len(good) + 1 {
				entries := append(append(append([]string{}, good[:position]...), c.entry), good[position:]...)
				s, skipped, err := ReadKeys([]byte(set(entries...)), Asymmetric)
				if err != nil {
					t.Fatalf("at %d: %v", position, err)
				}
				var ids []string
				for _, k := range s.keys {
					ids = append(ids, k.id)
				}
				if diff := cmp.Diff(usableIDs, ids); diff != "" {
					t.Errorf("at %d: keys (-want +got):\n%s", position, diff)
				}
				if len(skipped) != 1 || skipped[0].Position != position || !strings.Contains(skipped[0].Why, c.why) {
					t.Errorf("at %d: skipped %v, want one key at this position and %q", position, skipped, c.why)
				}
			}
			_, _, err := ReadKeys([]byte(set(c.entry)), Asymmetric)
			if err == nil || !strings.Contains(err.Error(), "has no key that can be used: key 0") {
				t.Errorf("alone: got %v, want an error that tells of key 0", err)
			}
		})
	}
}

func TestWholeSets(t *testing.T) {
	good := usableEntries()
	many := make([]string, maxKeys+50)
	for i := range many {
		many[i] = good[0]
	}
	for _, c := range []struct {
		name, text string
		keys       int
		err        string
	}{
		{"one key by itself", good[0], 1, ""},
		{"more keys than are read", set(many...), maxKeys, ""},
		{"empty set", `{"keys":[]}`, 0, "no key that can be used"},
		{"keys in an object", `{"keys":{}}`, 0, "neither"},
		{"keys in capitals", `{"KEYS":[` + good[0] + `]}`, 0, "neither"},
		{"keys twice", `{"keys":[],"keys":[` + good[0] + `]}`, 0, "neither"},
		{"list", `[` + good[0] + `]`, 0, "neither"},
		{"page", `<html>`, 0, "neither"},
		{"nothing", ``, 0, "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, err := ReadKeys([]byte(c.text), Asymmetric)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want an error with %q", err, c.err)
				}
				return
			}
			if err != nil || s.Len() != c.keys {
				t.Errorf("got %d keys, %v; want %d", s.Len(), err, c.keys)
			}
		})
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func der(t testing.TB, id string) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(private()[id].Public())
	if err != nil {
		t.Fatalf("x509.MarshalPKIXPublicKey(%s): %v", id, err)
	}
	return b
}

// TestPEM: a broken block takes none of the others with it.
func TestPEM(t *testing.T) {
	good := block("PUBLIC KEY", der(t, "rsa"))
	for _, c := range []struct {
		name, text    string
		keys, skipped int
	}{
		{"one", good, 1, 0},
		{"two", good + block("PUBLIC KEY", der(t, "p256")), 2, 0},
		{"unknown kind", block("NONSENSE", []byte{1}) + good, 1, 1},
		{"not DER", good + block("PUBLIC KEY", []byte{1, 2, 3}), 1, 1},
		{"not base64", good + "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n" + good, 2, 1},
		{"cut off", good + good[:100], 1, 1},
		{"parameters", good + block("EC PARAMETERS", []byte{6, 8}), 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, skipped, err := ReadKeys([]byte(c.text), Asymmetric)
			if err != nil || s.Len() != c.keys || len(skipped) != c.skipped {
				t.Errorf("got %d keys, %v skipped, %v; want %d keys and %d skipped", s.Len(), skipped, err, c.keys, c.skipped)
			}
		})
	}
}

func TestSecret(t *testing.T) {
	secret := strings.Repeat("s", 64)
	raw := base64.StdEncoding.EncodeToString(der(t, "rsa"))
	for _, c := range []struct{ name, secret, err string }{
		{"long", secret, ""},
		{"base64 of bytes", base64.StdEncoding.EncodeToString([]byte(secret)), ""},
		{"JSON", `{"password":"` + secret + `"}`, ""},
		{"short", "short", "less than 32 bytes"},
		{"PEM", block("PUBLIC KEY", der(t, "rsa")), "public key"},
		{"PEM after blanks", " \n" + block("PUBLIC KEY", der(t, "p256")), "public key"},
		{"DER", string(der(t, "rsa")), "public key"},
		{"DER in base64", raw, "public key"},
		{"DER in base64 with line breaks", raw[:64] + "\n" + raw[64:], "public key"},
		{"DER in base64 for URLs", base64.RawURLEncoding.EncodeToString(der(t, "ed")), "public key"},
		{"JWK", usableEntries()[0], "public key"},
		{"JWK Set", set(usableEntries()...), "public key"},
		{"JWK Set with blanks", "\n " + set(usableEntries()...) + "\n", "public key"},
		{"list of JWKs", "[" + usableEntries()[0] + "]", "public key"},
		{"OpenSSH", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me", "public key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Secret(c.secret, Symmetric)
			switch {
			case c.err == "" && err != nil:
				t.Errorf("got %v, want nil", err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got %v, want an error with %q", err, c.err)
			}
			// The same text as the secret of a JWK in a set.
			oct := `{"kty":"oct","k":"` + base64.RawURLEncoding.EncodeToString([]byte(c.secret)) + `"}`
			if _, _, err := ReadKeys([]byte(set(oct)), Algorithms); (err == nil) != (c.err == "") {
				t.Errorf("as a JWK: got %v, want an error: %v", err, c.err != "")
			}
		})
	}
}

func TestVerify(t *testing.T) {
	s, _, err := ReadKeys([]byte(set(usableEntries()...)), Asymmetric)
	if err != nil {
		t.Fatalf("ReadKeys: %v", err)
	}
	token := func(with, alg, id string) *Token {
		enc := base64.RawURLEncoding.EncodeToString
		text := enc(fmt.Appendf(nil, `{"alg":%q,"kid":%q}`, alg, id)) + "." + enc([]byte(`{}`))
		signature, err := jwsbb.Sign(private()[with], alg, []byte(text), rand.Reader)
		if err != nil {
			t.Fatalf("signing: %v", err)
		}
		parsed, err := Parse(text+"."+enc(signature), nil)
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		return parsed
	}
	for _, c := range []struct {
		name, with, alg, id string
		want                error
	}{
		{name: "by its key", with: "rsa", alg: "RS256", id: "rsa"},
		{name: "by a key that it does not name", with: "ed", alg: "EdDSA"},
		{name: "by another key", with: "rsa", alg: "RS256", id: "p256", want: ErrAlgorithm},
		{name: "by a key that is not there", with: "rsa", alg: "RS256", id: "x", want: ErrUnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := s.Verify(token(c.with, c.alg, c.id)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	changed := token("rsa", "RS256", "rsa")
	changed.Signed = append([]byte{}, changed.Signed...)
	changed.Signed[len(changed.Signed)-1]++
	if got := s.Verify(changed); got != ErrSignature {
		t.Errorf("a changed payload: got %v, want %v", got, ErrSignature)
	}
}

// keeper is a plugin that reports skipped keys.
type keeper struct{ skips *Skips }

func init() { filter.Register[keeper]("keeper", filter.Authn) }

// Provision declares the counter.
func (k *keeper) Provision(env *filter.Env) error {
	k.skips = NewSkips(env)
	return nil
}

// OnRequestHeaders lets all pass.
func (k *keeper) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Continue
}

// TestSkips: the same key is logged once and counted at each reading.
func TestSkips(t *testing.T) {
	k := &keeper{}
	h := filtertest.New(t, k)
	skipped := []Skipped{{0, "a", "is bad"}, {1, strings.Repeat("k", 1000), "is bad"}}
	for range 3 {
		k.skips.Report(skipped, "url", "https://a.example")
		skipped[0].Position++ // keys move when others are added
	}
	if got := strings.Count(h.Log(), "a key is not used"); got != 2 {
		t.Errorf("%d lines in the log, want 2:\n%s", got, h.Log())
	}
	if got := h.Metric("keeper.keys_skipped"); got != 6 {
		t.Errorf("keys_skipped = %d, want 6", got)
	}
	if strings.Contains(h.Log(), strings.Repeat("k", 100)) {
		t.Error("a key ID of 1000 bytes is logged whole")
	}
}
