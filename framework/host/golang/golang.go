// Package golang runs chains of plugins in Envoys that have the HTTP filter envoy.filters.http.golang: contrib builds
// of Envoy, proxies of Istio's, and any stock Envoy with the bridge of this project. It translates between that
// filter's C ABI and package chain. Import it for its side effect into package main of a shared library, beside
// package dynmod:
//
//	import _ "mosn.io/moe/framework/host/golang"
//
// plugin_name is "moe", with a document of plugins as plugin_config, or one plugin's name with that plugin's
// configuration.
//
// # Why not on Envoy's Go SDK
//
// The package speaks the ABI itself, of which Envoy's api.h and package api of its module are the source. Envoy's SDK
// hands out headers as a map, so that their order is lost; it lets requests of an unknown plugin pass; it does not
// recover panics of what parses, merges and makes filters; it crashes a process in which nobody defines its functions;
// and it makes an object with a finalizer for each request.
//
// # Threads and memory
//
// Envoy calls on the thread of the stream's worker, and so is the chain always run: what another goroutine has for the
// stream waits in a list, and Envoy is asked, from that goroutine, a question that it answers on the stream's thread
// (see golang_call_back). That takes an event with which Envoy waits for Go. While there is none, the list waits for the
// next.
//
// C keeps no Go pointer, and Go copies what it reads of Envoy's at once, so that GODEBUG=cgocheck needs no change.
package golang

/*
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Werror -Wno-unused-parameter
#cgo linux LDFLAGS: -ldl
#include "gate.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/host/internal/exchange"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/telemetry"
)

//go:generate go run ./internal/abigen

func init() { telemetry.Install() }

// Name is how plugins and docs call this host.
const Name = "golang"

// goFields appends n strings of C's, names and values in turn, to fields.
func goFields(fields []core.Field, p *C.golang_string, n C.size_t) []core.Field {
	return exchange.AppendLent(fields, unsafe.Slice((*core.Field)(unsafe.Pointer(p)), int(n)/2))
}

// Two strings of C's lie in memory as a Field does. One that differs makes a length that is not 0, which does not compile.
var _ [0]struct{} = [2*C.sizeof_golang_string - unsafe.Sizeof(core.Field{})]struct{}{}

// text returns a string's bytes for C to read during a call.
func text(s string) (unsafe.Pointer, C.int) {
	return unsafe.Pointer(unsafe.StringData(s)), C.int(len(s))
}

// bytesOf is text for bytes.
func bytesOf(p []byte) (unsafe.Pointer, C.int) {
	return unsafe.Pointer(unsafe.SliceData(p)), C.int(len(p))
}

// given copies what Envoy has given as an address in an integer.
func given(data C.uint64_t, n C.int) string {
	if data == 0 || n <= 0 {
		return ""
	}
	return string(unsafe.Slice(*(**byte)(unsafe.Pointer(&data)), int(n)))
}
