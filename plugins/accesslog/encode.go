package accesslog

import (
	"errors"
	"iter"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/format"
	"mosn.io/moe/plugins/internal/redact"
)

// maxPooledLine bounds what a rare huge line keeps in memory.
const maxPooledLine = 64 << 10

var lines = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// field is one header field.
type field struct{ name, value string }

// attributes are Envoy's that a line has, by their name in it. What the host does not know is left out.
var attributes = [...]struct {
	member string
	attr   filter.Attr
}{
	{"protocol", filter.AttrProtocol},
	{"request_id", filter.AttrRequestID},
	{"flags", filter.AttrResponseFlags},
	{"details", filter.AttrCodeDetails},
	{"route", filter.AttrRouteName},
	{"cluster", filter.AttrClusterName},
	{"downstream", filter.AttrSourceAddress},
	{"downstream_local", "destination.address"},
	{"upstream", filter.AttrUpstreamAddress},
	{"tls_version", filter.AttrTLSVersion},
	{"server_name", "connection.requested_server_name"},
	{"upstream_failure", "upstream.transport_failure_reason"},
}

// encode appends the line of a stream that ends at now.
func (x *stream) encode(b []byte, s filter.Stream, now time.Time) []byte {
	p := x.log
	hide := p.hide.Now()
	if p.line != nil {
		return x.plain(b, s, hide)
	}
	request, response := s.RequestHeaders(), s.ResponseHeaders()
	b = append(b, `{"time":"`...)
	b = timestamp(b, x.start)
	b = append(b, '"')
	b = member(b, "method", request.Method())
	b = member(b, "scheme", request.Scheme())
	b = member(b, "host", request.Host())
	b = member(b, "path", hide.Path(request.Path()))
	b = append(b, `,"status":`...)
	b = append(b, status(response.Get(":status"))...)
	b = append(b, `,"complete":`...)
	b = strconv.AppendBool(b, x.completed)
	b = milliseconds(b, "duration_ms", x.start, now)
	b = milliseconds(b, "request_ms", x.start, x.requested)
	b = milliseconds(b, "first_byte_ms", x.start, x.began)
	b = x.attributes(b, s)
	if c := s.Consumer(); c != nil {
		b = member(b, "consumer", c.Name)
	}
	if len(p.extra) > 0 {
		b = append(b, `,"fields":{`...)
		for i := range p.extra {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(text(b, p.extra[i].name), ':')
			b = text(b, hide.Scrub(p.extra[i].value.Of(s)))
		}
		b = append(b, '}')
	}
	b = x.message(b, hide, "request", x.sent, request.Headers, s.RequestTrailers())
	b = x.message(b, hide, "response", x.received, response.Headers, s.ResponseTrailers())
	return append(b, '}', '\n')
}

// status returns a status code as a JSON number, 0 if there is no response.
func status(code string) string {
	if len(code) == 3 && '1' <= code[0] && code[0] <= '9' && '0' <= code[1] && code[1] <= '9' &&
		'0' <= code[2] && code[2] <= '9' {
		return code
	}
	return "0"
}

// attributes appends those that the host has. Asking is not free, so it is not asked in vain where that can be known.
func (x *stream) attributes(b []byte, s filter.Stream) []byte {
	flags, tls := "", false
	for i := range attributes {
		a := &attributes[i]
		switch {
		case x.log.unknown[i].Load(),
			a.member == "server_name" && !tls,
			a.member == "upstream_failure" && (flags == "" || flags == "-"):
			continue
		}
		v, err := s.Attr(a.attr)
		if errors.Is(err, filter.ErrUnsupported) {
			x.log.unknown[i].Store(true)
		}
		switch a.attr {
		case filter.AttrResponseFlags:
			v = format.Flags(v)
			flags = v
		case filter.AttrTLSVersion:
			tls = v != ""
		}
		b = member(b, a.member, v)
	}
	return b
}

func (x *stream) message(b []byte, hide *redact.Hiding, name string, bytes int64, headers, trailers filter.Headers) []byte {
	b = append(append(append(b, `,"`...), name...), `":{"bytes":`...)
	b = strconv.AppendInt(b, bytes, 10)
	b = x.block(b, hide, "headers", headers.All())
	b = x.block(b, hide, "trailers", trailers.All())
	return append(b, '}')
}

// block appends fields as an object of lists. The pseudo-headers that have a member of their own are left out.
func (x *stream) block(b []byte, hide *redact.Hiding, name string, all iter.Seq2[string, string]) []byte {
	x.fields, x.taken = x.fields[:0], x.taken[:0]
	for k, v := range all {
		switch k {
		case ":method", ":scheme", ":authority", ":path", ":status":
		default:
			if x.log.omit[k] {
				continue
			}
			v = hide.Value(k, v)
			x.fields, x.taken = append(x.fields, field{k, v}), append(x.taken, false)
		}
	}
	b = append(append(append(b, `,"`...), name...), `":{`...)
	for i := range x.fields {
		if x.taken[i] {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(text(b, x.fields[i].name), ':', '[')
		b = text(b, x.fields[i].value)
		for j := i + 1; j < len(x.fields); j++ {
			if x.fields[j].name == x.fields[i].name {
				x.taken[j] = true
				b = text(append(b, ','), x.fields[j].value)
			}
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// member appends a member whose value is not empty.
func member(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return text(b, value)
}

// timestamp appends a time in UTC with milliseconds. Package time is fast at RFC 3339 without them.
func timestamp(b []byte, t time.Time) []byte {
	b = t.UTC().AppendFormat(b, time.RFC3339)
	ms := t.Nanosecond() / 1e6
	return append(b[:len(b)-1], '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

// milliseconds appends the time from start to end with three decimals, if there was an end.
func milliseconds(b []byte, name string, start, end time.Time) []byte {
	if end.IsZero() {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendFloat(b, float64(end.Sub(start).Microseconds())/1000, 'f', 3, 64)
}

const hex = "0123456789abcdef"

// plain are the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text appends a JSON string. Bytes that are not UTF-8, which JSON cannot hold, become U+FFFD. Control characters, those of
// C1 included, and line separators are escaped: a terminal that shows the log must not obey them.
func text(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		invalid := r == utf8.RuneError && n == 1
		if r >= 0xa0 && !invalid && r != '\u2028' && r != '\u2029' {
			i += n
			continue
		}
		b = append(b, s[from:i]...)
		switch r {
		case '"', '\\':
			b = append(b, '\\', byte(r))
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		}
		i += n
		from = i
	}
	return append(append(b, s[from:]...), '"')
}
