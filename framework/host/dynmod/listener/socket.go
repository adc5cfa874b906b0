package listener

/*
#include "socket.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/listener"
)

// thread is one of Envoy's threads: its sockets, which no other thread reaches by their slots.
type thread struct {
	inproc.Thread
	number  uint32 // that C has given it
	sockets inproc.Slots[place]
}

// place is where a thread finds a socket.
type place struct{ *socket }

var threads inproc.Table[*thread]

func newThread(number uint32) *thread { return &thread{number: number} }

// socket is the Go side of one filter of one accepted connection. It has one life, so that a handle that was kept finds it
// over. All but c belongs to the connection's thread.
type socket struct {
	inproc.Life
	c      *C.moe_socket // guarded by the Life
	thread *thread
	handle inproc.Handle
	filter *filter
	flow   *listener.Flow
	over   bool // nothing more comes of it
}

// socket returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) socket(c *C.moe_socket) *socket {
	if c.slot != 0 {
		return t.sockets.At(uint32(c.slot), uint32(c.life)).socket
	}
	x := &socket{c: c, thread: t, filter: filters.Get(uint32(c.config.id))}
	slot, life, at := t.sockets.Take()
	at.socket = x
	c.slot, c.life = C.uint32_t(slot), C.uint32_t(life)
	x.handle = x.Begin(x, &t.Thread)
	x.handle.Escaped() // any goroutine may want to reach the thread
	x.flow = newFlow(x.filter.reg, x.filter.own.Value(), x.filter.own.Log(), envoy{x})
	return x
}

//export moeListenerEvent
func moeListenerEvent(e *C.moe_socket_event) {
	t := threads.Of(uint32(e.thread), newThread)
	var x *socket
	t.Cross(dynlog.Handler, func() {
		x = t.socket(e.socket)
		defer x.leave()
		x.Enter(e.kind == C.SOCKET_SCHEDULED)
		e.verdict = C.uint32_t(x.event(e))
		if e.verdict == C.VERDICT_CLOSE {
			explain(e, x.flow.Details())
		}
	}, func() {
		e.verdict = C.VERDICT_CLOSE
		if x != nil && e.socket.completed == 0 {
			x.finish()
		}
		e.socket.completed = 1
	})
}

// explain tells C why a connection is closed.
func explain(e *C.moe_socket_event, details string) {
	to := unsafe.Slice((*byte)(unsafe.Pointer(&e.details[0])), len(e.details))
	e.written = C.uint32_t(copy(to, details))
}

func (x *socket) event(e *C.moe_socket_event) listener.Verdict {
	switch e.kind {
	case C.SOCKET_CLOSE, C.SOCKET_GONE:
		x.over = true
		x.flow.Closed()
		return listener.Wait
	case C.SOCKET_ACCEPT:
		x.decided(x.flow.Accepted())
	case C.SOCKET_DATA:
		x.decided(x.flow.Data(int(e.length)))
	}
	x.Work()
	return x.decided(x.flow.Settle())
}

// decided notes a verdict: with it, the filter's part is over.
func (x *socket) decided(v listener.Verdict) listener.Verdict {
	if v != listener.Wait {
		x.over = true
	}
	return v
}

// leave ends a crossing, and tells C what comes next.
func (x *socket) leave() {
	c := x.c
	if c.envoy != nil {
		x.filter.metrics.flush(c)
	}
	x.over = x.over || x.Gone()
	least, most := x.flow.Peeks()
	c.least, c.most = C.uint32_t(least), C.uint32_t(most)
	x.Leave()
	if x.over && !x.Inside() {
		x.finish()
	}
}

// finish lets go of the socket.
func (x *socket) finish() {
	x.flow.End()
	slot := uint32(x.c.slot)
	x.c.least = 0
	x.c.completed = 1 // C frees it
	x.End()
	x.thread.sockets.At(slot, uint32(x.c.life)).socket = nil
	x.thread.sockets.Give(slot)
}

// The socket is the inproc.Door to itself.

// OnThread reports whether the caller runs on the connection's thread.
func (x *socket) OnThread() bool { return bool(C.moe_socket_on_thread(C.uint32_t(x.thread.number))) }

// OnAny reports whether the caller runs on one of Envoy's threads.
func (x *socket) OnAny() bool { return bool(C.moe_socket_on_envoy_thread()) }

// Wake has the connection's thread enter Go.
func (x *socket) Wake() bool {
	if x.c.scheduler == nil {
		return false
	}
	C.moe_socket_commit(x.c)
	return true
}

// Prepare makes the connection's scheduler.
func (x *socket) Prepare() {
	if !x.over {
		C.moe_socket_prepare(x.c)
	}
}

// Gone reports whether Envoy has destroyed the filter.
func (x *socket) Gone() bool { return atomic.LoadUint32((*uint32)(unsafe.Pointer(&x.c.gone))) != 0 }

// Escape does nothing: C reports the end of a socket that Go knows at once.
func (x *socket) Escape() {}
