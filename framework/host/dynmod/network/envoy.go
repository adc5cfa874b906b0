package network

/*
#include "conn.h"
*/
import "C"

import (
	"errors"
	"net/netip"
	"unsafe"

	"mosn.io/moe/framework/network"
)

// envoy is network.Host for a connection.
type envoy struct{ *conn }

// Ask is network.Host's.
func (x envoy) Ask(f func()) error { return x.handle.Ask(f) }

// Wake is network.Host's. What is to be done is with the flow, which the crossing settles.
func (x envoy) Wake() { x.handle.Post(func() {}) }

// Panicked is network.Host's.
func (x envoy) Panicked() { x.filter.panics.Add(1) }

// Received is network.Host's.
func (x envoy) Received(d network.Direction, p []byte) (all []byte, ok bool) {
	if !x.OnThread() || !x.fresh[d] {
		return p, false
	}
	n := int(C.moe_conn_size(x.c, C.int(d)))
	if n == 0 {
		return p, true
	}
	at := len(p)
	if cap(p)-at < n {
		p = append(make([]byte, 0, max(2*cap(p), at+n)), p...)
	}
	p = p[:at+n]
	C.moe_conn_copy(x.c, C.int(d), (*C.uint8_t)(&p[at]), C.size_t(n))
	return p, true
}

// Replace is network.Host's.
func (x envoy) Replace(d network.Direction, p []byte) {
	if !x.fresh[d] {
		return
	}
	C.moe_conn_replace(x.c, C.int(d), data(p), C.size_t(len(p)))
}

// Inject is network.Host's.
func (x envoy) Inject(d network.Direction, p []byte, end bool) {
	C.moe_conn_inject(x.c, C.int(d), data(p), C.size_t(len(p)), C.bool(end))
}

// data is where p is, for C to copy.
func data(p []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(p)) }

// text lends a string to C, which is not to keep or change it.
func text(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

// ContinueReading is network.Host's.
func (x envoy) ContinueReading() {
	C.envoy_dynamic_module_callback_network_filter_continue_reading(x.c.envoy)
}

// DisableReading is network.Host's.
func (x envoy) DisableReading(disable bool) {
	C.envoy_dynamic_module_callback_network_filter_read_disable(x.c.envoy, C.bool(disable))
}

// ReadingEnabled is network.Host's.
func (x envoy) ReadingEnabled() bool {
	return bool(C.envoy_dynamic_module_callback_network_filter_read_enabled(x.c.envoy))
}

// DelayClose is network.Host's.
func (x envoy) DelayClose(delay bool) {
	C.envoy_dynamic_module_callback_network_filter_disable_close(x.c.envoy, C.bool(delay))
}

// Close is network.Host's.
func (x envoy) Close(how network.How, details string) {
	C.moe_conn_close(x.c, how == network.Abort, (*C.uint8_t)(unsafe.StringData(details)), C.size_t(len(details)))
}

// BufferLimit is network.Host's.
func (x envoy) BufferLimit() int {
	return int(C.envoy_dynamic_module_callback_network_filter_get_buffer_limit(x.c.envoy))
}

// ID is network.Host's.
func (x envoy) ID() uint64 {
	return uint64(C.envoy_dynamic_module_callback_network_filter_get_connection_id(x.c.envoy))
}

// Addr is network.Host's.
func (x envoy) Addr(of network.AddrField) netip.AddrPort { return x.address(C.int(of)) }

func (x envoy) address(of C.int) netip.AddrPort {
	var ip C.ebuf
	var port C.uint32_t
	if !C.moe_conn_address(x.c, of, &ip, &port) {
		return netip.AddrPort{}
	}
	addr, err := netip.ParseAddr(goText(ip))
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, uint16(port))
}

// goText copies a buffer of Envoy's.
func goText(b C.ebuf) string { return C.GoStringN(b.ptr, C.int(b.length)) }

// ServerName is network.Host's.
func (x envoy) ServerName() string {
	var b C.ebuf
	if !C.envoy_dynamic_module_callback_network_filter_get_requested_server_name(x.c.envoy, &b) {
		return ""
	}
	return goText(b)
}

// TLS is network.Host's.
func (x envoy) TLS() (t network.TLS, ok bool) {
	if !C.envoy_dynamic_module_callback_network_filter_is_ssl(x.c.envoy) {
		return t, false
	}
	var b C.ebuf
	if C.envoy_dynamic_module_callback_network_filter_get_ssl_subject(x.c.envoy, &b) {
		t.Subject = goText(b)
	}
	t.DNSNames, t.URIs = x.names(0), x.names(1)
	return t, true
}

// names lists subject alternative names.
func (x envoy) names(which C.int) (all []string) {
	room := make([]C.ebuf, 16)
	n := C.moe_conn_names(x.c, which, &room[0], C.size_t(len(room)))
	if int(n) > len(room) {
		room = make([]C.ebuf, n)
		n = C.moe_conn_names(x.c, which, &room[0], n)
	}
	for _, b := range room[:n] {
		all = append(all, goText(b))
	}
	return all
}

// Upstream is network.Host's.
func (x envoy) Upstream() (u network.Upstream, ok bool) {
	if !C.envoy_dynamic_module_callback_network_filter_has_upstream_host(x.c.envoy) {
		return u, false
	}
	u.Addr = x.address(3)
	var b C.ebuf
	if C.envoy_dynamic_module_callback_network_filter_get_upstream_host_hostname(x.c.envoy, &b) {
		u.Hostname = goText(b)
	}
	if C.envoy_dynamic_module_callback_network_filter_get_upstream_host_cluster(x.c.envoy, &b) {
		u.Cluster = goText(b)
	}
	return u, true
}

// FilterState is network.Host's.
func (x envoy) FilterState(key string) (string, bool) {
	var b C.ebuf
	if !C.moe_conn_filter_state(x.c, text(key), C.size_t(len(key)), &b) {
		return "", false
	}
	return goText(b), true
}

var errFilterState = errors.New("filter state: Envoy refuses to set it")

// SetFilterState is network.Host's.
func (x envoy) SetFilterState(key, value string) error {
	switch C.moe_conn_set_filter_state(x.c, text(key), C.size_t(len(key)), text(value), C.size_t(len(value))) {
	case C.STATE_SET:
		return nil
	case C.STATE_EXISTS:
		return network.ErrExists
	}
	return errFilterState
}

// Metadata is network.Host's.
func (x envoy) Metadata(namespace, key string) (any, bool) {
	switch v := C.moe_conn_metadata(x.c, text(namespace), C.size_t(len(namespace)), text(key), C.size_t(len(key))); v.kind {
	case C.VALUE_TEXT:
		return goText(v.text), true
	case C.VALUE_NUMBER:
		return float64(v.number), true
	case C.VALUE_TRUTH:
		return v.number != 0, true
	}
	return nil, false
}

// SetMetadata is network.Host's.
func (x envoy) SetMetadata(namespace, key string, value any) {
	kind, s, n := C.int(C.VALUE_TEXT), "", 0.0
	switch v := value.(type) {
	case string:
		s = v
	case float64:
		kind, n = C.VALUE_NUMBER, v
	case bool:
		kind = C.VALUE_TRUTH
		if v {
			n = 1
		}
	}
	C.moe_conn_set_metadata(x.c, text(namespace), C.size_t(len(namespace)), text(key), C.size_t(len(key)), kind,
		text(s), C.size_t(len(s)), C.double(n))
}
