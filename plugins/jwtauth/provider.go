package jwtauth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/outbound"
)

// Provider is an issuer of tokens.
type Provider struct {
	// Issuer is what the claim iss of its tokens must be. One provider may leave it out: it takes the tokens that are no
	// other's.
	Issuer string `json:"issuer"`
	// Audiences are the services that tokens may be for: the claim aud must name one. Without any, aud is not looked at.
	Audiences []string `json:"audiences"`
	// Keys is where the keys are that its tokens are signed with.
	Keys Keys `json:"keys" validate:"required"`
	// Algorithms are those that its keys may be used with, as far as they fit a key. The default is all of RS, PS, ES and
	// EdDSA with a public key, HS256, HS384 and HS512 with a secret.
	Algorithms []string `json:"algorithms"`
	// Leeway is by how much clocks may differ, for exp, nbf and iat.
	Leeway time.Duration `json:"leeway" default:"1m"`
	// MaxAge is how old a token may be by its iat, whatever its exp. 0s: any age.
	MaxAge time.Duration `json:"maxAge"`
	// AllowNoExpiry takes tokens without exp.
	AllowNoExpiry bool `json:"allowNoExpiry"`
	// Type is what the header typ must be, such as at+jwt (RFC 9068). If it is empty, typ is ignored.
	Type string `json:"type"`
	// RequiredClaims are what a token must say besides; otherwise the answer is 403.
	RequiredClaims []claims.Requirement `json:"requiredClaims"`

	local  atomic.Pointer[jws.Set] // of secret, inline or file
	remote *jws.Remote             // of url
}

// Keys is a source of keys: exactly one of secret, inline, file, url and discover.
type Keys struct {
	// Secret is shared with the issuer, for HS256 (32 bytes at least), HS384 (48) and HS512 (64).
	Secret filter.Secret `json:"secret"`
	// Inline is a JSON Web Key Set (RFC 7517) as text, or public keys or certificates in PEM.
	Inline filter.Secret `json:"inline"`
	// File holds such a text. It is read again when it changes.
	File string `json:"file"`
	// URL gives a JSON Web Key Set. It is read in the background, and again when a token names a key that is not known.
	URL *url.URL `json:"url"`
	// Discover finds the URL by what the issuer says of itself (OpenID Connect Discovery, RFC 8414). The provider's issuer must
	// be the address where it does so.
	Discover bool `json:"discover"`
	// Refresh is how often the URL is read, unless its answer says (cache-control) that it is good for less.
	Refresh time.Duration `json:"refresh" default:"10m"`
	// Cooldown is how long after a reading that an unknown key caused no other one causes the next.
	Cooldown time.Duration `json:"cooldown" default:"10s"`
	// MaxStale is how long keys are used that cannot be read anew. 0s: for ever.
	MaxStale time.Duration `json:"maxStale" default:"24h"`
	// Connection is how the URL is reached.
	Connection outbound.Connection `json:"connection"`
}

