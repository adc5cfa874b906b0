package dynmod

/*
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"errors"
	"unsafe"

	"mosn.io/moe/framework/internal/core"
)

// What a plugin asks of Envoy is asked on the stream's own thread and no other: much of it is kept once for each thread.

// FilterState returns bytes of Envoy's filter state.
func (h *handle) FilterState(key string) (value string, err error) {
	err = h.Lookup(func() bool {
		m := &scratch{}
		defer m.free()
		var v C.ebuf
		k := m.buf(key)
		ok := bool(C.envoy_dynamic_module_callback_http_get_filter_state_bytes(h.c.envoy, k, &v)) ||
			bool(C.envoy_dynamic_module_callback_http_get_filter_state_typed(h.c.envoy, k, &v))
		if ok {
			value = goBuffer(v)
		}
		return ok
	})
	return value, err
}

var errFilterState = errors.New("filter state: Envoy refuses to set it; it may be there and read-only")

// SetFilterState sets a string. Keys for which Envoy knows a type become objects of that type.
func (h *handle) SetFilterState(key, value string) error {
	return h.Try(errFilterState, func() bool {
		m := &scratch{}
		defer m.free()
		return bool(C.moe_set_filter_state(h.c, m.buf(key), m.buf(value)))
	})
}

// ClearRouteCache has Envoy choose the route again, until the response has come.
func (h *handle) ClearRouteCache() error {
	return h.Later(func() {
		if !C.moe_route_open(h.c) {
			return
		}
		// Envoy chooses by the headers that it has, and the chain's changes are still with us.
		if s := h.envoyStream; s.e != nil && s.Chain != nil {
			s.Chain.Mu.Lock()
			s.pushHeaders(core.RequestHeaders)
			s.Chain.Mu.Unlock()
		}
		C.envoy_dynamic_module_callback_http_clear_route_cache(h.c.envoy)
	}, nil)
}

var errUpstreamHost = errors.New("upstream host: Envoy refuses the address; give IP:PORT")

// SetUpstreamHost overrides load balancing.
func (h *handle) SetUpstreamHost(addr string, strict bool) error {
	return h.Try(errUpstreamHost, func() bool {
		m := &scratch{}
		defer m.free()
		return bool(C.envoy_dynamic_module_callback_http_set_upstream_override_host(h.c.envoy, m.buf(addr), C.bool(strict)))
	})
}

// Fetch returns a block that Envoy has and Go has not.
func (h *handle) Fetch(block int) (fields []core.Field) {
	_ = h.Ask(func() { fields = h.fetch(block) })
	return fields
}

func (s *envoyStream) fetch(block int) []core.Field {
	if s.c.envoy == nil {
		return nil
	}
	kind := C.envoy_dynamic_module_type_http_header_type(block)
	n := C.envoy_dynamic_module_callback_http_get_headers_size(s.c.envoy, kind)
	if n == 0 {
		return nil
	}
	p := (*C.eheader)(C.malloc(n * C.sizeof_eheader))
	defer C.free(unsafe.Pointer(p))
	if !C.envoy_dynamic_module_callback_http_get_headers(s.c.envoy, kind, p) {
		return nil
	}
	return goFields(nil, p, n)
}

// BufferLimit is Envoy's for this stream.
func (h *handle) BufferLimit() (n int) {
	_ = h.Ask(func() { n = int(C.envoy_dynamic_module_callback_http_get_buffer_limit(h.c.envoy)) })
	return n
}

// bufferedChunks lists what is in Envoy's buffer, in memory to be freed.
func (s *envoyStream) bufferedChunks(dir core.Direction) (*C.ebuf, C.size_t) {
	kind := C.envoy_dynamic_module_type_http_body_type(dir.Trailers())
	n := C.envoy_dynamic_module_callback_http_get_body_chunks_size(s.c.envoy, kind)
	p := (*C.ebuf)(C.malloc((n + 1) * C.sizeof_ebuf))
	C.envoy_dynamic_module_callback_http_get_body_chunks(s.c.envoy, kind, p)
	return p, n
}

// pushHeaders hands the changes so far to Envoy while the chain still works on the block. s.Chain.Mu is held.
func (s *envoyStream) pushHeaders(block int) {
	b := &s.Chain.H[block]
	b.Own() // Envoy moves its own
	m := &scratch{}
	defer m.free()
	kind := C.envoy_dynamic_module_type_http_header_type(block)
	for _, name := range b.Changed {
		key, first := m.buf(name), true
		for i := range b.Fields {
			if b.Fields[i].Name != name {
				continue
			}
			if first {
				C.envoy_dynamic_module_callback_http_set_header(s.c.envoy, kind, key, m.buf(b.Fields[i].Value))
			} else {
				C.envoy_dynamic_module_callback_http_add_header(s.c.envoy, kind, key, m.buf(b.Fields[i].Value))
			}
			first = false
		}
		if first {
			C.envoy_dynamic_module_callback_http_set_header(s.c.envoy, kind, key, C.mbuf{})
		}
	}
	b.ClearChanges()
}
