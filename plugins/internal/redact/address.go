package redact

import (
	"net/url"
	"strings"
)

// hasAddress reports whether a header holds a path or a URL, whose query may have what is to be hidden.
func hasAddress(header string) bool {
	switch header {
	case "referer", "location", "content-location", "refresh", "link":
		return true
	}
	if !strings.HasPrefix(header, "x-") {
		return false
	}
	for _, end := range [...]string{"-path", "-uri", "-url"} { // x-envoy-original-path, x-forwarded-uri, x-rewrite-url, …
		if strings.HasSuffix(header, end) {
			return true
		}
	}
	return false
}

// Address returns a path or URL with what is to be hidden of its query hidden, and of a fragment that is written like one.
func (h *Hiding) Address(text string) string {
	i := strings.IndexAny(text, "?#")
	if i < 0 || len(h.query) == 0 {
		return text
	}
	var b strings.Builder
	b.WriteString(text[:i])
	for rest := text[i:]; rest != ""; {
		b.WriteByte(rest[0]) // what is before a parameter
		end := strings.IndexAny(rest[1:], "?#&") + 1
		if end == 0 {
			end = len(rest)
		}
		b.WriteString(h.parameter(rest[1:end]))
		rest = rest[end:]
	}
	return b.String()
}

// parameter returns NAME=VALUE, with the value hidden if it is to be.
func (h *Hiding) parameter(text string) string {
	name, _, ok := strings.Cut(text, "=")
	if !ok {
		return text
	}
	if !h.query[name] {
		plain, err := url.QueryUnescape(name)
		if err != nil || !h.query[plain] {
			return text
		}
	}
	return name + "=" + Hidden
}
