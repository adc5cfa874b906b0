// Package basicauth recognises callers by user name and password.
package basicauth

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/reload"
)

// BasicAuth finds the consumer whose name and password are in the header authorization (RFC 7617).
type BasicAuth struct {
	// Users is a file of users in the format of htpasswd. Each user is the consumer with that name.
	Users string `json:"users"`
	// Realm names what the password is for, in www-authenticate.
	Realm string `json:"realm" default:"moe"`
	// Forward leaves the header in the request, so that the upstream sees the password.
	Forward bool `json:"forward"`
	// CacheSize is how many right passwords are remembered; 0 checks each anew.
	CacheSize int `json:"cacheSize" default:"10000" validate:"min=0,max=1000000"`
	// CacheTTL is how long one is remembered.
	CacheTTL time.Duration `json:"cacheTTL" default:"5m"`
	reload.Files

	consumers *filter.Index[Credential]
	file      atomic.Pointer[users]
	env       *filter.Env
	refuse    authn.Refusals
	checked   *filter.Counter
	cache     *cache
	turns     chan struct{} // of those who compute hashes
	waiting   atomic.Int64  // for a turn, or at it
}

// Credential is a consumer's user name, with a password or the hash of one.
type Credential struct {
	// Username is the name that the consumer logs in with.
	Username string `json:"username" validate:"required"`
	// Password is the password itself.
	Password filter.Secret `json:"password"`
	// Hash is its hash, by bcrypt or argon2id, or as other programs have it: $5$, $6$, $apr1$ or {SHA}.
	Hash filter.Secret `json:"hash"`

	check atomic.Pointer[password]
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[BasicAuth]("basicauth", filter.Authn, filter.WithCredential[Credential](), filter.Docs(docs))
}

var (
	ambiguous = &authn.Wrong{Reason: "ambiguous", Text: "more than one authorization"}
	malformed = &authn.Wrong{Reason: "malformed", Text: "the credentials are malformed"}
	wrong     = &authn.Wrong{Reason: "wrong", Text: "the user or the password is wrong"}
	busy      = &authn.Wrong{Reason: "busy", Text: "too many passwords are being checked", Status: 503}
)

// unknownUser is what an unknown user's password is checked against; the user stays unknown even if it matches. Its cost is 10;
// tests have a quicker one.
var unknownUser = bcryptHash("$2a$10$dpkWVg97Mbz5t3E3f9jPTeB9AyJv74OioNCHzy1tnOYzOIZcHvGRa")

// limits of what is looked at.
const (
	maxWaiting = 1000 // requests whose passwords are being checked
)

// Validate checks what a header cannot carry.
func (b *BasicAuth) Validate() error {
	errs := []error{b.Files.Validate(), authn.CheckRealm(b.Realm)}
	if b.CacheSize > 0 && b.CacheTTL <= 0 {
		errs = append(errs, errors.New("cacheTTL: must be above 0; cacheSize: 0 remembers nothing"))
	}
	return errors.Join(errs...)
}

// Validate checks a consumer's credential.
func (c *Credential) Validate() error {
	switch {
	case strings.Contains(c.Username, ":"):
		return errors.New("username: must have no colon")
	case (c.Password.Reveal() == "") == (c.Hash.Reveal() == ""):
		return errors.New("password: there must be a password or a hash, and not both")
	case len(c.Password.Reveal()) > authn.MaxPassword:
		return fmt.Errorf("password: has more than %d bytes", authn.MaxPassword)
	case c.Hash.Reveal() != "":
		if _, err := parseHash(c.Hash.Reveal()); err != nil {
			return fmt.Errorf("hash: %w", err)
		}
	}
	return nil
}

// password is made at the first request: the hashes of 100,000 consumers were checked when they were loaded.
func (c *Credential) password() password {
	if p := c.check.Load(); p != nil {
		return *p
	}
	var p password = plainText(sha256.Sum256([]byte(c.Password.Reveal())))
	if c.Hash.Reveal() != "" {
		p, _ = parseHash(c.Hash.Reveal())
	}
	c.check.Store(&p)
	return p
}

// ReadsCredentials is that of filter.CredentialReader.
func (b *BasicAuth) ReadsCredentials() filter.CredentialPlaces {
	return filter.CredentialPlaces{Headers: []string{"authorization"}}
}

// Provision reads the file and indexes the consumers.
func (b *BasicAuth) Provision(env *filter.Env) (err error) {
	b.env, b.checked = env, env.Counter("checked")
	b.refuse.Start(env, `Basic realm="`+b.Realm+`", charset="UTF-8"`)
	b.cache = newCache(b.CacheSize, b.CacheTTL)
	b.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))
	b.file.Store(&users{})
	b.consumers, err = filter.IndexConsumers(env, func(c *Credential) []string { return []string{c.Username} })
	if err != nil || b.Users == "" {
		return err
	}
	return b.Follow(env, nil, []string{b.Users}, func(files []reload.File) error {
		all := users{}
		for _, f := range files {
			if err := all.parseFile(f.Path, f.Data); err != nil {
				return err
			}
		}
		b.file.Store(&all)
		return nil
	})
}

// OnRequestHeaders finds the consumer. Hashes that take long are computed on a goroutine.
func (b *BasicAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	value, n := authn.FindBasic(h)
	switch {
	case n == 0:
		return b.refuse.Missing()
	case n > 1:
		return b.refuse.Refuse(s, ambiguous, "")
	}
	user, given, ok := authn.ParseBasic(value)
	if !ok {
		return b.refuse.Refuse(s, malformed, "")
	}
	c, p := b.lookup(user)
	if p == nil { // who guesses names is to learn nothing from the time that it takes
		c, p = nil, unknownUser
	}
	if !p.slow() {
		return b.conclude(s, h, c, user, p.matches(given))
	}
	key := b.cache.key(user, p.text(), given)
	if b.cache.has(key, time.Now()) {
		return b.conclude(s, h, c, user, true)
	}
	if b.waiting.Add(1) > maxWaiting {
		b.waiting.Add(-1)
		return b.refuse.Refuse(s, busy, user)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		defer b.waiting.Add(-1)
		select {
		case b.turns <- struct{}{}:
			defer func() { <-b.turns }()
		case <-ctx.Done():
			return b.refuse.Refuse(s, busy, user)
		}
		right := p.matches(given) && c != nil
		b.checked.Inc()
		if right {
			b.cache.add(key, time.Now())
		}
		return b.conclude(s, h, c, user, right)
	})
}

// lookup returns the consumer of a user, and what the user's password is checked against.
func (b *BasicAuth) lookup(user string) (*filter.Consumer, password) {
	if c, cred := b.consumers.Find(user); c != nil {
		return c, cred.password()
	}
	p := (*b.file.Load())[user]
	if p == nil {
		return nil, nil
	}
	c := b.env.Consumer(user)
	if c == nil {
		c = &filter.Consumer{Name: user}
	}
	return c, p
}

func (b *BasicAuth) conclude(s filter.Stream, h filter.RequestHeaders, c *filter.Consumer, user string,
	right bool,
) filter.Action {
	if !right || c == nil {
		return b.refuse.Refuse(s, wrong, user)
	}
	if !b.Forward {
		h.Del("authorization")
	}
	return b.refuse.Allow(s, c)
}
