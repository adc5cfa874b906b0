package ldapauth

import (
	"context"
	"errors"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authn"
	"mosn.io/moe/plugins/internal/lookup"
)

const maxName = 256 // bytes

// OnRequestHeaders finds out whether the password is right: at once where that is remembered.
func (p *LDAPAuth) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p.Strip(h) // the client does not say who it is
	value, n := authn.FindBasic(h)
	switch {
	case n == 0:
		return p.refuse.Missing()
	case n > 1:
		return p.refuse.Refuse(s, ambiguous, "")
	}
	user, password, ok := authn.ParseBasic(value)
	if !ok || len(user) > maxName {
		return p.refuse.Refuse(s, malformed, "")
	}
	key := p.answers.Key(user, password)
	if id, ok := p.answers.Known(key, time.Now()); ok {
		return p.conclude(s, h, user, id)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		id, err := p.answers.Ask(ctx, key, func(ctx context.Context) (lookup.Answer[*identity], error) {
			id, err := p.ask(ctx, user, password)
			if err != nil {
				return lookup.Answer[*identity]{}, err
			}
			return lookup.Answer[*identity]{Value: id, Refused: id.why != nil}, nil
		})
		if err != nil {
			if !errors.Is(err, filter.ErrStreamDone) {
				s.Log().Warn("cannot ask the directory", "error", err)
			}
			return p.refuse.Refuse(s, noAnswer, user)
		}
		return p.conclude(s, h, user, id)
	})
}

// conclude lets the request pass or refuses it, by what the directory says.
func (p *LDAPAuth) conclude(s filter.Stream, h filter.RequestHeaders, user string, id *identity) filter.Action {
	if id.why != nil {
		return p.refuse.Refuse(s, id.why, user)
	}
	if !p.Tell(s, h, &id.says) {
		return p.refuse.Refuse(s, unknown, user)
	}
	if !p.Forward {
		h.Del("authorization")
	}
	c := s.Consumer()
	if p.ConsumerClaim == "" {
		if c = p.env.Consumer(id.name); c == nil {
			c = &filter.Consumer{Name: id.name}
		}
	}
	return p.refuse.Allow(s, c)
}
