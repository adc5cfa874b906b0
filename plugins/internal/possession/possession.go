// Package possession checks that a token comes from the client that it was issued to: by the client's certificate (RFC 8705), or by a
// proof that it signs (DPoP, RFC 9449).
package possession

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
)

// Confirmation is what a token demands of its sender. The zero Confirmation demands nothing. It does not change.
type Confirmation struct {
	certificate []byte // the SHA-256 digest of the client's certificate
	key         []byte // the SHA-256 thumbprint of the client's key (RFC 7638)
}

var errConfirmation = errors.New("the token is bound to something that is not known here")

// Read reads the claim cnf (RFC 7800), nil if a token has none. Whatever is not known is an error: a token that must not be used as a
// bearer token is not taken for one.
func Read(cnf []byte) (c Confirmation, err error) {
	if cnf == nil || bytes.Equal(cnf, []byte("null")) {
		return c, nil
	}
	methods, err := claims.Object(nil, cnf)
	if err != nil || len(methods) == 0 {
		return c, errConfirmation
	}
	for _, m := range methods {
		text, _ := claims.Str(m.Value)
		digest, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
		switch {
		case err != nil || len(digest) != 32:
			return c, errConfirmation
		case m.Name == "x5t#S256":
			c.certificate = digest
		case m.Name == "jkt":
			c.key = digest
		default:
			return c, errConfirmation
		}
	}
	return c, nil
}

// Reasons why a request may not use a token.
var (
	Reasons bearer.Reasons

	// NotBound is that the token was issued to another client, or is sent otherwise than it may be.
	NotBound = Reasons.Bad("bound", "the token is for another client")

	badProof = Reasons.Add(bearer.Reason{
		Name: "proof", Status: 401, Scheme: "DPoP", Params: algorithms, Code: "invalid_dpop_proof", Text: "the proof of possession is missing or wrong",
	})
	replayed = Reasons.Add(bearer.Reason{
		Name: "proof_replayed", Status: 401, Scheme: "DPoP", Params: algorithms, Code: "invalid_dpop_proof", Text: "the proof of possession was there before",
	})
	full = Reasons.New("proofs_full", 503, "", "no more proofs can be remembered")
)

// Check returns why a request may not use a token, nil if it may. d is nil where DPoP is not configured; scheme is whether the
// token came with the scheme DPoP.
func (c *Confirmation) Check(s filter.Stream, h filter.RequestHeaders, d *DPoP, token string, scheme bool) *bearer.Reason {
	switch {
	case c.certificate != nil && !certificate(s, c.certificate):
		return NotBound
	case c.key == nil && (scheme || d != nil && d.Required):
		return NotBound // such a token is for no proof
	case c.key == nil:
		return nil
	case d == nil || !scheme:
		return NotBound // RFC 9449, section 7.1: it is not taken as a bearer token
	}
	return d.prove(h, token, c.key)
}

// certificate reports whether the client's certificate, which Envoy has verified, has a digest.
func certificate(s filter.Stream, want []byte) bool {
	text, err := s.Attr(filter.AttrPeerDigest)
	if err != nil {
		return false
	}
	digest, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	return err == nil && subtle.ConstantTimeCompare(digest, want) == 1
}
