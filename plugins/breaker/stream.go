package breaker

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/keytable"
)

// stream has the circuits of a request, until it is known how that has gone: with the response's headers, or for gRPC and
// for what gets none, at its end.
type stream struct {
	p    *Breaker
	sent time.Time
	used []use
	took time.Duration // until the response's headers; 0 before
}

// use is a circuit that a request passes.
type use struct {
	rule  *Rule
	entry *keytable.Entry[*circuit]
	done  func(verdict)
}

func (p *Breaker) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders refuses the request if a circuit of its is open.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	p := st.p
	var over *Rule
	var wait time.Duration
	r, _ := p.path.Request(s, h) // no path is ambiguous to the mode normalize
	var buffer [256]byte
	for i := range p.Rules {
		rule := &p.Rules[i]
		ok, err := rule.when.Of(&r)
		var key []byte
		if err == nil && ok {
			key, err = rule.Key.Append(buffer[:0], &p.mode, &r)
		}
		switch {
		case err != nil:
			return st.unknown(s, rule, err)
		case !ok:
			continue
		}
		e := rule.table.Acquire(p.seeds.Hash(key))
		done, ok := e.Value.allow()
		if ok {
			st.used = append(st.used, use{rule, e, done})
			continue
		}
		over, wait = rule, e.Value.wait()
		rule.table.Release(e)
		if !p.Shadow {
			break
		}
		p.counts.shadowed.With(rule.Name).Inc()
		p.note.Set(s, "open", rule.Name)
	}
	if over != nil && !p.Shadow {
		st.report(verdict{nothing: true})
		p.counts.refused.With(over.Name).Inc()
		p.note.Set(s, "open", over.Name)
		seconds := int64((wait + time.Second - 1) / time.Second)
		return filter.Reply(p.Status, p.Body, filter.WithDetails("moe.breaker.open"), filter.WithGRPCStatus(unavailable),
			filter.WithHeader("retry-after", strconv.FormatInt(max(1, seconds), 10)))
	}
	st.sent = time.Now()
	p.counts.allowed.Inc()
	return filter.Continue
}

// Statuses of gRPC.
const (
	unknownStatus = 2
	unavailable   = 14
	lastStatus    = 16
)

// unknown answers a request whose key cannot be found out.
func (st *stream) unknown(s filter.Stream, r *Rule, err error) filter.Action {
	p := st.p
	st.report(verdict{nothing: true})
	p.counts.failed.Inc()
	s.Log().Warn("a key cannot be found out", "error", errors.Join(errors.New("rule "+r.Name), err))
	p.note.Set(s, "error", "")
	if p.FailOpen || p.Shadow {
		return filter.Continue
	}
	return p.failed
}

// OnResponseHeaders tells how the request has gone, if that is known by now.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	if len(st.used) == 0 {
		return filter.Continue
	}
	st.took = time.Since(st.sent)
	// A plugin after this one may have replied; only an address says that it was the upstream.
	if address, err := s.Attr(filter.AttrUpstreamAddress); err == nil && address != "" && !grpc(h) {
		st.conclude(h.Status(), -1, false)
	}
	return filter.Continue
}

// OnComplete tells what was not known before.
func (st *stream) OnComplete(s filter.Stream) {
	if len(st.used) == 0 {
		return
	}
	details, err := s.Attr(filter.AttrCodeDetails)
	h := s.ResponseHeaders()
	local := err == nil && details != "" && details != "via_upstream"
	switch {
	case err == nil && strings.HasPrefix(details, "moe."):
		st.report(verdict{nothing: true}) // a plugin's reply
	case h.Status() == 0:
		st.report(verdict{nothing: true}) // the client has left: of a failing upstream, Envoy makes a response
	case grpc(h):
		text := s.ResponseTrailers().Get("grpc-status")
		if text == "" {
			text = h.Get("grpc-status")
		}
		status, err := strconv.Atoi(text)
		if err != nil || status < 0 || status > lastStatus { // cut off, or unknown to gRPC: clients take it for UNKNOWN
			status = unknownStatus
		}
		st.conclude(h.Status(), status, local)
	default:
		st.conclude(h.Status(), -1, local)
	}
}

func grpc(h filter.ResponseHeaders) bool {
	return strings.HasPrefix(h.Get("content-type"), "application/grpc")
}

// conclude tells the circuits about a response. code is grpc-status, or -1. A local response is Envoy's own: where it means no failure,
// as that of a filter which refuses requests, it says nothing about the upstream, and a probe so answered closes no circuit.
func (st *stream) conclude(status, code int, local bool) {
	used := st.used
	st.used = nil
	for _, u := range used {
		v := verdict{failed: u.rule.failures[min(max(status, 0), 599)], slow: u.rule.SlowAfter > 0 && st.took >= u.rule.SlowAfter}
		if code >= 0 && code < len(u.rule.grpc) {
			v.failed = v.failed || u.rule.grpc[code]
		}
		v.nothing = local && !v.failed && !v.slow
		if v.failed {
			st.p.counts.errs.With(u.rule.Name).Inc()
		}
		if v.slow {
			st.p.counts.slow.With(u.rule.Name).Inc()
		}
		u.done(v)
		u.rule.table.Release(u.entry)
	}
}

// report tells all circuits the same.
func (st *stream) report(v verdict) {
	used := st.used
	st.used = nil
	for _, u := range used {
		u.done(v)
		u.rule.table.Release(u.entry)
	}
}
