package filter

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// RequestHeaders are the headers of a request.
type RequestHeaders struct{ Headers }

// Method returns :method, such as "GET".
func (h RequestHeaders) Method() string { return h.Get(":method") }

// Scheme returns :scheme.
func (h RequestHeaders) Scheme() string { return h.Get(":scheme") }

// Host returns :authority, with the port if it has one.
func (h RequestHeaders) Host() string { return h.Get(":authority") }

// Path returns :path as it came: the path and, after "?", the query.
func (h RequestHeaders) Path() string { return h.Get(":path") }

// URL parses scheme, host and path. It is never nil; a path that does not parse is left in Opaque.
func (h RequestHeaders) URL() *url.URL {
	u, err := url.ParseRequestURI(h.Path())
	if err != nil {
		u = &url.URL{Opaque: h.Path()}
	}
	u.Scheme, u.Host = h.Scheme(), h.Host()
	return u
}

// Upgrade returns the protocol that the request asks for in place of HTTP, in lower case, such as "websocket", or
// "connect" for the method CONNECT; "" where there is none. What follows the headers of such a request is not a body: the
// client sends it once the upstream has agreed, and it need not end. So there is no body to wait for: after [WaitBody] or
// [WaitPrefix], OnRequest is called at once, with a body that is empty and complete. A request that declares a body, too, is
// answered with 400 before a plugin sees it.
func (h RequestHeaders) Upgrade() string {
	if h.Method() == http.MethodConnect {
		return "connect"
	}
	protocol := h.Get("upgrade")
	if protocol == "" {
		return ""
	}
	for _, line := range h.Values("connection") {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return strings.ToLower(protocol)
			}
		}
	}
	return ""
}

// Cookie returns the value of the first cookie name.
func (h RequestHeaders) Cookie(name string) (string, bool) {
	for _, line := range h.Values("cookie") {
		cs, _ := http.ParseCookie(line)
		for _, c := range cs {
			if c.Name == name {
				return c.Value, true
			}
		}
	}
	return "", false
}

// SetMethod sets :method. It should be called before the request is routed.
func (h RequestHeaders) SetMethod(m string) { h.Set(":method", m) }

// SetHost sets :authority.
func (h RequestHeaders) SetHost(host string) { h.Set(":authority", host) }

// SetPath sets :path, query included. The route is not chosen again: see [Stream.ClearRouteCache].
func (h RequestHeaders) SetPath(p string) { h.Set(":path", p) }

// ResponseHeaders are the headers of a response.
type ResponseHeaders struct{ Headers }

// Status returns the status code, or 0 when there is no response.
func (h ResponseHeaders) Status() int {
	n, _ := strconv.Atoi(h.Get(":status"))
	return n
}

// SetStatus sets the status code, 200 to 599.
func (h ResponseHeaders) SetStatus(code int) { h.Set(":status", strconv.Itoa(code)) }

// SetCookie adds a set-cookie field.
func (h ResponseHeaders) SetCookie(c *http.Cookie) { h.Add("set-cookie", c.String()) }
