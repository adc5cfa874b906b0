package cache

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"mosn.io/moe/framework/filter"
)

// stream is a request on its way through the cache.
type stream struct {
	p       *Cache
	r       *request
	invalid bool   // its response may invalidate what is stored
	stale   *entry // what is revalidated
	forward string // why the upstream is asked, for cache-status
	collect *entry // what is to be stored, once its body is there
	body    []byte
	length  int // that the response has announced, or -1

	mu     sync.Mutex
	flight *flight // that others wait for
	ended  bool
}

func (p *Cache) newStream(filter.Stream) *stream { return &stream{p: p} }

// OnRequestHeaders answers the request, if it can.
func (st *stream) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, endStream bool) filter.Action {
	p := st.p
	if p.Purge != nil && h.Method() == "PURGE" {
		return p.purge(s, h)
	}
	r, bypass, err := p.read(s, h, endStream)
	if err != nil { // what has no key is not stored, and passes
		s.Log().Warn("a key cannot be found out", "error", err)
		bypass = "error"
	}
	if bypass != "" {
		p.counts.bypassed.With(bypass).Inc()
		st.forward = "bypass"
		if bypass == "method" {
			st.r, st.invalid, st.forward = r, !safe(r.method), "method"
		}
		return filter.Continue
	}
	st.r = r
	r.sent = p.now()
	if p.Redis == nil {
		return st.begin(h)
	}
	if _, _, known := p.memory.get(r.key, r.sent); r.sent.Sub(known) < p.Redis.Local {
		return st.begin(h)
	}
	return filter.Go(func(ctx context.Context) filter.Action {
		p.load(ctx, r.key)
		return st.begin(h)
	})
}

// begin answers the request with what is stored, or has it go to the upstream, or wait for another one that does.
func (st *stream) begin(h filter.RequestHeaders) filter.Action {
	p, r := st.p, st.r
	entries, pass, _ := p.memory.get(r.key, r.sent)
	if action, ok := st.serve(entries, r.sent); ok {
		return action
	}
	if r.control.has("only-if-cached") {
		return filter.Reply(http.StatusGatewayTimeout, "not stored", filter.WithDetails("moe.cache.only_if_cached"))
	}
	alone := pass || p.Collapse == 0 || r.method != http.MethodGet || r.fields.has("range") || r.control.has("no-store") ||
		r.control.has("no-cache")
	if st.flies() || alone { // it is the one that revalidates, or need not wait
		return st.ask(h, entries)
	}
	fl, first := p.flights.join(r.key)
	if first {
		st.fly(fl)
		return st.ask(h, entries)
	}
	p.counts.collapsed.Inc()
	return filter.Go(func(ctx context.Context) filter.Action {
		fl.wait(ctx, p.Collapse)
		now := p.now()
		entries, _, _ := p.memory.get(r.key, now)
		if action, ok := st.serve(entries, now); ok {
			return action
		}
		return st.ask(h, entries) // and others need not wait for it
	})
}

// safe reports whether requests of a method change nothing (RFC 9110, section 9.2.1).
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// serve answers with what is stored, if that may be used without asking first.
func (st *stream) serve(entries []*entry, now time.Time) (filter.Action, bool) {
	p, r := st.p, st.r
	e := pick(entries, r.fields)
	if e == nil {
		return filter.Action{}, false
	}
	switch judgeUse(e, r.control, now) {
	case useFresh:
		p.counts.hits.Inc()
		return p.answer(e, r, now, "hit"), true
	case useWhile:
		fl, first := p.flights.join(r.key)
		if !first {
			p.counts.stale.Inc()
			return p.answer(e, r, now, "hit"), true
		}
		if p.refresh != nil && p.background(r, e, fl) {
			p.counts.stale.Inc()
			return p.answer(e, r, now, "hit"), true
		}
		st.fly(fl) // this request is the one that revalidates
	}
	return filter.Action{}, false
}

