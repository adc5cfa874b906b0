package jwtauth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws/jwsbb"

	"mosn.io/moe/plugins/internal/claims"
)

const (
	// maxHeader is how long a token's header may be, in base64; a certificate chain is not looked at anyway.
	maxHeader = 8 << 10
	// maxKeyID is how long the name of a key may be.
	maxKeyID = 1024
)

// header is what a token's header says.
type header struct {
	text          string // as it stands in the token
	alg, kid, typ string
}

// token is a JWS in compact form (RFC 7515, section 7.1) whose header has been read and nothing else.
type token struct {
	header
	signed    []byte // header.payload
	payload   []byte // decoded
	signature []byte // decoded
}

var (
	errMalformed = errors.New("is not a JWT in compact form")
	errCritical  = errors.New("demands an extension that is not known")
	errHeader    = errors.New("has a header that is not understood")
)

// strict refuses what decodes to the same bytes as another text would.
var strict = base64.RawURLEncoding.Strict()

// parse takes a token apart. What it says is not verified. known, which may be nil, is a header that need not be read
// again: nearly all tokens of a key have the same.
func parse(text string, known *header) (*token, error) {
	first := strings.IndexByte(text, '.')
	last := strings.LastIndexByte(text, '.')
	if first <= 0 || last == first || strings.IndexByte(text[first+1:last], '.') >= 0 || last == len(text)-1 ||
		first > maxHeader || strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errMalformed
	}
	raw := []byte(text)
	t := &token{signed: raw[:last]}
	// One piece of memory for all that is decoded.
	room := make([]byte, 0, strict.DecodedLen(len(text)))
	if known != nil && known.text == text[:first] {
		t.header = *known
	} else {
		decoded, err := strict.AppendDecode(room, raw[:first])
		if err != nil {
			return nil, errMalformed
		}
		room = decoded[len(decoded):]
		if err := t.readHeader(decoded); err != nil {
			return nil, err
		}
		t.text = text[:first]
	}
	var err error
	if t.payload, err = strict.AppendDecode(room, raw[first+1:last]); err != nil {
		return nil, errMalformed
	}
	room = t.payload[len(t.payload):]
	if t.signature, err = strict.AppendDecode(room, raw[last+1:]); err != nil {
		return nil, errMalformed
	}
	return t, nil
}

// readHeader takes what a verifier needs. jku, jwk, x5u and x5c, by which a token would name a key of its own choice,
// are passed over.
func (t *header) readHeader(text []byte) error {
	var few [8]claims.Member
	ms, err := claims.Object(few[:0], text)
	if err != nil {
		return errHeader
	}
	for i := range ms {
		ok := true
		switch ms[i].Name {
		case "alg":
			t.alg, ok = claims.Str(ms[i].Value)
		case "kid":
			t.kid, ok = claims.Str(ms[i].Value)
			ok = ok && len(t.kid) <= maxKeyID
		case "typ":
			t.typ, ok = claims.Str(ms[i].Value)
		case "crit":
			return errCritical
		case "b64":
			ok = bytes.Equal(ms[i].Value, []byte("true"))
		}
		if !ok {
			return errHeader
		}
	}
	if t.alg == "" {
		return errHeader
	}
	return nil
}

// verifiedBy reports whether k has signed the token. The caller has seen to it that k may be used with t.alg.
func (t *token) verifiedBy(k *key) bool {
	return jwsbb.Verify(k.raw, t.alg, t.signed, t.signature) == nil
}
