// Package keyauth recognises callers by API keys.
package keyauth

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/place"
)

// KeyAuth finds the consumer whose key the request has.
type KeyAuth struct {
	// Header is the header that holds the key; if it is empty, no header does.
	Header string `json:"header" default:"x-api-key"`
	// Scheme is the word before the key in the header, such as Bearer in authorization.
	Scheme string `json:"scheme"`
	// Query is the query parameter that may hold the key.
	Query string `json:"query"`
	// Cookie is the cookie that may hold the key.
	Cookie string `json:"cookie"`
	// Forward leaves the key in the request, so that the upstream sees it.
	Forward bool `json:"forward"`
	// Realm names what the key is for, in www-authenticate.
	Realm string `json:"realm" default:"moe"`

	places    place.Places
	consumers *filter.Index[Credential]
	refuse    authn.Refusals
}

// Credential is what a consumer's key may be: one, or several while they are exchanged.
type Credential struct {
	// Key is the consumer's key.
	Key filter.Secret `json:"key"`
	// Keys are more of them.
	Keys []filter.Secret `json:"keys"`
	// Hashes are the SHA-256 sums of keys that are not written here themselves, in hexadecimal.
	Hashes []string `json:"hashes"`
	// Expires is when the keys end, as RFC 3339 has it: 2027-01-31T00:00:00Z. Without it they do not.
	Expires time.Time `json:"expires"`
}

// maxKey is how many bytes a key may have.
const maxKey = 4096

// Validate checks the keys and their sums.
func (c *Credential) Validate() error {
	var errs []error
	for i, text := range c.Hashes {
		if sum, err := hex.DecodeString(text); err != nil || len(sum) != sha256.Size {
			errs = append(errs, fmt.Errorf("hashes[%d]: must be a SHA-256 sum: 64 digits in hexadecimal", i))
		}
	}
	for _, k := range append([]filter.Secret{c.Key}, c.Keys...) {
		if len(k.Reveal()) > maxKey {
			errs = append(errs, fmt.Errorf("key: must not have more than %d bytes", maxKey))
		}
	}
	return errors.Join(errs...)
}

// sums are what the consumer is found by: the SHA-256 sums of the keys. An empty key has none, and is refused.
func (c *Credential) sums() (sums []string) {
	keys := c.Keys
	if c.Key.Reveal() != "" || len(c.Keys)+len(c.Hashes) == 0 {
		keys = append([]filter.Secret{c.Key}, keys...)
	}
	for _, k := range keys {
		if k.Reveal() == "" {
			sums = append(sums, "")
			continue
		}
		sum := sha256.Sum256([]byte(k.Reveal()))
		sums = append(sums, string(sum[:]))
	}
	for _, text := range c.Hashes {
		sum, _ := hex.DecodeString(text) // Validate has tried
		sums = append(sums, string(sum))
	}
	return sums
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[KeyAuth]("keyauth", filter.Authn, filter.WithCredential[Credential](), filter.Docs(docs))
}

var (
	ambiguous = &authn.Wrong{Reason: "ambiguous", Text: "more than one key"}
	empty     = &authn.Wrong{Reason: "empty", Text: "the key is empty"}
	unknown   = &authn.Wrong{Reason: "unknown", Text: "unknown key"}
	expired   = &authn.Wrong{Reason: "expired", Text: "the key has expired"}
)

// Validate refuses places that no request has.
func (k *KeyAuth) Validate() error {
	p := k.where()
	if p.Empty() {
		return errors.New("header, query and cookie are all empty: name one place for the key")
	}
	if err := authn.CheckRealm(k.Realm); err != nil {
		return err
	}
	if k.Scheme != "" && k.Header == "" {
		return errors.New("scheme: needs header")
	}
	return p.Validate()
}

// where is what the plugin looks at.
func (k *KeyAuth) where() (p place.Places) {
	if k.Header != "" {
		p.Headers = []place.Header{{Name: k.Header, Scheme: k.Scheme}}
	}
	if k.Query != "" {
		p.Queries = []string{k.Query}
	}
	if k.Cookie != "" {
		p.Cookies = []string{k.Cookie}
	}
	p.Lower()
	return p
}

// ReadsCredentials is that of filter.CredentialReader.
func (k *KeyAuth) ReadsCredentials() filter.CredentialPlaces {
	p := k.where()
	return p.Credentials()
}

// Provision indexes the consumers.
func (k *KeyAuth) Provision(env *filter.Env) (err error) {
	k.places = k.where()
	scheme := k.Scheme
	if scheme == "" {
		scheme = "ApiKey"
	}
	k.refuse.Start(env, scheme+` realm="`+k.Realm+`"`)
	k.consumers, err = filter.IndexConsumers(env, (*Credential).sums)
	return err
}

// OnRequestHeaders finds the consumer.
func (k *KeyAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	key, n := k.places.Find(h)
	switch {
	case n == 0:
		return k.refuse.Missing()
	case n > 1:
		return k.refuse.Refuse(s, ambiguous, "")
	case key == "":
		return k.refuse.Refuse(s, empty, "")
	}
	sum := sha256.Sum256(unsafe.Slice(unsafe.StringData(key), len(key))) // which only reads it
	c, credential := k.consumers.Find(unsafe.String(&sum[0], len(sum)))  // likewise
	switch {
	case c == nil:
		return k.refuse.Refuse(s, unknown, "")
	case !credential.Expires.IsZero() && !time.Now().Before(credential.Expires):
		return k.refuse.Refuse(s, expired, c.Name)
	}
	if !k.Forward {
		k.places.Take(h)
	}
	return k.refuse.Allow(s, c)
}
