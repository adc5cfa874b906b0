// Package oidc signs users in at an OpenID provider.
package oidc

import (
	"embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/outbound"
	"mosn.io/moe/plugins/internal/signin"
)

// OIDC lets browsers in whose user has signed in at an OpenID provider (OpenID Connect Core, authorization code flow
// with PKCE), and keeps the session in encrypted cookies.
type OIDC struct {
	// Issuer is the provider, as its ID tokens name it. Its addresses are read from /.well-known/openid-configuration
	// below it.
	Issuer *url.URL `json:"issuer" validate:"required"`
	// ClientID is what the provider knows this service by.
	ClientID string `json:"clientID" validate:"required"`
	// ClientSecret is the secret shared with the provider. Leave it empty for a public client.
	ClientSecret filter.Secret `json:"clientSecret"`
	// Redirect is where the provider sends browsers back to: a URL of this service that no other thing has.
	Redirect *url.URL `json:"redirect" validate:"required"`
	// Scopes are those that are asked for, besides openid.
	Scopes []string `json:"scopes"`
	// CookieSecrets encrypt the cookies: the first new ones, the others those that were made with them before. 32 bytes
	// each at least.
	CookieSecrets []filter.Secret `json:"cookieSecrets" validate:"required,min=1"`
	// Cookie says how cookies are set.
	Cookie Cookie `json:"cookie"`
	// Lifetime is how long a session lasts at most.
	Lifetime time.Duration `json:"lifetime" default:"8h"`
	// Refresh gets new tokens with the refresh token, if the provider gave one, when the access token has expired, and
	// ends the session if the provider refuses. Otherwise a session lasts as long as Lifetime, whatever the tokens do.
	Refresh bool `json:"refresh" default:"true"`
	// Login is the path of a page that signs in and goes on to the same-origin address in its parameter return.
	Login string `json:"login"`
	// Logout is how users sign out.
	Logout Logout `json:"logout"`
	// Parameters are what the provider is asked for besides, such as prompt, acr_values or audience.
	Parameters map[string]string `json:"parameters"`
	// Endpoints are the provider's addresses, where it does not say them itself.
	Endpoints *Endpoints `json:"endpoints"`
	// UserInfo adds what the provider's UserInfo endpoint says to the claims of the ID token, which go before.
	UserInfo bool `json:"userInfo"`
	// IDTokenHeader is a request header by which the upstream sees the ID token.
	IDTokenHeader string `json:"idTokenHeader"`
	// ForwardAccessToken sends the access token to the upstream, in the header authorization.
	ForwardAccessToken bool `json:"forwardAccessToken"`
	// Connection is how the provider is reached.
	Connection outbound.Connection `json:"connection"`
	claims.Output

	keys     *signin.Keys
	cookies  signin.Cookies
	provider *provider
	redirect string
	// callbackPath is the path of Redirect as browsers send it.
	callbackPath string
	fresh        refreshes

	signedIn, signedOut, refreshed, failed *filter.Counter
	refused                                *filter.Tagged[*filter.Counter]
}

// Cookie is how cookies are set.
type Cookie struct {
	// Name is that of the session's cookie; others begin with it. With the prefix __Host- it needs https.
	Name string `json:"name" default:"__Host-oidc"`
	signin.Attributes
}

// Logout is how users sign out.
type Logout struct {
	// Path is the address that ends the session. If it is empty, users cannot sign out.
	Path string `json:"path"`
	// Provider signs the user out at the provider, too (OpenID Connect RP-Initiated Logout).
	Provider bool `json:"provider"`
	// Redirect is where the user is sent then: a path of this service, or, with provider, a URL that the provider knows.
	Redirect *url.URL `json:"redirect"`
}

// Endpoints are the addresses of a provider that does not say them itself.
type Endpoints struct {
	// Authorization is where users sign in.
	Authorization *url.URL `json:"authorization" validate:"required"`
	// Token is where codes are exchanged.
	Token *url.URL `json:"token" validate:"required"`
	// Keys is where the keys are that ID tokens are signed with.
	Keys *url.URL `json:"keys" validate:"required"`
	// UserInfo is where it tells more about users.
	UserInfo *url.URL `json:"userInfo"`
	// EndSession is where users sign out.
	EndSession *url.URL `json:"endSession"`
}

