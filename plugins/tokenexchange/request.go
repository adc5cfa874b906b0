package tokenexchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/lookup"
)

// exchange is what the server gives for a token. It does not change.
type exchange struct {
	why   *bearer.Reason // it gives none; nil if it does
	value string         // of the header
}

// OnRequestHeaders exchanges the token: at once where the new one is remembered.
func (p *TokenExchange) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	token, n := p.From.Find(h)
	switch {
	case n == 0 && p.Optional:
		return filter.Continue
	case n == 0:
		return p.refusals.Refuse(s, missing)
	case n > 1:
		return p.refusals.Refuse(s, several)
	case !bearer.WellFormed(token):
		return p.refusals.Refuse(s, malformed)
	}
	return p.answers.Serve(s, p.answers.Key(token), func(ctx context.Context) (lookup.Answer[*exchange], error) {
		return p.ask(ctx, token)
	}, func(x *exchange, err error) filter.Action {
		if err != nil {
			return p.refusals.Refuse(s, noAnswer)
		}
		return p.conclude(s, h, x)
	})
}

func (p *TokenExchange) conclude(s filter.Stream, h filter.RequestHeaders, x *exchange) filter.Action {
	if x.why != nil {
		return p.refusals.Refuse(s, x.why)
	}
	p.From.Take(h)
	h.Set(p.Header, x.value)
	p.exchanged.Inc()
	return filter.Continue
}

// ask has the server exchange a token.
func (p *TokenExchange) ask(ctx context.Context, token string) (none lookup.Answer[*exchange], err error) {
	form := url.Values{
		"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {token}, "subject_token_type": {p.SubjectTokenType},
		"audience": p.Audiences, "resource": p.Resources,
	}
	if p.RequestedTokenType != "" {
		form.Set("requested_token_type", p.RequestedTokenType)
	}
	if len(p.Scopes) > 0 {
		form.Set("scope", strings.Join(p.Scopes, " "))
	}
	if p.Actor != nil {
		form.Set("actor_token", p.Actor.Token.Reveal())
		form.Set("actor_token_type", p.Actor.Type)
	}
	w, err := p.Client.Post(ctx, p.client, p.Endpoint, form)
	if err != nil {
		return none, err
	}
	return p.read(w.Status, w.Body, time.Now())
}

var errAnswer = errors.New("the authorization server's answer is not understood")

// read takes an answer (RFC 8693, section 2.2) apart. An error is that it says nothing about the token.
func (p *TokenExchange) read(status int, body []byte, now time.Time) (a lookup.Answer[*exchange], err error) {
	said, err := claims.Object(nil, body)
	member := func(name string) []byte {
		for _, m := range said {
			if m.Name == name {
				return m.Value
			}
		}
		return nil
	}
	switch {
	case status == http.StatusBadRequest && err == nil, status == http.StatusForbidden && err == nil:
		code, _ := claims.Str(member("error"))
		switch code {
		case "invalid_request", "invalid_grant", "invalid_token":
			return lookup.Answer[*exchange]{Value: &exchange{why: refused}, Refused: true}, nil
		case "invalid_target", "invalid_scope", "access_denied":
			return lookup.Answer[*exchange]{Value: &exchange{why: forbidden}, Refused: true}, nil
		}
		return a, fmt.Errorf("the authorization server answers %d", status)
	case status != http.StatusOK:
		return a, fmt.Errorf("the authorization server answers %d", status)
	case err != nil:
		return a, errAnswer
	}
	token, _ := claims.Str(member("access_token"))
	kind, _ := claims.Str(member("token_type"))
	if !bearer.WellFormed(token) || !strings.EqualFold(kind, "bearer") && !strings.EqualFold(kind, "n_a") {
		return a, errAnswer // a token of DPoP needs more than a header
	}
	if life := member("expires_in"); life != nil {
		var seconds float64
		if err := json.Unmarshal(life, &seconds); err != nil || seconds < 0 || seconds > 1e9 {
			return a, errAnswer
		}
		// The upstream is to get no token that ends on the way.
		left := time.Duration(seconds * float64(time.Second))
		a.Until = now.Add(left - min(left/10, 10*time.Second))
	}
	a.Value = &exchange{value: strings.TrimLeft(p.Scheme+" "+token, " ")}
	return a, nil
}
