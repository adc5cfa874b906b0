package accesslog

/*
#include <stdlib.h>
#include "entry.h"
*/
import "C"

import (
	"sync"
	"time"
	"unsafe"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
)

// source answers what an entry is asked. C knows which entry the calling thread logs, so that it has no state.
type source struct{}

// text copies a buffer of Envoy's.
func text(b C.ebuf) string { return C.GoStringN(b.ptr, C.int(b.length)) }

// answers are where C writes texts. They are used again.
type answers [32]C.ebuf

var pool = sync.Pool{New: func() any { return new(answers) }}

// Texts is accesslog.Source's.
func (source) Texts(number uint64, fields []accesslog.TextField, into []string) {
	a := pool.Get().(*answers)
	defer pool.Put(a)
	for len(fields) > 0 {
		n := min(len(fields), len(a))
		C.moe_entry_texts(C.uint64_t(number), (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(fields))), C.size_t(n), &a[0])
		for i := range n {
			into[i] = text(a[i])
		}
		fields, into = fields[n:], into[n:]
	}
}

// Number is accesslog.Source's.
func (source) Number(number uint64, f accesslog.NumberField) uint64 {
	return uint64(C.moe_entry_number(C.uint64_t(number), C.uint(f)))
}

// Truth is accesslog.Source's.
func (source) Truth(number uint64, f accesslog.TruthField) bool {
	return bool(C.moe_entry_truth(C.uint64_t(number), C.uint(f)))
}

// Addr is accesslog.Source's.
func (source) Addr(number uint64, f accesslog.AddrField) (string, uint16) {
	var ip C.ebuf
	var port C.uint32_t
	if !C.moe_entry_address(C.uint64_t(number), C.uint(f), &ip, &port) {
		return "", 0
	}
	return text(ip), uint16(port)
}

// List is accesslog.Source's.
func (source) List(number uint64, f accesslog.ListField) []string {
	n := int(C.moe_entry_list_size(C.uint64_t(number), C.uint(f)))
	if n == 0 {
		return nil
	}
	p := (*C.ebuf)(C.calloc(C.size_t(n), C.sizeof_ebuf))
	defer C.free(unsafe.Pointer(p))
	if !C.moe_entry_list(C.uint64_t(number), C.uint(f), p) {
		return nil
	}
	names := make([]string, n)
	for i, b := range unsafe.Slice(p, n) {
		names[i] = text(b)
	}
	return names
}

// Time is accesslog.Source's.
func (source) Time(number uint64, f accesslog.TimeField) int64 {
	return int64(C.moe_entry_time(C.uint64_t(number), C.uint(f)))
}

// Flags is accesslog.Source's.
func (source) Flags(number uint64) accesslog.Flags {
	return accesslog.Flags(C.moe_entry_flags(C.uint64_t(number)))
}

// Times is accesslog.Source's.
func (source) Times(number uint64) accesslog.Times {
	var t C.envoy_dynamic_module_type_timing_info
	var ready C.int64_t
	if !C.moe_entry_times(C.uint64_t(number), &t, &ready) {
		return accesslog.Times{}
	}
	return accesslog.Times{
		Start:               time.Unix(0, int64(t.start_time_unix_ns)),
		End:                 time.Duration(t.request_complete_duration_ns),
		FirstUpstreamSent:   time.Duration(t.first_upstream_tx_byte_sent_ns),
		LastUpstreamSent:    time.Duration(t.last_upstream_tx_byte_sent_ns),
		FirstUpstreamReply:  time.Duration(t.first_upstream_rx_byte_received_ns),
		LastUpstreamReply:   time.Duration(t.last_upstream_rx_byte_received_ns),
		FirstDownstreamSent: time.Duration(t.first_downstream_tx_byte_sent_ns),
		LastDownstreamSent:  time.Duration(t.last_downstream_tx_byte_sent_ns),
		PoolReady:           time.Duration(ready),
	}
}

// Bytes is accesslog.Source's.
func (source) Bytes(number uint64) accesslog.Bytes {
	var b C.envoy_dynamic_module_type_bytes_info
	if !C.moe_entry_bytes(C.uint64_t(number), &b) {
		return accesslog.Bytes{}
	}
	return accesslog.Bytes{
		Received: uint64(b.bytes_received), Sent: uint64(b.bytes_sent),
		UpstreamWireReceived: uint64(b.wire_bytes_received), UpstreamWireSent: uint64(b.wire_bytes_sent),
	}
}

// arg lends s to C until the function that it returns is called.
func arg(s string) (C.mbuf, func()) {
	p := C.CString(s)
	return C.mbuf{ptr: p, length: C.size_t(len(s))}, func() { C.free(unsafe.Pointer(p)) }
}

// Header is accesslog.Source's.
func (source) Header(number uint64, block int, name string) (string, bool) {
	key, free := arg(name)
	defer free()
	var b C.ebuf
	if !C.moe_entry_header(C.uint64_t(number), C.int(block), key, &b) {
		return "", false
	}
	return text(b), true
}

// Headers is accesslog.Source's.
func (source) Headers(number uint64, block int) []core.Field {
	var n C.size_t
	p := C.moe_entry_headers(C.uint64_t(number), C.int(block), &n)
	if n == 0 {
		return nil
	}
	return exchange.AppendLent(nil, unsafe.Slice((*core.Field)(unsafe.Pointer(p)), int(n)))
}

// An eheader lies in memory as a Field does: a pointer and a length for the name, and likewise for the value. One that
// differs makes a length that is not 0, which does not compile.
var (
	_ [0]struct{} = [C.sizeof_eheader - unsafe.Sizeof(core.Field{})]struct{}{}
	_ [0]struct{} = [unsafe.Offsetof(C.eheader{}.value_ptr) - unsafe.Offsetof(core.Field{}.Value)]struct{}{}
)

// Metadata is accesslog.Source's.
func (source) Metadata(number uint64, namespace, path string) (any, bool) {
	space, free1 := arg(namespace)
	defer free1()
	key, free2 := arg(path)
	defer free2()
	switch v := C.moe_entry_metadata(C.uint64_t(number), space, key); v.kind {
	case C.VALUE_TEXT:
		return text(v.text), true
	case C.VALUE_NUMBER:
		return float64(v.number), true
	case C.VALUE_TRUTH:
		return v.number != 0, true
	}
	return nil, false
}
