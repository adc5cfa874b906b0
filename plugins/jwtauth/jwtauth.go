// Package jwtauth recognises callers by JSON Web Tokens.
package jwtauth

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/discovery"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/jwe"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/place"
	"mosn.io/moe/plugins/internal/possession"
	"mosn.io/moe/plugins/internal/reload"
	"mosn.io/moe/plugins/internal/remember"
)

// JWTAuth lets requests pass that carry a JSON Web Token (RFC 7519) which one of the providers has signed (RFC 7515).
type JWTAuth struct {
	// Providers are the issuers of tokens.
	Providers []Provider `json:"providers" validate:"required,min=1"`
	// From is where the token is looked for: by default in the header authorization, after Bearer.
	From place.Places `json:"from"`
	// Forward leaves the token in the request.
	Forward bool `json:"forward"`
	// Realm is that of the header www-authenticate.
	Realm string `json:"realm" default:"moe"`
	claims.Output
	// PayloadHeader is a request header by which the upstream sees all that the token says, in base64url without padding.
	PayloadHeader string `json:"payloadHeader"`
	// ClearRouteCache has Envoy choose the route again, by the headers that a token has set.
	ClearRouteCache bool `json:"clearRouteCache"`
	// CacheSize is how many verified tokens are remembered, so that they need not be verified again. 0: none.
	CacheSize int `json:"cacheSize" validate:"min=0,max=10000000"`
	// Decryption takes tokens that are encrypted (RFC 7516), too: signed tokens in them, as RFC 7519, section 11.2, advises.
	Decryption *Decryption `json:"decryption"`
	// IgnoreBinding takes tokens that are bound to a client's certificate or key as if they were not.
	IgnoreBinding bool `json:"ignoreBinding"`
	// DPoP takes tokens that are bound to a client's key (RFC 9449).
	DPoP *possession.DPoP `json:"dpop"`
	reload.Files

	refusals bearer.Refusals
	cache    *remember.Cache[*identity]
	// lastHeader is that of the token that was verified last.
	lastHeader atomic.Pointer[jws.Header]
	skips      *jws.Skips

	accepted, hits *filter.Counter
}

// Decryption is how encrypted tokens are read.
type Decryption struct {
	// Keys are private keys, or secrets, as a JSON Web Key Set or one key in PEM.
	Keys filter.Secret `json:"keys" validate:"required"`
	// Required refuses tokens that are not encrypted.
	Required bool `json:"required"`

	set *jwe.Set
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[JWTAuth]("jwtauth", filter.Authn, filter.WithCredential[claims.Credential](), filter.Docs(docs))
}

// Validate refuses what could not work, and what would let too much pass.
func (j *JWTAuth) Validate() error {
	errs := []error{j.Files.Validate(), j.Output.Validate()}
	issuers := map[string]bool{}
	for i := range j.Providers {
		p := &j.Providers[i]
		if err := p.validate(); err != nil {
			errs = append(errs, fmt.Errorf("providers[%d].%w", i, err))
		}
		if issuers[p.Issuer] {
			errs = append(errs, fmt.Errorf("providers[%d].issuer: duplicate issuer", i))
		}
		issuers[p.Issuer] = true
	}
	if len(j.Providers) == 0 {
		errs = append(errs, errors.New("providers: must not be empty"))
	}
	if j.PayloadHeader != "" {
		if err := fieldname.Check(j.PayloadHeader); err != nil {
			errs = append(errs, fmt.Errorf("payloadHeader: %w", err))
		}
	}
	if err := j.From.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("from.%w", err))
	}
	if d := j.DPoP; d != nil {
		errs = append(errs, match.Within("dpop", d.Validate()))
		if j.IgnoreBinding {
			errs = append(errs, errors.New("ignoreBinding: does not go with dpop"))
		}
	}
	if d := j.Decryption; d != nil {
		if _, err := jwe.ReadKeys([]byte(d.Keys.Reveal())); err != nil {
			errs = append(errs, fmt.Errorf("decryption.keys: %w", err))
		}
	}
	return errors.Join(append(errs, authn.CheckRealm(j.Realm))...)
}

// OwnsRequestHeaders is that of filter.HeaderOwner.
func (j *JWTAuth) OwnsRequestHeaders() []string {
	names := j.Output.OwnsRequestHeaders()
	if j.PayloadHeader != "" {
		names = append(names, strings.ToLower(j.PayloadHeader))
	}
	return names
}

