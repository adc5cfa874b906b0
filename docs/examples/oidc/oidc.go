// Package oidc signs users in at an OpenID provider.
//
// It shows a callout: the plugin exchanges the code that the browser brings at the provider's token endpoint, through
// an Envoy cluster or directly, in Go, off Envoy's thread. It also shows replies with cookies, and a Key, by which
// later plugins of the stream learn who the user is.
//
// It is an example and not a plugin for production. It does OpenID Connect's authorization code flow with state, nonce
// and PKCE, and signs its cookies; it takes the ID token from the provider's TLS connection on trust, which the
// specification allows (OpenID Connect Core, 3.1.3.7, point 6), and so needs no keys. It has no discovery, no refresh,
// no logout and no revocation: a session lasts as long as it was made for, and its cookie can be read, though not
// changed, by whoever has it. More than one tab signing in at once will see one of them fail.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
)

// OIDC redirects browsers to the provider and keeps the identity in a cookie.
type OIDC struct {
	// Issuer is the provider, as its ID tokens name it.
	Issuer string `json:"issuer" validate:"required"`
	// Authorize is where users sign in.
	Authorize *url.URL `json:"authorize" validate:"required"`
	// Token is where codes are exchanged.
	Token *url.URL `json:"token" validate:"required"`
	// ClientID and ClientSecret are what the provider knows this client by.
	ClientID     string        `json:"clientID" validate:"required"`
	ClientSecret filter.Secret `json:"clientSecret" validate:"required"`
	// Redirect is where the provider sends the browser back to: an https URL whose path reaches this plugin.
	Redirect *url.URL `json:"redirect" validate:"required"`
	// Cluster is the Envoy cluster of the provider. Without one, net/http connects to it.
	Cluster string `json:"cluster"`
	// Timeout for the exchange.
	Timeout time.Duration `json:"timeout" default:"3s"`
	// Session is how long a user stays signed in.
	Session time.Duration `json:"session" default:"1h"`

	client *http.Client
	sealer sealer
}

// User is who has signed in; later plugins read it.
var User = filter.NewKey[string]("oidc.user")

// signIn is how long a user may take to sign in.
const signIn = 10 * time.Minute

// Cookies. A cookie of this prefix is one that no other host and no plain connection can have set.
const (
	stateCookie   = "__Host-oidc-state"
	sessionCookie = "__Host-oidc-session"
)

func init() { filter.Register[OIDC]("oidc", filter.Authn) }

// Validate refuses URLs that would send secrets in the clear.
func (o *OIDC) Validate() error {
	for name, u := range map[string]*url.URL{"authorize": o.Authorize, "token": o.Token, "redirect": o.Redirect} {
		if u == nil || u.Host == "" || u.Scheme != "https" && (name != "token" || o.Cluster == "") {
			return fmt.Errorf("%s: must be an https URL", name)
		}
	}
	if o.Timeout <= 0 || o.Session <= 0 {
		return fmt.Errorf("timeout and session must be positive")
	}
	return nil
}

// Provision finds the cluster.
func (o *OIDC) Provision(env *filter.Env) (err error) {
	o.client = &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if o.Cluster != "" {
		if o.client.Transport, err = env.Transport(o.Cluster); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	o.sealer = newSealer(o.ClientSecret)
	return nil
}

// attempt is what the browser carries to the provider and back, in a cookie.
type attempt struct{ State, Nonce, Verifier, Back string }

// OnRequestHeaders lets users in who have a session, and sends others to the provider.
func (o *OIDC) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	h.Del("x-user") // nobody but this plugin says who it is
	u := h.URL()
	if u.Path == o.Redirect.Path {
		return o.callback(u.Query(), h)
	}
	var user string
	if c, ok := h.Cookie(sessionCookie); ok && o.sealer.open("session", c, &user) {
		User.Set(s, user)
		h.Set("x-user", user)
		return filter.Continue
	}
	if h.Method() != http.MethodGet { // a form or a script has no use for a page to sign in at
		return filter.Reply(http.StatusUnauthorized, "sign in first\n")
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: rand.Text() + rand.Text(), Back: back(h.Path())}
	challenge := sha256.Sum256([]byte(a.Verifier))
	to, query := *o.Authorize, o.Authorize.Query()
	for name, value := range map[string]string{
		"client_id": o.ClientID, "redirect_uri": o.Redirect.String(), "response_type": "code", "scope": "openid",
		"state": a.State, "nonce": a.Nonce, "code_challenge_method": "S256",
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]),
	} {
		query.Set(name, value)
	}
	to.RawQuery = query.Encode()
	return filter.Redirect(to.String(), filter.WithCookie(cookie(stateCookie, o.sealer.seal("state", a, signIn), signIn)))
}

// back returns a path of this host. "//other" would be another's.
func back(path string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) {
		return "/"
	}
	return path
}

func (o *OIDC) callback(q url.Values, h filter.RequestHeaders) filter.Action {
	var a attempt
	c, _ := h.Cookie(stateCookie)
	if !o.sealer.open("state", c, &a) || q.Get("state") != a.State {
		return filter.Reply(http.StatusBadRequest, "this sign-in was not begun here, or too long ago\n")
	}
	if q.Get("code") == "" {
		return filter.Reply(http.StatusForbidden, "the provider did not sign you in\n")
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		user, err := o.exchange(ctx, q.Get("code"), a)
		if err != nil {
			return filter.Fail(err)
		}
		return filter.Redirect(a.Back,
			filter.WithCookie(cookie(sessionCookie, o.sealer.seal("session", user, o.Session), o.Session)),
			filter.WithCookie(cookie(stateCookie, "", -time.Second)))
	})
}

func cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: true,
		SameSite: http.SameSiteLaxMode,
	}
}
