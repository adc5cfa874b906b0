package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// transport sends requests over one of Envoy's clusters.
type transport struct{ cluster string }

var errConfigGone = errors.New("the filter's configuration is closed")

// caller is who owns a callout in Envoy: a stream, on its worker, or a configuration, on the main thread.
type caller interface {
	// callout runs f on the owner's thread, where it may write verbs.
	callout(f func(w *stream, all *callouts)) error
}

// RoundTrip sends r and returns when the response's headers are there. It waits, so it belongs into a function given
// to filter.Go or env.Go, never into a phase method itself.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if bool(C.moe_on_envoy_thread()) {
		closeBody(r)
		return nil, fmt.Errorf("cluster %s: a request from a phase method would block Envoy: send it from filter.Go", t.cluster)
	}
	var who caller = anyConfig()
	if h, ok := core.HostOf(r.Context()).(*handle); ok {
		who = h
	}
	c := &callout{who: who, request: r, started: make(chan error, 1), head: make(chan struct{}), wake: make(chan struct{}, 1)}
	fields, inline, rest := t.split(r)
	err := who.callout(func(w *stream, all *callouts) {
		all.start(w, c, t.cluster, fields, inline, rest == nil, deadline(r.Context()))
	})
	if err == nil {
		err = c.await(r.Context(), c.started)
	}
	if err != nil {
		closeBody(r)
		return nil, fmt.Errorf("cluster %s: %w", t.cluster, err)
	}
	if rest != nil {
		go c.send(rest)
	}
	select {
	case <-c.head:
	case <-r.Context().Done():
		c.reset(context.Cause(r.Context()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.response == nil {
		return nil, fmt.Errorf("cluster %s: %w", t.cluster, c.err)
	}
	c.stop = context.AfterFunc(r.Context(), func() { c.reset(context.Cause(r.Context())) })
	return c.response, nil
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		r.Body.Close()
	}
}

// deadline is Envoy's timeout for a request, in ms. It comes a little after the context's own, which gives the error
// that a caller of Go's expects; Envoy would answer 504 in the upstream's name.
func deadline(ctx context.Context) uint64 {
	if d, ok := ctx.Deadline(); ok {
		return uint64(max(time.Until(d).Milliseconds(), 0)) + 1000
	}
	return 0
}

// maxInline is how much of a request's body goes along with its headers.
const maxInline = 64 << 10

// split returns a request's headers as Envoy wants them, its body as far as it goes along, and a reader of the rest,
// or nil.
func (t *transport) split(r *http.Request) (fields []core.Field, inline []byte, rest io.ReadCloser) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if host == "" {
		host = t.cluster
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	scheme := r.URL.Scheme
	if scheme == "" {
		scheme = "http"
	}
	fields = []core.Field{
		{Name: ":method", Value: method},
		{Name: ":scheme", Value: scheme},
		{Name: ":authority", Value: host},
		{Name: ":path", Value: r.URL.RequestURI()},
	}
	for name, values := range r.Header {
		for _, v := range values {
			fields = append(fields, core.Field{Name: strings.ToLower(name), Value: v})
		}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return fields, nil, nil
	}
	if r.ContentLength > 0 {
		fields = append(fields, core.Field{Name: "content-length", Value: fmt.Sprint(r.ContentLength)})
	}
	if r.ContentLength < 0 || r.ContentLength > maxInline {
		return fields, nil, r.Body
	}
	inline, err := io.ReadAll(io.LimitReader(r.Body, maxInline))
	if err != nil || int64(len(inline)) != r.ContentLength {
		return fields, inline, r.Body // send reports what is wrong
	}
	r.Body.Close()
	return fields, inline, nil
}

// callout of a stream runs on its worker.
func (h *handle) callout(f func(*stream, *callouts)) error {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen != h.gen || s.gone() {
		return core.ErrStreamDone
	}
	s.calls = append(s.calls, call{run: func(s *stream) {
		if s.c.envoy != nil {
			f(s, &s.callouts)
		}
	}, drop: func() {}})
	s.escaped, s.c.escaped = true, 1
	if !s.inside {
		s.wake()
	}
	return nil
}

// callout of a configuration runs on Envoy's main thread.
func (conf *filterConfig) callout(f func(*stream, *callouts)) error {
	if conf == nil {
		return errConfigGone
	}
	conf.mu.Lock()
	defer conf.mu.Unlock()
	if conf.c == nil {
		return errConfigGone
	}
	conf.posts = append(conf.posts, func(e *C.moe_event) { f(&stream{e: e}, &conf.callouts) })
	C.moe_config_commit(conf.c)
	return nil
}

// configEvent is an event of a configuration, on the main thread.
func configEvent(e *C.moe_event) {
	conf := configs.get(uint32(e.config.id))
	if conf == nil {
		return
	}
	conf.mu.Lock()
	defer conf.mu.Unlock()
	if e.kind == C.EVENT_CONFIG_SCHEDULED {
		posts := conf.posts
		conf.posts = nil
		for _, f := range posts {
			f(e)
		}
		return
	}
	conf.callouts.event(&stream{e: e}, e)
}

func (s *stream) calloutEvent(e *C.moe_event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.callouts.event(s, e)
}

// start writes the verb that starts c.
func (all *callouts) start(w *stream, c *callout, cluster string, fields []core.Field, body []byte, end bool, timeout uint64) {
	if c.request.Context().Err() != nil {
		c.begin(context.Cause(c.request.Context()))
		return
	}
	fields = fields[:min(len(fields), maxHeaders)]
	token := all.add(c)
	p, p2 := w.verb(C.VERB_CALLOUT_START, len(fields), int(cbool(end)), 16+len(cluster)+pairsSize(fields), len(body))
	binary.NativeEndian.PutUint32(p, token)
	binary.NativeEndian.PutUint64(p[4:], timeout)
	binary.NativeEndian.PutUint32(p[12:], uint32(len(cluster)))
	copy(p[16:], cluster)
	putPairs(p[16+len(cluster):], fields)
	copy(p2, body)
}

// event tells a callout what Envoy says of it.
func (all *callouts) event(w *stream, e *C.moe_event) {
	if e.kind == C.EVENT_CALLOUT_STARTED {
		c := all.tokens[uint32(e.callout)]
		delete(all.tokens, uint32(e.callout))
		if c == nil {
			return
		}
		if e.status != C.envoy_dynamic_module_type_http_callout_init_result_Success {
			c.begin(calloutError(int(e.status)))
			return
		}
		all.running[uint64(e.callout_id)] = c
		c.id = uint64(e.callout_id)
		if c.abandoned() {
			c.resetVerb(w)
		}
		c.begin(nil)
		return
	}
	c := all.running[uint64(e.callout_id)]
	if c == nil {
		return
	}
	switch e.kind {
	case C.EVENT_CALLOUT_HEADERS:
		c.headers(goFields(nil, (*C.eheader)(unsafe.Pointer(e.headers)), e.headers_n), e.end != 0)
	case C.EVENT_CALLOUT_DATA:
		if !c.data(goBytes((*C.ebuf)(unsafe.Pointer(e.data)), e.data_n, 0), e.end != 0) {
			c.resetVerb(w)
		}
	case C.EVENT_CALLOUT_TRAILERS:
		c.trailers(goFields(nil, (*C.eheader)(unsafe.Pointer(e.headers)), e.headers_n))
	case C.EVENT_CALLOUT_COMPLETE:
		delete(all.running, c.id)
		c.fail(io.EOF)
	case C.EVENT_CALLOUT_RESET:
		delete(all.running, c.id)
		c.fail(errReset)
	}
}

var errReset = errors.New("the upstream reset the request, or could not be reached in time")

func calloutError(result int) error {
	switch result {
	case C.envoy_dynamic_module_type_http_callout_init_result_ClusterNotFound:
		return errors.New("no such cluster in Envoy")
	case C.envoy_dynamic_module_type_http_callout_init_result_MissingRequiredHeaders:
		return errors.New("the request lacks a method, path or host")
	}
	return errors.New("no upstream is there to take the request")
}

func (c *callout) idVerb(w *stream, verb uint8, end bool, p []byte) {
	out, _ := w.verb(verb, 0, int(cbool(end)), 8+len(p), 0)
	binary.NativeEndian.PutUint64(out, c.id)
	copy(out[8:], p)
}

func (c *callout) resetVerb(w *stream) { c.idVerb(w, C.VERB_CALLOUT_RESET, false, nil) }

func (c *callout) dataVerb(w *stream, p []byte, end bool) { c.idVerb(w, C.VERB_CALLOUT_DATA, end, p) }
