// Package udp runs UDP listener filters of framework/udp in any stock Envoy, through Envoy's C ABI for dynamic modules.
// Import it for its side effect into package main of a shared library, beside package dynmod, whose module it becomes a part
// of:
//
//	import (
//		_ "mosn.io/moe/framework/host/dynmod"
//		_ "mosn.io/moe/framework/host/dynmod/udp"
//	)
//
// Envoy configures such a filter with its registered name as filter_name and its configuration as filter_config. It takes any
// configuration, also one that is wrong: the filter of such a one drops all datagrams.
package udp

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include "datagram.h"
*/
import "C"

import (
	"log/slog"
	"unsafe"

	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/extension"
	_ "mosn.io/moe/framework/host/dynmod" // whose module this is a part of
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/kind"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/udp"
)

// config is one configuration of a UDP filter in Envoy.
type config struct {
	own      *assembly.Extension // nil if the configuration is wrong
	filter   *udp.Filter         // likewise
	metrics  metrics
	rejected *core.Cell
}

var udpKind = &kind.Kind{
	Key: "udp", Words: "UDP filter", Field: "filter", All: kind.Of(udp.Registrations),
	Can: extension.CanRecordHistogram,
}

var (
	configs   inproc.Table[*config]
	newFilter = udp.Internals(core.Internal{}).NewFilter
)

// moeUDPNew makes the configuration of a UDP filter and returns its number; 0 has C drop all datagrams.
//
//export moeUDPNew
func moeUDPNew(
	envoy unsafe.Pointer, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t,
) (id C.uint32_t) {
	what := C.GoStringN(name, C.int(nameLen))
	defer inproc.Fence(dynlog.Handler, "framework panic in the UDP filter "+what)
	panics := &core.Metric{Kind: core.Counter, Name: "moe.udp.panics", Tags: []string{"filter"}}
	rejected := &core.Metric{Kind: core.Counter, Name: "moe.udp.rejected", Tags: []string{"filter"}}
	c, all := &config{rejected: rejected.With(what)}, []*core.Metric{panics, rejected}
	count := panics.With(what)
	own, err := udpKind.Acquire(what, C.GoBytes(unsafe.Pointer(value), C.int(valueLen)))
	if err == nil {
		c.own = own
		c.filter = newFilter(udp.Lookup(what), own.Value(), own.Log(), func() { count.Add(1) })
		all = append(all, own.Metrics()...)
	} else {
		slog.New(dynlog.Handler).Error("Envoy takes the configuration of a UDP filter though it is rejected; "+
			"all datagrams are dropped", udpKind.Words, what)
	}
	c.metrics.define(envoy, all)
	return C.uint32_t(configs.Add(c, nil))
}

//export moeUDPDestroy
func moeUDPDestroy(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic while a UDP filter was destroyed")
	if c := configs.Remove(uint32(id)); c != nil && c.own != nil {
		inproc.Background(dynlog.Handler, "closing a UDP filter", c.own.Release)
	}
}
