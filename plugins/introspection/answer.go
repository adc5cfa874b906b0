package introspection

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/claims"
	"mosn.io/moe/plugins/internal/lookup"
	"mosn.io/moe/plugins/internal/possession"
)

// identity is what the server has said of a token. It does not change.
type identity struct {
	why   *bearer.Reason // it is refused; nil if it is good
	says  claims.Described
	bound possession.Confirmation
}

func refused(why *bearer.Reason) (lookup.Answer[*identity], error) {
	return lookup.Answer[*identity]{Value: &identity{why: why}, Refused: true}, nil
}

// ask asks the server about a token.
func (p *Introspection) ask(ctx context.Context, token string) (none lookup.Answer[*identity], err error) {
	form := url.Values{"token": {token}}
	if p.TokenTypeHint != "" {
		form.Set("token_type_hint", p.TokenTypeHint)
	}
	w, err := p.Client.Post(ctx, p.client, p.Endpoint, form)
	switch {
	case err != nil:
		return none, err
	case w.Status != http.StatusOK:
		return none, fmt.Errorf("the authorization server answers %d", w.Status)
	}
	return p.read(w.Body, time.Now())
}

var errAnswer = errors.New("the authorization server's answer is not understood")

// read takes an answer (RFC 7662, section 2.2) apart. An error is that it says nothing about the token.
func (p *Introspection) read(body []byte, now time.Time) (a lookup.Answer[*identity], err error) {
	said, err := claims.Object(nil, body)
	if err != nil {
		return a, errAnswer
	}
	member := func(name string) []byte {
		for _, m := range said {
			if m.Name == name {
				return m.Value
			}
		}
		return nil
	}
	switch active := member("active"); {
	case bytes.Equal(active, []byte("false")):
		return refused(inactive)
	case !bytes.Equal(active, []byte("true")):
		return a, errAnswer
	}
	exp, hasExp, err := date(member("exp"))
	if err != nil {
		return a, err
	}
	nbf, _, err := date(member("nbf"))
	if err != nil {
		return a, err
	}
	issuer, _ := claims.Str(member("iss"))
	switch {
	case hasExp && !now.Before(exp.Add(p.Leeway)):
		return refused(expired)
	case now.Add(p.Leeway).Before(nbf):
		return refused(notYet)
	case p.Issuer != "" && issuer != p.Issuer:
		return refused(badIssuer)
	case len(p.Audiences) > 0 && !claims.HasAudience(member("aud"), p.Audiences):
		return refused(badAudience)
	}
	for i := range p.RequiredClaims {
		if !p.RequiredClaims[i].Met(said) {
			return refused(notAllowed)
		}
	}
	id := &identity{}
	if id.bound, err = possession.Read(member("cnf")); err != nil {
		return refused(possession.NotBound)
	}
	if id.says, err = p.Describe(issuer, said); err != nil {
		return refused(badClaim)
	}
	if hasExp {
		a.Until = exp.Add(p.Leeway)
	}
	a.Value = id
	return a, nil
}

// date reads a NumericDate. Null is as good as none.
func date(value []byte) (t time.Time, ok bool, err error) {
	if value == nil || bytes.Equal(value, []byte("null")) {
		return t, false, nil
	}
	if t, ok = claims.NumericDate(value); !ok {
		return t, false, errAnswer
	}
	return t, true, nil
}