// ask has the request go to the upstream: with conditions, if something is stored that can be validated.
func (st *stream) ask(h filter.RequestHeaders, entries []*entry) filter.Action {
	p, r := st.p, st.r
	e := pick(entries, r.fields)
	st.forward = "uri-miss"
	switch {
	case e != nil && p.now().Sub(e.Received) >= 0 && (r.control.has("no-cache") || e.age(p.now()) < e.Lifetime):
		st.forward = "request"
	case e != nil:
		st.forward = "stale"
	case len(entries) > 0:
		st.forward = "vary-miss"
	}
	p.counts.misses.Inc()
	r.begun = p.memory.begin()
	if e == nil || r.fields.has("range") {
		return filter.Continue
	}
	st.stale = e
	conditions(e, func(name, value string) {
		if value == "" {
			h.Del(name)
		} else {
			h.Set(name, value)
		}
	})
	return filter.Continue
}

// conditions sets the fields by which the upstream says whether an entry is still what it has.
func conditions(e *entry, set func(name, value string)) {
	etag, modified := e.Header.get("etag"), e.Header.get("last-modified")
	if etag == "" && modified == "" {
		return // those of the client stay
	}
	set("if-none-match", etag)
	set("if-modified-since", modified)
}

// OnResponseHeaders decides whether the response is stored, or replaced by what is.
func (st *stream) OnResponseHeaders(s filter.Stream, h filter.ResponseHeaders, endStream bool) filter.Action {
	p, r := st.p, st.r
	if r == nil {
		st.note(h, "")
		return filter.Continue
	}
	status := h.Status()
	all := make(fields, 0, h.Len())
	for name, value := range h.All() {
		if name[0] != ':' {
			all = append(all, field{name, value})
		}
	}
	if st.invalid {
		if status >= 200 && status < 400 {
			p.invalidate(r.invalidated(all))
		}
		st.note(h, "")
		return filter.Continue
	}
	now := p.now()
	if st.stale != nil {
		if status == http.StatusNotModified && (st.stale.Header.has("etag") || st.stale.Header.has("last-modified")) {
			return p.validated(st, all, now)
		}
		if failed(status) && mayReplaceError(st.stale, r.control, now) {
			st.land(false)
			p.counts.stale.Inc()
			return p.answer(st.stale, r, now, "fwd=stale; fwd-status="+strconv.Itoa(status))
		}
	}
	if r.method != http.MethodGet {
		st.land(false)
		st.note(h, "")
		return filter.Continue
	}
	e, why := p.judge(&r.asked, status, all, now)
	length := -1
	if n, ok := position(all.get("content-length")); ok {
		length = n
	}
	if why == "" && length > int(p.MaxObject) {
		why = notLarge
	}
	if why != "" {
		p.counts.unstored.With(why).Inc()
		st.land(!failed(status))
		st.note(h, "")
		return filter.Continue
	}
	st.collect, st.length = e, length
	if endStream {
		st.store()
	}
	st.note(h, "; stored")
	return filter.Continue
}

// failed reports whether a status is an error for stale-if-error (RFC 5861, section 4).
func failed(status int) bool {
	switch status {
	case 500, 502, 503, 504:
		return true
	}
	return false
}

// validated answers with the entry that the upstream has just said to be current.
func (p *Cache) validated(st *stream, update fields, now time.Time) filter.Action {
	r := st.r
	header := st.stale.refreshed(update)
	e, why := p.judge(&r.asked, st.stale.Status, header, now)
	if why == "" {
		e.Body = st.stale.Body
		p.keep(r, e)
	} else { // it may be used this once
		e = &entry{Status: st.stale.Status, Header: endToEnd(header, nil), Body: st.stale.Body, Received: now}
	}
	st.land(false)
	p.counts.revalidated.Inc()
	return p.answer(e, r, now, "hit; fwd=stale; fwd-status=304")
}

// note adds what became of the request to cache-status.
func (st *stream) note(h filter.ResponseHeaders, more string) {
	if st.p.CacheStatus != "none" && st.forward != "" {
		h.Add("cache-status", st.p.CacheStatus+"; fwd="+st.forward+more)
	}
}

// OnResponseBody collects what is to be stored, as it passes.
func (st *stream) OnResponseBody(_ filter.Stream, b filter.Body, endStream bool) filter.Action {
	if st.collect == nil {
		return filter.Continue
	}
	p := b.Bytes()
	if len(st.body)+len(p) > int(st.p.MaxObject) {
		st.p.counts.unstored.With(notLarge).Inc()
		st.drop()
		st.land(true)
		return filter.Continue
	}
	if st.body == nil && !endStream {
		st.body = make([]byte, 0, max(len(p), min(st.length, int(st.p.MaxObject), 64<<10)))
	}
	st.body = append(st.body, p...)
	if endStream {
		st.store()
	}
	return filter.Continue
}

