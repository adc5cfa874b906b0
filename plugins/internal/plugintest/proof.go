package plugintest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"
)

// Prover is a client of DPoP (RFC 9449), with a key of P-256.
type Prover struct {
	// Thumbprint is the key's (RFC 7638), as tokens have it in cnf.
	Thumbprint string

	key    *ecdsa.PrivateKey
	public jwk.Key
}

// NewProver makes a key.
func NewProver(t testing.TB) *Prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("ecdsa.GenerateKey: %v", err)
	}
	public, err := jwk.PublicKeyOf(key)
	if err != nil {
		t.Fatalf("jwk.PublicKeyOf: %v", err)
	}
	sum, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatalf("Thumbprint: %v", err)
	}
	return &Prover{Thumbprint: base64.RawURLEncoding.EncodeToString(sum), key: key, public: public}
}

// Proof is one for a request with a token.
func (p *Prover) Proof(t testing.TB, token, method, address string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(token))
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("json.Marshal: %v", err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.public}) + "." + encode(map[string]any{
		"jti": rand.Text(), "htm": method, "htu": address, "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	})
	signature, err := jwsbb.Sign(p.key, "ES256", []byte(signed), rand.Reader)
	if err != nil {
		t.Fatalf("jwsbb.Sign: %v", err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
