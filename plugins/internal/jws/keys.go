// Package jws verifies JSON Web Signatures (RFC 7515) in compact form, and reads the keys that they are made with: JSON
// Web Key Sets (RFC 7517), public keys in PEM and shared secrets.
package jws

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"mosn.io/moe/plugins/internal/guard"
)

// Algorithms of RFC 7518, section 3.1, of RFC 8037 and of RFC 9864. There is no "none".
var (
	// Symmetric are those whose key is a secret.
	Symmetric = []string{"HS256", "HS384", "HS512"}
	// Asymmetric are those whose key is public.
	Asymmetric = append(slices.Clone(rsaBased), "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
	// Algorithms are all that are supported.
	Algorithms = append(slices.Clone(Asymmetric), Symmetric...)

	rsaBased = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)

const (
	leastRSA = 2048 // bits: RFC 7518, section 3.3
	mostRSA  = 8192 // bits: beyond, a signature takes too long to check
	// maxTries is how many keys are tried on a token that names none.
	maxTries = 8
)

// key is a key and what it may be used for.
type key struct {
	id   string
	raw  any      // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
	algs []string // never of two families
}

// Set is a set of keys. It does not change.
type Set struct{ keys []*key }

// Len returns the number of keys.
func (s *Set) Len() int { return len(s.keys) }

// Reasons why a token is not verified.
var (
	ErrUnknownKey = errors.New("the token is signed with an unknown key")
	ErrAlgorithm  = errors.New("the token's key may not be used with its algorithm")
	ErrSignature  = errors.New("the signature is wrong")
)

// Verify returns nil if a key of s has signed t, and one of the errors above otherwise.
func (s *Set) Verify(t *Token) error {
	fit, known := s.candidates(t.KeyID, t.Algorithm)
	switch {
	case !known:
		return ErrUnknownKey
	case len(fit) == 0:
		return ErrAlgorithm
	}
	for _, k := range fit[:min(len(fit), maxTries)] {
		if jwsbb.Verify(k.raw, t.Algorithm, t.Signed, t.Signature) == nil {
			return nil
		}
	}
	return ErrSignature
}

// candidates returns the keys that a token may have been signed with: those with its key ID, or all if it has none,
// that may be used with its algorithm. known reports whether s has a key with that ID at all.
func (s *Set) candidates(id, alg string) (fit []*key, known bool) {
	for _, k := range s.keys {
		if id != "" && k.id != id {
			continue
		}
		known = true
		if slices.Contains(k.algs, alg) {
			fit = append(fit, k)
		}
	}
	return fit, known
}

// readKey reads one JWK. An error says why the key is unusable; it does not quote the key.
func readKey(text []byte, options []jwk.ParseOption, allowed []string) (k *key, err error) {
	err = guard.Do(func() error {
		parsed, err := jwk.ParseKey(text, options...)
		if err != nil { // its text may quote the key
			return errors.New("is malformed, or of an unknown type, curve or algorithm")
		}
		k, err = usable(parsed, allowed)
		return err
	})
	var p *guard.Panic
	if errors.As(err, &p) {
		return nil, errors.New("cannot be read")
	}
	return k, err
}

// usable returns what a JWK is good for.
func usable(k jwk.Key, allowed []string) (*key, error) {
	if use, ok := k.KeyUsage(); ok && use != "" && use != string(jwk.ForSignature) {
		return nil, errors.New("is not for signatures")
	}
	if ops, ok := k.KeyOps(); ok && len(ops) > 0 && !slices.Contains(ops, jwk.KeyOpVerify) &&
		!slices.Contains(ops, jwk.KeyOpSign) {
		return nil, errors.New("is not for signatures")
	}
	if jwk.IsUnsupportedKey(k) {
		return nil, errors.New("is of an unknown type")
	}
	public, err := jwk.PublicKeyOf(k) // of a private key; a symmetric one is itself
	if err != nil {
		return nil, errors.New("cannot be read")
	}
	out := &key{}
	out.id, _ = k.KeyID()
	if err := jwk.Export(public, &out.raw); err != nil {
		return nil, errors.New("cannot be read")
	}
	if err := out.classify(); err != nil {
		return nil, err
	}
	if alg, ok := k.Algorithm(); ok {
		if !slices.Contains(out.algs, alg.String()) {
			return nil, errors.New("has an algorithm that does not fit its type")
		}
		out.algs = []string{alg.String()}
	}
	if out.restrict(allowed); len(out.algs) == 0 {
		return nil, errors.New("is for algorithms that are not allowed")
	}
	return out, nil
}

// classify sets the algorithms that the key's type allows. An error is that it can verify nothing.
func (k *key) classify() error {
	switch raw := k.raw.(type) {
	case *rsa.PublicKey:
		if n := raw.N.BitLen(); n < leastRSA || n > mostRSA {
			return fmt.Errorf("is an RSA key of %d bits; it must have %d to %d", n, leastRSA, mostRSA)
		}
		k.algs = rsaBased
	case *ecdsa.PublicKey:
		alg, ok := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[raw.Curve.Params().Name]
		if !ok {
			return errors.New("is of a curve that is not supported")
		}
		if _, err := raw.ECDH(); err != nil {
			return errors.New("is not on its curve")
		}
		k.algs = []string{alg}
	case ed25519.PublicKey:
		k.algs = []string{"EdDSA", "Ed25519"}
	case []byte:
		if looksPublic(raw) {
			return errors.New("is a public key that is used as a secret")
		}
		for i, least := range []int{32, 48, 64} { // RFC 7518, section 3.2
			if len(raw) >= least {
				k.algs = append(k.algs, Symmetric[i])
			}
		}
		if k.algs == nil {
			return errors.New("is a secret of less than 32 bytes")
		}
	default:
		return errors.New("is of a type that is not supported")
	}
	return nil
}

// restrict leaves the algorithms that are allowed.
func (k *key) restrict(allowed []string) {
	k.algs = slices.DeleteFunc(slices.Clone(k.algs), func(a string) bool { return !slices.Contains(allowed, a) })
}

// Secret returns the set of one shared secret. Its errors do not quote it.
func Secret(secret string, allowed []string) (*Set, error) {
	k := &key{raw: []byte(secret)}
	if err := k.classify(); err != nil {
		return nil, err
	}
	if k.restrict(allowed); len(k.algs) == 0 {
		return nil, errors.New("is too short for the algorithms that are allowed: HS256 needs 32 bytes, HS384 48, HS512 64")
	}
	return &Set{keys: []*key{k}}, nil
}

// skippedText joins what is wrong with keys, for an error.
func skippedText(skipped []Skipped) string {
	texts := make([]string, len(skipped))
	for i, s := range skipped {
		texts[i] = s.String()
	}
	return strings.Join(texts, "; ")
}
