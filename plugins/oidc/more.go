package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/outbound"
)

// ownParameters are those of a sign-in that the plugin sets itself, or that would set others.
var ownParameters = []string{
	"client_id", "client_secret", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge",
	"code_challenge_method", "request", "request_uri", "",
}

// checkMore says what is wrong with parameters, endpoints and the header of the ID token.
func (o *OIDC) checkMore() error {
	var errs []error
	for name := range o.Parameters {
		if slices.Contains(ownParameters, name) {
			errs = append(errs, fmt.Errorf("parameters.%s: is set by the plugin", name))
		}
	}
	if e := o.Endpoints; e != nil {
		for _, x := range []struct {
			field    string
			u        *url.URL
			required bool
		}{
			{"authorization", e.Authorization, true},
			{"token", e.Token, true},
			{"keys", e.Keys, true},
			{"userInfo", e.UserInfo, o.UserInfo},
			{"endSession", e.EndSession, o.Logout.Provider},
		} {
			if x.u == nil && !x.required {
				continue
			}
			if err := o.Connection.Check(x.u); err != nil {
				errs = append(errs, fmt.Errorf("endpoints.%s: %w", x.field, err))
			}
		}
	}
	if o.IDTokenHeader != "" {
		if err := fieldname.Check(o.IDTokenHeader); err != nil {
			errs = append(errs, fmt.Errorf("idTokenHeader: %w", err))
		}
	}
	return errors.Join(errs...)
}

// addresses are a provider's.
type addresses struct {
	oauth2.Endpoint
	keys, userInfo, endSession string
}

// addresses are those of a provider that does not say them itself.
func (e *Endpoints) addresses() (a addresses) {
	text := func(u *url.URL) string {
		if u == nil {
			return ""
		}
		return u.String()
	}
	a.AuthURL, a.TokenURL = text(e.Authorization), text(e.Token)
	a.keys, a.userInfo, a.endSession = text(e.Keys), text(e.UserInfo), text(e.EndSession)
	return a
}

// parameters are what a sign-in asks for besides.
func (o *OIDC) parameters() (opts []oauth2.AuthCodeOption) {
	for name, value := range o.Parameters {
		opts = append(opts, oauth2.SetAuthURLParam(name, value))
	}
	return opts
}

// addUserInfo adds what the provider says of the user (OpenID Connect Core, section 5.3) to the claims of a session. Those of the ID
// token, which is signed, go before.
func (p *provider) addUserInfo(ctx context.Context, m *metadata, s *session, access string) error {
	if !p.o.UserInfo {
		return nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.userInfo, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errDown, outbound.Plain(err))
	}
	r.Header.Set("authorization", "Bearer "+access)
	r.Header.Set("accept", "application/json")
	w, err := p.client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errDown, outbound.Plain(err))
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: the status of its answer about the user is %d", errDown, w.StatusCode)
	}
	if kind, _, _ := mime.ParseMediaType(w.Header.Get("content-type")); kind != "application/json" {
		return fmt.Errorf("%w: its answer about the user is not JSON", errToken)
	}
	text, err := outbound.ReadAll(w.Body, maxAnswer)
	if err != nil {
		return fmt.Errorf("%w: %w", errDown, outbound.Plain(err))
	}
	more, err := claims.Object(nil, text)
	if err != nil {
		return fmt.Errorf("%w: its answer about the user %w", errToken, err)
	}
	if subject, _ := claims.Str(claims.Find(more, "sub")); subject != s.Subject {
		return fmt.Errorf("%w: its answer is about another user", errToken)
	}
	said, err := claims.Object(nil, s.Claims)
	if err != nil {
		return fmt.Errorf("%w: %w", errToken, err)
	}
	all := make(map[string]json.RawMessage, len(said)+len(more))
	for _, c := range append(more, said...) {
		all[c.Name] = c.Value
	}
	s.Claims, err = json.Marshal(all)
	return err
}
