// Package redact hides, in what is logged of requests and responses, what may be a credential.
package redact

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"mosn.io/moe/framework/filter"
)

// Hidden stands for a value that is not to be written.
const Hidden = "[redacted]"

// Always are the headers that hold credentials.
var Always = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

// Rules are what an operator lists, besides the places in which plugins of this process look for credentials. They do not
// change once [Rules.Now] is called.
type Rules struct {
	Headers  map[string]bool // in lower case
	Queries  map[string]bool // parameters
	Reveal   []string        // headers of [Always] that are written
	Patterns []*regexp.Regexp

	now atomic.Pointer[Hiding]
}

// Hiding says what of a stream is not to be written. It does not change.
type Hiding struct {
	known    *filter.CredentialPlaces // that it was made of
	headers  map[string]bool
	query    map[string]bool
	cookies  []string // names; a star at the end stands for any rest
	patterns []*regexp.Regexp
}

// Now returns what is to be hidden now. Plugins may have come since the configuration was made: those of other chains, to
// which a client sends its credential by mistake, count too. Any goroutine may call it.
func (r *Rules) Now() *Hiding {
	known := filter.KnownCredentialPlaces()
	if h := r.now.Load(); h != nil && h.known == known {
		return h
	}
	h := &Hiding{known: known, headers: map[string]bool{}, query: map[string]bool{}, cookies: known.Cookies, patterns: r.Patterns}
	maps.Copy(h.headers, r.Headers)
	maps.Copy(h.query, r.Queries)
	for _, name := range known.Headers {
		if !slices.ContainsFunc(r.Reveal, func(revealed string) bool { return strings.EqualFold(revealed, name) }) {
			h.headers[name] = true
		}
	}
	for _, name := range known.Queries {
		h.query[name] = true
	}
	r.now.Store(h)
	return h
}

// Value returns what is written of a header's value.
func (h *Hiding) Value(name, value string) string { return h.Scrub(h.Credentials(name, value)) }

// Scrub replaces what patterns match.
func (h *Hiding) Scrub(value string) string {
	for _, re := range h.patterns {
		if re.MatchString(value) {
			value = re.ReplaceAllLiteralString(value, Hidden)
		}
	}
	return value
}

// Path returns what is written of a path with its query.
func (h *Hiding) Path(text string) string { return h.Scrub(h.Address(text)) }

// Credentials hides what is known to hold credentials.
func (h *Hiding) Credentials(name, value string) string {
	switch {
	case h.headers[name]:
		return Hidden
	case name == "cookie":
		return h.cookieLine(value)
	case name == "set-cookie":
		first, rest, more := strings.Cut(value, ";")
		if first = h.cookie(first); more {
			first += ";" + rest
		}
		return first
	case hasAddress(name):
		return h.Address(value)
	}
	return value
}

// cookieLine hides the cookies of a header that may hold credentials.
func (h *Hiding) cookieLine(line string) string {
	if len(h.cookies) == 0 {
		return line
	}
	pairs := strings.Split(line, ";")
	for i, pair := range pairs {
		pairs[i] = h.cookie(pair)
	}
	return strings.Join(pairs, ";")
}

func (h *Hiding) cookie(pair string) string {
	name, _, ok := strings.Cut(pair, "=")
	if !ok {
		return pair
	}
	plain := strings.Trim(name, " \t")
	for _, c := range h.cookies {
		if prefix, open := strings.CutSuffix(c, "*"); plain == c || open && strings.HasPrefix(plain, prefix) {
			return name + "=" + Hidden
		}
	}
	return pair
}

// From hides a value that comes from one of some places: headers, parameters after a question mark, or "?" for the query.
func (h *Hiding) From(value string, places []string) string {
	for _, name := range places {
		parameter, isParameter := strings.CutPrefix(name, "?")
		switch {
		case name == "?":
			value = strings.TrimPrefix(h.Address("?"+value), "?")
		case isParameter && h.query[parameter]:
			return Hidden
		case isParameter:
		case name == ":path":
			value = h.Address(value)
		default:
			if value = h.Credentials(name, value); value == Hidden {
				return value
			}
		}
	}
	return value
}