//go:embed README.md schema.json
var docs embed.FS

func init() {
	filter.RegisterPerStream("oidc", filter.Authn, (*OIDC).newStream, filter.WithCredential[claims.Credential](),
		filter.Docs(docs))
}

// Validate refuses what would send secrets in the clear, and cookies that no browser takes.
func (o *OIDC) Validate() error {
	errs := []error{o.Output.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := o.Connection.Validate(); err != nil {
		fail("connection.%w", err)
	}
	if err := o.Connection.Check(o.Issuer); err != nil {
		fail("issuer: %w", err)
	}
	switch r := o.Redirect; {
	case r == nil || r.Host == "" || r.Scheme != "https" && (r.Scheme != "http" || !o.Cookie.Insecure):
		fail("redirect: must be an https URL (http is for cookie.insecure)")
	case r.RawQuery != "" || r.Fragment != "" || len(r.Path) < 2:
		fail("redirect: must have a path of its own, and no query")
	}
	if o.ClientID == "" {
		fail("clientID: must not be empty")
	}
	errs = append(errs, signin.CheckSecrets(o.CookieSecrets), o.checkMore())
	if o.Lifetime < time.Minute || o.Lifetime > 400*24*time.Hour {
		fail("lifetime: must be 1m to 400 days, which is as long as browsers keep cookies")
	}
	own := []signin.Path{{Field: "login", Path: o.Login}, {Field: "logout.path", Path: o.Logout.Path}}
	if o.Redirect != nil {
		own = append([]signin.Path{{Field: "redirect", Path: o.Redirect.EscapedPath()}}, own...)
	}
	errs = append(errs, signin.CheckPaths(own...))
	if r := o.Logout.Redirect; r != nil && !o.Logout.Provider && signin.SafePath(r.String()) != r.String() {
		fail("logout.redirect: must be a path of this service unless logout.provider is set")
	}
	return errors.Join(append(errs, o.Cookie.Check(o.Cookie.Name))...)
}

// OwnsRequestHeaders is that of filter.HeaderOwner.
func (o *OIDC) OwnsRequestHeaders() []string {
	names := o.Output.OwnsRequestHeaders()
	if o.ForwardAccessToken {
		names = append(names, "authorization")
	}
	if o.IDTokenHeader != "" {
		names = append(names, o.IDTokenHeader)
	}
	return names
}

// ReadsCredentials is that of filter.CredentialReader.
func (o *OIDC) ReadsCredentials() filter.CredentialPlaces {
	cookies := signin.Cookies{Name: o.Cookie.Name}
	places := cookies.ReadsCredentials()
	places.Queries = []string{"code"}
	return places
}

// Provision begins to read the provider's addresses.
func (o *OIDC) Provision(env *filter.Env) error {
	if err := o.Start(env, o.ForwardAccessToken || o.IDTokenHeader != ""); err != nil {
		return err
	}
	o.cookies = signin.Cookies{Name: o.Cookie.Name, Attributes: o.Cookie.Attributes}
	var err error
	if o.keys, err = signin.NewKeys(o.CookieSecrets, "moe oidc cookies 1", o.Issuer.String()+"\x00"+o.ClientID); err != nil {
		return err
	}
	o.IDTokenHeader = strings.ToLower(o.IDTokenHeader)
	o.redirect, o.callbackPath = o.Redirect.String(), o.Redirect.EscapedPath()
	o.Scopes = append([]string{"openid"}, slices.DeleteFunc(o.Scopes, func(s string) bool { return s == "openid" })...)
	o.signedIn, o.signedOut = env.Counter("signed_in"), env.Counter("signed_out")
	o.refreshed, o.refused = env.Counter("refreshed"), env.Tag("reason").Counter("refused")
	o.failed = env.Counter("provider_failed")
	if o.provider, err = o.findProvider(env); err != nil {
		return fmt.Errorf("connection.%w", err)
	}
	return nil
}
