package jws

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"mosn.io/moe/plugins/internal/claims"
)

const (
	// maxHeader is how long a token's header may be, in base64; a certificate chain in it is not looked at anyway.
	maxHeader = 8 << 10
	// maxKeyID is how long the name of a key may be.
	maxKeyID = 1024
)

// Header is what a token's header says.
type Header struct {
	// Text is the header as it stands in the token.
	Text string
	// Algorithm, KeyID and Type are the members alg, kid and typ; only alg is always there.
	Algorithm, KeyID, Type string
}

// Token is a JWS in compact form (RFC 7515, section 7.1) whose header has been read. Nothing of it is verified.
type Token struct {
	Header
	// Signed is what the signature is of: the header and the payload in base64, with a dot between them.
	Signed []byte
	// Payload and Signature are decoded.
	Payload, Signature []byte
}

var (
	errMalformed = errors.New("is not a JWT in compact form")
	errCritical  = errors.New("demands an extension that is not known")
	errHeader    = errors.New("has a header that is not understood")
)

// strict refuses what decodes to the same bytes as another text would.
var strict = base64.RawURLEncoding.Strict()

// Parse takes a token apart. known, which may be nil, is a header that need not be read again: nearly all tokens of a
// key have the same.
func Parse(text string, known *Header) (*Token, error) {
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first <= 0 || last == first || strings.IndexByte(text[first+1:last], '.') >= 0 || last == len(text)-1 ||
		first > maxHeader || strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errMalformed
	}
	raw := []byte(text)
	t := &Token{Signed: raw[:last]}
	// One piece of memory for all that is decoded.
	room := make([]byte, 0, strict.DecodedLen(len(text)))
	if known != nil && known.Text == text[:first] {
		t.Header = *known
	} else {
		decoded, err := strict.AppendDecode(room, raw[:first])
		if err != nil {
			return nil, errMalformed
		}
		room = decoded[len(decoded):]
		if err := t.read(decoded); err != nil {
			return nil, err
		}
		t.Text = text[:first]
	}
	var err error
	if t.Payload, err = strict.AppendDecode(room, raw[first+1:last]); err != nil {
		return nil, errMalformed
	}
	room = t.Payload[len(t.Payload):]
	if t.Signature, err = strict.AppendDecode(room, raw[last+1:]); err != nil {
		return nil, errMalformed
	}
	return t, nil
}

// read takes what a verifier needs. jku, jwk, x5u and x5c, by which a token would name a key of its own choice, are
// ignored.
func (h *Header) read(text []byte) error {
	var few [8]claims.Member
	ms, err := claims.Object(few[:0], text)
	if err != nil {
		return errHeader
	}
	for i := range ms {
		ok := true
		switch ms[i].Name {
		case "alg":
			h.Algorithm, ok = claims.Str(ms[i].Value)
		case "kid":
			h.KeyID, ok = claims.Str(ms[i].Value)
			ok = ok && len(h.KeyID) <= maxKeyID
		case "typ":
			h.Type, ok = claims.Str(ms[i].Value)
		case "crit":
			return errCritical
		case "b64":
			ok = bytes.Equal(ms[i].Value, []byte("true"))
		}
		if !ok {
			return errHeader
		}
	}
	if h.Algorithm == "" {
		return errHeader
	}
	return nil
}
