// Package bootstrap runs bootstrap extensions of framework/bootstrap in any stock Envoy, through Envoy's C ABI for dynamic
// modules. Import it for its side effect into package main of a shared library, beside package dynmod, whose module it
// becomes a part of:
//
//	import (
//		_ "mosn.io/moe/framework/host/dynmod"
//		_ "mosn.io/moe/framework/host/dynmod/bootstrap"
//	)
//
// Envoy configures such an extension with its registered name as extension_name and its configuration as extension_config.
package bootstrap

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include "extension.h"
*/
import "C"

import (
	"log/slog"
	"sync"
	"time"
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/extension"
	_ "mosn.io/moe/framework/host/dynmod" // which says what threads are Envoy's
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/kind"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
)

// running is one bootstrap extension in Envoy.
type running struct {
	own      *assembly.Extension
	instance *bootstrap.Instance
	metrics  metrics
	panics   *core.Cell
	failures *core.Cell
	stop     chan struct{} // closed when the extension is gone

	mu     sync.Mutex       // guards what follows, and Envoy's side
	c      *C.moe_extension // nil once the extension is gone
	coming bool             // the main thread is about to call
}

var bootstrapKind = &kind.Kind{
	Key: "bootstrap", Words: "bootstrap extension", Field: "extension", All: kind.Of(bootstrap.Registrations),
	Can: extension.CanRecordHistogram,
}

var (
	extensions  inproc.Table[*running]
	newInstance = bootstrap.Internals(core.Internal{}).NewInstance
)

// moeBootstrapNew makes a bootstrap extension.
//
//export moeBootstrapNew
func moeBootstrapNew(
	c *C.moe_extension, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t,
) (verdict C.int) {
	verdict = C.EXTENSION_REFUSED
	what := C.GoStringN(name, C.int(nameLen))
	defer inproc.Fence(dynlog.Handler, "framework panic in the bootstrap extension "+what)
	own, err := bootstrapKind.Acquire(what, C.GoBytes(unsafe.Pointer(value), C.int(valueLen)))
	if err != nil {
		return verdict
	}
	x := &running{own: own, c: c, stop: make(chan struct{})}
	x.metrics.define(c, append(own.Metrics(), x.counts(what)...))
	if x.instance, err = newInstance(bootstrap.Lookup(what), own.Value(), own.Log(), x); err != nil {
		slog.New(dynlog.Handler).Error("configuration rejected: "+err.Error(), bootstrapKind.Words, what)
		inproc.Background(dynlog.Handler, "closing a bootstrap extension", own.Release)
		return verdict
	}
	extensions.Add(x, func(id uint32) { c.id = C.uint32_t(id) })
	go x.tick()
	if x.instance.NeedsInit() {
		return C.EXTENSION_INITIALIZES
	}
	return C.EXTENSION_READY
}

// counts makes what is counted of every extension.
func (x *running) counts(name string) []*core.Metric {
	panics := &core.Metric{Kind: core.Counter, Name: "moe.bootstrap.panics", Tags: []string{"extension"}}
	failures := &core.Metric{Kind: core.Counter, Name: "moe.bootstrap.init_failures", Tags: []string{"extension"}}
	x.panics, x.failures = panics.With(name), failures.With(name)
	return []*core.Metric{panics, failures}
}

// flushInterval is how often the main thread takes what was counted meanwhile.
const flushInterval = time.Second

// tick has the main thread take what was counted, for as long as there is the extension.
func (x *running) tick() {
	t := time.NewTicker(flushInterval)
	defer t.Stop()
	for {
		select {
		case <-x.stop:
			return
		case <-t.C:
		}
		if x.metrics.Dirty() {
			x.Wake()
		}
	}
}

// enter runs f in one crossing from C, on the main thread, and reports whether the extension is there.
func enter(id C.uint32_t, f func(x *running)) bool {
	x := extensions.Get(uint32(id))
	if x == nil || x.c == nil { // only this thread writes it
		return false
	}
	f(x)
	x.metrics.flush(x.c)
	return true
}

const fault = "framework panic in a bootstrap extension"

//export moeBootstrapInitialized
func moeBootstrapInitialized(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, fault)
	enter(id, func(x *running) { x.instance.Initialized() })
}

//export moeBootstrapDrain
func moeBootstrapDrain(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, fault)
	enter(id, func(x *running) { x.instance.Drain() })
}

//export moeBootstrapRun
func moeBootstrapRun(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, fault)
	enter(id, func(x *running) {
		x.mu.Lock()
		x.coming = false
		x.mu.Unlock()
		x.instance.Run()
	})
}

// moeBootstrapShutdown reports whether done is called later, or was.
//
//export moeBootstrapShutdown
func moeBootstrapShutdown(id C.uint32_t, done C.envoy_dynamic_module_type_event_cb, context unsafe.Pointer) (taken C.bool) {
	defer inproc.Fence(dynlog.Handler, fault)
	enter(id, func(x *running) {
		taken = true
		x.instance.Shutdown(func() { C.moe_extension_done(done, context) })
	})
	return taken
}

//export moeBootstrapPage
func moeBootstrapPage(id C.uint32_t, method, target, body C.ebuf) (status C.uint32_t) {
	status = 500
	defer inproc.Fence(dynlog.Handler, fault)
	if !enter(id, func(x *running) {
		code, text := x.instance.Page(goText(method), goText(target), C.GoBytes(unsafe.Pointer(body.ptr), C.int(body.length)))
		if len(text) > 0 {
			C.moe_extension_respond(x.c, (*C.char)(unsafe.Pointer(&text[0])), C.size_t(len(text)))
		}
		status = C.uint32_t(code)
	}) {
		status = 503
	}
	return status
}

// moeBootstrapGone ends the Go side of an extension: Envoy's must not be used any more.
//
//export moeBootstrapGone
func moeBootstrapGone(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, fault)
	if x := extensions.Get(uint32(id)); x != nil {
		x.gone()
	}
}

func (x *running) gone() {
	x.mu.Lock()
	there := x.c != nil
	x.c = nil
	x.mu.Unlock()
	if there {
		close(x.stop)
		x.instance.End()
	}
}

//export moeBootstrapDestroy
func moeBootstrapDestroy(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, fault)
	if x := extensions.Remove(uint32(id)); x != nil {
		x.gone()
		inproc.Background(dynlog.Handler, "closing a bootstrap extension", x.own.Release)
	}
}
