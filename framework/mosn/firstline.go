package mosn

import (
	"context"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/pkg/variable"
)

// firstLine is what MOSN keeps of a request in variables, and Envoy in headers whose names begin with a colon.
type firstLine struct {
	method, scheme, host, path, query string // path as the client has written it

	set atomic.Bool // a filter has set one of the variables
}

// normalized returns the path as MOSN's filters have it. MOSN itself normalizes over HTTP/1 only; here both protocols have
// the same path, so that no client gets past a filter by its choice of protocol.
func (f *firstLine) normalized() string { return normalized(f.path) }

// uri returns path and query.
func (f *firstLine) uri() string {
	if f.query == "" {
		return f.path
	}
	return f.path + "?" + f.query
}

// setFirstLine is the setter of these variables.
func setFirstLine(ctx context.Context, value *variable.IndexedValue, text string) error {
	if st := streamOf(ctx); st != nil {
		st.first.set.Store(true)
	}
	return variable.DefaultStringSetter(ctx, value, text)
}

var protocols = map[string]api.ProtocolName{
	"HTTP/1.0": protocolHTTP1, "HTTP/1.1": protocolHTTP1, "HTTP/2": protocolHTTP2, "HTTP/3": protocolHTTP3,
}

// read takes the line from the headers.
func (f *firstLine) read(h filter.RequestHeaders) {
	f.method, f.scheme, f.host = h.Method(), h.Scheme(), h.Host()
	f.path, f.query, _ = strings.Cut(h.Path(), "?")
}

// peer is what Envoy is asked about the client once, when a filter wants to know.
type peer struct {
	once     sync.Once
	addr     netip.AddrPort
	protocol api.ProtocolName
}

// client returns what Envoy knows of the client.
func (st *stream) client() *peer {
	st.peer.once.Do(func() {
		st.peer.addr = st.s.RemoteAddr()
		protocol, err := st.s.Attr(filter.AttrProtocol)
		if err != nil {
			protocol = "HTTP/1.1"
		}
		st.peer.protocol = protocols[protocol]
	})
	return &st.peer
}

// prefetch asks Envoy, on its own thread, for what most filters need, so that their goroutine need not wait for the thread.
func (st *stream) prefetch() { st.client() }

// applyFirstLine changes the request as filters have set its variables.
func (st *stream) applyFirstLine() {
	if !st.first.set.Swap(false) {
		return
	}
	h := filter.RequestHeaders{Headers: st.request.block.h}
	text := func(name, otherwise string) string {
		if v, err := variable.GetString(st.ctx, name); err == nil {
			return v
		}
		return otherwise
	}
	f := &st.first
	changed := false
	if m := text(varMethod, f.method); m != f.method {
		f.method, changed = m, true
		h.SetMethod(m)
	}
	host := text(varHost, f.host)
	if a := text(varAuthority, f.host); a != f.host { // the later one in MOSN, and so the one that holds
		host = a
	}
	if host != f.host {
		f.host, changed = host, true
		h.SetHost(host)
	}
	path, query := text(varPath, f.normalized()), text(varQuery, f.query)
	if path != f.normalized() || query != f.query {
		if path != f.normalized() {
			f.path = (&url.URL{Path: path}).EscapedPath()
		}
		f.query, changed = query, true
		h.SetPath(f.uri())
	}
	if changed {
		st.request.block.note("")
	}
}

// routed counts the changes of the request that may lead to another route.
func (st *stream) routed() int {
	b := st.request.block
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changes
}

// Request headers by which a filter of Envoy's tells the router.
const (
	timeoutHeader    = "x-envoy-upstream-rq-timeout-ms"
	tryTimeoutHeader = "x-envoy-upstream-rq-per-try-timeout-ms"
	retriesHeader    = "x-envoy-max-retries"
	subsetMetadata   = "envoy.lb" // the namespace that Envoy's subset load balancer looks at
)

// forwardMetadata tells Envoy's router what filters have set for MOSN's in variables.
func (st *stream) forwardMetadata() {
	if !st.forwards.Load() {
		return
	}
	if v, err := variable.Get(st.ctx, varRouterMeta); err == nil {
		if m, isMeta := v.(map[string]string); isMeta {
			for key, value := range m {
				if err := st.s.SetMetadata(subsetMetadata, key, value); err != nil {
					st.s.Log().Warn("cannot set metadata for the subset load balancer", "key", key, "error", err)
				}
			}
		}
	}
	for name, header := range map[string]string{varGlobalTimeout: timeoutHeader, varTryTimeout: tryTimeoutHeader} {
		if v, err := variable.GetString(st.ctx, name); err == nil && v != "" {
			st.request.block.h.Set(header, v)
		}
	}
	if v, err := variable.Get(st.ctx, varDisableRetry); err == nil {
		if off, isBool := v.(bool); isBool && off {
			st.request.block.h.Set(retriesHeader, "0")
		}
	}
}
