// Package tokenauth rejects requests whose token is not md5(path + secret).
package tokenauth

import (
	"crypto/md5"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"fmt"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// TokenAuth lets a request pass if a header holds the lower-case hexadecimal MD5 of its path, query included,
// followed by a secret.
type TokenAuth struct {
	// Secret is appended to the path before hashing.
	Secret filter.Secret `json:"secret" validate:"required"`
	// Header is the name of the header that holds the token.
	Header string `json:"header" default:"token"`

	missing, invalid *filter.Counter
}

//go:embed README.md schema.json
var docs embed.FS

func init() { filter.Register[TokenAuth]("tokenauth", filter.Authn, filter.Docs(docs)) }

var (
	noToken  = filter.Reply(403, "missing token", filter.WithDetails("moe.tokenauth.missing_token"))
	badToken = filter.Reply(403, "invalid token", filter.WithDetails("moe.tokenauth.invalid_token"))
)

// Validate refuses an empty secret, with which anybody could make tokens, and a header that no request can have.
func (t *TokenAuth) Validate() error {
	if t.Secret.Reveal() == "" {
		return fmt.Errorf("secret: must not be empty")
	}
	if err := fieldname.Check(t.Header); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return nil
}

// ReadsCredentials is that of filter.CredentialReader.
func (t *TokenAuth) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{t.Header}}
}

// Provision declares the counters.
func (t *TokenAuth) Provision(env *filter.Env) error {
	t.Header = strings.ToLower(t.Header)
	t.missing, t.invalid = env.Counter("missing"), env.Counter("invalid")
	return nil
}

// OnRequestHeaders checks the token.
func (t *TokenAuth) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	if !h.Has(t.Header) {
		t.missing.Inc()
		return noToken
	}
	if tokens := h.Values(t.Header); len(tokens) != 1 || !t.verify(h.Path(), tokens[0]) {
		t.invalid.Inc()
		return badToken
	}
	return filter.Continue
}

// verify takes as long for every token of the right length. Its buffers stay on the stack unless the path is long.
func (t *TokenAuth) verify(path, token string) bool {
	var (
		text      [512]byte
		want, got [2 * md5.Size]byte
	)
	sum := md5.Sum(append(append(text[:0], path...), t.Secret.Reveal()...))
	hex.Encode(want[:], sum[:])
	return len(token) == len(got) && copy(got[:], token) > 0 && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
