// Package accesslog runs access loggers of framework/accesslog in any stock Envoy, through Envoy's C ABI for dynamic
// modules. Import it for its side effect into package main of a shared library, beside package dynmod, whose module it
// becomes a part of:
//
//	import (
//		_ "mosn.io/moe/framework/host/dynmod"
//		_ "mosn.io/moe/framework/host/dynmod/accesslog"
//	)
//
// Envoy configures such a logger with its registered name as logger_name and its configuration as logger_config.
package accesslog

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#include "entry.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/assembly"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/dynmod/internal/kind"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/internal/core"
)

// logger is one configuration of an access logger in Envoy.
type logger struct {
	name    string
	own     *assembly.Extension
	log     accesslog.Logger
	metrics metrics
	panics  *core.Cell
}

var loggers inproc.Table[*logger]

var loggerKind = &kind.Kind{
	Key: "accesslog", Words: "access logger", Field: "logger", All: kind.Of(accesslog.Registrations),
	Can: extension.CanRecordHistogram,
}

var newEntry = accesslog.Internals(core.Internal{}).NewEntry

// moeAccessLoggerNew makes the configuration of an access logger and returns its number; 0 has Envoy reject it.
//
//export moeAccessLoggerNew
func moeAccessLoggerNew(envoy unsafe.Pointer, name *C.char, nameLen C.size_t, value *C.char, valueLen C.size_t) (id C.uint32_t) {
	what := C.GoStringN(name, C.int(nameLen))
	defer inproc.Fence(dynlog.Handler, "framework panic in the access logger "+what)
	own, err := loggerKind.Acquire(what, C.GoBytes(unsafe.Pointer(value), C.int(valueLen)))
	if err != nil {
		return 0
	}
	l := &logger{name: what, own: own, log: own.Value().(accesslog.Logger)}
	l.metrics.define(envoy, append(l.own.Metrics(), panicsOf(l)))
	return C.uint32_t(loggers.Add(l, nil))
}

// panicsOf makes the count of l's panics.
func panicsOf(l *logger) *core.Metric {
	m := &core.Metric{Kind: core.Counter, Name: "moe.accesslog.panics", Tags: []string{"logger"}}
	l.panics = m.With(l.name)
	return m
}

//export moeAccessLoggerDestroy
func moeAccessLoggerDestroy(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic while an access logger was destroyed")
	if l := loggers.Remove(uint32(id)); l != nil {
		inproc.Background(dynlog.Handler, "closing an access logger", l.own.Release)
	}
}

//export moeAccessLoggerLog
func moeAccessLoggerLog(id C.uint32_t, number C.uint64_t, event C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic in an access logger")
	l := loggers.Get(uint32(id))
	if l == nil {
		return
	}
	defer l.metrics.flush()
	defer l.fence("Log")
	l.log.Log(newEntry(source{}, uint64(number), accesslog.Event(event)))
}

//export moeAccessLoggerFlush
func moeAccessLoggerFlush(id C.uint32_t) {
	defer inproc.Fence(dynlog.Handler, "framework panic while an access logger was flushed")
	l := loggers.Get(uint32(id))
	if l == nil {
		return
	}
	if f, ok := l.log.(accesslog.Flusher); ok {
		defer l.fence("Flush")
		f.Flush()
	}
}

// fence, which is to be deferred, ends a panic of the logger's own.
func (l *logger) fence(method string) {
	if v := recover(); v != nil {
		l.panics.Add(1)
		inproc.LogPanic(dynlog.Handler, "panic in "+method+" of the access logger "+l.name, v)
	}
}
