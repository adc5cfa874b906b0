package csrf

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// Token is a signed double-submit token: a cookie that a script of this host reads and sends back in a header, which a
// page of another site cannot.
type Token struct {
	// Secret signs the tokens, so that who can plant a cookie cannot make one. At least 16 bytes.
	Secret filter.Secret `json:"secret" validate:"required"`
	// Cookie is the name of the cookie that the token comes in. With the prefix __Host- it needs https.
	Cookie string `json:"cookie" default:"__Host-csrf"`
	// Header is the request header in which a script sends the cookie's value back.
	Header string `json:"header" default:"x-csrf-token"`
	// Session is the name of the cookie that holds the session; a token is good for that session only.
	Session string `json:"session"`
	// SameSite is the attribute of the cookie.
	SameSite string `json:"sameSite" default:"strict" enum:"strict,lax,none"`
	// Insecure leaves the attribute secure away, for plain http.
	Insecure bool `json:"insecure"`

	key  []byte
	site http.SameSite
}

const (
	leastSecret = 16
	nonceSize   = 16
	tokenSize   = nonceSize + sha256.Size
	// longestHeader is how much of a header is looked at.
	longestHeader = 4 * tokenSize
)

func (t *Token) validate() error {
	var errs []error
	if len(t.Secret.Reveal()) < leastSecret {
		errs = append(errs, fmt.Errorf("token.secret: must be at least %d bytes", leastSecret))
	}
	if err := fieldname.Check(t.Header); err != nil {
		errs = append(errs, fmt.Errorf("token.header: %w", err))
	}
	if err := fieldname.Check(t.Cookie); err != nil { // a cookie's name is a token, too
		errs = append(errs, fmt.Errorf("token.cookie: %w", err))
	}
	if t.Session != "" {
		if err := fieldname.Check(t.Session); err != nil {
			errs = append(errs, fmt.Errorf("token.session: %w", err))
		}
	}
	if t.Insecure && (strings.HasPrefix(t.Cookie, "__Host-") || strings.HasPrefix(t.Cookie, "__Secure-")) {
		errs = append(errs, errors.New("token.insecure: browsers take a cookie with the prefix __Host- or __Secure- "+
			"over https only; choose another token.cookie"))
	}
	if t.Insecure && t.SameSite == "none" {
		errs = append(errs, errors.New("token.sameSite: browsers take none over https only"))
	}
	return errors.Join(errs...)
}

func (t *Token) provision() {
	m := hmac.New(sha256.New, []byte(t.Secret.Reveal()))
	m.Write([]byte("moe csrf token 1"))
	t.key = m.Sum(nil)
	t.Header = strings.ToLower(t.Header)
	t.site = map[string]http.SameSite{
		"strict": http.SameSiteStrictMode, "lax": http.SameSiteLaxMode, "none": http.SameSiteNoneMode,
	}[t.SameSite]
}

// bind is the session that a request's token belongs to, "" without one.
func (t *Token) bind(h filter.RequestHeaders) string {
	if t.Session == "" {
		return ""
	}
	v, _ := h.Cookie(t.Session)
	return v
}

// cookie returns the request's token and whether it is one of ours for that session.
func (t *Token) cookie(h filter.RequestHeaders, session string) (string, bool) {
	v, ok := h.Cookie(t.Cookie)
	if !ok || !t.valid(v, session) {
		return "", false
	}
	return v, true
}

// submitted reports whether the header holds the token of the cookie, once.
func (t *Token) submitted(h filter.RequestHeaders, token string) bool {
	if token == "" || !h.Has(t.Header) {
		return false
	}
	vs := h.Values(t.Header)
	return len(vs) == 1 && len(vs[0]) <= longestHeader && subtle.ConstantTimeCompare([]byte(vs[0]), []byte(token)) == 1
}

func (t *Token) issue(session string) *http.Cookie {
	var b [tokenSize]byte
	rand.Read(b[:nonceSize])
	copy(b[nonceSize:], t.sign(b[:nonceSize], session))
	return &http.Cookie{
		Name: t.Cookie, Value: base64.RawURLEncoding.EncodeToString(b[:]), Path: "/", Secure: !t.Insecure,
		SameSite: t.site, // a script must read it: not HttpOnly
	}
}

func (t *Token) valid(token, session string) bool {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	return err == nil && hmac.Equal(b[nonceSize:], t.sign(b[:nonceSize], session))
}

func (t *Token) sign(nonce []byte, session string) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write(nonce)
	m.Write([]byte(session))
	return m.Sum(nil)
}
