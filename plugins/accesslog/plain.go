package accesslog

import (
	"strings"

	"mosn.io/moe/framework/filter"
)

// plain appends a line of text. What is not known is "-", as in Envoy's logs.
func (x *stream) plain(b []byte, s filter.Stream, hide *hiding) []byte {
	b = x.log.line.Append(b, s, func(value string, from []string) string {
		if value == "" {
			return "-"
		}
		return escape(hide.scrub(hide.from(value, from)))
	})
	return append(b, '\n')
}

// from hides a value that comes from one of some places.
func (h *hiding) from(value string, places []string) string {
	for _, name := range places {
		parameter, isParameter := strings.CutPrefix(name, "?")
		switch {
		case name == "?": // all of the query
			value = strings.TrimPrefix(h.address("?"+value), "?")
		case isParameter && h.query[parameter]:
			return hidden
		case isParameter:
		case name == ":path":
			value = h.address(value)
		default:
			if value = h.credentials(name, value); value == hidden {
				return value
			}
		}
	}
	return value
}

// escape returns a value such that it cannot begin another line, nor end a quotation.
func escape(value string) string {
	for i := range len(value) {
		if !plain[value[i]] {
			quoted := text(nil, value)
			return string(quoted[1 : len(quoted)-1])
		}
	}
	return value
}
