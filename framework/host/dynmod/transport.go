package dynmod

/*
#include "moe.h"
*/
import "C"

import (
	"context"
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

// caller is who owns a callout in Envoy: a stream, on its worker, or a configuration, on the main thread.
type caller interface {
	// callout runs f on the owner's thread, where it may write verbs, or drop, when the owner is gone.
	callout(f func(w writer, all *callouts), drop func()) error
}

// RoundTrip sends r and returns when the response's headers are there. It waits, so it belongs in a function given
// to filter.Go or env.Go, never into a phase method itself.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if bool(C.moe_on_envoy_thread()) {
		closeBody(r)
		return nil, fmt.Errorf("cluster %s: a request from a phase method would block Envoy: send it from filter.Go", t.cluster)
	}
	fields, inline, rest := t.split(r)
	for {
		var who caller = newest()
		gone := errConfigGone
		if h, ok := core.HostOf(r.Context()).(*handle); ok {
			who, gone = h, core.ErrStreamDone
		}
		response, err := t.send(r, who, gone, fields, inline, rest)
		// A configuration that was replaced takes its requests with it; what may be sent twice is sent over the next.
		if errors.Is(err, errConfigGone) && rest == nil && idempotent(r.Method) && newest() != nil {
			continue
		}
		return response, err
	}
}

func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// send sends r, whose body is inline, and then rest, for who; gone is the error where who ends before.
func (t *transport) send(r *http.Request, who caller, gone error, fields []core.Field, inline []byte,
	rest io.ReadCloser,
) (*http.Response, error) {
	c := &callout{who: who, request: r, started: make(chan error, 1), head: make(chan struct{}), wake: make(chan struct{}, 1)}
	err := who.callout(func(w writer, all *callouts) {
		all.start(w, c, t.cluster, fields, inline, rest == nil, deadline(r.Context()))
	}, func() { c.fail(gone) })
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
func (h *handle) callout(f func(writer, *callouts), drop func()) error {
	return h.Soon(func() { f(h.write(), &h.callouts) }, drop)
}

// start writes the verb that starts c.
func (all *callouts) start(w writer, c *callout, cluster string, fields []core.Field, body []byte, end bool, timeout uint64) {
	if c.request.Context().Err() != nil {
		c.begin(context.Cause(c.request.Context()))
		return
	}
	w.startCallout(all.add(c), cluster, fields, body, end, timeout)
}

// event tells a callout what Envoy says of it.
func (all *callouts) event(w writer, e *C.moe_event) {
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
			w.resetCallout(c.id)
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
			w.resetCallout(c.id)
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
