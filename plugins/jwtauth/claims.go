package jwtauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// claims are what a token says. They are not verified by themselves.
type claims struct {
	members       []member
	iss           string
	aud           []byte
	exp, nbf, iat time.Time // the zero Time where the token has none
}

var errClaims = errors.New("has claims that are not understood")

// readClaims reads a payload (RFC 7519, section 4).
func readClaims(payload []byte) (*claims, error) {
	c := &claims{}
	ms, err := object(make([]member, 0, 16), payload)
	if err != nil {
		return nil, errClaims
	}
	c.members = ms
	for i := range ms {
		ok := true
		switch v := ms[i].value; ms[i].name {
		case "iss":
			c.iss, ok = str(v)
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
	f, err := strconv.ParseFloat(string(v), 64)  // a JSON string has quotes, which are no number
	if err != nil || f < 0 || f > 253402300799 { // the year 9999
		return time.Time{}, false
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(part*1e9)), true
}

// hasAudience reports whether aud, a string or a list of them, names one of want.
func (c *claims) hasAudience(want []string) bool {
	if one, ok := str(c.aud); ok {
		return slices.Contains(want, one)
	}
	list, _ := elements(c.aud)
	for _, e := range list {
		if one, ok := str(e); ok && slices.Contains(want, one) {
			return true
		}
	}
	return false
}

// claimPath is the place of a claim: its name, or names joined by dots into nested objects. A claim whose name is the
// whole path comes first.
type claimPath string

// find returns the value at a path, or nil.
func (c *claims) find(p claimPath) []byte { return find(c.members, string(p)) }

func find(ms []member, path string) []byte {
	for i := range ms {
		if ms[i].name == path {
			return ms[i].value
		}
	}
	first, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	for i := range ms {
		if ms[i].name != first || ms[i].value[0] != '{' {
			continue
		}
		inner, err := object(nil, ms[i].value)
		if err != nil {
			return nil
		}
		return find(inner, rest)
	}
	return nil
}

// words returns the texts that a claim stands for: itself, or the elements of a list. A string of OAuth scopes is the
// list of its words (RFC 8693, section 4.2).
func words(p claimPath, value []byte) []string {
	if list, ok := elements(value); ok {
		var out []string
		for _, e := range list {
			if s, ok := scalar(e); ok {
				out = append(out, s)
			}
		}
		return out
	}
	s, ok := scalar(value)
	switch {
	case !ok:
		return nil
	case p == "scope" || p == "scp":
		return strings.Fields(s)
	}
	return []string{s}
}

// scalar is the text of a string, number or bool.
func scalar(value []byte) (string, bool) {
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || value[0] == 'n':
		return "", false
	case value[0] == '"':
		return unquote(value), true
	}
	return string(value), true
}

// maxHeaderValue is how long a header made of a claim may be.
const maxHeaderValue = 8 << 10

var errUnfit = errors.New("has a claim that cannot be a header")

// headerValue is what a header says for a claim: the text of a scalar; the elements of a list of scalars, joined by
// commas; any other thing as JSON. What another reader could understand otherwise is an error.
func headerValue(value []byte) (string, error) {
	s, ok := scalar(value)
	if !ok {
		if value[0] == 'n' {
			return "", nil
		}
		var err error
		if s, err = joined(value); err != nil {
			return "", err
		}
	}
	if len(s) > maxHeaderValue || strings.Trim(s, " \t") != s {
		return "", errUnfit
	}
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return "", errUnfit
		}
	}
	return s, nil
}

func joined(value []byte) (string, error) {
	list, ok := elements(value)
	if ok && !slices.ContainsFunc(list, func(e []byte) bool { _, ok := scalar(e); return !ok }) {
		texts := make([]string, len(list))
		for i, e := range list {
			texts[i], _ = scalar(e)
			if strings.Contains(texts[i], ",") {
				return "", errUnfit
			}
		}
		return strings.Join(texts, ","), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return "", errUnfit
	}
	return b.String(), nil
}
