package mosn

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"mosn.io/api"
	"mosn.io/moe/framework/listener"
	"mosn.io/pkg/variable"
)

// accepting is one connection before the filters of a list. It is what they get as MOSN's callbacks, and may keep.
type accepting struct {
	plugin *ListenerFilters
	s      *listener.Socket
	ctx    context.Context
	conn   acceptedConn
	wake   chan struct{} // has room for one that says that a filter has said something

	mu       sync.Mutex // guards what follows
	next     int        // the filter whose turn it is
	repeats  int        // how often it was asked again because of what it said while it ran
	asked    bool       // ContinueFilterChain was called since the filter was
	restores bool       // UseOriginalDst was called
	passes   bool       // likewise, since the filter was called
	refused  string     // why the connection is to be closed
	original netip.AddrPort
	use      bool // what GetUseOriginalDst returns
	set      bool // SetUseOriginalDst was called
	decided  bool
}

func newAccepting(f *ListenerFilters, s *listener.Socket) *accepting {
	a := &accepting{plugin: f, s: s, wake: make(chan struct{}, 1), use: f.UseOriginalDst}
	a.ctx = newContext(s.Context())
	a.conn = acceptedConn{a: a, local: addrOf(s.LocalAddr()), remote: addrOf(s.RemoteAddr())}
	if local, isTCP := a.conn.local.(*net.TCPAddr); isTCP {
		_ = variable.Set(a.ctx, "listener_port", local.Port)
	}
	return a
}

// OnAccept asks the filters about the connection: on a goroutine, unless none of them may block.
func (a *accepting) OnAccept(*listener.Socket) listener.Action {
	if !a.plugin.blocks {
		if a.ask() {
			return a.decision()
		}
		return listener.Go(a.await)
	}
	return listener.Go(func(ctx context.Context) listener.Action {
		if a.ask() {
			return a.decision()
		}
		return a.await(ctx)
	})
}

// await goes on whenever a filter says so, until the connection is decided about.
func (a *accepting) await(ctx context.Context) listener.Action {
	for {
		select {
		case <-a.wake:
			if a.resumes() && a.ask() {
				return a.decision()
			}
		case <-ctx.Done():
			return listener.Refuse("the connection has ended") // nobody looks at it
		}
	}
}

// mostRepeats is how often a filter is asked again because it continues the chain before it stops it. MOSN asks it until
// the stack is full, and dies.
const mostRepeats = 10

// ask calls the filters whose turn it is, and reports whether the connection is decided about. One goroutine at a time
// calls it.
func (a *accepting) ask() (decided bool) {
	for {
		f, more := a.turn()
		if !more {
			return true
		}
		if status := f.ask(a); !a.moves(f.typ, status) {
			return false
		}
	}
}

// ask calls the filter. A panic goes on with the filter's type.
func (f acceptFilter) ask(a *accepting) api.FilterStatus {
	defer func() {
		if v := recover(); v != nil {
			blameOn(f.typ, v)
		}
	}()
	return f.OnAccept(a)
}

// turn returns the filter to be called, if there is still one.
func (a *accepting) turn() (f acceptFilter, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.passes = false, false
	if a.refused != "" || a.next == len(a.plugin.list) || a.s.Context().Err() != nil {
		return f, false
	}
	return a.plugin.list[a.next], true
}

// moves takes note of what a filter has returned, and reports whether the chain goes on at once.
func (a *accepting) moves(typ string, status api.FilterStatus) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case status != api.Stop || a.passes:
		a.next, a.repeats = a.next+1, 0
	case a.asked && a.repeats == mostRepeats:
		a.refused = typ + " continues the filter chain and stops it, again and again"
		a.s.Log().Error("a MOSN filter continues the filter chain whenever it is called, and stops it; the connection is closed",
			"type", typ)
	case a.asked:
		a.repeats++
	case a.refused == "":
		return false
	}
	return true
}

// resumes reports whether the chain goes on that a filter has stopped.
func (a *accepting) resumes() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.repeats = 0
	if a.passes {
		a.next++
	}
	return a.passes || a.asked || a.refused != ""
}

// decision carries out what the filters have decided.
func (a *accepting) decision() listener.Action {
	a.mu.Lock()
	a.decided = true
	refused, original, restores, set, use := a.refused, a.original, a.restores, a.set, a.use
	a.mu.Unlock()
	var err error
	switch {
	case refused != "":
		return listener.Refuse(refused)
	case restores && original.IsValid():
		if err = a.s.SetLocalAddr(original); err == nil {
			err = a.s.UseOriginalDst(true)
		}
	case set:
		err = a.s.UseOriginalDst(use)
	}
	if err != nil {
		return listener.Refuse(err.Error())
	}
	return listener.Continue
}

// says takes note of what a filter says, unless it comes too late.
func (a *accepting) says(method string, f func()) {
	a.mu.Lock()
	decided := a.decided
	if !decided {
		f()
	}
	a.mu.Unlock()
	if decided {
		a.plugin.reports.misuse(a.s.Log(), "ListenerFilterChainFactoryCallbacks."+method, "after the filters have decided")
		return
	}
	select {
	case a.wake <- struct{}{}:
	default: // one is enough
	}
}

// Conn returns the connection as far as there is one: it has addresses, and can be closed.
func (a *accepting) Conn() net.Conn { return &a.conn }

// ContinueFilterChain goes on with the filter that has stopped the chain: it is asked again, as in MOSN, once it has
// returned. Without success the connection is closed; MOSN serves it to nobody and keeps it open.
func (a *accepting) ContinueFilterChain(_ context.Context, success bool) {
	a.says("ContinueFilterChain", func() {
		if success {
			a.asked = true
		} else {
			a.refuse("a MOSN filter has ended the filter chain")
		}
	})
}

// refuse has the connection closed. a.mu is held.
func (a *accepting) refuse(reason string) {
	if a.refused == "" {
		a.refused = reason
	}
}

// SetOriginalAddr sets the address that the client meant, for UseOriginalDst.
func (a *accepting) SetOriginalAddr(ip string, port int) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || port < 0 || port > 65535 {
		_ = a.plugin.reports.unsupported(a.s.Log(), "ListenerFilterChainFactoryCallbacks.SetOriginalAddr",
			strconv.Quote(ip)+" and "+strconv.Itoa(port)+" are not an IP address and a port")
		return
	}
	a.says("SetOriginalAddr", func() { a.original = netip.AddrPortFrom(addr, uint16(port)) })
}

// SetUseOriginalDst sets what GetUseOriginalDst returns, and whether Envoy hands the connection to the listener of its
// address where another filter restores that.
func (a *accepting) SetUseOriginalDst(flag bool) {
	a.says("SetUseOriginalDst", func() { a.use, a.set = flag, true })
}

// GetUseOriginalDst returns whether the listener has use_original_dst, or what SetUseOriginalDst was given. It is false once a
// filter has called UseOriginalDst, as in MOSN.
func (a *accepting) GetUseOriginalDst() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.use
}

// GetOriContext returns the connection's context, which has variables.
func (a *accepting) GetOriContext() context.Context { return a.ctx }

// UseOriginalDst has Envoy hand the connection to the listener of the address that SetOriginalAddr was given, once the
// filters behind this one have let it pass. If there is no such listener, this one serves it.
func (a *accepting) UseOriginalDst(context.Context) {
	a.says("UseOriginalDst", func() { a.restores, a.passes, a.use = true, true, false })
}