// ReadsCredentials is that of filter.CredentialReader.
func (j *JWTAuth) ReadsCredentials() filter.CredentialPlaces {
	from := j.from()
	return j.DPoP.Credentials(from.Credentials())
}

// from is where the token is looked for.
func (j *JWTAuth) from() place.Places { return j.From.OrBearer() }

// Provision finds the keys and begins to follow them.
func (j *JWTAuth) Provision(env *filter.Env) error {
	j.From = j.from()
	j.From.Lower()
	j.PayloadHeader = strings.ToLower(j.PayloadHeader)
	if err := j.Start(env, j.Forward || j.PayloadHeader != ""); err != nil {
		return err
	}
	if j.ClearRouteCache && !env.Has(filter.CanClearRouteCache) {
		return errors.New("clearRouteCache: this host cannot have the route chosen again")
	}
	if err := j.DPoP.Start(); err != nil {
		return err
	}
	j.refusals.Also = j.DPoP.Challenge(j.Realm)
	j.refusals.Start(env, j.Realm, missing, reasons)
	if d := j.Decryption; d != nil {
		var err error
		if d.set, err = jwe.ReadKeys([]byte(d.Keys.Reveal())); err != nil {
			return fmt.Errorf("decryption.keys: %w", err)
		}
	}
	if j.CacheSize > 0 {
		j.cache = remember.NewCache[*identity](j.CacheSize)
	}
	j.accepted, j.hits = env.Counter("accepted"), env.Counter("cache_hits")
	return j.follow(env)
}

// follow takes the keys of all providers, and sees to it that those of files and URLs stay up to date.
func (j *JWTAuth) follow(env *filter.Env) error {
	j.skips = jws.NewSkips(env)
	var files []string
	for i := range j.Providers {
		p := &j.Providers[i]
		switch set, skipped, err := p.fixed(); {
		case err != nil:
			return fmt.Errorf("providers[%d].%w", i, err)
		case set != nil:
			j.skips.Report(skipped, "field", fmt.Sprintf("providers[%d].keys", i))
			p.local.Store(set)
		case p.Keys.File != "":
			files = append(files, p.Keys.File)
		default:
			if err := p.start(env); err != nil {
				return fmt.Errorf("providers[%d].keys.connection.%w", i, err)
			}
		}
	}
	return j.Follow(env, nil, files, j.load)
}

// load takes the keys of all files, or of none.
func (j *JWTAuth) load(read []reload.File) error {
	sets := make([]*jws.Set, len(j.Providers))
	for i := range j.Providers {
		p := &j.Providers[i]
		for _, f := range read {
			if p.Keys.File == "" || f.Path != p.Keys.File {
				continue
			}
			set, skipped, err := jws.ReadKeys(f.Data, p.allowed())
			j.skips.Report(skipped, "file", f.Path)
			if err != nil {
				return fmt.Errorf("providers[%d].keys.file: %w", i, err)
			}
			sets[i] = set
		}
	}
	for i, set := range sets {
		if set != nil {
			j.Providers[i].local.Store(set)
		}
	}
	return nil
}

// start begins to read the keys of a URL.
func (p *Provider) start(env *filter.Env) error {
	k := &p.Keys
	client, stop, err := k.Connection.Client(env)
	if err != nil {
		return err
	}
	p.remote = jws.NewRemote(env, jws.RemoteOptions{
		Client: client, Close: stop, Allowed: p.allowed(), Refresh: k.Refresh, Cooldown: k.Cooldown, MaxStale: k.MaxStale,
	})
	if k.URL != nil {
		p.remote.Follow(k.URL)
		return nil
	}
	issuer, err := url.Parse(p.Issuer)
	if err != nil {
		return err
	}
	env.Go(func(ctx context.Context) {
		discovery.Follow(ctx, discovery.Every, func(ctx context.Context) error {
			d, err := discovery.Read(ctx, client, issuer)
			if err != nil {
				return err
			}
			u, err := d.URL("jwks_uri", k.Connection.Check)
			if err == nil {
				p.remote.Follow(u)
			}
			return err
		}, func(err error) {
			env.Log().Warn("cannot read where the issuer's keys are", "issuer", p.Issuer, "error", err)
		})
	})
	return nil
}
