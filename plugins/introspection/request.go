package introspection

import (
	"context"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/bearer"
	"mosn.io/moe/plugins/internal/lookup"
)

// OnRequestHeaders looks for the token and finds out whether it is active: at once where the answer is remembered.
func (p *Introspection) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p.Strip(h) // the client does not say who it is
	token, n := p.From.Find(h)
	switch {
	case n == 0:
		return p.refusals.Refuse(s, missing)
	case n > 1:
		return p.refusals.Refuse(s, several)
	case !bearer.WellFormed(token):
		return p.refusals.Refuse(s, malformed)
	}
	key := p.answers.Key(token)
	if id, ok := p.answers.Known(key, time.Now()); ok {
		return p.conclude(s, h, id)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		id, err := p.answers.Ask(ctx, key, func(ctx context.Context) (lookup.Answer[*identity], error) {
			return p.ask(ctx, token)
		})
		if err != nil {
			if !errors.Is(err, filter.ErrStreamDone) {
				s.Log().Warn("cannot find out whether a token is active", "error", err)
			}
			return p.refusals.Refuse(s, noAnswer)
		}
		return p.conclude(s, h, id)
	})
}

// conclude lets the request pass or refuses it, by what is known of its token.
func (p *Introspection) conclude(s filter.Stream, h filter.RequestHeaders, id *identity) filter.Action {
	switch {
	case id.why != nil:
		return p.refusals.Refuse(s, id.why)
	case !id.boundTo(s):
		return p.refusals.Refuse(s, notBound)
	case !p.Tell(s, h, &id.says):
		return p.refusals.Refuse(s, unknown)
	}
	if !p.Forward {
		p.From.Take(h)
	}
	p.accepted.Inc()
	return filter.Continue
}
