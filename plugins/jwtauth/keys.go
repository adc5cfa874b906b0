package jwtauth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Algorithms of RFC 7518, section 3.1, of RFC 8037 and of RFC 9864. There is no "none".
var (
	symmetric  = []string{"HS256", "HS384", "HS512"}
	rsaBased   = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	asymmetric = append(slices.Clone(rsaBased), "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
	all        = append(slices.Clone(asymmetric), symmetric...)
)

const (
	leastRSA = 2048 // bits: RFC 7518, section 3.3
	mostRSA  = 8192 // bits: beyond, a signature takes too long to check
	maxKeys  = 200
)

// key is a key and what it may be used for.
type key struct {
	kid  string
	raw  any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
	algs []string // never of two families
}

// keySet is what one reading of a source gave. It does not change.
type keySet struct {
	keys []*key
	text []byte // what it was made of
}

// candidates returns the keys that a token may have been signed with: those of its key id, or all if it has none,
// that may be used with its algorithm. known is whether there is a key of that id at all.
func (s *keySet) candidates(kid, alg string) (list []*key, known bool) {
	for _, k := range s.keys {
		if kid != "" && k.kid != kid {
			continue
		}
		known = true
		if slices.Contains(k.algs, alg) {
			list = append(list, k)
		}
	}
	return list, known
}

// parseKeys reads a JWK Set, a JWK, or public keys and certificates in PEM. Keys that cannot be used are passed over,
// and skipped says why; a text without a usable key is an error. No error quotes the text.
func parseKeys(text []byte, allowed []string) (set *keySet, skipped []string, err error) {
	trimmed := bytes.TrimSpace(text)
	var parsed jwk.Set
	if bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		parsed, err = jwk.Parse(trimmed, jwk.WithPEM(true))
	} else {
		parsed, err = jwk.Parse(trimmed, jwk.WithMaxKeys(maxKeys))
	}
	if err != nil { // its text may quote a key
		return nil, nil, errors.New("is neither a JSON Web Key Set nor public keys in PEM")
	}
	set = &keySet{text: text}
	for i := range parsed.Len() {
		k, _ := parsed.Key(i)
		usable, why := useKey(k, allowed)
		if why != "" {
			skipped = append(skipped, fmt.Sprintf("key %d: %s", i, why))
			continue
		}
		set.keys = append(set.keys, usable)
	}
	if len(set.keys) == 0 {
		return nil, skipped, fmt.Errorf("has no key that can be used: %s", strings.Join(skipped, "; "))
	}
	return set, skipped, nil
}

// useKey returns what a JWK is good for, or why it is good for nothing.
func useKey(k jwk.Key, allowed []string) (*key, string) {
	if use, ok := k.KeyUsage(); ok && use != "" && use != string(jwk.ForSignature) {
		return nil, "is not for signatures"
	}
	if ops, ok := k.KeyOps(); ok && len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) &&
		!slices.Contains(ops, jwk.KeyOpSign) {
		return nil, "is not for signatures"
	}
	if jwk.IsUnsupportedKey(k) {
		return nil, "is of an unknown type"
	}
	public, err := jwk.PublicKeyOf(k) // of a private key; a symmetric one is itself
	if err != nil {
		return nil, "cannot be read"
	}
	out := &key{}
	out.kid, _ = k.KeyID()
	if err := jwk.Export(public, &out.raw); err != nil {
		return nil, "cannot be read"
	}
	why := out.classify()
	if why != "" {
		return nil, why
	}
	if alg, ok := k.Algorithm(); ok {
		if !slices.Contains(out.algs, alg.String()) {
			return nil, "has an algorithm that does not fit its type"
		}
		out.algs = []string{alg.String()}
	}
	out.algs = slices.DeleteFunc(slices.Clone(out.algs), func(a string) bool { return !slices.Contains(allowed, a) })
	if len(out.algs) == 0 {
		return nil, "is for algorithms that are not allowed"
	}
	return out, ""
}

// classify sets the algorithms that the key's type allows. It also sees to it that the key is of a type that verifies.
func (k *key) classify() (why string) {
	switch raw := k.raw.(type) {
	case *rsa.PublicKey:
		if n := raw.N.BitLen(); n < leastRSA || n > mostRSA {
			return fmt.Sprintf("is an RSA key of %d bits; %d to %d will do", n, leastRSA, mostRSA)
		}
		k.algs = rsaBased
	case *ecdsa.PublicKey:
		alg, ok := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[raw.Curve.Params().Name]
		if !ok {
			return "is of a curve that is not supported"
		}
		if _, err := raw.ECDH(); err != nil {
			return "is not on its curve"
		}
		k.algs = []string{alg}
	case ed25519.PublicKey:
		k.algs = []string{"EdDSA", "Ed25519"}
	case []byte:
		if looksPublic(raw) {
			return "is a public key that is used as a secret"
		}
		for i, least := range []int{32, 48, 64} { // RFC 7518, section 3.2
			if len(raw) >= least {
				k.algs = append(k.algs, symmetric[i])
			}
		}
		if k.algs == nil {
			return "is a secret of less than 32 bytes"
		}
	default:
		return "is of a type that is not supported"
	}
	return ""
}

// looksPublic reports whether a secret is a key or certificate that everybody may know, in PEM or DER: signing with it
// is what an attacker does who hopes that it is taken for a secret.
func looksPublic(secret []byte) bool {
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return true
	}
	return isDER(secret)
}

func secretKeys(secret string, allowed []string) (*keySet, error) {
	k := &key{raw: []byte(secret)}
	if why := k.classify(); why != "" {
		return nil, errors.New(why)
	}
	k.algs = slices.DeleteFunc(k.algs, func(a string) bool { return !slices.Contains(allowed, a) })
	if len(k.algs) == 0 {
		return nil, errors.New("is too short for the algorithms that are allowed: HS256 needs 32 bytes, HS384 48, HS512 64")
	}
	return &keySet{keys: []*key{k}}, nil
}
