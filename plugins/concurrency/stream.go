package concurrency

import (
	"context"
	"errors"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/keytable"
)

// maxRules is how many rules there may be, so that what is worked out for a request has room on the stack.
const maxRules = 8

// claim is one rule's slot that a request needs.
type claim struct {
	rule  *Rule
	key   keytable.Key
	level int
}

// stream holds the slots of a request, from when it passes until its end, whatever that is: its last byte, a reset, a
// reply of another plugin, a panic. OnComplete is called once for each of them.
type stream struct {
	p        *Concurrency
	measured bool // how long it takes says something

	mu    sync.Mutex
	held  []slot
	ended bool
}

// slot is a permit, and the entry of its limiter in the rule's table.
type slot struct {
	permit
	entry *keytable.Entry[*limiter]
	rule  *Rule
}

func (p *Concurrency) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders takes the slots.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p := st.p
	var room [maxRules]claim
	claims, err := p.claims(room[:0], s, h)
	if err != nil {
		p.counts.failed.Inc()
		s.Log().Warn("a key or a priority cannot be found out", "error", err)
		p.note.Set(s, "error", "")
		if p.FailOpen || p.Shadow {
			return filter.Continue
		}
		return p.failed
	}
	st.measured = h.Upgrade() == ""
	for i := range claims {
		c := &claims[i]
		e := c.rule.table.Acquire(c.key)
		pm, ok, full := e.Value.try(c.level)
		if ok {
			st.hold(slot{pm, e, c.rule})
			continue
		}
		c.rule.table.Release(e)
		switch {
		case p.Shadow:
			p.counts.shadowed.With(c.rule.Name).Inc()
			p.note.Set(s, "limit", c.rule.Name)
		case full:
			return st.refuse(s, c.rule)
		default:
			rest := append([]claim(nil), claims[i:]...)
			return filter.Go(func(ctx context.Context) filter.Action { return st.wait(ctx, s, rest) })
		}
	}
	p.counts.allowed.Inc()
	return filter.Continue
}

// wait takes the rest of the slots, and waits where there are none. All requests take them in the order of the rules, so
// that no two wait for each other.
func (st *stream) wait(ctx context.Context, s filter.Stream, claims []claim) filter.Action {
	p := st.p
	p.counts.queued.Inc()
	start := time.Now()
	defer func() { p.counts.waited.Record(uint64(time.Since(start) / time.Millisecond)) }()
	for i := range claims {
		c := &claims[i]
		e := c.rule.table.Acquire(c.key)
		pm, err := e.Value.wait(ctx, c.level, c.rule.MaxWait-time.Since(start))
		if err != nil {
			c.rule.table.Release(e)
			if ctx.Err() != nil {
				return filter.Continue // what is returned now is ignored
			}
			return st.refuse(s, c.rule)
		}
		st.hold(slot{pm, e, c.rule})
	}
	p.counts.allowed.Inc()
	return filter.Continue
}

// hold keeps a slot until the stream ends; when it has ended already, it is given back at once.
func (st *stream) hold(s slot) {
	st.p.counts.inFlight.Add(1)
	st.mu.Lock()
	ended := st.ended
	if !ended {
		st.held = append(st.held, s)
	}
	st.mu.Unlock()
	if ended {
		st.release(s, false)
	}
}

func (st *stream) release(s slot, measured bool) {
	st.p.counts.inFlight.Add(-1)
	s.permit.release(measured)
	s.rule.table.Release(s.entry)
}

// giveBack releases all slots.
func (st *stream) giveBack(end, measured bool) {
	st.mu.Lock()
	held := st.held
	st.held = nil
	st.ended = st.ended || end
	st.mu.Unlock()
	for _, s := range held {
		st.release(s, measured)
	}
}

// OnComplete gives the slots back.
func (st *stream) OnComplete(s filter.Stream) {
	st.mu.Lock()
	measured := false
	for _, h := range st.held {
		measured = measured || h.adaptive != nil
	}
	st.mu.Unlock()
	st.giveBack(true, measured && st.measured && answered(s))
}

// answered reports whether the upstream has answered the request, as far as the host can tell. How long others take says
// nothing about it.
func answered(s filter.Stream) bool {
	if s.ResponseHeaders().Status() == 0 {
		return false
	}
	details, err := s.Attr(filter.AttrCodeDetails)
	return err != nil || details == "" || details == "via_upstream"
}

// refuse answers a request that finds no room.
func (st *stream) refuse(s filter.Stream, r *Rule) filter.Action {
	st.giveBack(false, false)
	st.p.counts.limited.With(r.Name).Inc()
	st.p.note.Set(s, "limit", r.Name)
	return st.p.refused
}

// claims finds the rules that are for a request, its keys and priorities.
func (p *Concurrency) claims(room []claim, s filter.Stream, h filter.RequestHeaders) ([]claim, error) {
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	var buffer [256]byte
	for i := range p.Rules {
		rule := &p.Rules[i]
		ok, err := rule.when.Of(&r)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		key, err := rule.Key.Append(buffer[:0], &p.mode, &r)
		if err != nil {
			return nil, errors.Join(errors.New("key of the rule "+rule.Name), err)
		}
		level, err := rule.level(&r)
		if err != nil {
			return nil, err
		}
		room = append(room, claim{rule: rule, key: p.seeds.Hash(key), level: level})
	}
	return room, nil
}
