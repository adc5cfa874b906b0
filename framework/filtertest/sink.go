package filtertest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
)

// The methods below are those of core.Sink.

// Headers takes a block of headers, and is strict about it.
func (x *run) Headers(di core.Direction, end bool) {
	x.order("headers", di, !x.seen[di])
	x.seen[di], x.end[di] = true, end
	m, pseudo := http.Header{}, map[string]string{}
	for _, f := range x.st.H[di.Headers()].Fields {
		if f.Name != "" && f.Name[0] == ':' {
			pseudo[f.Name] = f.Value
		} else {
			m.Add(f.Name, f.Value)
		}
	}
	x.length(di)
	if di == chain.Response {
		x.r.Status, _ = strconv.Atoi(pseudo[":status"])
		x.r.Header = m
		return
	}
	r := requestTo(pseudo[":method"], pseudo[":path"])
	r.Host, r.Header = pseudo[":authority"], m
	x.r.Upstream = r
}

// requestTo is a request as a server would have it. Over HTTP/2, methods and paths may be what net/http takes for none.
func requestTo(method, path string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Method, r.RequestURI = method, path
	u, err := url.ParseRequestURI(path)
	if err != nil {
		u = &url.URL{}
		u.Path, u.RawQuery, _ = strings.Cut(path, "?")
	}
	r.URL = u
	return r
}

// Data takes a chunk.
func (x *run) Data(di core.Direction, p []byte, end bool) {
	x.order("body", di, x.seen[di])
	if di == chain.Response && x.head {
		p = nil // as Envoy does
	}
	if len(p) > 0 && di == chain.Response {
		x.r.Chunks = append(x.r.Chunks, string(p))
	}
	x.body[di].Write(p)
	x.end[di] = end
	x.length(di)
}

// Trailers takes trailers.
func (x *run) Trailers(di core.Direction) {
	x.order("trailers", di, x.seen[di])
	m := http.Header{}
	for _, f := range x.st.H[di.Trailers()].Fields {
		m.Add(f.Name, f.Value)
	}
	if di == chain.Response {
		x.r.Trailer = m
	} else {
		x.r.Upstream.Trailer = m
	}
	x.end[di] = true
	x.length(di)
}

// order checks what Envoy would.
func (x *run) order(what string, di core.Direction, ok bool) {
	if !ok || x.end[di] || x.r.Reset != "" {
		x.h.bug("(chain)", fmt.Sprintf("passes %s on out of order", what))
	}
}

// length checks what Envoy's codecs would, when a direction is complete.
func (x *run) length(di core.Direction) {
	if !x.end[di] || x.head && di == chain.Response || x.grpc {
		return
	}
	for _, f := range x.st.H[di.Headers()].Fields {
		if f.Name == "content-length" && f.Value != strconv.Itoa(x.body[di].Len()) {
			x.h.bug("(chain)", fmt.Sprintf("sends content-length %s with %d bytes", f.Value, x.body[di].Len()))
		}
	}
}

// Reset ends the stream.
func (x *run) Reset(reason string) { x.r.Reset, x.r.Status = reason, 0 }

// Post has f run by Do.
func (x *run) Post(f func()) {
	select {
	case x.posts <- f:
	case <-x.dead:
	}
}

// The methods below are those of core.Host.

// Attribute finds what Host.Attrs has.
func (x *run) Attribute(name string) (string, error) {
	if v, ok := x.h.Attrs[filter.Attr(name)]; ok {
		return v, x.gone()
	}
	return "", x.or(filter.ErrNotFound)
}

// RouteName is that of core.RouteTeller.
func (x *run) RouteName() string { return x.h.Attrs[filter.AttrRouteName] }

// gone is the error of a stream that has ended.
func (x *run) gone() error { return x.or(nil) }

func (x *run) or(err error) error {
	select {
	case <-x.dead:
		return filter.ErrStreamDone
	default:
		return err
	}
}

// supports returns an error for what the host cannot do.
func (x *run) supports(c filter.Capability) error {
	if x.h.Lacks&c != 0 {
		return filter.ErrUnsupported
	}
	return x.gone()
}

// Metadata finds what SetMetadata or Host.Metadata have set.
func (x *run) Metadata(ns, key string) (any, error) {
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	v, ok := x.r.Metadata[ns+"/"+key]
	if !ok {
		return nil, x.or(filter.ErrNotFound)
	}
	return v, x.gone()
}

// SetMetadata keeps v as Envoy would: numbers are float64.
func (x *run) SetMetadata(ns, key string, v any) error {
	if err := x.supports(filter.CanSetMetadata); err != nil {
		return err
	}
	v, err := metadataValue(v)
	if err != nil {
		return err
	}
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.r.Metadata[ns+"/"+key] = v
	return nil
}

// FilterState finds what SetFilterState or Host.FilterState have set.
func (x *run) FilterState(key string) (string, error) {
	if err := x.supports(filter.CanUseFilterState); err != nil {
		return "", err
	}
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if v, ok := x.r.FilterState[key]; ok {
		return v, nil
	}
	return "", filter.ErrNotFound
}

// SetFilterState keeps a value.
func (x *run) SetFilterState(key, value string) error {
	if err := x.supports(filter.CanUseFilterState); err != nil {
		return err
	}
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	x.r.FilterState[key] = value
	return nil
}

// ClearRouteCache counts.
func (x *run) ClearRouteCache() error {
	err := x.supports(filter.CanClearRouteCache)
	if err == nil {
		x.h.mu.Lock()
		x.r.RouteCleared++
		x.h.mu.Unlock()
	}
	return err
}

// SetUpstreamHost notes.
func (x *run) SetUpstreamHost(addr string, strict bool) error {
	err := x.supports(filter.CanSetUpstreamHost)
	if err == nil {
		x.h.mu.Lock()
		x.r.UpstreamHost, x.r.UpstreamStrict = addr, strict
		x.h.mu.Unlock()
	}
	return err
}

// Secret finds what Host.Secrets or SetSecret have set.
func (x *run) Secret(name string) (string, error) {
	err := x.supports(filter.CanReadSecret)
	x.h.mu.Lock()
	defer x.h.mu.Unlock()
	if err != nil {
		return "", err
	}
	return x.h.Secrets[name], nil
}

// Fetch has nothing: blocks are handed over whole.
func (x *run) Fetch(int) []core.Field { return nil }

// BufferLimit is Host.BufferLimit.
func (x *run) BufferLimit() int { return x.h.BufferLimit }

// Escaped needs no preparation here.
func (x *run) Escaped() {}

// metadataValue returns v as Envoy's metadata holds it.
func metadataValue(v any) (any, error) {
	switch v := v.(type) {
	case string, bool, float64:
		return v, nil
	case int:
		return float64(v), nil
	case int32:
		return float64(v), nil
	case int64:
		return float64(v), nil
	case uint32:
		return float64(v), nil
	case uint64:
		return float64(v), nil
	case float32:
		return float64(v), nil
	case []any:
		list := make([]any, len(v))
		for i := range v {
			e, err := metadataValue(v[i])
			if err != nil {
				return nil, err
			}
			list[i] = e
		}
		return list, nil
	case map[string]any:
		m := maps.Clone(v)
		for k := range m {
			e, err := metadataValue(m[k])
			if err != nil {
				return nil, err
			}
			m[k] = e
		}
		return m, nil
	}
	return nil, fmt.Errorf("filter: metadata cannot hold a %T", v)
}
