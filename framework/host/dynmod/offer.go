package dynmod

/*
#include <stdlib.h>
#include "moe.h"
*/
import "C"

import (
	"unsafe"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/phase"
)

// offerer is a chain, or one of its streams.
type offerer interface {
	Wants() phase.Messages
	Constants(core.Direction) *core.Constants
}

// offer returns what C enters Go for, and what it does itself in place of that.
func offer(o offerer) (wants C.uint32_t, constants [core.Directions]*C.moe_constants) {
	m := o.Wants()
	for dir := range constants {
		if c := o.Constants(core.Direction(dir)); c != nil {
			constants[dir] = native(c)
			m &^= phase.Headers(core.Direction(dir))
		}
	}
	return C.uint32_t(m), constants
}

// native returns c as C reads it. It lasts as long as c.
func native(c *core.Constants) *C.moe_constants {
	return (*C.moe_constants)(c.Native(func() unsafe.Pointer { return encode(c.Changes) }, func(p unsafe.Pointer) { C.free(p) }))
}

// encode writes changes, and their texts behind them, into memory to be freed.
func encode(changes []core.Constant) unsafe.Pointer {
	size := C.size_t(C.sizeof_moe_constants) + C.size_t(len(changes))*C.sizeof_moe_constant
	text := size
	for _, k := range changes {
		size += C.size_t(len(k.Name) + len(k.Value))
	}
	p := C.malloc(size)
	put := func(s string) C.mbuf {
		if s == "" {
			return C.mbuf{}
		}
		at := unsafe.Add(p, text)
		copy(unsafe.Slice((*byte)(at), len(s)), s)
		text += C.size_t(len(s))
		return C.mbuf{ptr: (*C.char)(at), length: C.size_t(len(s))}
	}
	(*C.moe_constants)(p).n = C.size_t(len(changes))
	all := unsafe.Slice((*C.moe_constant)(unsafe.Add(p, C.sizeof_moe_constants)), len(changes))
	for i, k := range changes {
		all[i] = C.moe_constant{name: put(k.Name), value: put(k.Value), add: C.bool(k.Add)}
	}
	return p
}