// store stores the response, which is complete.
func (st *stream) store() {
	e := st.collect
	if e.Body = st.body; st.length >= 0 && st.length != len(st.body) {
		st.p.counts.unstored.With(notCut).Inc()
		st.drop()
		st.land(false)
		return
	}
	st.p.store(st.r, e)
	st.drop()
	st.land(false)
}

func (st *stream) drop() { st.collect, st.body = nil, nil }

// fly makes the request the one that others wait for. A stream that has ended meanwhile, while the request waited for Redis
// or for another, has nobody wait.
func (st *stream) fly(fl *flight) {
	st.mu.Lock()
	ended := st.ended
	if !ended {
		st.flight = fl
	}
	st.mu.Unlock()
	if ended {
		st.p.flights.land(fl)
	}
}

func (st *stream) flies() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.flight != nil
}

// land lets those go on who wait for this request. pass is whether others need not wait for the next, because what comes is
// not to be stored.
func (st *stream) land(pass bool) {
	st.mu.Lock()
	fl := st.flight
	st.flight = nil
	st.mu.Unlock()
	if fl == nil {
		return
	}
	if pass {
		st.p.memory.notePass(st.r.key, st.p.now().Add(passFor))
	}
	st.p.flights.land(fl)
}

// passFor is for how long requests for a resource do not wait for each other that was not to be stored.
const passFor = 10 * time.Second

// OnComplete lets go of what a stream that has ended early holds.
func (st *stream) OnComplete(filter.Stream) {
	if st.collect != nil {
		st.p.counts.unstored.With(notCut).Inc()
	}
	st.drop()
	st.mu.Lock()
	st.ended = true
	st.mu.Unlock()
	st.land(false)
}

// purge removes responses: those with the keys that surrogate-key or cache-tag names, or those of the request's URI.
func (p *Cache) purge(s filter.Stream, h filter.RequestHeaders) filter.Action {
	q, _ := p.path.Request(s, h)
	allowed := len(p.Purge.Networks) == 0 || p.Purge.networks.Has(p.mode.Source(&q).Addr())
	if c := s.Consumer(); len(p.Purge.Consumers) > 0 {
		named := false
		for _, name := range p.Purge.Consumers {
			named = named || c != nil && c.Name == name
		}
		allowed = allowed && named
	}
	if !allowed {
		return filter.Reply(http.StatusForbidden, "purging is not allowed", filter.WithDetails("moe.cache.purge_denied"))
	}
	all := fields{}
	for _, name := range []string{"surrogate-key", "cache-tag"} {
		for _, v := range h.Values(name) {
			all = append(all, field{name, v})
		}
	}
	tags, ok := tagsOf(all)
	switch {
	case len(all) == 0:
		a := asked{scheme: h.Scheme(), host: strings.ToLower(h.Host())}
		tags = []string{a.uriOf(h.Path())}
	case !ok:
		return filter.Reply(http.StatusBadRequest, fmt.Sprintf("give at most %d keys, of %d bytes at most", maxTags, maxTagLen),
			filter.WithDetails("moe.cache.purge_keys"))
	}
	remove := func(ctx context.Context) filter.Action {
		n, ok := p.remove(context.WithoutCancel(ctx), tags) // all of it, also when the client leaves
		p.counts.purged.Add(uint64(n))
		if !ok {
			return filter.Reply(http.StatusServiceUnavailable, "Redis does not answer, and may still have what was to be purged",
				filter.WithDetails("moe.cache.purge_failed"))
		}
		return filter.ReplyJSON(http.StatusOK, map[string]int{"purged": n}, filter.WithDetails("moe.cache.purged"))
	}
	if p.Redis != nil {
		return filter.Go(remove)
	}
	return remove(s.Context())
}

// invalidate removes what has one of the tags, in Redis in the background.
func (p *Cache) invalidate(tags []string) {
	if p.Redis == nil {
		p.remove(p.env.Context(), tags)
		return
	}
	for _, tag := range tags {
		p.memory.purge(tag)
	}
	p.env.Go(func(ctx context.Context) { p.remove(ctx, tags) })
}
