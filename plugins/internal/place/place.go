// Package place finds credentials in requests, in a header, a query parameter or a cookie, and takes them off.
package place

import (
	"fmt"
	"net/url"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/fieldname"
)

// Header is a header that may hold a credential.
type Header struct {
	// Name is that of the header.
	Name string `json:"name" validate:"required"`
	// Scheme is the word before the credential, such as Bearer, in any case. If it is empty, the whole value counts.
	Scheme string `json:"scheme"`
}

// Places are where a credential is looked for.
type Places struct {
	// Headers are those that may hold it.
	Headers []Header `json:"headers"`
	// Queries are names of query parameters.
	Queries []string `json:"queries"`
	// Cookies are names of cookies.
	Cookies []string `json:"cookies"`
}

// Empty reports whether nothing is listed.
func (p *Places) Empty() bool { return len(p.Headers)+len(p.Queries)+len(p.Cookies) == 0 }

// OrBearer returns p, or if it is empty the place of RFC 6750, section 2.1: the header authorization, after Bearer.
func (p Places) OrBearer() Places {
	if p.Empty() {
		return Places{Headers: []Header{{Name: "authorization", Scheme: "Bearer"}}}
	}
	return p
}

// Validate says what is wrong with the names.
func (p *Places) Validate() error {
	for i, h := range p.Headers {
		if err := fieldname.Check(h.Name); err != nil {
			return fmt.Errorf("headers[%d].name: %w", i, err)
		}
		if strings.ContainsAny(h.Scheme, " \t") {
			return fmt.Errorf("headers[%d].scheme: must be one word", i)
		}
	}
	for i, q := range p.Queries {
		if q == "" {
			return fmt.Errorf("queries[%d]: the name is empty", i)
		}
	}
	for i, c := range p.Cookies {
		if err := fieldname.Check(c); err != nil { // a token, too
			return fmt.Errorf("cookies[%d]: %w", i, err)
		}
	}
	return nil
}

// Credentials returns p as a plugin's [filter.CredentialReader] does.
func (p *Places) Credentials() filter.CredentialPlaces {
	c := filter.CredentialPlaces{Queries: p.Queries, Cookies: p.Cookies}
	for _, h := range p.Headers {
		c.Headers = append(c.Headers, h.Name)
	}
	return c
}

// Lower makes the names of headers as Envoy has them. Call it before the other methods.
func (p *Places) Lower() {
	for i := range p.Headers {
		p.Headers[i].Name = strings.ToLower(p.Headers[i].Name)
	}
}

// Find returns the first credential and how many there are in all places together. An empty one counts.
func (p *Places) Find(h filter.RequestHeaders) (credential string, n int) {
	note := func(v string) {
		if n == 0 {
			credential = v
		}
		n++
	}
	for i := range p.Headers {
		where := &p.Headers[i]
		if !h.Has(where.Name) {
			continue
		}
		for _, v := range h.Values(where.Name) {
			if v, ok := where.in(v); ok {
				note(v)
			}
		}
	}
	if len(p.Queries) > 0 {
		if _, query, ok := strings.Cut(h.Path(), "?"); ok {
			parameters(query, func(name, value, _ string) {
				if has(p.Queries, name) {
					note(value)
				}
			})
		}
	}
	if len(p.Cookies) > 0 && h.Has("cookie") {
		for _, line := range h.Values("cookie") {
			cookies(line, func(name, value, _ string) {
				if has(p.Cookies, name) {
					note(value)
				}
			})
		}
	}
	return credential, n
}

// in returns the credential of a header's value.
func (where *Header) in(v string) (string, bool) {
	if where.Scheme == "" {
		return v, true
	}
	word, rest, _ := strings.Cut(v, " ")
	if !strings.EqualFold(word, where.Scheme) {
		return "", false
	}
	return strings.Trim(rest, " \t"), true
}

// Take removes every credential and leaves the rest unchanged.
func (p *Places) Take(h filter.RequestHeaders) {
	for i := range p.Headers {
		p.Headers[i].take(h)
	}
	if path, query, ok := strings.Cut(h.Path(), "?"); ok && len(p.Queries) > 0 {
		var keep []string
		n := 0
		parameters(query, func(name, _, raw string) {
			if n++; !has(p.Queries, name) {
				keep = append(keep, raw)
			}
		})
		switch {
		case len(keep) == n:
		case len(keep) == 0:
			h.SetPath(path)
		default:
			h.SetPath(path + "?" + strings.Join(keep, "&"))
		}
	}
	if len(p.Cookies) > 0 {
		TakeCookies(h, func(name string) bool { return has(p.Cookies, name) })
	}
}

func (where *Header) take(h filter.RequestHeaders) {
	if !h.Has(where.Name) {
		return
	}
	if where.Scheme == "" {
		h.Del(where.Name)
		return
	}
	vs := h.Values(where.Name)
	if _, ok := where.in(vs[0]); ok && len(vs) == 1 {
		h.Del(where.Name)
		return
	}
	var keep []string
	for _, v := range vs {
		if _, ok := where.in(v); !ok {
			keep = append(keep, v)
		}
	}
	replace(h, where.Name, vs, keep)
}

// EachCookie calls f with each cookie of a header.
func EachCookie(line string, f func(name, value string)) {
	cookies(line, func(name, value, _ string) { f(name, value) })
}

// TakeCookies removes the cookies that ours reports, and leaves the others as they were.
func TakeCookies(h filter.RequestHeaders, ours func(name string) bool) {
	if !h.Has("cookie") {
		return
	}
	lines := h.Values("cookie")
	var keep []string
	for _, line := range lines {
		var rest []string
		all := true
		cookies(line, func(name, _, raw string) {
			if ours(name) {
				all = false
				return
			}
			rest = append(rest, raw)
		})
		switch {
		case all:
			keep = append(keep, line)
		case len(rest) > 0:
			keep = append(keep, strings.Join(rest, "; "))
		}
	}
	same := len(keep) == len(lines)
	for i := 0; same && i < len(keep); i++ {
		same = keep[i] == lines[i]
	}
	if same {
		return
	}
	h.Del("cookie")
	for _, line := range keep {
		h.Add("cookie", line)
	}
}

func replace(h filter.RequestHeaders, name string, had, keep []string) {
	if len(had) == len(keep) {
		return
	}
	h.Del(name)
	for _, v := range keep {
		h.Add(name, v)
	}
}

// parameters calls f with each parameter of a query: decoded, and as it stands there. What does not decode is taken
// as it is.
func parameters(query string, f func(name, value, raw string)) {
	for raw := range strings.SplitSeq(query, "&") {
		if raw == "" {
			f("", "", raw)
			continue
		}
		name, value, _ := strings.Cut(raw, "=")
		f(unescape(name), unescape(value), raw)
	}
}

func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 && strings.IndexByte(s, '+') < 0 {
		return s
	}
	if v, err := url.QueryUnescape(s); err == nil {
		return v
	}
	return s
}

// cookies calls f with each cookie of a header (RFC 6265, section 4.2.1).
func cookies(line string, f func(name, value, raw string)) {
	for raw := range strings.SplitSeq(line, ";") {
		raw = strings.Trim(raw, " \t")
		if raw == "" {
			continue
		}
		name, value, _ := strings.Cut(raw, "=")
		value = strings.Trim(value, " \t")
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		f(strings.Trim(name, " \t"), value, raw)
	}
}

func has(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
