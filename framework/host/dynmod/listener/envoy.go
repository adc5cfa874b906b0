package listener

/*
#include "socket.h"
*/
import "C"

import (
	"net/netip"
	"strings"
	"unsafe"

	"mosn.io/moe/framework/listener"
)

// envoy is listener.Host for a socket.
type envoy struct{ *socket }

// CanWake is listener.Host's.
func (envoy) CanWake() bool { return bool(C.moe_socket_can_wake()) }

// Ask is listener.Host's.
func (x envoy) Ask(f func()) error {
	if !x.CanWake() && !x.OnThread() {
		return listener.ErrUnsupported
	}
	return x.handle.Ask(f)
}

// Wake is listener.Host's. What is to be done is with the flow, which the crossing settles.
func (x envoy) Wake() { x.handle.Post(func() {}) }

// Panicked is listener.Host's.
func (x envoy) Panicked() { x.filter.panics.Add(1) }

// Peeked is listener.Host's.
func (x envoy) Peeked(n int) []byte {
	var b C.ebuf
	if !C.envoy_dynamic_module_callback_listener_filter_get_buffer_chunk(x.c.envoy, &b) {
		return nil
	}
	return C.GoBytes(unsafe.Pointer(b.ptr), C.int(min(n, int(b.length))))
}

// Drain is listener.Host's.
func (x envoy) Drain(n int) {
	C.envoy_dynamic_module_callback_listener_filter_drain_buffer(x.c.envoy, C.size_t(n))
}

// text lends a string to C, which is not to keep or change it.
func text(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// goText copies a buffer of Envoy's.
func goText(b C.ebuf) string { return C.GoStringN(b.ptr, C.int(b.length)) }

// Addr is listener.Host's.
func (x envoy) Addr(of listener.AddrField) netip.AddrPort {
	var ip C.ebuf
	var port C.uint32_t
	if !C.moe_socket_address(x.c, C.int(of), &ip, &port) {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(goText(ip))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

// SetAddr is listener.Host's.
func (x envoy) SetAddr(of listener.AddrField, a netip.AddrPort) bool {
	ip, n := text(a.Addr().String())
	return bool(C.moe_socket_set_address(x.c, C.int(of), ip, n, C.uint32_t(a.Port()), C.bool(a.Addr().Is6())))
}

// UseOriginalDst is listener.Host's.
func (x envoy) UseOriginalDst(use bool) {
	C.envoy_dynamic_module_callback_listener_filter_use_original_dst(x.c.envoy, C.bool(use))
}

// Text is listener.Host's.
func (x envoy) Text(of listener.TextField) string {
	var b C.ebuf
	if !C.moe_socket_text(x.c, C.int(of), &b) {
		return ""
	}
	return goText(b)
}

// SetText is listener.Host's.
func (x envoy) SetText(of listener.TextField, v string) {
	p, n := text(v)
	C.moe_socket_set_text(x.c, C.int(of), p, n)
}

// ApplicationProtocols is listener.Host's.
func (x envoy) ApplicationProtocols() (all []string) {
	room := make([]C.ebuf, 16)
	n := C.moe_socket_protocols(x.c, &room[0], C.size_t(len(room)))
	if int(n) > len(room) {
		room = make([]C.ebuf, n)
		n = C.moe_socket_protocols(x.c, &room[0], n)
	}
	for _, b := range room[:n] {
		all = append(all, goText(b))
	}
	return all
}

// SetApplicationProtocols is listener.Host's.
func (x envoy) SetApplicationProtocols(all []string) {
	lengths := make([]C.uint32_t, len(all))
	for i, name := range all {
		lengths[i] = C.uint32_t(len(name))
	}
	names, _ := text(strings.Join(all, ""))
	C.moe_socket_set_protocols(x.c, names, &lengths[0], C.size_t(len(all)))
}

// FilterState is listener.Host's.
func (x envoy) FilterState(key string) (string, bool) {
	var b C.ebuf
	k, n := text(key)
	if !C.moe_socket_filter_state(x.c, k, n, &b) {
		return "", false
	}
	return goText(b), true
}

// SetFilterState is listener.Host's.
func (x envoy) SetFilterState(key, value string) error {
	k, kn := text(key)
	v, vn := text(value)
	switch C.moe_socket_set_filter_state(x.c, k, kn, v, vn) {
	case C.STATE_SET:
		return nil
	case C.STATE_EXISTS:
		return listener.ErrExists
	}
	return listener.ErrRefused
}

// Metadata is listener.Host's.
func (x envoy) Metadata(namespace, key string) (any, bool) {
	s, sn := text(namespace)
	k, kn := text(key)
	switch v := C.moe_socket_metadata(x.c, s, sn, k, kn); v.kind {
	case C.VALUE_TEXT:
		return goText(v.text), true
	case C.VALUE_NUMBER:
		return float64(v.number), true
	}
	return nil, false
}

// SetMetadata is listener.Host's.
func (x envoy) SetMetadata(namespace, key string, value any) {
	s, sn := text(namespace)
	k, kn := text(key)
	words, _ := value.(string)
	number, isNumber := value.(float64)
	v, vn := text(words)
	C.moe_socket_set_metadata(x.c, s, sn, k, kn, C.bool(isNumber), v, vn, C.double(number))
}
