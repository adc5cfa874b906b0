package cache

import (
	"math"
	"strings"
	"time"
)

// directives are those of Cache-Control (RFC 9111, section 5.2).
type directives []directive

type directive struct {
	name   string // in lower case
	value  string // without quotes; "" if there is none
	valued bool
}

// maxDirectives bounds what a peer can have parsed.
const maxDirectives = 64

// parseControl reads the values of Cache-Control. Malformed ones, such as those with a space around "=", are left out.
func parseControl(values []string) (d directives) {
	for _, v := range values {
		for v != "" && len(d) < maxDirectives {
			var one string
			one, v = cutList(v)
			name, value, valued := strings.Cut(one, "=")
			if name = strings.ToLower(name); !isToken(name) {
				continue
			}
			if valued {
				var ok bool
				if value, ok = unquote(value); !ok {
					continue
				}
			}
			d = append(d, directive{name, value, valued})
		}
	}
	return d
}

// cutList returns the first element of a comma-separated list, without the spaces around it, and the rest. Commas within
// quotes do not count.
func cutList(v string) (first, rest string) {
	quoted := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ',' && !quoted:
			return trim(v[:i]), v[i+1:]
		}
	}
	return trim(v), ""
}

func trim(v string) string { return strings.Trim(v, " \t") }

// unquote returns a token as it is, and a quoted string without its quotes.
func unquote(v string) (string, bool) {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return v, v == "" || isToken(v)
	}
	v = v[1 : len(v)-1]
	if strings.IndexByte(v, '\\') < 0 {
		return v, strings.IndexByte(v, '"') < 0
	}
	var b strings.Builder
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		b.WriteByte(v[i])
	}
	return b.String(), true
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// has reports whether a directive is there, with or without a value.
func (d directives) has(name string) bool {
	for i := range d {
		if d[i].name == name {
			return true
		}
	}
	return false
}

// whole reports whether a directive is there that is about the whole response, and not about some fields.
func (d directives) whole(name string) bool {
	for i := range d {
		if d[i].name == name && !d[i].valued {
			return true
		}
	}
	return false
}

// fields are the names that a directive is about, in lower case.
func (d directives) fields(name string) (names []string) {
	for i := range d {
		if d[i].name != name || !d[i].valued {
			continue
		}
		for rest := d[i].value; rest != ""; {
			var n string
			if n, rest = cutList(rest); isToken(n) {
				names = append(names, strings.ToLower(n))
			}
		}
	}
	return names
}

// seconds returns the time of a directive: the least of several, and none at all if one is not a number.
func (d directives) seconds(name string) (t time.Duration, ok bool) {
	for i := range d {
		if d[i].name != name {
			continue
		}
		n := parseSeconds(d[i].value)
		if !ok || n < t {
			t = n
		}
		ok = true
	}
	return t, ok
}

// parseSeconds reads delta-seconds (RFC 9111, section 1.2.2). A number that is too large counts as 2^31 seconds, anything
// else as none.
func parseSeconds(v string) time.Duration {
	n := int64(0)
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return 0
		}
		n = min(n*10+int64(v[i]-'0'), math.MaxInt32)
	}
	return time.Duration(n) * time.Second
}

// parseTargeted reads the values of CDN-Cache-Control (RFC 9213), a dictionary of structured fields (RFC 9651). It reports
// false for one that is empty or malformed, or where a time is not a number: such a field is ignored as a whole.
func parseTargeted(values []string) (d directives, ok bool) {
	rest := trim(strings.Join(values, ","))
	for rest != "" && len(d) < maxDirectives {
		var one directive
		n := 0
		for n < len(rest) && isKeyByte(rest[n], n == 0) {
			n++
		}
		if one.name = rest[:n]; n == 0 {
			return nil, false
		}
		if rest = rest[n:]; strings.HasPrefix(rest, "=") {
			one.valued = true
			if one.value, rest, ok = bareItem(rest[1:]); !ok {
				return nil, false
			}
		}
		if one.value == "?1" {
			one.value, one.valued = "", false // as without one
		}
		if timed[one.name] && (one.value == "" || strings.Trim(one.value, "0123456789") != "") {
			return nil, false
		}
		if d = append(d, one); rest != "" {
			if rest = trim(rest); rest == "" {
				break
			}
			if rest, ok = strings.CutPrefix(rest, ","); !ok {
				return nil, false
			}
			if rest = trim(rest); rest == "" {
				return nil, false
			}
		}
	}
	return d, len(d) > 0
}

// timed are the directives that have a time.
var timed = map[string]bool{"max-age": true, "s-maxage": true, "stale-while-revalidate": true, "stale-if-error": true}

func isKeyByte(c byte, first bool) bool {
	return 'a' <= c && c <= 'z' || c == '*' || !first && ('0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')
}

// bareItem reads a number, a token, a boolean or a string, which stays in its quotes, as it cannot be a number.
func bareItem(s string) (item, rest string, ok bool) {
	if s == "" {
		return "", "", false
	}
	if s[0] == '"' {
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\':
				i++
			case s[i] == '"':
				return s[:i+1], s[i+1:], true
			}
		}
		return "", "", false
	}
	n := 0
	for n < len(s) && s[n] != ',' && s[n] != ' ' && s[n] != '\t' {
		n++
	}
	item = s[:n]
	return item, s[n:], item == "?0" || item == "?1" || isToken(item)
}