func (p *Provider) validate() error {
	var errs []error
	k := &p.Keys
	set := 0
	for _, is := range []bool{k.Secret.Reveal() != "", k.Inline.Reveal() != "", k.File != "", k.URL != nil, k.Discover} {
		if is {
			set++
		}
	}
	if set != 1 {
		errs = append(errs, errors.New("keys: must have exactly one of secret, inline, file, url and discover"))
	}
	for i, a := range p.Algorithms {
		switch {
		case !slices.Contains(jws.Algorithms, a):
			errs = append(errs, fmt.Errorf("algorithms[%d]: must be one of %s", i, strings.Join(jws.Algorithms, ", ")))
		case slices.Contains(jws.Symmetric, a) && k.isRemote():
			errs = append(errs, fmt.Errorf("algorithms[%d]: %s needs a secret, which no URL gives", i, a))
		}
	}
	if k.isRemote() {
		if k.URL != nil {
			if err := k.Connection.Check(k.URL); err != nil {
				errs = append(errs, fmt.Errorf("keys.url: %w", err))
			}
		} else if u, err := url.Parse(p.Issuer); err != nil || k.Connection.Check(u) != nil || u.RawQuery != "" || u.Fragment != "" {
			errs = append(errs, errors.New("issuer: must be an https URL without a query, where keys.discover reads what it says of itself"))
		}
		if err := k.Connection.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("keys.connection.%w", err))
		}
		if k.Refresh != 0 && k.Refresh < time.Second || k.Cooldown < 0 || k.MaxStale < 0 {
			errs = append(errs, errors.New("keys: refresh must be at least 1s, cooldown and maxStale must not be negative"))
		}
	}
	if p.Leeway < 0 || p.Leeway > 24*time.Hour || p.MaxAge < 0 {
		errs = append(errs, errors.New("leeway: must be 0s to 24h, and maxAge not negative"))
	}
	if set == 1 && len(errs) == 0 {
		if _, _, err := p.fixed(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// isRemote reports whether the keys are read from a server.
func (k *Keys) isRemote() bool { return k.URL != nil || k.Discover }

// allowed are the algorithms that keys may be used with.
func (p *Provider) allowed() []string {
	switch {
	case len(p.Algorithms) > 0:
		return p.Algorithms
	case p.Keys.Secret.Reveal() != "":
		return jws.Symmetric
	}
	return jws.Asymmetric
}

// fixed returns the keys that the configuration itself holds, and those that are skipped; nil if it holds none.
func (p *Provider) fixed() (*jws.Set, []jws.Skipped, error) {
	switch k := &p.Keys; {
	case k.Secret.Reveal() != "":
		s, err := jws.Secret(k.Secret.Reveal(), p.allowed())
		if err != nil {
			return nil, nil, fmt.Errorf("keys.secret: %w", err)
		}
		return s, nil, nil
	case k.Inline.Reveal() != "":
		s, skipped, err := jws.ReadKeys([]byte(k.Inline.Reveal()), p.allowed())
		if err != nil {
			return nil, nil, fmt.Errorf("keys.inline: %w", err)
		}
		return s, skipped, nil
	}
	return nil, nil, nil
}

// current returns the provider's keys, or nil if it has none yet.
func (p *Provider) current() *jws.Set {
	if p.remote != nil {
		return p.remote.Current()
	}
	return p.local.Load()
}

// check verifies what a token says of itself. It returns until when the token is good, the zero Time if for ever.
func (p *Provider) check(t *jws.Token, c *statement, now time.Time) (until time.Time, why *reason) {
	switch {
	case p.Type != "" && !sameType(t.Type, p.Type):
		return until, badType
	case c.exp.IsZero() && !p.AllowNoExpiry:
		return until, noExpiry
	case !c.exp.IsZero() && !now.Before(c.exp.Add(p.Leeway)):
		return until, expired
	case !c.nbf.IsZero() && now.Add(p.Leeway).Before(c.nbf), !c.iat.IsZero() && now.Add(p.Leeway).Before(c.iat):
		return until, notYet
	case p.Issuer != "" && c.iss != p.Issuer:
		return until, badIssuer
	case len(p.Audiences) > 0 && !claims.HasAudience(c.aud, p.Audiences):
		return until, badAudience
	}
	if !c.exp.IsZero() {
		until = c.exp.Add(p.Leeway)
	}
	if p.MaxAge > 0 {
		if c.iat.IsZero() {
			return until, tooOld
		}
		last := c.iat.Add(p.MaxAge).Add(p.Leeway) // the sum of the two may not fit a Duration
		if !now.Before(last) {
			return until, tooOld
		}
		if until.IsZero() || last.Before(until) {
			until = last
		}
	}
	for i := range p.RequiredClaims {
		if !p.RequiredClaims[i].Met(c.members) {
			return until, notAllowed
		}
	}
	return until, nil
}

// sameType compares media types, of which "application/" may be left out (RFC 7515, section 4.1.9).
func sameType(a, b string) bool {
	const prefix = "application/"
	cut := func(s string) string { return strings.TrimPrefix(strings.ToLower(s), prefix) }
	return cut(a) == cut(b)
}
