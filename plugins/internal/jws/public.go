package jws

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"

	"mosn.io/moe/plugins/internal/claims"
)

// looksPublic reports whether a secret is a key, a set of keys or a certificate that everybody may know: signing with it
// is what an attacker does who hopes that it is taken for a secret. A JWK is one whatever its type: as the text of a secret
// it is a mistake even where it holds one.
func looksPublic(secret []byte) bool {
	secret = bytes.TrimSpace(secret)
	for _, begin := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if bytes.HasPrefix(secret, []byte(begin)) && bytes.ContainsAny(secret, " ") {
			return true
		}
	}
	return bytes.Contains(secret, pemBegin) || isDER(secret) || isJWK(secret) || isDER(fromBase64(secret))
}

// isDER reports whether b is a public key or a certificate.
func isDER(b []byte) bool {
	if _, err := x509.ParsePKIXPublicKey(b); err == nil {
		return true
	}
	if _, err := x509.ParsePKCS1PublicKey(b); err == nil {
		return true
	}
	_, err := x509.ParseCertificate(b)
	return err == nil
}

// isJWK reports whether b is a JSON Web Key, or a set or list of them.
func isJWK(b []byte) bool {
	if json.Valid(b) {
		if list, ok := claims.Elements(b); ok {
			return len(list) > 0 && isJWK(list[0])
		}
	}
	members, err := claims.Object(nil, bytes.ToValidUTF8(b, []byte("\uFFFD")))
	if err != nil {
		return false
	}
	_, isKey := member(members, "kty")
	_, isSet := member(members, "keys")
	return isKey || isSet
}

// fromBase64 returns what b stands for if it is base64, of either alphabet, padded and broken into lines or not: PEM
// without its first and last lines.
func fromBase64(b []byte) []byte {
	text := strings.Join(strings.Fields(string(b)), "")
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return decoded
}
