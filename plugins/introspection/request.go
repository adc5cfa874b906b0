package introspection

import (
	"context"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/lookup"
)

// OnRequestHeaders looks for the token and finds out whether it is active: at once where the answer is remembered.
func (p *Introspection) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p.Strip(h) // the client does not say who it is
	token, n := p.From.Find(h)
	proven, m := p.DPoP.Find(h)
	if m == 1 {
		token = proven
	}
	switch {
	case n+m == 0:
		return p.refusals.Refuse(s, missing)
	case n+m > 1:
		return p.refusals.Refuse(s, several)
	case !bearer.WellFormed(token):
		return p.refusals.Refuse(s, malformed)
	}
	return p.answers.Serve(s, p.answers.Key(token), func(ctx context.Context) (lookup.Answer[*identity], error) {
		return p.ask(ctx, token)
	}, func(id *identity, err error) filter.Action {
		if err != nil {
			return p.refusals.Refuse(s, noAnswer)
		}
		return p.conclude(s, h, id, token, m == 1)
	})
}

// conclude lets the request pass or refuses it, by what is known of its token.
func (p *Introspection) conclude(s filter.Stream, h filter.RequestHeaders, id *identity, token string, dpop bool) filter.Action {
	if id.why != nil {
		return p.refusals.Refuse(s, id.why)
	}
	if why := id.bound.Check(s, h, p.DPoP, token, dpop); why != nil {
		return p.refusals.Refuse(s, why)
	}
	if !p.Tell(s, h, &id.says) {
		return p.refusals.Refuse(s, unknown)
	}
	if !p.Forward {
		p.From.Take(h)
		p.DPoP.Take(h)
	}
	p.accepted.Inc()
	return filter.Continue
}
