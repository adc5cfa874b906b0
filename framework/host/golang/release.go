package golang

/*
#include "gate.h"
*/
import "C"

import (
	"sync"
	"time"
	"unsafe"
)

// Envoy's SDK gives back the objects that Envoy makes for it when Go's garbage collector finds them unused, so Envoy
// expects that at any time after their end, and not during it.

const sweepInterval = time.Second

var sweeper sync.Once

// sweep gives requests back, one to two intervals after their streams have ended.
func sweep() {
	for range time.Tick(sweepInterval) {
		C.golang_sweep()
	}
}

// finalize gives a configuration back.
func finalize(c *C.httpConfig) {
	time.AfterFunc(sweepInterval, func() { C.golang_host_ConfigHttpFinalize(unsafe.Pointer(c)) })
}

// moeGolangCleanUp gives back at once what there is.
//
//export moeGolangCleanUp
func moeGolangCleanUp() {
	for C.golang_sweep() > 0 {
	}
}
