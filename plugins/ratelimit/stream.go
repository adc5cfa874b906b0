package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
)

// maxRules is how many rules there may be, so that what is worked out for a request has room on the stack.
const maxRules = 8

// claim is what one rule says of a request.
type claim struct {
	rule *Rule
	cost uint32
	key  [2]uint64
	verdict
	shared bool   // the verdict is Redis's, or by what was taken from there in advance
	asks   bool   // Redis has to be asked
	lent   uint32 // units that were taken in advance and do not suffice
	name   string // of the key in Redis, for one that asks
}

// stream remembers what the response is to say.
type stream struct {
	p      *RateLimit
	fields string // the value of ratelimit
}

func (p *RateLimit) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders counts the request.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p := st.p
	var room [maxRules]claim
	claims, err := p.claims(room[:0], s, h)
	if err != nil {
		p.counts.failed.Inc()
		s.Log().Warn("a key or a cost cannot be found out", "error", err)
		p.note.Set(s, "error", "")
		if p.FailOpen || p.Shadow {
			return filter.Continue
		}
		return p.failed
	}
	if p.Redis != nil {
		if asks, over := p.Redis.borrowed(claims); asks && over == nil {
			return st.ask(s, claims)
		}
	} else {
		p.take(claims)
	}
	action, later := st.conclude(s, claims)
	if later != nil {
		return filter.Go(later)
	}
	return action
}

// ask has Redis decide about a request.
func (st *stream) ask(s filter.Stream, claims []claim) filter.Action {
	p := st.p
	if !p.Redis.try(p.now()) {
		action, later := st.without(s, claims)
		if later != nil {
			return filter.Go(later)
		}
		return action
	}
	kept := append([]claim(nil), claims...)
	return filter.Go(func(ctx context.Context) filter.Action {
		err := p.Redis.fetch(ctx, kept, p.now)
		if err != nil && ctx.Err() != nil {
			return filter.Continue // what is returned now is ignored
		}
		p.Redis.note(err, p.now())
		conclude := st.conclude
		if err != nil {
			conclude = st.without
		}
		action, later := conclude(s, kept)
		if later != nil {
			return later(ctx)
		}
		return action
	})
}

// without decides about a request while Redis does not answer.
func (st *stream) without(s filter.Stream, claims []claim) (now filter.Action, later func(context.Context) filter.Action) {
	p := st.p
	switch {
	case p.Redis.OnFailure == "local":
		p.take(claims)
		return st.conclude(s, claims)
	case p.Redis.OnFailure == "open" || p.Shadow:
		return filter.Continue, nil
	}
	p.counts.failed.Inc()
	p.note.Set(s, "error", "")
	return p.failed, nil
}

// conclude carries out what the claims say together. later, if there is one, ends the phase instead of now.
func (st *stream) conclude(s filter.Stream, claims []claim) (now filter.Action, later func(context.Context) filter.Action) {
	p := st.p
	over, wait := together(claims)
	if over != nil {
		p.giveBack(claims)
		if !p.Shadow {
			return p.refuse(s, claims, over), nil
		}
	}
	if p.Headers == "all" {
		st.fields = fields(claims)
	}
	switch {
	case over != nil:
		p.counts.shadowed.With(over.rule.Name).Inc()
		p.note.Set(s, "limit", over.rule.Name)
	case wait > 0 && !p.Shadow:
		return p.delay(s, claims, wait)
	default:
		p.counts.allowed.Inc()
	}
	return filter.Continue, nil
}

