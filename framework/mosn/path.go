package mosn

import "strings"

// normalized returns the path that MOSN's filters decide by. It is what fasthttp's URI.Path makes of path, since MOSN takes
// that over HTTP/1: escapes are resolved once, those that are wrong stay as they are, slashes that follow one another are
// one, and the segments "." and ".." are gone. Only a "." at the end stays.
func normalized(path string) string {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	path = unescaped(path)
	if !strings.Contains(path, "//") && !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	last := len(segments) - 1
	kept := segments[:0]
	for i, s := range segments {
		switch {
		case s == ".." && len(kept) > 0:
			kept = kept[:len(kept)-1]
		case s == "..", s == "":
		case s == "." && i < last:
		default:
			kept = append(kept, s)
			continue
		}
		if i == last && len(kept) > 0 {
			return "/" + strings.Join(kept, "/") + "/"
		}
	}
	return "/" + strings.Join(kept, "/")
}

// unescaped resolves the escapes of a path. Unlike url.PathUnescape it does so beside a wrong one too: an escape that is
// wrong must not hide the rest of the path from a filter.
func unescaped(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	b.Grow(len(path))
	for i := 0; i < len(path); i++ {
		if path[i] == '%' && i+2 < len(path) {
			high, isHigh := hexDigit(path[i+1])
			low, isLow := hexDigit(path[i+2])
			if isHigh && isLow {
				b.WriteByte(high<<4 | low)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
