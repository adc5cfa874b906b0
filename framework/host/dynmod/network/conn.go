package network

/*
#include "conn.h"
*/
import "C"

import (
	"sync/atomic"
	"unsafe"

	"mosn.io/moe/framework/host/dynmod/internal/dynlog"
	"mosn.io/moe/framework/host/internal/inproc"
	"mosn.io/moe/framework/network"
)

// thread is one of Envoy's threads: its connections, which no other thread reaches by their slots.
type thread struct {
	inproc.Thread
	number uint32 // that C has given it
	conns  inproc.Slots[place]
}

// place is where a thread finds a connection.
type place struct{ *conn }

var threads inproc.Table[*thread]

func newThread(number uint32) *thread { return &thread{number: number} }

// conn is the Go side of one filter of one connection. It has one life, so that a handle that was kept finds it over. All
// but c belongs to the connection's thread.
type conn struct {
	inproc.Life
	c      *C.moe_conn // guarded by the Life
	thread *thread
	handle inproc.Handle
	filter *filter
	flow   *network.Flow
	fresh  [2]bool // Envoy's buffer of a direction is that of the event under way
	over   bool    // nothing more comes of it
}

// conn returns the Go side of c, which it makes at the first event of c that reaches Go.
func (t *thread) conn(c *C.moe_conn) *conn {
	if c.slot != 0 {
		return t.conns.At(uint32(c.slot), uint32(c.life)).conn
	}
	x := &conn{c: c, thread: t, filter: filters.Get(uint32(c.config.id))}
	slot, life, at := t.conns.Take()
	at.conn = x
	c.slot, c.life = C.uint32_t(slot), C.uint32_t(life)
	x.handle = x.Begin(x, &t.Thread)
	x.handle.Escaped() // any goroutine may want to reach the thread
	x.flow = newFlow(x.filter.reg, x.filter.own.Value(), x.filter.own.Log(), envoy{x})
	return x
}

//export moeNetworkEvent
func moeNetworkEvent(e *C.moe_conn_event) {
	t := threads.Of(uint32(e.thread), newThread)
	var x *conn
	t.Cross(dynlog.Handler, func() {
		x = t.conn(e.conn)
		if e.kind == C.CONN_WRITE {
			x.flow.BeginWrite()
		}
		defer x.leave(e.kind == C.CONN_WRITE)
		x.Enter(e.kind == C.CONN_SCHEDULED)
		x.event(e)
		x.Work()
		x.flow.Settle()
	}, func() {
		e.stop = 1
		if x != nil && e.conn.envoy != nil && e.conn.completed == 0 {
			x.flow.Fault()
		}
	})
}

func (x *conn) event(e *C.moe_conn_event) {
	stop := false
	switch e.kind {
	case C.CONN_NEW:
		stop = x.flow.Connected()
	case C.CONN_READ:
		stop = x.data(network.Read, e)
	case C.CONN_WRITE:
		stop = x.data(network.Write, e)
	case C.CONN_WATERMARK:
		x.flow.Watermark(e.flag != 0)
	case C.CONN_CLOSE:
		by := network.ByRemote
		if e.flag != 0 {
			by = network.ByLocal
		}
		x.flow.Closed(by)
	case C.CONN_GONE:
		x.flow.End()
	}
	if stop {
		e.stop = 1
	}
}

// data is bytes on their way. Within it Envoy may come with others of the same direction, in a buffer that is gone when
// it leaves again: from then on nothing may be asked about these.
func (x *conn) data(d network.Direction, e *C.moe_conn_event) (stop bool) {
	x.fresh[d] = true
	stop = x.flow.Data(d, int(e.length), e.flag != 0)
	x.fresh[d] = false
	return stop
}

// leave ends a crossing. The outermost one of a connection tells C what comes next.
func (x *conn) leave(write bool) {
	c := x.c
	if write {
		x.flow.EndWrite()
	}
	if c.envoy != nil {
		x.filter.metrics.flush(c)
	}
	x.over = c.closed != 0 || x.Gone() || x.flow.Quiet()
	c.wants = C.uint8_t(x.flow.Wants())
	x.Leave()
	if x.over && !x.Inside() {
		x.finish()
	}
}

// finish lets go of the connection.
func (x *conn) finish() {
	x.flow.End()
	slot := uint32(x.c.slot)
	x.c.completed = 1 // C frees it
	x.End()
	x.thread.conns.At(slot, uint32(x.c.life)).conn = nil
	x.thread.conns.Give(slot)
}

// The connection is the inproc.Door to itself.

// OnThread reports whether the caller runs on the connection's thread.
func (x *conn) OnThread() bool { return bool(C.moe_conn_on_thread(C.uint32_t(x.thread.number))) }

// OnAny reports whether the caller runs on one of Envoy's threads.
func (x *conn) OnAny() bool { return bool(C.moe_conn_on_envoy_thread()) }

// Wake has the connection's thread enter Go.
func (x *conn) Wake() bool {
	if x.c.scheduler == nil {
		return false
	}
	C.moe_conn_commit(x.c)
	return true
}

// Prepare makes the connection's scheduler.
func (x *conn) Prepare() {
	if !x.over {
		C.moe_conn_prepare(x.c)
	}
}

// Gone reports whether Envoy has destroyed the filter.
func (x *conn) Gone() bool { return atomic.LoadUint32((*uint32)(unsafe.Pointer(&x.c.gone))) != 0 }

// Escape does nothing: C reports the end of a connection that Go knows at once.
func (x *conn) Escape() {}
