package jwtauth

import (
	"errors"
	"time"

	"mosn.io/moe/plugins/internal/claims"
)

// statement is what a token says. It is not verified by itself.
type statement struct {
	members       []claims.Member
	iss           string
	aud           []byte
	cnf           []byte
	exp, nbf, iat time.Time // zero if the token has no such claim
}

var errClaims = errors.New("has claims that are not understood")

// readClaims reads a payload (RFC 7519, section 4).
func readClaims(payload []byte) (*statement, error) {
	c := &statement{}
	ms, err := claims.Object(make([]claims.Member, 0, 16), payload)
	if err != nil {
		return nil, errClaims
	}
	c.members = ms
	for i := range ms {
		ok := true
		switch v := ms[i].Value; ms[i].Name {
		case "iss":
			c.iss, ok = claims.Str(v)
		case "sub", "jti":
			ok = v[0] == '"'
		case "aud":
			c.aud, ok = v, v[0] == '"' || v[0] == '['
		case "cnf":
			c.cnf = v
		case "exp":
			c.exp, ok = claims.NumericDate(v)
		case "nbf":
			c.nbf, ok = claims.NumericDate(v)
		case "iat":
			c.iat, ok = claims.NumericDate(v)
		}
		if !ok {
			return nil, errClaims
		}
	}
	return c, nil
}
