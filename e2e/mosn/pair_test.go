package mosn

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/upstream"
)

// configuration is a list of filters as a MOSN user has it, and requests to send to both.
type configuration struct {
	name     string
	filters  string // stream_filters, in JSON
	routes   []route
	requests []request
}

// route is a prefix of paths with a per_filter_config, in JSON.
type route struct{ prefix, perFilter string }

// request is what is sent to both.
type request struct {
	name   string
	method string
	host   string // default shop.example
	path   string
	header []string
	body   string

	// asHTTP1 has Envoy do over HTTP/2 what MOSN does over HTTP/1 only, and mend puts right what MOSN makes of the request.
	// docs/mosn.md has the reason for each.
	asHTTP1 bool
	mend    func(o *outcome)
	// again has MOSN asked again where it has not done what it does most times.
	again func(o *outcome) bool
}

// asked are the protocols over which MOSN is asked: whether it is HTTP/2.
func (r request) asked() []bool {
	if r.asHTTP1 {
		return []bool{false}
	}
	return []bool{false, true}
}

func (r request) key(h2 bool) string {
	if h2 {
		return r.name + ", HTTP/2"
	}
	return r.name
}

// outcome is what one of the two has made of a request.
type outcome struct {
	Status   int
	Header   map[string][]string
	Body     string
	Upstream *passed // nil: it was not reached
}

// passed is a request as the upstream saw it.
type passed struct {
	Method, Path, Host string
	Header             map[string][]string
	Body               string
}

// Fields in which proxies differ whatever the filters do.
var (
	ofResponses = []string{"Date", "Server", "Connection", "Transfer-Encoding", "Keep-Alive", "X-Upstream"}
	ofRequests  = []string{
		"X-Id", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Proto", "User-Agent", "Accept-Encoding", "Connection",
		"Transfer-Encoding", "Content-Length", "Te",
	}
)

func without(h http.Header, names []string) map[string][]string {
	out := map[string][]string{}
	for k, v := range h {
		if !slices.Contains(names, k) && !strings.HasPrefix(k, "X-Envoy-") {
			out[k] = v
		}
	}
	return out
}

func (r request) send(addr string, h2 bool) (*client.Response, error) {
	return client.Do(addr, client.Request{
		Method: r.method, Path: r.path, Host: cmp.Or(r.host, "shop.example"), Header: r.header, Body: r.body, H2: h2,
	})
}

// of describes a response. seen is what the upstream saw of it.
func (r request) of(resp *client.Response, seen []upstream.Seen) outcome {
	o := outcome{Status: resp.Status, Header: without(resp.Header, ofResponses), Body: resp.Body}
	for _, s := range seen {
		o.Upstream = &passed{
			Method: s.Method, Path: s.Path, Host: s.Host, Header: without(s.Header, ofRequests), Body: s.Body,
		}
	}
	if o.Header["X-Upstream-Path"] != nil { // the upstream's answer describes the request, which Upstream does too
		o.Body = ""
		delete(o.Header, "Content-Length")
	}
	if o.Upstream == nil { // a reply of the proxy's own, to which each gives a type in its way
		if t := o.Header["Content-Type"]; len(t) > 0 && (len(o.Body) == 0 || strings.HasPrefix(t[0], "text/plain")) {
			delete(o.Header, "Content-Type")
		}
		if len(o.Body) == 0 {
			delete(o.Header, "Content-Length")
		}
	}
	return o
}

// withoutEcho takes out what only MOSN does: it sends the request's headers back in a reply, and gives a body a type.
func (r request) withoutEcho(o outcome) outcome {
	if o.Upstream != nil {
		// fasthttp's type for a body without one.
		if t := o.Upstream.Header["Content-Type"]; len(t) == 1 && t[0] == "application/octet-stream" &&
			!slices.Contains(r.header, "content-type") {
			delete(o.Upstream.Header, "Content-Type")
		}
		return o
	}
	echoed := []string{"Host", "User-Agent", "X-Id", "Accept-Encoding", "Content-Type", "Te"}
	for i := 0; i < len(r.header); i += 2 {
		echoed = append(echoed, http.CanonicalHeaderKey(r.header[i]))
	}
	o.Header = without(o.Header, echoed)
	return o
}
