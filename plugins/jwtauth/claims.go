package jwtauth

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"mosn.io/moe/plugins/internal/claims"
)

// statement is what a token says. It is not verified by itself.
type statement struct {
	members       []claims.Member
	iss           string
	aud           []byte
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
		case "exp":
			c.exp, ok = numericDate(v)
		case "nbf":
			c.nbf, ok = numericDate(v)
		case "iat":
			c.iat, ok = numericDate(v)
		}
		if !ok {
			return nil, errClaims
		}
	}
	return c, nil
}

// numericDate reads seconds since 1970, which may have a fraction.
func numericDate(v []byte) (time.Time, bool) {
	f, err := strconv.ParseFloat(string(v), 64)  // a JSON string has quotes, with which this fails
	if err != nil || f < 0 || f > 253402300799 { // the year 9999
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// hasAudience reports whether aud, a string or a list of them, names one of want.
func (c *statement) hasAudience(want []string) bool {
	if one, ok := claims.Str(c.aud); ok {
		return slices.Contains(want, one)
	}
	list, _ := claims.Elements(c.aud)
	for _, e := range list {
		if one, ok := claims.Str(e); ok && slices.Contains(want, one) {
			return true
		}
	}
	return false
}
