package cache

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// asked is what a response is to be judged with: its request.
type asked struct {
	scheme, host, path string

	fields     fields
	control    directives
	sent       time.Time
	authorized bool   // it has the field authorization, or had a credential and others share its response
	tag        string // see uri
	begun      begun
}

// hopByHop are fields that are for the next hop only (RFC 9110, section 7.6.1), and those that Envoy sets itself.
var hopByHop = map[string]bool{
	"connection": true, "keep-alive": true, "proxy-connection": true, "te": true, "trailer": true, "transfer-encoding": true,
	"upgrade": true, "proxy-authenticate": true, "proxy-authorization": true, "proxy-authentication-info": true,
	"age": true, "cache-status": true, "x-envoy-upstream-service-time": true,
}

// endToEnd returns the fields that are stored: not those of the hop, nor those that Connection or a directive names.
func endToEnd(h fields, control directives) fields {
	names := append(control.fields("private"), control.fields("no-cache")...)
	for _, v := range h.values("connection") {
		for v != "" {
			var n string
			n, v = cutList(v)
			names = append(names, strings.ToLower(n))
		}
	}
	kept := make(fields, 0, len(h))
	for _, f := range h {
		if !hopByHop[f.Name] && !slices.Contains(names, f.Name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// Why a response is not stored.
const (
	notStatus  = "status"     // 206, 304, and what is unknown where it has to be understood
	notAllowed = "no-store"   // by the request or the response
	notPrivate = "private"    // it is for one client
	notAuth    = "authorized" // the request is, and the response does not say that others may have it
	notSaid    = "unsaid"     // it does not say for how long, and has nothing to be validated by
	notCookie  = "set-cookie"
	notVary    = "vary" // "*", or too much
	notLarge   = "large"
	notCut     = "cut"    // it has ended early
	notTags    = "tags"   // it has more surrogate keys, or longer ones, than there may be
	notPurged  = "purged" // while it was under way
)

// judge returns the entry for a response, but for its body, or why it cannot be stored (RFC 9111, section 3).
func (p *Cache) judge(a *asked, status int, h fields, now time.Time) (e *entry, why string) {
	c, targeted := parseTargeted(h.values("cdn-cache-control"))
	if !targeted {
		c = parseControl(h.values("cache-control"))
	}
	understood := http.StatusText(status) != "" && status != http.StatusPartialContent && status != http.StatusNotModified
	switch {
	case status < 200 || status == http.StatusPartialContent || status == http.StatusNotModified || h.has("content-range"):
		return nil, notStatus
	case c.has("must-understand") && !understood:
		return nil, notStatus
	case a.control.has("no-store") || c.has("no-store") && !c.has("must-understand"):
		return nil, notAllowed
	case c.whole("private"):
		return nil, notPrivate
	case a.authorized && !c.has("public") && !c.has("s-maxage") && !c.has("must-revalidate"):
		return nil, notAuth
	case h.has("set-cookie") && !p.StoreCookies:
		return nil, notCookie
	}
	e = &entry{Status: status, Received: now, Header: endToEnd(h, c)}
	if !e.Header.has("date") { // RFC 9110, section 6.6.1
		e.Header = append(e.Header, field{"date", now.UTC().Format(http.TimeFormat)})
	}
	var ok bool
	if e.Vary, ok = p.varies(h, a.fields); !ok {
		return nil, notVary
	}
	if targeted { // which is in place of it
		h = slices.DeleteFunc(slices.Clone(h), func(f field) bool { return f.Name == "expires" })
	}
	if !p.time(e, h, c, a.sent, now) {
		return nil, notSaid
	}
	keys, ok := tagsOf(h)
	if !ok { // it could not be purged by all of them
		return nil, notTags
	}
	e.Tags = append(keys, a.uri())
	return e, ""
}

// varies returns what the request has in the fields that Vary names.
func (p *Cache) varies(h, request fields) (v fields, ok bool) {
	for _, list := range h.values("vary") {
		for list != "" {
			var name string
			if name, list = cutList(list); name == "" {
				continue
			}
			name = strings.ToLower(name)
			if name == "*" || !isToken(name) {
				return nil, false
			}
			if v.has(name) {
				continue
			}
			if len(v) == p.MaxVary {
				return nil, false
			}
			value := joined(request, name)
			if len(value) > maxVaryValue {
				return nil, false
			}
			v = append(v, field{name, value})
		}
	}
	return v, true
}

const maxVaryValue = 1024 // bytes, of one field

// time works out how old the response is, and for how long it may be used (RFC 9111, sections 4.2.1 and 4.2.3, RFC 5861).
// It reports whether it is worth storing.
func (p *Cache) time(e *entry, h fields, c directives, sent, now time.Time) bool {
	date, ok := parseDate(h.get("date"))
	if !ok {
		date = now
	}
	first, _ := cutList(h.get("age"))
	e.Initial = max(0, now.Sub(date).Truncate(time.Second), parseSeconds(first)+max(0, now.Sub(sent)))
	e.Initial = min(e.Initial, maxDuration/2) // ages of it do not overflow
	shared, isShared := c.seconds("s-maxage")
	age, isAge := c.seconds("max-age")
	said := true
	switch {
	case isShared:
		e.Lifetime = shared
	case isAge:
		e.Lifetime = age
	case h.has("expires"):
		expires := h.values("expires")
		if at, ok := parseDate(expires[0]); ok && !slices.ContainsFunc(expires, func(v string) bool { return v != expires[0] }) {
			e.Lifetime = max(0, at.Sub(date))
		}
	default:
		said = c.has("public") || c.has("no-cache") || c.has("must-revalidate")
		modified, ok := parseDate(h.get("last-modified"))
		if p.Heuristic > 0 && ok && (heuristic[e.Status] || c.has("public")) && modified.Before(date) {
			e.Lifetime, said = min(time.Duration(float64(date.Sub(modified))*p.Heuristic), longestGuess), true
		}
	}
	e.Lifetime = min(e.Lifetime, p.MaxAge)
	if c.whole("no-cache") {
		e.Lifetime = 0
	}
	forced := c.has("must-revalidate") || c.has("proxy-revalidate") || c.whole("no-cache")
	e.Strict = forced || isShared
	if !forced {
		e.While, e.IfError = p.stale(c, "stale-while-revalidate", p.StaleWhileRevalidate, isShared), p.stale(c, "stale-if-error", p.StaleIfError, isShared)
	}
	return said && (e.Lifetime > e.Initial || e.While > 0 || e.IfError > 0 || e.Header.has("etag") || e.Header.has("last-modified"))
}

// parseDate reads a date in one of the three forms of HTTP (RFC 9110, section 5.6.7). The one that is in use has to be written
// exactly so: Go also takes one with further spaces or fewer digits.
func parseDate(v string) (t time.Time, ok bool) {
	if t, err := time.Parse(http.TimeFormat, v); err == nil {
		return t, strings.EqualFold(v, t.UTC().Format(http.TimeFormat))
	}
	t, err := http.ParseTime(v)
	return t, err == nil
}

// stale is for how long a response may be used that is stale: as it says, or as the operator does for those that say nothing.
func (p *Cache) stale(c directives, name string, otherwise time.Duration, isShared bool) time.Duration {
	if t, ok := c.seconds(name); ok {
		return min(t, p.MaxAge)
	}
	if isShared { // which forbids it, as proxy-revalidate does
		return 0
	}
	return otherwise
}

// longestGuess is for how long a response is taken for fresh that does not say so.
const longestGuess = 24 * time.Hour

// heuristic are the statuses that may be taken for fresh (RFC 9110, section 15.1).
var heuristic = map[int]bool{
	200: true, 203: true, 204: true, 300: true, 301: true, 308: true, 404: true, 405: true, 410: true, 414: true, 501: true,
}

const (
	maxTags   = 64
	maxTagLen = 256
)

// tagsOf are the surrogate keys of a message: words of surrogate-key, and the list in cache-tag. ok is whether these are all.
func tagsOf(h fields) (tags []string, ok bool) {
	ok = true
	add := func(t string) {
		switch t = trim(t); {
		case t == "" || slices.Contains(tags, "k"+t):
		case len(t) > maxTagLen || len(tags) == maxTags:
			ok = false
		default:
			tags = append(tags, "k"+t)
		}
	}
	for _, v := range h.values("surrogate-key") {
		for t := range strings.FieldsSeq(v) {
			add(t)
		}
	}
	for _, v := range h.values("cache-tag") {
		for t := range strings.SplitSeq(v, ",") {
			add(t)
		}
	}
	return tags, ok
}

// use says what may be done with an entry for a request.
type use int

const (
	useFresh use = iota // it is the answer
	useWhile            // it is the answer, and has to be revalidated
	useAsk              // it has to be revalidated first
)

// judgeUse decides about an entry (RFC 9111, sections 4.2, 4.2.4 and 5.2.1).
func judgeUse(e *entry, c directives, now time.Time) use {
	age := e.age(now)
	if c.has("no-cache") {
		return useAsk
	}
	if most, ok := c.seconds("max-age"); ok && age > most {
		return useAsk
	}
	if least, ok := c.seconds("min-fresh"); ok && e.Lifetime-age < least {
		return useAsk
	}
	switch stale := age - e.Lifetime; {
	case stale < 0:
		return useFresh
	case stale < e.While:
		return useWhile
	case !e.Strict && c.has("max-stale"):
		if most, _ := c.seconds("max-stale"); c.whole("max-stale") || stale < most {
			return useFresh
		}
	}
	return useAsk
}

// mayReplaceError reports whether an entry may be the answer in place of an error.
func mayReplaceError(e *entry, c directives, now time.Time) bool {
	most := e.IfError
	if t, ok := c.seconds("stale-if-error"); ok && !e.Strict {
		most = max(most, t)
	}
	return e.age(now)-e.Lifetime < most
}
