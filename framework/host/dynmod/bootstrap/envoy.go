package bootstrap

/*
#include "extension.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/bootstrap"
)

// A running extension is the bootstrap.Host of its instance.

// OnThread is bootstrap.Host's.
func (*running) OnThread() bool { return bool(C.moe_extension_on_envoy_thread()) }

// Wake is bootstrap.Host's. To commit takes a reference to Envoy's configuration; as the lock is held, that is not the last
// one, and Envoy destroys nothing on this thread.
func (x *running) Wake() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.c != nil && !x.coming {
		x.coming = true
		C.moe_extension_commit(x.c)
	}
}

// Panicked is bootstrap.Host's.
func (x *running) Panicked() { x.panics.Add(1) }

// InitFailed is bootstrap.Host's.
func (x *running) InitFailed() { x.failures.Add(1) }

// Overview is bootstrap.Host's.
func (*running) Overview() bootstrap.Overview { return assembly.Overview() }

// Ready is bootstrap.Host's.
func (x *running) Ready() { C.moe_extension_ready(x.c) }

// text lends a string to C, which is not to keep or change it.
func text(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// goText copies a buffer of Envoy's.
func goText(b C.ebuf) string { return C.GoStringN(b.ptr, C.int(b.length)) }

// AddPage is bootstrap.Host's.
func (x *running) AddPage(p *bootstrap.Page) bool {
	path, pathN := text(p.Path)
	help, n := text(p.Help)
	return bool(C.moe_extension_page(x.c, path, pathN, help, n, C.bool(p.Changes)))
}

// Counter is bootstrap.Host's.
func (x *running) Counter(name string) (value uint64, ok bool) {
	p, n := text(name)
	var v C.uint64_t
	ok = bool(C.moe_extension_counter(x.c, p, n, &v))
	return uint64(v), ok
}

// Gauge is bootstrap.Host's.
func (x *running) Gauge(name string) (value uint64, ok bool) {
	p, n := text(name)
	var v C.uint64_t
	ok = bool(C.moe_extension_gauge(x.c, p, n, &v))
	return uint64(v), ok
}

// Histogram is bootstrap.Host's.
func (x *running) Histogram(name string) (count uint64, sum float64, ok bool) {
	p, n := text(name)
	var c C.uint64_t
	var s C.double
	ok = bool(C.moe_extension_histogram(x.c, p, n, &c, &s))
	return uint64(c), float64(s), ok
}
