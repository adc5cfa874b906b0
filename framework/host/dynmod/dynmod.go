// Package dynmod runs chains of plugins in any stock Envoy as an HTTP filter of a dynamic module: it translates between
// Envoy's C ABI for them and package chain. Import it for its side effect into package main of a shared library:
//
//	import _ "mosn.io/moe/framework/host/dynmod"
//
//	func main() {}
//
// and build that with -buildmode=c-shared. Envoy configures such a filter with filter_name "moe" and a document of
// plugins, or with one plugin's name and that plugin's configuration.
//
// # Threads and memory
//
// Envoy calls on the thread of the stream's worker. Go is entered once for each phase that some plugin of the chain
// implements, with the phase's headers or bytes, and leaves behind in C memory a list of what is to be changed, which
// the C side carries out. A stream's C side and its Go side find each other by an index, so that no Go pointer is kept
// outside of Go. Headers are looked at where they are, and what plugins read of them is copied; bytes are copied at once. So
// no memory of Envoy's is kept inside.
package dynmod

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
)

// goString copies n bytes of C's.
func goString(p *C.char, n C.size_t) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)))
}

// goBuffer copies a buffer of Envoy's.
func goBuffer(b C.ebuf) string { return goString(b.ptr, b.length) }

// goFields appends headers of Envoy's to fields.
func goFields(fields []core.Field, headers *C.eheader, n C.size_t) []core.Field {
	return exchange.AppendLent(fields, lentFields(headers, n))
}

// lentFields shows headers of Envoy's where they are.
func lentFields(headers *C.eheader, n C.size_t) []core.Field {
	return unsafe.Slice((*core.Field)(unsafe.Pointer(headers)), int(n))
}

// An eheader lies in memory as a Field does: a pointer and a length for the name, and likewise for the value. One that
// differs makes a length that is not 0, which does not compile.
var (
	_ [0]struct{} = [C.sizeof_eheader - unsafe.Sizeof(core.Field{})]struct{}{}
	_ [0]struct{} = [unsafe.Offsetof(C.eheader{}.value_ptr) - unsafe.Offsetof(core.Field{}.Value)]struct{}{}
)

// goBytes joins chunks of Envoy's, leaving out the first skip bytes.
func goBytes(chunks *C.ebuf, n C.size_t, skip int) []byte {
	all := unsafe.Slice(chunks, int(n))
	size := 0
	for i := range all {
		size += int(all[i].length)
	}
	joined := make([]byte, 0, size)
	for i := range all {
		joined = append(joined, unsafe.Slice((*byte)(unsafe.Pointer(all[i].ptr)), int(all[i].length))...)
	}
	return joined[min(skip, len(joined)):]
}

// scratch is C memory for the arguments of calls into Envoy, which must not see Go's.
type scratch struct{ all []unsafe.Pointer }

func (m *scratch) buf(s string) C.mbuf {
	if s == "" {
		return C.mbuf{}
	}
	p := C.malloc(C.size_t(len(s)))
	m.all = append(m.all, p)
	copy(unsafe.Slice((*byte)(p), len(s)), s)
	return C.mbuf{ptr: (*C.char)(p), length: C.size_t(len(s))}
}

func (m *scratch) bufs(all []string) (*C.mbuf, C.size_t) {
	if len(all) == 0 {
		return nil, 0
	}
	p := C.malloc(C.size_t(len(all)) * C.sizeof_mbuf)
	m.all = append(m.all, p)
	list := unsafe.Slice((*C.mbuf)(p), len(all))
	for i, s := range all {
		list[i] = m.buf(s)
	}
	return (*C.mbuf)(p), C.size_t(len(all))
}

func (m *scratch) free() {
	for _, p := range m.all {
		C.free(p)
	}
	m.all = m.all[:0]
}
