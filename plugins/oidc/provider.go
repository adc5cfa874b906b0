package oidc

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/guard"
	"mosn.io/moe/plugins/internal/jws"
	"mosn.io/moe/plugins/internal/outbound"
)

const (
	maxAnswer   = 1 << 20 // bytes of an answer of the provider
	rediscovery = time.Hour
	longestWait = 10 * time.Second // between two tries to reach a provider that was never reached
	staleKeys   = 24 * time.Hour   // how long keys are used that cannot be read anew
)

// provider is the OpenID provider. What it says of itself is read in the background.
type provider struct {
	o      *OIDC
	env    *filter.Env
	client *http.Client
	keys   *jws.Remote // that ID tokens are signed with
	meta   atomic.Pointer[metadata]

	mu      sync.Mutex
	reading chan struct{} // closed when the reading under way is over; nil if none is
}

// metadata is what the provider says of itself (OpenID Connect Discovery 1.0).
type metadata struct {
	oauth      oauth2.Config
	verifier   *oidc.IDTokenVerifier
	endSession string
	userInfo   string
	saysIssuer bool // answers to the browser name the issuer (RFC 9207)
}

func (o *OIDC) findProvider(env *filter.Env) (*provider, error) {
	client, stop, err := o.Connection.Client(env)
	if err != nil {
		return nil, err
	}
	outbound.Limit(client, maxAnswer)
	p := &provider{o: o, env: env, client: client, reading: make(chan struct{})}
	p.keys = jws.NewRemote(env, jws.RemoteOptions{Client: client, Allowed: jws.Asymmetric, MaxStale: staleKeys})
	env.Go(func(ctx context.Context) {
		defer stop()
		p.loop(ctx)
	})
	return p, nil
}

// loop reads what the provider says of itself, again and again until it can, and anew now and then.
func (p *provider) loop(ctx context.Context) {
	backoff := time.Second
	for {
		m, err := p.discover(ctx)
		next := rediscovery
		if err == nil {
			p.meta.Store(m)
			backoff = time.Second
		} else if ctx.Err() == nil {
			p.o.failed.Inc()
			p.env.Log().Warn("cannot read what the provider says of itself", "issuer", p.o.Issuer.String(), "error", err)
			next, backoff = backoff, min(2*backoff, longestWait)
		}
		p.mu.Lock()
		close(p.reading)
		p.reading = nil
		p.mu.Unlock()
		timer := time.NewTimer(next + time.Duration(rand.Int64N(int64(next)/10)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		p.mu.Lock()
		p.reading = make(chan struct{})
		p.mu.Unlock()
	}
}

func (p *provider) discover(ctx context.Context) (m *metadata, err error) {
	err = guard.Do(func() error {
		m, err = p.readMetadata(ctx)
		return err
	})
	return m, err
}

func (p *provider) readMetadata(ctx context.Context) (*metadata, error) {
	var more struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
		EndSession string   `json:"end_session_endpoint"`
		Auth       []string `json:"token_endpoint_auth_methods_supported"`
		UserInfo   string   `json:"userinfo_endpoint"`
		SaysIssuer bool     `json:"authorization_response_iss_parameter_supported"`
	}
	var ends oauth2.Endpoint
	if e := p.o.Endpoints; e != nil {
		a := e.addresses()
		ends, more.Keys, more.UserInfo, more.EndSession = a.Endpoint, a.keys, a.userInfo, a.endSession
	} else {
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.o.Issuer.String())
		if err != nil {
			return nil, err
		}
		if err := found.Claims(&more); err != nil {
			return nil, err
		}
		ends = found.Endpoint()
	}
	if p.o.UserInfo && more.UserInfo == "" {
		return nil, errors.New("userinfo_endpoint is missing")
	}
	for _, address := range []string{ends.AuthURL, ends.TokenURL, more.Keys, more.EndSession, more.UserInfo} {
		if u, err := url.Parse(address); address != "" && (err != nil || p.o.Connection.Check(u) != nil) {
			return nil, fmt.Errorf("the address %q is not https", address)
		}
	}
	if ends.AuthURL == "" || ends.TokenURL == "" || more.Keys == "" {
		return nil, errors.New("authorization_endpoint, token_endpoint or jwks_uri is missing")
	}
	keys, err := url.Parse(more.Keys)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	p.keys.Follow(keys)
	ends.AuthStyle = oauth2.AuthStyleInHeader // the default of the specification
	if p.o.ClientSecret.Reveal() == "" || len(more.Auth) > 0 && !slices.Contains(more.Auth, "client_secret_basic") {
		ends.AuthStyle = oauth2.AuthStyleInParams
	}
	return &metadata{
		oauth: oauth2.Config{
			ClientID: p.o.ClientID, ClientSecret: p.o.ClientSecret.Reveal(), Endpoint: ends,
			RedirectURL: p.o.redirect, Scopes: p.o.Scopes,
		},
		verifier: oidc.NewVerifier(p.o.Issuer.String(), idTokenKeys{p.keys}, &oidc.Config{
			ClientID: p.o.ClientID, SupportedSigningAlgs: supported(more.Algorithms),
		}),
		endSession: more.EndSession, userInfo: more.UserInfo, saysIssuer: more.SaysIssuer,
	}, nil
}