// claims finds the rules that are for a request, its keys and what it costs.
func (p *RateLimit) claims(room []claim, s filter.Stream, h filter.RequestHeaders) ([]claim, error) {
	r := authz.Request{Stream: s, Headers: h}
	if p.reads {
		r, _ = p.path.Request(s, h) // no path is ambiguous to the mode normalize
	}
	var buffer [256]byte
	for i := range p.Rules {
		rule := &p.Rules[i]
		cost, err := rule.units(&r)
		if err != nil {
			return nil, err
		}
		if cost == 0 {
			continue
		}
		key, err := rule.Key.Append(append(buffer[:0], byte(i)), &p.mode, &r)
		if err != nil {
			return nil, errors.Join(errors.New("key of the rule "+rule.Name), err)
		}
		c := claim{rule: rule, cost: cost, key: p.hash(key), shared: p.Redis != nil}
		if c.shared && !p.Redis.borrow(&c, p.now()) {
			c.asks, c.name = true, rule.nameOf(key)
		}
		room = append(room, c)
	}
	return room, nil
}

// take counts a request by all rules in this process.
func (p *RateLimit) take(claims []claim) {
	now := p.now()
	for i := range claims {
		claims[i].shared = false
		if p.table.take(&claims[i], now) {
			p.counts.evicted.Inc()
		}
	}
}

// together returns the claim that refuses, of several the one that does so for longest, or how long the request has to
// wait.
func together(claims []claim) (over *claim, wait time.Duration) {
	for i := range claims {
		c := &claims[i]
		switch {
		case c.ok:
			wait = max(wait, c.wait)
		case over == nil || !over.never && (c.never || c.wait > over.wait):
			over = c
		}
	}
	return over, wait
}

// giveBack undoes what has been counted.
func (p *RateLimit) giveBack(claims []claim) {
	now := p.now()
	for i := range claims {
		c := &claims[i]
		if !c.ok {
			continue
		}
		if c.shared {
			p.Redis.lend(c, c.cost, now)
		} else {
			p.table.giveBack(c, now)
		}
		c.remaining += int64(c.cost)
	}
}

// refuse answers a request that is over a limit.
func (p *RateLimit) refuse(s filter.Stream, claims []claim, over *claim) filter.Action {
	p.counts.limited.With(over.rule.Name).Inc()
	p.note.Set(s, "limit", over.rule.Name)
	options := append(make([]filter.ReplyOption, 0, 5), filter.WithDetails("moe.ratelimit.limited"),
		filter.WithGRPCStatus(resourceExhausted))
	if !over.never {
		options = append(options, filter.WithHeader("retry-after", strconv.FormatInt(seconds(over.wait), 10)))
	}
	if p.Headers != "none" {
		options = append(options, filter.WithHeader(policyField, p.policy), filter.WithHeader(limitField, fields(claims)))
	}
	return filter.Reply(p.Status, p.Body, options...)
}

const resourceExhausted = 8 // of gRPC

// delay lets a request pass when its turn has come. Those that wait are counted by the function that waits, because it does
// not run for a stream that has ended meanwhile.
func (p *RateLimit) delay(s filter.Stream, claims []claim, wait time.Duration) (filter.Action, func(context.Context) filter.Action) {
	if p.delayed.Load() >= p.MaxDelayed { // a flood costs no goroutines
		return p.crowded(s, claims), nil
	}
	kept := append([]claim(nil), claims...)
	return filter.Action{}, func(ctx context.Context) filter.Action {
		defer p.delayed.Add(-1)
		if p.delayed.Add(1) > p.MaxDelayed {
			return p.crowded(s, kept)
		}
		p.counts.delayed.Inc()
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
			p.counts.allowed.Inc()
		case <-ctx.Done(): // what is returned now is ignored
			p.giveBack(kept)
		}
		return filter.Continue
	}
}

// crowded refuses a request that would have to wait when too many do already.
func (p *RateLimit) crowded(s filter.Stream, claims []claim) filter.Action {
	p.giveBack(claims)
	longest := &claims[0]
	for i := range claims {
		if claims[i].wait > longest.wait {
			longest = &claims[i]
		}
	}
	return p.refuse(s, claims, longest)
}

// OnResponseHeaders tells the client what it has left.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if st.fields != "" {
		h.Add(policyField, st.p.policy)
		h.Add(limitField, st.fields)
	}
	return filter.Continue
}
