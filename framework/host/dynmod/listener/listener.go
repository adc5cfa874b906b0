// Package listener runs listener filters of framework/listener in any stock Envoy, through Envoy's C ABI for dynamic
// modules. Import it for its side effect into package main of a shared library, beside package dynmod, whose module it
// becomes a part of:
//
//	import (
//		_ "mosn.io/moe/framework/host/dynmod"
//		_ "mosn.io/moe/framework/host/dynmod/listener"
//	)
//
// Envoy configures such a filter with its registered name as filter_name and its configuration as filter_config.
package listener

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include "socket.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/extension"
	_ "mosn.io/moe/framework/host/dynmod" // which says what threads are Envoy's
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/kind"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/listener"
)

// filter is one configuration of a listener filter in Envoy.
type filter struct {
	reg     *listener.Registration
	own     *assembly.Extension
	metrics metrics
	panics  *core.Cell
}

var listenerKind = &kind.Kind{
	Key: "listener", Words: "listener filter", Field: "filter", All: kind.Of(listener.Registrations),
	Can: extension.CanRecordHistogram | extension.CanUseFilterState | extension.CanSetMetadata,
}

var (
	filters inproc.Table[*filter]
	newFlow = listener.Internals(core.Internal{}).NewFlow
)

// moeListenerNew makes the configuration of a listener filter; false has Envoy reject it.
//
//export moeListenerNew
func moeListenerNew(
	c *C.moe_listener_config, envoy unsafe.Pointer, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t,
) (ok C.bool) {
	what := C.GoStringN(name, C.int(nameLen))
	defer inproc.Fence(dynlog.Handler, "framework panic in the listener filter "+what)
	own, err := listenerKind.Acquire(what, C.GoBytes(unsafe.Pointer(value), C.int(valueLen)))
	if err != nil {
		return false
	}
	f := &filter{reg: listener.Lookup(what), own: own}
	f.metrics.define(envoy, append(f.own.Metrics(), panicsOf(f)))
	c.id = C.uint32_t(filters.Add(f, nil))
	return true
}

// panicsOf makes the count of f's panics.
func panicsOf(f *filter) *core.Metric {
	m := &core.Metric{Kind: core.Counter, Name: "moe.listener.panics", Tags: []string{"filter"}}
	f.panics = m.With(f.reg.Name)
	return m
}

//export moeListenerDestroy
func moeListenerDestroy(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic while a listener filter was destroyed")
	if f := filters.Remove(uint32(id)); f != nil {
		inproc.Background(dynlog.Handler, "closing a listener filter", f.own.Release)
	}
}
