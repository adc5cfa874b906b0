// Package jwe decrypts JSON Web Encryption (RFC 7516) in compact form.
package jwe

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwe"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/guard"
)

// Algorithms of RFC 7518, section 4.1, by the type of the key. There is neither RSA1_5, whose errors an attacker can learn
// from, nor PBES2, which has the token say how long to compute.
var (
	forRSA  = []string{"RSA-OAEP", "RSA-OAEP-256", "RSA-OAEP-384", "RSA-OAEP-512"}
	forEC   = []string{"ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A192KW", "ECDH-ES+A256KW"}
	forText = map[int][]string{
		16: {"dir", "A128KW", "A128GCMKW"}, 24: {"dir", "A192KW", "A192GCMKW"}, 32: {"dir", "A256KW", "A256GCMKW"},
		48: {"dir"}, 64: {"dir"},
	}
	contents = []string{"A128CBC-HS256", "A192CBC-HS384", "A256CBC-HS512", "A128GCM", "A192GCM", "A256GCM"}
)

const (
	maxHeader = 8 << 10
	maxKeys   = 8 // tried on a token that names none
	leastRSA  = 2048
)

// Set is a set of keys. It does not change.
type Set struct {
	keys  []key
	turns chan struct{} // of those who compute
}

type key struct {
	id   string
	raw  any
	algs []string
}

// ErrDecrypt is that a token cannot be decrypted. It does not say why, as that would help who tries others.
var ErrDecrypt = errors.New("the token cannot be decrypted")

// Is reports whether a token is a JWE rather than a JWS, by its parts.
func Is(token string) bool { return strings.Count(token, ".") == 4 }

// ReadKeys reads a JSON Web Key Set, a JSON Web Key or a private key in PEM. Each of the keys must be usable. No error
// quotes them.
func ReadKeys(text []byte) (*Set, error) {
	s := &Set{turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))}
	err := guard.Do(func() error {
		text = bytes.TrimSpace(text)
		parsed, err := jwk.Parse(text, jwk.WithPEM(!bytes.HasPrefix(text, []byte("{"))))
		if err != nil || parsed.Len() == 0 {
			return errors.New("is neither a JSON Web Key Set nor a private key in PEM")
		}
		for i := range parsed.Len() {
			k, _ := parsed.Key(i)
			usable, err := readKey(k)
			if err != nil {
				return fmt.Errorf("key %d %w", i, err)
			}
			s.keys = append(s.keys, usable)
		}
		return nil
	})
	var p *guard.Panic
	if errors.As(err, &p) {
		err = errors.New("cannot be read")
	}
	return s, err
}

func readKey(k jwk.Key) (out key, err error) {
	if use, ok := k.KeyUsage(); ok && use != "" && use != string(jwk.ForEncryption) {
		return out, errors.New("is not for encryption")
	}
	out.id, _ = k.KeyID()
	switch k := k.(type) {
	case jwk.RSAPrivateKey:
		n, _ := k.N()
		if len(n)*8 < leastRSA {
			return out, fmt.Errorf("is an RSA key of less than %d bits", leastRSA)
		}
		out.algs = forRSA
	case jwk.ECDSAPrivateKey:
		out.algs = forEC
	case jwk.OKPPrivateKey:
		if crv, _ := k.Crv(); crv != jwa.X25519() {
			return out, errors.New("is of a curve that is not for encryption")
		}
		out.algs = forEC
	case jwk.SymmetricKey:
		octets, _ := k.Octets()
		if out.algs = forText[len(octets)]; out.algs == nil {
			return out, errors.New("is a secret of another length than 16, 24, 32, 48 or 64 bytes")
		}
	default:
		return out, errors.New("is not a private or secret key")
	}
	if err := jwk.Export(k, &out.raw); err != nil {
		return out, errors.New("cannot be read")
	}
	if alg, ok := k.Algorithm(); ok {
		if !slices.Contains(out.algs, alg.String()) {
			return out, errors.New("has an algorithm that does not fit it, or is not supported")
		}
		out.algs = []string{alg.String()}
	}
	return out, nil
}

// Decrypt returns what a token in compact form says: with a nested JWT, a JWS. It takes a millisecond with RSA, and waits for
// its turn until ctx ends.
func (s *Set) Decrypt(ctx context.Context, token string) (text string, err error) {
	alg, keyID, err := header(token)
	if err != nil {
		return "", err
	}
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	err = guard.Do(func() error {
		tries := 0
		for _, k := range s.keys {
			if keyID != "" && k.id != keyID || !slices.Contains(k.algs, alg) {
				continue
			}
			if tries++; tries > maxKeys {
				break
			}
			if out, err := jwe.Decrypt([]byte(token), jwe.WithKey(algorithm(alg), k.raw)); err == nil {
				text = string(out)
				return nil
			}
		}
		return ErrDecrypt
	})
	if err != nil {
		return "", ErrDecrypt
	}
	return text, nil
}

func algorithm(name string) jwa.KeyEncryptionAlgorithm {
	alg, _ := jwa.LookupKeyEncryptionAlgorithm(name)
	return alg
}

// header reads what of a token's header decides how it is decrypted. A header that demands more than that, such as
// decompression, is an error.
func header(token string) (alg, keyID string, err error) {
	first, _, _ := strings.Cut(token, ".")
	if !Is(token) || len(first) > maxHeader {
		return "", "", ErrDecrypt
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil {
		return "", "", ErrDecrypt
	}
	members, err := claims.Object(nil, text)
	if err != nil {
		return "", "", ErrDecrypt
	}
	content := ""
	for _, m := range members {
		ok := true
		switch m.Name {
		case "alg":
			alg, ok = claims.Str(m.Value)
		case "enc":
			content, ok = claims.Str(m.Value)
		case "kid":
			keyID, ok = claims.Str(m.Value)
		case "zip", "crit": // a small token could become a large one; what is not known cannot be heeded
			ok = false
		}
		if !ok {
			return "", "", ErrDecrypt
		}
	}
	if alg == "" || !slices.Contains(contents, content) {
		return "", "", ErrDecrypt
	}
	return alg, keyID, nil
}
