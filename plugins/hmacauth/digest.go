package hmacauth

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"strings"

	"mosn.io/moe/framework/filter"
)

// checkDigest compares a body with the request's content-digest (RFC 9530). Every digest that it has by an algorithm
// that is safe must be the body's, and there must be one.
func checkDigest(h filter.RequestHeaders, body []byte) bool {
	members, err := parseDictionary(strings.Join(h.Values("content-digest"), ", "))
	if err != nil {
		return false
	}
	known := 0
	for _, m := range members {
		var sum []byte
		switch m.key {
		case "sha-256":
			s := sha256.Sum256(body)
			sum = s[:]
		case "sha-512":
			s := sha512.Sum512(body)
			sum = s[:]
		default:
			continue
		}
		if m.isList || subtle.ConstantTimeCompare(sum, m.bytes) != 1 {
			return false
		}
		known++
	}
	return known > 0
}
