package nethttp

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"

	"mosn.io/moe/framework/filter"
)

// OnRequestHeaders starts the handler.
func (x *exchange) OnRequestHeaders(s filter.Stream, h filter.RequestHeaders, end bool) filter.Action {
	x.later = internals.Later(s)
	remote, proto := "", ""
	if a := s.RemoteAddr(); a.IsValid() {
		remote = a.String()
	}
	if p, err := s.Attr(filter.AttrProtocol); err == nil {
		proto = p
	}
	return filter.Go(func(context.Context) filter.Action {
		x.ctx = s.Context()
		x.in.eof, x.in.trailers = end, x.requestTrailers
		r := newRequest(h, &x.in, end, remote, proto).WithContext(context.WithValue(x.ctx, exchangeKey{}, x))
		x.before, x.given, x.trailer = outlineOf(r), r.Body, r.Trailer
		x.down.head = r.Method == http.MethodHead
		context.AfterFunc(x.ctx, x.leave)
		x.mu.Lock()
		go x.serve(r)
		return x.requestTurn(h, nil)
	})
}

// OnRequest hands over a piece of a body that the handler reads before it calls next.
func (x *exchange) OnRequest(_ filter.Stream, h filter.RequestHeaders, b filter.Body) filter.Action {
	return filter.Go(func(context.Context) filter.Action {
		p, complete := b.Bytes(), b.Complete()
		x.mu.Lock()
		if x.sent != nil && x.sent.fromNothing {
			return x.forwardNew(b)
		}
		x.in.put(p, complete)
		return x.requestTurn(h, &b)
	})
}

// requestTurn waits for what the handler decides about the request, of whose body b is a piece if it is not nil. It is
// called with mu held and releases it.
func (x *exchange) requestTurn(h filter.RequestHeaders, b *filter.Body) filter.Action {
	defer x.unlock()
	if !x.turn(func() bool { return x.sent != nil || x.down.ready() || x.in.hungry() }) {
		return filter.Continue
	}
	switch {
	case x.ended || x.down.ready():
		return x.reply()
	case x.sent != nil:
		return x.forward(h, b)
	}
	if b != nil {
		b.Set(nil)
	}
	return filter.WaitPrefix(1)
}

// forward lets the request go on as next was given it.
func (x *exchange) forward(h filter.RequestHeaders, b *filter.Body) filter.Action {
	o := x.sent
	o.apply(h, &x.before, x.in.taken)
	switch {
	case o.same:
		rest := x.in.data
		x.in.close()
		if b != nil {
			b.Set(rest)
		}
		return filter.Continue
	case b != nil:
		b.Set(nil) // the rest of it is in x.in
	case x.in.eof && o.empty:
		return filter.Continue
	case x.in.eof:
		o.fromNothing = true
		return filter.WaitBody // which is at once
	}
	return internals.KeepLength(filter.Pipe(x.carryUp))
}

// forwardNew lets a request that had no body go on with the one that next was given. A body that fits in a buffer gets
// its Content-Length. Of a longer one b holds a beginning, for there is no pipe without; what the pipe yields of that
// is discarded.
func (x *exchange) forwardNew(b filter.Body) filter.Action {
	defer x.unlock()
	o, p, n := x.sent, make([]byte, bufferSize), 0
	var err error
	x.outside(func() {
		for n < len(p) && err == nil {
			var k int
			k, err = o.read(p[n:])
			n += k
		}
	})
	p = p[:n]
	switch {
	case err == io.EOF:
		o.done = true
		if n > 0 {
			b.Set(p)
		}
		return filter.Continue
	case err != nil:
		o.err = err
		x.changed.Broadcast()
		x.turn(func() bool { return x.down.ready() })
		return x.reply()
	}
	x.up.data = append(x.up.data, p...)
	b.Set(p)
	return internals.KeepLength(filter.Pipe(x.carryUp))
}

// OnRequestTrailers changes the trailers as next's request has them, if the handler has seen them.
func (x *exchange) OnRequestTrailers(_ filter.Stream, t filter.Headers) filter.Action {
	x.mu.Lock()
	defer x.unlock()
	if x.sent != nil && x.sent.trailer != nil {
		change(t, x.before.trailer, x.sent.trailer)
	}
	return filter.Continue
}

// requestTrailers puts the trailers into the handler's request when its body is at its end; mu is held.
func (x *exchange) requestTrailers() {
	x.before.trailer = x.s.RequestTrailers().HTTP()
	for k, vs := range x.before.trailer {
		x.trailer[k] = append([]string(nil), vs...)
	}
}

// outline is what of a request may differ between the handler's and next's.
type outline struct {
	method, host, uri string
	header, trailer   http.Header
	length            int64
}

func outlineOf(r *http.Request) outline {
	o := outline{method: r.Method, host: r.Host, header: r.Header.Clone(), length: r.ContentLength}
	if r.URL != nil {
		o.uri = r.URL.RequestURI()
	}
	if o.method == "" {
		o.method = http.MethodGet
	}
	return o
}

// newRequest makes a request as net/http's server would.
func newRequest(h filter.RequestHeaders, in *inlet, end bool, remote, proto string) *http.Request {
	u := h.URL()
	u.Scheme, u.Host = "", ""
	r := &http.Request{
		Method: h.Method(), URL: u, Host: h.Host(), RequestURI: h.Path(), Header: h.HTTP(),
		RemoteAddr: remote, Body: in, ContentLength: -1, Trailer: http.Header{},
	}
	if r.Method == http.MethodConnect && r.RequestURI == "" {
		u.Host, r.RequestURI = r.Host, r.Host
	}
	if n, err := strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		r.ContentLength = n
	}
	if end {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	switch proto { // as Envoy names them
	case "HTTP/2":
		proto = "HTTP/2.0"
	case "HTTP/3":
		proto = "HTTP/3.0"
	}
	var ok bool
	if r.ProtoMajor, r.ProtoMinor, ok = http.ParseHTTPVersion(proto); !ok {
		proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	}
	r.Proto = proto
	if h.Scheme() == "https" {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return r
}
