package accesslog

import (
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/redact"
)

// plain appends a line of text. What is not known is "-", as in Envoy's logs.
func (x *stream) plain(b []byte, s filter.Stream, hide *redact.Hiding) []byte {
	b = x.log.line.Append(b, s, func(value string, from []string) string {
		if value == "" {
			return "-"
		}
		return escape(hide.Scrub(hide.From(value, from)))
	})
	return append(b, '\n')
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
