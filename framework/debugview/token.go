package debugview

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// MaxTokenLife is how far ahead the expiry of a token may be. A token for longer is not valid.
const MaxTokenLife = 24 * time.Hour

// MinKey is how many bytes a key has at least.
const MinKey = 16

const tokenVersion = "moe1"

// Errors of [Verify].
var (
	ErrToken   = errors.New("debugview: not a token of this key")
	ErrExpired = errors.New("debugview: the token has expired, or is for too long")
)

// Sign returns a token that [Verify] accepts until expiry, in whole seconds. It is text for a header: the version, the
// expiry as Unix time, and an HMAC-SHA256 of both in base64url, separated by dots.
func Sign(key string, expiry time.Time) string {
	claim := tokenVersion + "." + strconv.FormatInt(expiry.Unix(), 10)
	return claim + "." + base64.RawURLEncoding.EncodeToString(mac(key, claim))
}

// Verify returns nil if [Sign] has made token with key and it has not expired at now. An empty key verifies nothing.
func Verify(key, token string, now time.Time) error {
	at := strings.LastIndexByte(token, '.')
	const longest = 128
	if at < 0 || len(token) > longest || key == "" {
		return ErrToken
	}
	claim := token[:at]
	// Strict, so that a token has one spelling.
	sum, err := base64.RawURLEncoding.Strict().DecodeString(token[at+1:])
	if err != nil || !hmac.Equal(sum, mac(key, claim)) {
		return ErrToken
	}
	text, ok := strings.CutPrefix(claim, tokenVersion+".")
	expiry, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return ErrToken
	}
	if left := time.Unix(expiry, 0).Sub(now); left <= 0 || left > MaxTokenLife {
		return ErrExpired
	}
	return nil
}

// mac is keyed for debug tokens alone, in case the key is also used for something else.
func mac(key, claim string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte("moe debug token\n" + claim))
	return h.Sum(nil)
}
