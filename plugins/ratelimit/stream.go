package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"time"

	"mosn.io/moe/framework/filter"
)

// maxRules is how many rules there may be, so that what is worked out for a request has room on the stack.
const maxRules = 8

// claim is what one rule says of a request.
type claim struct {
	rule *Rule
	cost uint32
	key  [2]uint64
	verdict
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
		p.note(s, "error", "")
		if p.FailOpen || p.Shadow {
			return filter.Continue
		}
		return p.failed
	}
	over, wait := p.take(claims)
	if over != nil && !p.Shadow {
		return p.refuse(s, claims, over)
	}
	if p.Headers == "all" {
		st.fields = fields(claims)
	}
	switch {
	case over != nil:
		p.counts.shadowed.With(over.rule.Name).Inc()
		p.note(s, "limit", over.rule.Name)
	case wait > 0 && !p.Shadow:
		return p.delay(s, claims, wait)
	default:
		p.counts.allowed.Inc()
	}
	return filter.Continue
}

// claims finds the rules that are for a request, its keys and what it costs.
func (p *RateLimit) claims(room []claim, s filter.Stream, h filter.RequestHeaders) ([]claim, error) {
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
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
		key := append(buffer[:0], byte(i))
		for k := range rule.Key {
			if key, err = rule.Key[k].append(key, &p.mode, &r); err != nil {
				return nil, errors.Join(errors.New("key of the rule "+rule.Name), err)
			}
		}
		room = append(room, claim{rule: rule, cost: cost, key: p.hash(key)})
	}
	return room, nil
}

// take counts a request by all rules, or, if one of them refuses, by none. It returns the claim that refuses, of several
// the one that does so for longest, or how long the request has to wait.
func (p *RateLimit) take(claims []claim) (over *claim, wait time.Duration) {
	now := p.now()
	for i := range claims {
		c := &claims[i]
		if p.table.take(c, now) {
			p.counts.evicted.Inc()
		}
		switch {
		case c.ok:
			wait = max(wait, c.wait)
		case over == nil || !over.never && (c.never || c.wait > over.wait):
			over = c
		}
	}
	if over != nil {
		p.giveBack(claims, now)
	}
	return over, wait
}

// giveBack undoes what take has counted.
func (p *RateLimit) giveBack(claims []claim, now int64) {
	for i := range claims {
		if c := &claims[i]; c.ok {
			p.table.giveBack(c, now)
			c.remaining += int64(c.cost)
		}
	}
}

// refuse answers a request that is over a limit.
func (p *RateLimit) refuse(s filter.Stream, claims []claim, over *claim) filter.Action {
	p.counts.limited.With(over.rule.Name).Inc()
	p.note(s, "limit", over.rule.Name)
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

// delay lets a request pass when its turn has come.
func (p *RateLimit) delay(s filter.Stream, claims []claim, wait time.Duration) filter.Action {
	if p.delayed.Add(1) > p.MaxDelayed {
		p.delayed.Add(-1)
		p.giveBack(claims, p.now())
		longest := &claims[0]
		for i := range claims {
			if claims[i].wait > longest.wait {
				longest = &claims[i]
			}
		}
		return p.refuse(s, claims, longest)
	}
	p.counts.delayed.Inc()
	kept := append([]claim(nil), claims...)
	return filter.Go(func(ctx context.Context) filter.Action {
		defer p.delayed.Add(-1)
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
			p.counts.allowed.Inc()
		case <-ctx.Done(): // what is returned now is ignored
			p.giveBack(kept, p.now())
		}
		return filter.Continue
	})
}

// note sets the metadata of a request that is not just allowed. A host that cannot set it does not make the request fail.
func (p *RateLimit) note(s filter.Stream, decision, rule string) {
	if !p.metadata {
		return
	}
	_ = s.SetMetadata(p.ns, "decision", decision)
	if rule != "" {
		_ = s.SetMetadata(p.ns, "rule", rule)
	}
	if p.Shadow {
		_ = s.SetMetadata(p.ns, "shadow", true)
	}
}

// OnResponseHeaders tells the client what it has left.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if st.fields != "" {
		h.Add(policyField, st.p.policy)
		h.Add(limitField, st.fields)
	}
	return filter.Continue
}