// wait returns what the provider says of itself, once the reading that is under way is over; nil if it cannot be read.
func (p *provider) wait(ctx context.Context) *metadata {
	p.mu.Lock()
	reading := p.reading
	p.mu.Unlock()
	if reading != nil && p.meta.Load() == nil {
		select {
		case <-reading:
		case <-ctx.Done():
		}
	}
	return p.meta.Load()
}

// Errors of the provider.
var (
	errDown  = errors.New("the provider does not answer as it should")
	errEnded = errors.New("the provider has ended the session")
	errToken = errors.New("the provider's tokens are not good")
)

// exchange gets the tokens for a code.
func (p *provider) exchange(ctx context.Context, m *metadata, code string, a *attempt) (*session, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	t, err := m.oauth.Exchange(ctx, code, oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return nil, classify(err)
	}
	if err := bearer(t); err != nil {
		return nil, err
	}
	raw, _ := t.Extra("id_token").(string)
	if raw == "" {
		return nil, fmt.Errorf("%w: the ID token is missing", errToken)
	}
	s := &session{Begun: time.Now().Unix()}
	id, err := p.verify(ctx, m, raw, t)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1 {
		return nil, fmt.Errorf("%w: it is of another sign-in", errToken)
	}
	if err := s.take(p.o, id, raw, t); err != nil {
		return nil, err
	}
	return s, p.addUserInfo(ctx, m, s, t.AccessToken)
}

// renew gets new tokens with a refresh token.
func (p *provider) renew(ctx context.Context, m *metadata, old *session) (*session, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	t, err := m.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: old.Refresh}).Token()
	if err != nil {
		return nil, classify(err)
	}
	if err := bearer(t); err != nil {
		return nil, err
	}
	s := *old
	raw, _ := t.Extra("id_token").(string)
	if raw == "" { // there need not be one
		return &s, s.take(p.o, nil, "", t)
	}
	id, err := p.verify(ctx, m, raw, t)
	if err != nil {
		return nil, err
	}
	if id.Subject != old.Subject {
		return nil, fmt.Errorf("%w: it names another user", errToken)
	}
	if err := s.take(p.o, id, raw, t); err != nil {
		return nil, err
	}
	return &s, p.addUserInfo(ctx, m, &s, t.AccessToken)
}

// classify tells a provider that refuses from one that does not work. The error has no text of the provider's, which
// might quote what was sent.
func classify(err error) error {
	var answer *oauth2.RetrieveError
	if !errors.As(err, &answer) {
		var u *url.Error
		if errors.As(err, &u) {
			return fmt.Errorf("%w: %w", errDown, u.Err)
		}
		return fmt.Errorf("%w: %s", errDown, strings.SplitN(err.Error(), "\n", 2)[0])
	}
	if answer.ErrorCode == "invalid_grant" {
		return errEnded
	}
	status := 0
	if answer.Response != nil {
		status = answer.Response.StatusCode
	}
	return fmt.Errorf("%w: the status of its answer is %d", errDown, status)
}

// take takes over what tokens say. id is nil if there is no new ID token.
func (s *session) take(o *OIDC, id *oidc.IDToken, raw string, t *oauth2.Token) error {
	if id != nil {
		s.Subject = id.Subject
		if err := id.Claims(&s.Claims); err != nil {
			return fmt.Errorf("%w: %w", errToken, err)
		}
		if o.Logout.Provider || o.IDTokenHeader != "" {
			s.ID = raw
		}
	}
	s.AccessExpires = 0
	if !t.Expiry.IsZero() {
		s.AccessExpires = t.Expiry.Unix()
	}
	if o.ForwardAccessToken {
		s.Access = t.AccessToken
	}
	if o.Refresh && t.RefreshToken != "" {
		s.Refresh = t.RefreshToken
	}
	return nil
}
