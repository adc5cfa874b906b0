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

// call is something to be done with Envoy's side of a stream, on its thread.
type call struct {
	run  func(*stream)
	drop func() // instead of run, when the stream is gone
}

// do runs f with Envoy's side of the stream, and waits for the stream's thread if that is not in Go now.
func (h *handle) do(f func(*stream)) error { return h.ask(f, false) }

// ask is do. With own, f runs on the stream's thread and no other: it asks Envoy for what each thread has of its own,
// so that it is not enough that the thread stands still.
func (h *handle) ask(f func(*stream), own bool) error {
	s := h.s
	s.mu.Lock()
	if s.gen != h.gen {
		s.mu.Unlock()
		return core.ErrStreamDone
	}
	if s.inside && (!own || bool(C.moe_on_thread(s.e.thread))) {
		defer s.mu.Unlock()
		if s.c.envoy == nil {
			return core.ErrStreamDone
		}
		f(s)
		return nil
	}
	done := make(chan error, 1)
	s.calls = append(s.calls, call{
		run: func(s *stream) {
			if s.c.envoy == nil {
				done <- core.ErrStreamDone
				return
			}
			f(s)
			done <- nil
		},
		drop: func() { done <- core.ErrStreamDone },
	})
	s.wake()
	gone := s.gone() // after wake, as C looks for a wake after it has set gone
	s.mu.Unlock()
	if gone {
		return core.ErrStreamDone
	}
	return <-done
}

// later runs f like do, but does not wait: a change need only be there before the stream goes on.
func (h *handle) later(f func(*stream)) error {
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gen != h.gen || s.gone():
		return core.ErrStreamDone
	case s.inside:
		f(s)
	default:
		s.calls = append(s.calls, call{run: func(s *stream) {
			if s.c.envoy != nil {
				f(s)
			}
		}, drop: func() {}})
	}
	return nil
}

// lookup is do for something that may not exist.
func (h *handle) lookup(f func(*stream) bool) error { return h.find(f, false) }

// find is lookup with ask in place of do.
func (h *handle) find(f func(*stream) bool, own bool) error {
	found := false
	if err := h.ask(func(s *stream) { found = f(s) }, own); err != nil {
		return err
	}
	if !found {
		return core.ErrNotFound
	}
	return nil
}

// FilterState returns bytes of Envoy's filter state.
func (h *handle) FilterState(key string) (value string, err error) {
	err = h.lookup(func(s *stream) bool {
		m := &scratch{}
		defer m.free()
		var v C.ebuf
		k := m.buf(key)
		ok := bool(C.envoy_dynamic_module_callback_http_get_filter_state_bytes(s.c.envoy, k, &v)) ||
			bool(C.envoy_dynamic_module_callback_http_get_filter_state_typed(s.c.envoy, k, &v))
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
	var refused bool
	err := h.later(func(s *stream) {
		m := &scratch{}
		defer m.free()
		k, v := m.buf(key), m.buf(value)
		refused = !bool(C.envoy_dynamic_module_callback_http_set_filter_state_typed(s.c.envoy, k, v)) &&
			!bool(C.envoy_dynamic_module_callback_http_set_filter_state_bytes(s.c.envoy, k, v))
	})
	if err == nil && refused {
		err = errFilterState
	}
	return err
}

// ClearRouteCache has Envoy choose the route again.
func (h *handle) ClearRouteCache() error {
	return h.later(func(s *stream) {
		// Envoy chooses by the headers that it has, and the chain's changes are still with us.
		if s.e != nil && s.st != nil {
			s.st.Mu.Lock()
			s.pushHeaders(core.RequestHeaders)
			s.st.Mu.Unlock()
		}
		C.envoy_dynamic_module_callback_http_clear_route_cache(s.c.envoy)
	})
}

var errUpstreamHost = errors.New("upstream host: Envoy refuses the address; give IP:PORT")

// SetUpstreamHost overrides load balancing.
func (h *handle) SetUpstreamHost(addr string, strict bool) error {
	var refused bool
	err := h.later(func(s *stream) {
		m := &scratch{}
		defer m.free()
		refused = !bool(C.envoy_dynamic_module_callback_http_set_upstream_override_host(s.c.envoy, m.buf(addr), C.bool(strict)))
	})
	if err == nil && refused {
		err = errUpstreamHost
	}
	return err
}

// Fetch returns a block that Envoy has and Go has not.
func (h *handle) Fetch(block int) (fields []core.Field) {
	_ = h.do(func(s *stream) { fields = s.fetch(block) })
	return fields
}

func (s *stream) fetch(block int) []core.Field {
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
	_ = h.do(func(s *stream) { n = int(C.envoy_dynamic_module_callback_http_get_buffer_limit(s.c.envoy)) })
	return n
}

// bufferedChunks lists what is in Envoy's buffer, in memory to be freed.
func (s *stream) bufferedChunks(dir core.Direction) (*C.ebuf, C.size_t) {
	kind := C.envoy_dynamic_module_type_http_body_type(dir.Trailers())
	n := C.envoy_dynamic_module_callback_http_get_body_chunks_size(s.c.envoy, kind)
	p := (*C.ebuf)(C.malloc((n + 1) * C.sizeof_ebuf))
	C.envoy_dynamic_module_callback_http_get_body_chunks(s.c.envoy, kind, p)
	return p, n
}

// pushHeaders hands the changes so far to Envoy while the chain still works on the block. s.st.Mu is held.
func (s *stream) pushHeaders(block int) {
	b := &s.st.H[block]
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
