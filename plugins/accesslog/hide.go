package accesslog

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
)

// hiding says what of a stream is not to be written: what the configuration lists, and where plugins of this process look
// for credentials. It does not change.
type hiding struct {
	known   *filter.CredentialPlaces // that it was made of
	headers map[string]bool
	query   map[string]bool
	cookies []string // names; a star at the end stands for any rest

	patterns []*regexp.Regexp
	omit     map[string]bool // headers
}

// hide returns what is to be hidden now. Plugins may have come since the configuration was made: those of other chains, to
// which a client sends its credential by mistake, count too.
func (p *AccessLog) hide() *hiding {
	known := filter.KnownCredentialPlaces()
	if h := p.hidden.Load(); h != nil && h.known == known {
		return h
	}
	h := &hiding{known: known, headers: maps.Clone(p.redact), query: maps.Clone(p.query), cookies: known.Cookies}
	h.patterns, h.omit = p.RedactPatterns, p.omit
	if h.headers == nil { // a benchmark without Validate
		h.headers, h.query = map[string]bool{}, map[string]bool{}
	}
	for _, name := range known.Headers {
		if !slices.ContainsFunc(p.Reveal, func(revealed string) bool { return strings.EqualFold(revealed, name) }) {
			h.headers[name] = true
		}
	}
	for _, name := range known.Queries {
		h.query[name] = true
	}
	p.hidden.Store(h)
	return h
}

// value returns what is written of a header's value.
func (h *hiding) value(name, value string) string { return h.scrub(h.credentials(name, value)) }

// scrub replaces what patterns match.
func (h *hiding) scrub(value string) string {
	for _, re := range h.patterns {
		if re.MatchString(value) {
			value = re.ReplaceAllLiteralString(value, hidden)
		}
	}
	return value
}

// path returns what is written of a path with its query.
func (h *hiding) path(text string) string { return h.scrub(h.address(text)) }

// credentials hides what is known to hold credentials.
func (h *hiding) credentials(name, value string) string {
	switch {
	case h.headers[name]:
		return hidden
	case name == "cookie":
		return h.cookieLine(value)
	case name == "set-cookie":
		first, rest, more := strings.Cut(value, ";")
		if first = h.cookie(first); more {
			first += ";" + rest
		}
		return first
	case hasAddress(name):
		return h.address(value)
	}
	return value
}

// cookieLine hides the cookies of a header that may hold credentials.
func (h *hiding) cookieLine(line string) string {
	if len(h.cookies) == 0 {
		return line
	}
	pairs := strings.Split(line, ";")
	for i, pair := range pairs {
		pairs[i] = h.cookie(pair)
	}
	return strings.Join(pairs, ";")
}

func (h *hiding) cookie(pair string) string {
	name, _, ok := strings.Cut(pair, "=")
	if !ok {
		return pair
	}
	plain := strings.Trim(name, " \t")
	for _, c := range h.cookies {
		if prefix, open := strings.CutSuffix(c, "*"); plain == c || open && strings.HasPrefix(plain, prefix) {
			return name + "=" + hidden
		}
	}
	return pair
}
