// Package introspection recognises callers by opaque tokens, about which it asks their authorization server (RFC 7662).
package introspection

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/match"
	"mosn.io/moe/plugins/internal/oauthclient"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/place"
	"mosn.io/moe/plugins/internal/possession"
)

// Introspection lets requests pass that carry a token which the authorization server says is active.
type Introspection struct {
	// Endpoint is where the authorization server is asked about tokens.
	Endpoint *url.URL `json:"endpoint" validate:"required"`
	// Client is how the server knows who asks.
	Client oauthclient.Client `json:"client"`
	// Connection is how the endpoint is reached.
	Connection outbound.Connection `json:"connection"`
	// TokenTypeHint tells the server what kind of token to look for first, such as access_token.
	TokenTypeHint string `json:"tokenTypeHint"`
	// From is where the token is looked for: by default in the header authorization, after Bearer.
	From place.Places `json:"from"`
	// Forward leaves the token in the request.
	Forward bool `json:"forward"`
	// Realm is that of the header www-authenticate.
	Realm string `json:"realm" default:"moe"`
	// Issuer is what the answer's iss must be. Without it, iss is not looked at.
	Issuer string `json:"issuer"`
	// Audiences are the services that tokens may be for: the answer's aud must name one. Without any, aud is not looked at.
	Audiences []string `json:"audiences"`
	// RequiredClaims are what the answer must say besides; otherwise the reply is 403.
	RequiredClaims []claims.Requirement `json:"requiredClaims"`
	// Leeway is by how much clocks may differ, for exp and nbf.
	Leeway time.Duration `json:"leeway" default:"0s"`
	// DPoP takes tokens that are bound to a client's key (RFC 9449).
	DPoP *possession.DPoP `json:"dpop"`
	claims.Output
	lookup.Cache

	refusals bearer.Refusals
	accepted *filter.Counter
	client   *http.Client
	stop     func()
	answers  *lookup.Table[*identity]
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[Introspection]("introspection", filter.Authn, filter.WithCredential[claims.Credential](),
		filter.Docs(docs))
}

var (
	reasons = append(bearer.Reasons(nil), possession.Reasons...)

	missing     = reasons.New("missing", 401, "", "missing token")
	several     = reasons.New("several", 400, "invalid_request", "more than one token")
	notAllowed  = reasons.New("claims", 403, "insufficient_scope", "the token does not allow this")
	noAnswer    = reasons.New("no_answer", 503, "", "the authorization server cannot be asked")
	malformed   = reasons.Bad("malformed", "malformed token")
	inactive    = reasons.Bad("inactive", "the token is not active")
	expired     = reasons.Bad("expired", "the token has expired")
	notYet      = reasons.Bad("not_yet", "the token is not yet valid")
	badIssuer   = reasons.Bad("issuer", "the token is of another issuer")
	badAudience = reasons.Bad("audience", "the token is for another audience")
	badClaim    = reasons.Bad("unfit_claim", "the token has a claim that cannot be passed on")
	unknown     = reasons.Bad("consumer", "the token belongs to no consumer")
)

// Validate refuses what could not work, and what would send secrets in the clear.
func (p *Introspection) Validate() error {
	errs := []error{p.Output.Validate(), p.Cache.Validate(), authn.CheckRealm(p.Realm)}
	below := func(path string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s%w", path, err))
		}
	}
	if p.Endpoint != nil {
		below("endpoint: ", p.Connection.Check(p.Endpoint))
	}
	below("connection.", p.Connection.Validate())
	below("client.", p.Client.Validate())
	below("from.", p.From.Validate())
	if p.DPoP != nil {
		errs = append(errs, match.Within("dpop", p.DPoP.Validate()))
	}
	if p.Leeway < 0 || p.Leeway > time.Hour {
		errs = append(errs, errors.New("leeway: must be 0s to 1h"))
	}
	return errors.Join(errs...)
}

// ReadsCredentials is that of filter.CredentialReader.
func (p *Introspection) ReadsCredentials() filter.CredentialPlaces {
	from := p.from()
	return p.DPoP.Credentials(from.Credentials())
}

// from is where the token is looked for.
func (p *Introspection) from() place.Places { return p.From.OrBearer() }

// Provision makes the client. It asks nothing: a server that is down must not keep Envoy from starting.
func (p *Introspection) Provision(env *filter.Env) error {
	p.From = p.from()
	p.From.Lower()
	if err := p.Start(env, p.Forward); err != nil {
		return err
	}
	if err := p.DPoP.Start(); err != nil {
		return err
	}
	p.refusals.Also = p.DPoP.Challenge(p.Realm)
	p.refusals.Start(env, p.Realm, missing, reasons)
	p.accepted = env.Counter("accepted")
	p.answers = lookup.New[*identity](env, p.Cache)
	if err := p.Client.Start(); err != nil {
		return fmt.Errorf("client.%w", err)
	}
	var err error
	if p.client, p.stop, err = p.Connection.Client(env); err != nil {
		return fmt.Errorf("connection.%w", err)
	}
	return nil
}

// Close closes the connections.
func (p *Introspection) Close() error {
	if p.stop != nil {
		p.stop()
	}
	return nil
}
