package replay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/authz"
	"mosn.io/moe/plugins/internal/nonces"
)

// request is what a request says of itself.
type request struct {
	value []byte    // the nonce, within its scope
	made  time.Time // zero without a timestamp
}

// OnRequestHeaders looks the nonce up.
func (p *Replay) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	switch is, err := p.Is(&r); {
	case err != nil:
		return p.Conclude(&r, authz.Fail(fmt.Errorf("when: %w", err)))
	case !is:
		return filter.Continue
	}
	if p.Optional && !h.Has(p.Header) && (p.Timestamp == nil || !h.Has(p.Timestamp.Header)) {
		return filter.Continue
	}
	q, refused := p.read(&r)
	if refused != nil {
		return p.Conclude(&r, *refused)
	}
	if p.Redis == nil {
		return p.Ask(&r, nil, func() authz.Verdict { return p.verdict(p.memory.Add(q.value, p.now(), q.made)) })
	}
	if v := p.verdict(p.memory.Has(q.value, p.now(), q.made)); !v.Allowed {
		return p.Conclude(&r, v)
	}
	return p.AskLater(&r, nil, func(ctx context.Context) authz.Verdict { return p.shared(ctx, q) })
}

// shared asks Redis.
func (p *Replay) shared(ctx context.Context, q request) authz.Verdict {
	result, err := p.Redis.add(ctx, p.id, q.value, p.keep())
	if err != nil {
		p.counts.redisFailed.Inc()
		if p.Redis.OnFailure == "local" {
			return p.verdict(p.memory.Add(q.value, p.now(), q.made))
		}
		return authz.Fail(err)
	}
	if result == nonces.Fresh {
		// Remembered here, too, so that it is refused without asking, and when Redis is down. Another request may have been
		// let in with it meanwhile, while Redis was down; and there may be no room, which Redis has.
		if here := p.memory.Add(q.value, p.now(), q.made); here == nonces.Replayed {
			result = here
		}
	}
	return p.verdict(result)
}

// verdict makes a verdict of what becomes of a nonce.
func (p *Replay) verdict(r nonces.Result) authz.Verdict {
	switch r {
	case nonces.Fresh:
		return authz.Allow
	case nonces.Full:
		p.counts.full.Inc()
		return authz.Verdict{Reason: "no more nonces can be remembered", Reply: &p.no.full}
	case nonces.Forgotten:
		p.counts.stale.Inc()
		return authz.Verdict{Reason: "the request is as old as others that are forgotten", Reply: &p.no.stale}
	}
	p.counts.replayed.Inc()
	return authz.Verdict{Reason: "the nonce was there before", Reply: &p.no.replayed}
}

// read returns the nonce and the time of a request, or why it is refused.
func (p *Replay) read(r *authz.Request) (q request, refused *authz.Verdict) {
	malformed := func(why string) (request, *authz.Verdict) {
		p.counts.malformed.Inc()
		return q, &authz.Verdict{Reason: why, Reply: &p.no.malformed}
	}
	values := r.Headers.Values(p.Header)
	switch {
	case len(values) == 0:
		p.counts.malformed.Inc()
		return q, &authz.Verdict{Reason: "the request has no nonce", Reply: &p.no.missing}
	case len(values) > 1:
		return malformed("the request has several nonces")
	case len(values[0]) < p.MinLength || len(values[0]) > p.MaxLength || !visible(values[0]):
		return malformed("the nonce is malformed")
	}
	if t := p.Timestamp; t != nil {
		values := r.Headers.Values(t.Header)
		if len(values) != 1 {
			return malformed("the request has no timestamp, or several")
		}
		var err error
		if q.made, err = t.parse(values[0]); err != nil {
			return malformed("the timestamp is malformed")
		}
		if d := p.now().Round(0).Sub(q.made); d > t.Window || d < -t.Window {
			p.counts.stale.Inc()
			return q, &authz.Verdict{Reason: "the timestamp is outside of the window", Reply: &p.no.stale}
		}
	}
	if p.Scope == "consumer" {
		name := r.Consumer().Name
		q.value = strconv.AppendInt(nil, int64(len(name)), 10) // so that no two pairs are alike
		q.value = append(append(q.value, ':'), name...)
	}
	q.value = append(q.value, values[0]...)
	return q, nil
}

// visible reports whether text has visible ASCII only, and no comma, which could join two.
func visible(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == ',' {
			return false
		}
	}
	return true
}

var errTime = errors.New("not a time of this format")

// parse reads a time.
func (t *Timestamp) parse(text string) (time.Time, error) {
	if t.Format == "rfc3339" {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || at.Year() < 1970 {
			return time.Time{}, errTime
		}
		return at, nil
	}
	if text == "" || len(text) > 16 || strings.Trim(text, "0123456789") != "" {
		return time.Time{}, errTime
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, errTime
	}
	if t.Format == "unixMilli" {
		return time.UnixMilli(n), nil
	}
	if n > 1e12 {
		return time.Time{}, errTime
	}
	return time.Unix(n, 0), nil
}
