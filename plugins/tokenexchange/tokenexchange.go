// Package tokenexchange has an authorization server exchange the caller's token for one that is meant for the upstream
// (RFC 8693).
package tokenexchange

import (
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/oauthclient"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/place"
)

// TokenExchange replaces the token of a request.
type TokenExchange struct {
	// Endpoint is the token endpoint of the authorization server.
	Endpoint *url.URL `json:"endpoint" validate:"required"`
	// Client is how the server knows who asks.
	Client oauthclient.Client `json:"client"`
	// Connection is how the endpoint is reached.
	Connection outbound.Connection `json:"connection"`
	// From is where the caller's token is looked for: by default in the header authorization, after Bearer. It is taken off the
	// request.
	From place.Places `json:"from"`
	// SubjectTokenType is what kind of token that is.
	SubjectTokenType string `json:"subjectTokenType" default:"urn:ietf:params:oauth:token-type:access_token"`
	// RequestedTokenType is what kind of token is wanted; if it is empty, the server decides.
	RequestedTokenType string `json:"requestedTokenType"`
	// Audiences are the names of the services that the new token is for.
	Audiences []string `json:"audiences"`
	// Resources are their URIs.
	Resources []string `json:"resources"`
	// Scopes are what the new token may be used for; without any, the server decides.
	Scopes []string `json:"scopes"`
	// Actor is who acts for the caller.
	Actor *Actor `json:"actor"`
	// Header is the request header for the new token.
	Header string `json:"header" default:"authorization"`
	// Scheme is the word before it; if it is empty, there is none.
	Scheme string `json:"scheme" default:"Bearer"`
	// Optional lets requests pass that have no token. Otherwise they are answered with 401.
	Optional bool `json:"optional"`
	// Realm is that of the header www-authenticate.
	Realm string `json:"realm" default:"moe"`
	lookup.Cache

	refusals  bearer.Refusals
	exchanged *filter.Counter
	client    *http.Client
	stop      func()
	answers   *lookup.Table[*exchange]
}

// Actor is who acts for the caller.
type Actor struct {
	// Token says who that is.
	Token filter.Secret `json:"token" validate:"required"`
	// Type is what kind of token it is.
	Type string `json:"type" default:"urn:ietf:params:oauth:token-type:access_token"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.Register[TokenExchange]("tokenexchange", filter.Transform, filter.Docs(docs))
}

var (
	reasons bearer.Reasons

	missing   = reasons.New("missing", 401, "", "missing token")
	several   = reasons.New("several", 400, "invalid_request", "more than one token")
	malformed = reasons.Bad("malformed", "malformed token")
	refused   = reasons.Bad("refused", "the token cannot be exchanged")
	forbidden = reasons.New("target", 403, "insufficient_scope", "the token does not allow this")
	noAnswer  = reasons.New("no_answer", 503, "", "the authorization server cannot be asked")
)

// Validate refuses what could not work, and what would send secrets in the clear.
func (p *TokenExchange) Validate() error {
	errs := []error{p.Cache.Validate(), authn.CheckRealm(p.Realm)}
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
	below("header: ", fieldname.Check(p.Header))
	if strings.ContainsAny(p.Scheme, " \t") || !fieldname.ValidValue(p.Scheme) {
		errs = append(errs, errors.New("scheme: must be one word"))
	}
	if p.SubjectTokenType == "" {
		errs = append(errs, errors.New("subjectTokenType: must not be empty"))
	}
	for i, r := range p.Resources {
		if u, err := url.Parse(r); err != nil || !u.IsAbs() || u.Fragment != "" {
			errs = append(errs, fmt.Errorf("resources[%d]: must be an absolute URI without a fragment", i))
		}
	}
	for i, s := range p.Scopes {
		if s == "" || strings.ContainsAny(s, " \"\\") {
			errs = append(errs, fmt.Errorf("scopes[%d]: must be one word", i))
		}
	}
	return errors.Join(errs...)
}

// ReadsCredentials is that of filter.CredentialReader.
func (p *TokenExchange) ReadsCredentials() filter.CredentialPlaces {
	from := p.From.OrBearer()
	return from.Credentials()
}

// OwnsRequestHeaders is that of filter.HeaderOwner: the header for the new token, unless it is where callers have theirs.
func (p *TokenExchange) OwnsRequestHeaders() []string {
	from := p.From.OrBearer()
	if slices.ContainsFunc(from.Headers, func(h place.Header) bool { return strings.EqualFold(h.Name, p.Header) }) {
		return nil
	}
	return []string{p.Header}
}

// Provision makes the client. It asks nothing: a server that is down must not keep Envoy from starting.
func (p *TokenExchange) Provision(env *filter.Env) (err error) {
	p.From = p.From.OrBearer()
	p.From.Lower()
	p.Header = strings.ToLower(p.Header)
	p.refusals.Start(env, p.Realm, missing, reasons)
	p.exchanged = env.Counter("exchanged")
	p.answers = lookup.New[*exchange](env, p.Cache)
	if err := p.Client.Start(); err != nil {
		return fmt.Errorf("client.%w", err)
	}
	if p.client, p.stop, err = p.Connection.Client(env); err != nil {
		return fmt.Errorf("connection.%w", err)
	}
	return nil
}

// Close closes the connections.
func (p *TokenExchange) Close() error {
	if p.stop != nil {
		p.stop()
	}
	return nil
}
