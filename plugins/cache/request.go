package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/plugins/internal/claims"
)

// request is what the cache knows of a request.
type request struct {
	asked
	method string

	key digest // of the resource, for those who share it
}

// uri is the tag that all resources with the URI have. It is worked out for what is stored or invalidated, and not for a hit.
func (a *asked) uri() string {
	if a.tag == "" {
		a.tag = a.uriOf(a.path)
	}
	return a.tag
}

// read finds out what a request is for. bypass is why the cache has nothing to do with it, "" if it has.
func (p *Cache) read(s filter.Stream, h filter.RequestHeaders, endStream bool) (r *request, bypass string, err error) {
	r = &request{method: h.Method(), asked: asked{scheme: h.Scheme(), host: strings.ToLower(h.Host()), path: h.Path()}}
	r.fields = make(fields, 0, h.Len())
	for name, value := range h.All() {
		if name[0] == ':' {
			continue
		}
		if p.unkeyed[name] {
			bypass = "unkeyed"
		}
		r.fields = append(r.fields, field{name, value})
	}
	switch {
	case !strings.HasPrefix(r.path, "/"):
		bypass = "path"
	case h.Upgrade() != "":
		bypass = "upgrade"
	case r.method != http.MethodGet && r.method != http.MethodHead:
		bypass = "method"
	case !endStream || r.fields.has("transfer-encoding") || r.fields.has("content-length") && r.fields.get("content-length") != "0":
		bypass = "body"
	case r.fields.has("if-match") || r.fields.has("if-unmodified-since"):
		bypass = "condition"
	}
	if bypass != "" {
		return r, bypass, nil
	}
	switch {
	case p.IgnoreClients:
	case r.fields.has("cache-control"):
		r.control = parseControl(r.fields.values("cache-control"))
	case strings.EqualFold(r.fields.get("pragma"), "no-cache"):
		r.control = directives{{name: "no-cache"}}
	}
	_, known := claims.Caller.Get(s)
	// Where callers share responses, one whose credential was taken off the request may have no more than one whose was not.
	r.authorized = r.fields.has("authorization") || known && p.Isolate == "none"
	r.key, err = p.keyOf(s, h, r)
	return r, "", err
}

// uriOf returns the tag of a resource on the host of the request, for its path and query.
func (a *asked) uriOf(path string) string {
	sum := sha256.Sum256(a.appendURI(nil, path))
	return "u" + string(sum[:])
}

func (a *asked) appendURI(b []byte, path string) []byte {
	return appendText(appendText(appendText(b, a.scheme), a.host), path)
}

// keyOf returns the key of a request: no two requests that may not share a response have the same.
func (p *Cache) keyOf(s filter.Stream, h filter.RequestHeaders, r *request) (key digest, err error) {
	var buffer [512]byte
	b := r.appendURI(buffer[:0], r.path)
	caller, known := claims.Caller.Get(s) // the token may have been taken off the request
	switch c := s.Consumer(); {
	case p.Isolate == "none":
		b, known = append(b, 0), false
	case c != nil:
		b = appendText(append(b, 1), c.Name)
	default:
		b = append(b, 3)
	}
	if r.authorized && p.Isolate != "none" { // the upstream sees it, whoever has let the request pass
		sum := sha256.Sum256([]byte(joined(r.fields, "authorization")))
		b = append(append(b, 2), sum[:]...)
	}
	if known {
		b = appendText(append(b, 4), caller)
	} else {
		b = append(b, 5)
	}
	if len(p.Key) > 0 {
		q, _ := p.path.Request(s, h)
		if b, err = p.Key.Append(b, &p.mode, &q); err != nil {
			return key, err
		}
	}
	return sha256.Sum256(b), nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// invalidated returns the tags of the resources that an unsafe request has changed (RFC 9111, section 4.4): that of its URI,
// and of those on the same host that the response names.
func (r *request) invalidated(h fields) (tags []string) {
	tags = []string{r.uri()}
	for _, name := range []string{"location", "content-location"} {
		path := h.get(name)
		if origin := r.scheme + "://" + r.host; len(path) >= len(origin) && strings.EqualFold(path[:len(origin)], origin) {
			path = path[len(origin):]
		}
		if strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") {
			path, _, _ = strings.Cut(path, "#")
			if t := r.uriOf(path); !slices.Contains(tags, t) {
				tags = append(tags, t)
			}
		}
	}
	return tags
}
