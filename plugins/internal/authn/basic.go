package authn

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"mosn.io/moe/framework/filter"
)

const (
	// MaxPassword is how many bytes a password may have.
	MaxPassword = 1024

	maxBasic = 4096 // bytes of the header's value
)

// FindBasic returns what follows Basic, and how many fields authorization there are if one of them is of that scheme.
func FindBasic(h filter.RequestHeaders) (value string, n int) {
	if !h.Has("authorization") {
		return "", 0
	}
	values := h.Values("authorization")
	for _, v := range values {
		if word, rest, _ := strings.Cut(v, " "); strings.EqualFold(word, "basic") {
			value, n = rest, len(values)
		}
	}
	return value, n
}

// ParseBasic reads user-pass of RFC 7617. Neither part is empty.
func ParseBasic(value string) (user, given string, ok bool) {
	value = strings.Trim(value, " \t")
	if value == "" || len(value) > maxBasic {
		return "", "", false
	}
	text, err := base64.StdEncoding.DecodeString(value)
	if err != nil || !utf8.Valid(text) {
		return "", "", false
	}
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return "", "", false
		}
	}
	user, given, ok = strings.Cut(string(text), ":")
	return user, given, ok && user != "" && given != "" && len(given) <= MaxPassword
}
