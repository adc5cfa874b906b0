package golang

/*
#include "gate.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/envoyproxy/envoy/contrib/golang/common/go/api"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/structvalue"
)

// Attribute returns any of Envoy's attributes as text.
func (h *handle) Attribute(name string) (value string, err error) {
	err = h.Lookup(func() (ok bool) {
		if name == "request.duration" { // the same text on every host
			value = strconv.FormatFloat(float64(C.golang_now()-h.c.start)/1e6, 'f', 3, 64)
			return true
		}
		if value, ok = h.property(name); ok {
			return value != ""
		}
		value, ok = h.ownAttribute(name)
		return ok
	})
	if errors.Is(err, core.ErrNotFound) {
		err = fmt.Errorf("attribute %q: %w", name, err)
	}
	return value, err
}

// property returns an attribute as Envoy gives it, and whether it does.
func (s *envoyStream) property(name string) (string, bool) {
	var data C.uint64_t
	var n, rc C.int
	p, size := text(name)
	if C.golang_host_FilterHttpGetStringProperty(unsafe.Pointer(s.c.request), p, size, &data, &n, &rc) != C.CAPIOK {
		return "", false
	}
	return given(data, n), true
}

// RouteName is that of core.RouteTeller.
func (h *handle) RouteName() (name string) {
	h.IfHere(func() { name, _ = h.property("xds.route_name") })
	return name
}

// ownAttribute works out an attribute from what this filter has seen.
func (s *envoyStream) ownAttribute(name string) (string, bool) {
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
	err = h.Lookup(func() bool {
		var data C.uint64_t
		var n C.int
		p, size := text(namespace)
		if C.golang_host_FilterHttpGetDynamicMetadata(unsafe.Pointer(h.c.request), p, size, &data, &n) != C.CAPIOK {
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
	return h.Later(func() {
		ns, nsLen := text(namespace)
		k, kLen := text(key)
		p, n := bytesOf(raw)
		C.golang_host_FilterHttpSetDynamicMetadata(unsafe.Pointer(h.c.request), ns, nsLen, k, kLen, p, n)
	}, nil)
}

// FilterState returns text of Envoy's filter state.
func (h *handle) FilterState(key string) (value string, err error) {
	err = h.Lookup(func() bool {
		var data C.uint64_t
		var n C.int
		p, size := text(key)
		status := C.golang_host_FilterHttpGetStringFilterState(unsafe.Pointer(h.c.request), p, size, &data, &n)
		value = given(data, n)
		return status == C.CAPIOK && data != 0
	})
	return value, err
}

var errFilterState = errors.New("filter state: Envoy refuses to set it; it may be there and read-only")

// SetFilterState sets text, for the rest of the request.
func (h *handle) SetFilterState(key, value string) error {
	return h.Try(errFilterState, func() bool {
		k, kLen := text(key)
		v, vLen := text(value)
		return C.golang_host_FilterHttpSetStringFilterState(unsafe.Pointer(h.c.request), k, kLen, v, vLen,
			C.int(api.StateTypeMutable), C.int(api.LifeSpanFilterChain), C.int(api.None)) == C.CAPIOK
	})
}

// ClearRouteCache has Envoy choose the route again.
func (h *handle) ClearRouteCache() error {
	return h.Later(func() {
		if h.Chain != nil && h.ways[core.Request].at != elsewhere && !h.Dirs[core.Request].HeadersOut {
			h.TellChanges(core.RequestHeaders) // Envoy chooses by the headers that it has
		}
		C.golang_host_FilterHttpClearRouteCache(unsafe.Pointer(h.c.request), false)
	}, nil)
}

var (
	errUpstreamHost = errors.New("upstream host: Envoy refuses the address; give IP:PORT")
	errTooLate      = errors.New("upstream host: the request has been passed on; set it in a phase of the request")
)

// SetUpstreamHost overrides load balancing.
func (h *handle) SetUpstreamHost(addr string, strict bool) error {
	late := false
	err := h.Try(errUpstreamHost, func() bool {
		state := h.c.state[core.Request]
		if late = state == nil || h.ways[core.Request].at == elsewhere; late {
			return false
		}
		p, n := text(addr)
		return C.golang_host_FilterHttpSetUpstreamOverrideHost(unsafe.Pointer(state), p, n, C.bool(strict)) == C.CAPIOK
	})
	if late {
		return errTooLate
	}
	return err
}

// Secret returns a generic secret that the filter's configuration lists.
func (h *handle) Secret(name string) (value string, err error) {
	err = h.Lookup(func() bool {
		var data C.uint64_t
		var n C.int
		p, size := text(name)
		status := C.golang_host_FilterHttpGetStringSecret(unsafe.Pointer(h.c.request), p, size, &data, &n)
		if status == C.CAPIOK {
			value = given(data, n)
		}
		return status == C.CAPIOK
	})
	return value, err
}

// Fetch returns a block that Envoy has and Go has not; Envoy shows it with the event that brings it, and at the end.
func (h *handle) Fetch(block int) (fields []core.Field) {
	_ = h.Ask(func() {
		var p *C.golang_string
		if n := C.golang_copy(h.c, C.int(block), &p); n > 0 {
			fields = goFields(nil, p, n)
		}
	})
	return fields
}

// BufferLimit bounds a body that a plugin waits for where Envoy does not collect it: Envoy does not tell its own limit.
// It is Envoy's default.
func (h *handle) BufferLimit() int { return 1 << 20 }
