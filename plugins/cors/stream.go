package cors

import (
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
	"mosn.io/moe/plugins/internal/origin"
)

// stream remembers what the request was: later plugins may change its headers.
type stream struct {
	c      *CORS
	origin string // allowed, or ""
	passed bool   // a preflight that the upstream answers
}

func (c *CORS) newStream(filter.Stream) *stream { return &stream{c: c} }

var denied = filter.Reply(403, "origin not allowed", filter.WithDetails("moe.cors.origin"),
	filter.WithHeader("vary", "Origin"))

// OnRequestHeaders answers preflights and notes the origin.
func (st *stream) OnRequestHeaders(_ filter.Stream, h filter.RequestHeaders, _ bool) filter.Action {
	c := st.c
	if !h.Has("origin") {
		return filter.Continue
	}
	from := h.Values("origin")
	allowed := len(from) == 1 && from[0] != "" && c.allows(from[0])
	preflight := h.Method() == "OPTIONS" && h.Has(requestMethod)
	if !allowed {
		if !preflight && len(from) == 1 && sameOrigin(from[0], h) {
			return filter.Continue
		}
		c.refused.Inc()
		if preflight || c.DenyOthers {
			return denied
		}
		return filter.Continue
	}
	st.origin = from[0]
	if !preflight {
		return filter.Continue
	}
	c.preflights.Inc()
	if c.PassPreflights {
		st.passed = true
		return filter.Continue
	}
	opts := make([]filter.ReplyOption, 0, 8)
	opts = append(opts, filter.WithDetails("moe.cors.preflight"), filter.WithHeader("vary", preflightVary),
		filter.WithHeader(allowOrigin, c.answer(st.origin)))
	for _, f := range c.preflight {
		opts = append(opts, filter.WithHeader(f.name, f.value)) // without a value it is left out
	}
	if c.ReflectHeaders {
		opts = append(opts, filter.WithHeader(allowHeaders, reflected(h.Values(requestHeaders))))
	}
	if c.AllowPrivateNetwork && h.Get(requestNetwork) == "true" {
		opts = append(opts, filter.WithHeader(allowPrivateNetwork, "true"))
	}
	return filter.Reply(204, "", opts...)
}

// reflected returns a list of header names as it was asked for, or "" where it is not one.
func reflected(values []string) string {
	list := strings.Join(values, ",")
	if len(list) > mostReflected {
		return ""
	}
	for name := range strings.SplitSeq(list, ",") {
		if fieldname.Check(strings.Trim(name, " \t")) != nil {
			return ""
		}
	}
	return list
}

// mostReflected is how long a list of header names may be that is sent back.
const mostReflected = 4096

// sameOrigin reports whether a page of this host sends a request: browsers name the origin of every POST, and a page may do
// with its own host what it likes. As TLS may end before Envoy, a page by https may come with the scheme http, but none by
// http with https.
func sameOrigin(from string, h filter.RequestHeaders) bool {
	return origin.SameHost(from, h.Host()) && (h.Scheme() != "https" || !strings.HasPrefix(from, "http://"))
}

// answer is the value of access-control-allow-origin for an origin that is allowed.
func (c *CORS) answer(o string) string {
	if c.any {
		return "*"
	}
	return o
}

// OnResponseHeaders says who may read the response. What an upstream has said about that is taken off.
func (st *stream) OnResponseHeaders(_ filter.Stream, h filter.ResponseHeaders, _ bool) filter.Action {
	c := st.c
	if st.passed {
		if c.varies && !varies(h) {
			h.Add("vary", "Origin")
		}
		return filter.Continue
	}
	if c.AllowTiming {
		h.Del(timingAllowOrigin)
	}
	for _, name := range [...]string{
		allowOrigin, allowCredentials, allowMethods, allowHeaders, maxAge, exposeHeaders, allowPrivateNetwork,
	} {
		if h.Has(name) {
			h.Del(name)
		}
	}
	if c.varies && !varies(h) {
		h.Add("vary", "Origin")
	}
	if st.origin == "" && !c.any {
		return filter.Continue
	}
	h.Set(allowOrigin, c.answer(st.origin))
	if c.AllowTiming {
		h.Set(timingAllowOrigin, c.answer(st.origin))
	}
	if c.AllowCredentials {
		h.Set(allowCredentials, "true")
	}
	if c.expose != "" {
		h.Set(exposeHeaders, c.expose)
	}
	return filter.Continue
}

// varies reports whether a response says already that it depends on Origin.
func varies(h filter.ResponseHeaders) bool {
	if !h.Has("vary") {
		return false
	}
	for _, line := range h.Values("vary") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "origin") {
				return true
			}
		}
	}
	return false
}
