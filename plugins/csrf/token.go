package csrf

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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
	// MaxAge is for how long a token is good; 0: for ever. A client that calls gets a new one when half of it is over.
	MaxAge time.Duration `json:"maxAge"`
	// Insecure leaves the attribute secure away, for plain http.
	Insecure bool `json:"insecure"`

	key  []byte
	site http.SameSite
	now  func() time.Time
}

const (
	leastSecret = 16
	nonceSize   = 16
	tokenSize   = nonceSize + sha256.Size
	// longestHeader is how much of a header is looked at.
	longestHeader = 4 * tokenSize
	// early is by how much another Envoy's clock may be ahead of this one.
	early = time.Minute
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
	if t.MaxAge != 0 && (t.MaxAge < time.Minute || t.MaxAge > 366*24*time.Hour) {
		errs = append(errs, errors.New("token.maxAge: must be 0s, or 1m to a year"))
	}
	if t.Insecure && t.SameSite == "none" {
		errs = append(errs, errors.New("token.sameSite: browsers take none over https only"))
	}
	return errors.Join(errs...)
}

func (t *Token) provision() {
	m := hmac.New(sha256.New, []byte(t.Secret.Reveal()))
	if t.MaxAge > 0 { // tokens with a time and those without do not pass for each other
		m.Write([]byte("moe csrf token 2"))
	} else {
		m.Write([]byte("moe csrf token 1"))
	}
	t.key = m.Sum(nil)
	if t.now == nil {
		t.now = time.Now
	}
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

// cookie returns the request's token, "" unless it is one of ours for that session, and whether the client should be given
// another.
func (t *Token) cookie(h filter.RequestHeaders, session string) (token string, renew bool) {
	v, ok := h.Cookie(t.Cookie)
	if !ok || !t.valid(v, session) {
		return "", true
	}
	return v, t.MaxAge > 0 && t.age(v) > t.MaxAge/2
}

// submitted reports whether the header holds the token of the cookie, once.
func (t *Token) submitted(h filter.RequestHeaders, token string) bool {
	if token == "" || !h.Has(t.Header) {
		return false
	}
	vs := h.Values(t.Header)
	return len(vs) == 1 && len(vs[0]) <= longestHeader && subtle.ConstantTimeCompare([]byte(vs[0]), []byte(token)) == 1
}

// issue makes a token: a nonce, which begins with the time if there is a maxAge, and its signature.
func (t *Token) issue(session string) *http.Cookie {
	var b [tokenSize]byte
	rand.Read(b[:nonceSize])
	if t.MaxAge > 0 {
		binary.BigEndian.PutUint64(b[:], uint64(t.now().Unix())<<timeShift|uint64(b[7]))
	}
	copy(b[nonceSize:], t.sign(b[:nonceSize], session))
	return &http.Cookie{
		Name: t.Cookie, Value: base64.RawURLEncoding.EncodeToString(b[:]), Path: "/", Secure: !t.Insecure,
		SameSite: t.site, MaxAge: int(t.MaxAge / time.Second), // a script must read it: not HttpOnly
	}
}

// timeShift leaves seven bytes for the seconds since 1970.
const timeShift = 8

// valid reports whether a token is one of ours for a session, and not too old.
func (t *Token) valid(token, session string) bool {
	if len(token) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || !hmac.Equal(b[nonceSize:], t.sign(b[:nonceSize], session)) {
		return false
	}
	if t.MaxAge == 0 {
		return true
	}
	age := t.age(token)
	return age <= t.MaxAge && age >= -early
}

// age returns how old a token with a time is. It has to be one of ours.
func (t *Token) age(token string) time.Duration {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != tokenSize {
		return t.MaxAge + 1
	}
	return t.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(b)>>timeShift), 0))
}

func (t *Token) sign(nonce []byte, session string) []byte {
	m := hmac.New(sha256.New, t.key)
	m.Write(nonce)
	m.Write([]byte(session))
	return m.Sum(nil)
}
