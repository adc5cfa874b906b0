package golang

/*
#include "gate.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/structvalue"
)

// Log returns the handler of Envoy's log.
func (h *handle) Log() slog.Handler { return logger }

// lookup is do for something that may not exist.
func (h *handle) lookup(f func(*stream) bool) error {
	found := false
	if err := h.do(func(s *stream) { found = f(s) }); err != nil {
		return err
	}
	if !found {
		return core.ErrNotFound
	}
	return nil
}

// Attribute returns any of Envoy's attributes as text.
func (h *handle) Attribute(name string) (value string, err error) {
	err = h.lookup(func(s *stream) (ok bool) {
		if name == "request.duration" { // the same text on every host
			value = strconv.FormatFloat(float64(C.golang_now()-s.c.start)/1e6, 'f', 3, 64)
			return true
		}
		var data C.uint64_t
		var n, rc C.int
		p, size := text(name)
		if C.golang_host_FilterHttpGetStringProperty(unsafe.Pointer(s.c.request), p, size, &data, &n, &rc) == C.CAPIOK {
			value = given(data, n)
			return value != ""
		}
		value, ok = s.ownAttribute(name)
		return ok
	})
	if errors.Is(err, core.ErrNotFound) {
		err = fmt.Errorf("attribute %q: %w", name, err)
	}
	return value, err
}

// ownAttribute works out an attribute from what this filter has seen.
func (s *stream) ownAttribute(name string) (string, bool) {
	switch name {
	case "request.size":
		return strconv.FormatUint(uint64(s.c.body[core.Request]), 10), true
	case "response.size":
		return strconv.FormatUint(uint64(s.c.body[core.Response]), 10), true
	}
	return "", false
}

// Metadata reads a value of Envoy's dynamic metadata.
func (h *handle) Metadata(namespace, key string) (value any, err error) {
	err = h.lookup(func(s *stream) bool {
		var data C.uint64_t
		var n C.int
		p, size := text(namespace)
		if C.golang_host_FilterHttpGetDynamicMetadata(unsafe.Pointer(s.c.request), p, size, &data, &n) != C.CAPIOK {
			return false
		}
		var all structpb.Struct
		if proto.Unmarshal([]byte(given(data, n)), &all) != nil {
			return false
		}
		v, ok := all.GetFields()[key]
		value = v.AsInterface()
		return ok
	})
	return value, err
}

// SetMetadata sets a value.
func (h *handle) SetMetadata(namespace, key string, value any) error {
	v, err := structvalue.Of(value)
	if err != nil {
		return fmt.Errorf("metadata %s/%s: %w", namespace, key, err)
	}
	raw, err := proto.Marshal(v)
	if err != nil {
		return fmt.Errorf("metadata %s/%s: %w", namespace, key, err)
	}
	return h.later(func(s *stream) {
		ns, nsLen := text(namespace)
		k, kLen := text(key)
		p, n := bytesOf(raw)
		C.golang_host_FilterHttpSetDynamicMetadata(unsafe.Pointer(s.c.request), ns, nsLen, k, kLen, p, n)
	})
}

// FilterState returns text of Envoy's filter state.
func (h *handle) FilterState(key string) (value string, err error) {
	err = h.lookup(func(s *stream) bool {
		var data C.uint64_t
		var n C.int
		p, size := text(key)
		status := C.golang_host_FilterHttpGetStringFilterState(unsafe.Pointer(s.c.request), p, size, &data, &n)
		value = given(data, n)
		return status == C.CAPIOK && data != 0
	})
	return value, err
}

// SetFilterState sets text, for the rest of the request.
func (h *handle) SetFilterState(key, value string) error {
	return h.later(func(s *stream) {
		k, kLen := text(key)
		v, vLen := text(value)
		C.golang_host_FilterHttpSetStringFilterState(unsafe.Pointer(s.c.request), k, kLen, v, vLen,
			C.int(api.StateTypeMutable), C.int(api.LifeSpanFilterChain), C.int(api.None))
	})
}

// ClearRouteCache has Envoy choose the route again.
func (h *handle) ClearRouteCache() error {
	return h.later(func(s *stream) {
		if s.st != nil && s.dirs[core.Request].at != elsewhere && !s.dirs[core.Request].headersOut {
			s.change(core.RequestHeaders) // Envoy chooses by the headers that it has
		}
		C.golang_host_FilterHttpClearRouteCache(unsafe.Pointer(s.c.request), false)
	})
}

var (
	errUpstreamHost = errors.New("upstream host: Envoy refuses the address; give IP:PORT")
	errTooLate      = errors.New("upstream host: the request has been passed on; set it in a phase of the request")
)

// SetUpstreamHost overrides load balancing.
func (h *handle) SetUpstreamHost(addr string, strict bool) (err error) {
	late := h.later(func(s *stream) {
		state := s.c.state[core.Request]
		if state == nil || s.dirs[core.Request].at == elsewhere {
			err = errTooLate
			return
		}
		p, n := text(addr)
		if C.golang_host_FilterHttpSetUpstreamOverrideHost(unsafe.Pointer(state), p, n, C.bool(strict)) != C.CAPIOK {
			err = errUpstreamHost
		}
	})
	return errors.Join(late, err)
}

// Secret returns a generic secret that the filter's configuration lists.
func (h *handle) Secret(name string) (value string, err error) {
	err = h.lookup(func(s *stream) bool {
		var data C.uint64_t
		var n C.int
		p, size := text(name)
		status := C.golang_host_FilterHttpGetStringSecret(unsafe.Pointer(s.c.request), p, size, &data, &n)
		if status == C.CAPIOK {
			value = given(data, n)
		}
		return status == C.CAPIOK
	})
	return value, err
}

// Fetch returns a block that Envoy has and Go has not; Envoy shows it with the event that brings it, and at the end.
func (h *handle) Fetch(block int) (fields []core.Field) {
	_ = h.do(func(s *stream) {
		var p *C.golang_string
		if n := C.golang_copy(s.c, C.int(block), &p); n > 0 {
			fields = goFields(nil, p, n)
		}
	})
	return fields
}

// BufferLimit bounds a body that a plugin waits for where Envoy does not collect it: Envoy does not tell its own limit.
// It is Envoy's default.
func (h *handle) BufferLimit() int { return 1 << 20 }
