package authz

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Path says how rules see the path of a request.
type Path struct {
	// Mode is strict: a path that servers read differently (dot segments, encoded slashes, backslashes, NUL, bytes that
	// are no UTF-8, escapes that are malformed or twice encoded) is refused; normalize: it is decoded and resolved as
	// most servers would; or raw: rules see it as it is.
	Mode string `json:"mode" default:"strict" enum:"strict,normalize,raw"`
	// IgnoreCase has rules see the path in lower case, for upstreams to which case makes no difference.
	IgnoreCase bool `json:"ignoreCase"`
}

// What makes a path ambiguous. The errors do not quote it.
var (
	errEscape    = errors.New("the path has a malformed escape")
	errTwice     = errors.New("the path is encoded twice")
	errSlash     = errors.New("the path has an encoded slash or a backslash")
	errDots      = errors.New("the path has dot segments")
	errParam     = errors.New("the path has an encoded semicolon")
	errControl   = errors.New("the path has a control character")
	errUTF8      = errors.New("the path is not valid UTF-8")
	errFragment  = errors.New("the path has a fragment")
	errNoSlash   = errors.New("the path does not begin with a slash")
	errPathError = errors.Join(errEscape, errTwice, errSlash, errDots, errParam, errControl, errUTF8, errFragment, errNoSlash)
)

// Ambiguous reports whether err is one of [Path.Read]'s.
func Ambiguous(err error) bool { return err != nil && errors.Is(errPathError, err) }

// Read returns the path that rules are to see and the query, without its question mark, of what Envoy has in :path.
// The path is decoded once; what follows a semicolon in a segment (path parameters) and empty segments are left out; a
// slash at the end stays. "*" and the empty path of a CONNECT stay as they are.
//
// In mode strict, which the zero Path has, the error says what is ambiguous. Other modes have no errors.
func (p Path) Read(raw string) (path, query string, err error) {
	path, query, _ = strings.Cut(raw, "?")
	switch {
	case p.Mode == "raw" || path == "" || path == "*":
	case !plain(path):
		if path, err = clean(path); p.Mode == "normalize" {
			err = nil
		}
	}
	if p.IgnoreCase {
		path = strings.ToLower(path)
	}
	return path, query, err
}

// plain reports whether clean would return path as it is.
func plain(path string) bool {
	if path[0] != '/' {
		return false
	}
	for i := range len(path) {
		switch c := path[i]; {
		case c <= ' ' || c >= 0x7f, c == '%', c == ';', c == '\\', c == '#':
			return false
		case c == '/' && i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.'):
			return false
		}
	}
	return true
}

// clean decodes path and resolves its segments. The error is the first thing that makes it ambiguous; the path is
// complete nevertheless.
func clean(path string) (string, error) {
	var first error
	note := func(err error) {
		if first == nil {
			first = err
		}
	}
	if path[0] != '/' {
		note(errNoSlash)
		path = "/" + path
	}
	if i := strings.IndexByte(path, '#'); i >= 0 {
		note(errFragment)
		path = path[:i]
	}
	text := decode(path, note)
	if !utf8.ValidString(text) {
		note(errUTF8)
	}
	if twice(text) {
		note(errTwice)
	}
	segments := make([]string, 0, strings.Count(text, "/"))
	last := ""
	for s := range strings.SplitSeq(text[1:], "/") {
		s, _, _ = strings.Cut(s, ";")
		last = s
		switch s {
		case "":
		case ".":
			note(errDots)
		case "..":
			note(errDots)
			segments = segments[:max(len(segments)-1, 0)]
		default:
			segments = append(segments, s)
		}
	}
	if (last == "" || last == "." || last == "..") && len(segments) > 0 {
		segments = append(segments, "")
	}
	return "/" + strings.Join(segments, "/"), first
}

// decode decodes escapes once, and makes slashes of backslashes.
func decode(path string, note func(error)) string {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c, escaped := path[i], false
		if c == '%' {
			hi, lo := -1, -1
			if i+2 < len(path) {
				hi, lo = unhex(path[i+1]), unhex(path[i+2])
			}
			if hi < 0 || lo < 0 {
				note(errEscape)
			} else {
				c, escaped = byte(hi<<4|lo), true
				i += 2
			}
		}
		switch {
		case c == '\\' || c == '/' && escaped:
			note(errSlash)
			c = '/'
		case c == ';' && escaped:
			note(errParam)
		case c < ' ' || c == 0x7f:
			note(errControl)
		}
		b = append(b, c)
	}
	return string(b)
}

// twice reports whether a decoded path still has an escape: a server that decodes once more sees another path, be it by a
// letter only.
func twice(text string) bool {
	for i := strings.IndexByte(text, '%'); i >= 0 && i+2 < len(text); i++ {
		if text[i] == '%' && unhex(text[i+1]) >= 0 && unhex(text[i+2]) >= 0 {
			return true
		}
	}
	return false
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
