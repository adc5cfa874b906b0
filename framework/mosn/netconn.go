package mosn

import (
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	metrics "github.com/rcrowley/go-metrics"
	"mosn.io/api"
	"mosn.io/moe/framework/network"
	"mosn.io/pkg/variable"
)

// netConn is the client's connection with the filters of one list, as MOSN's network filters see it.
type netConn struct {
	plugin  *NetworkFilters
	c       *network.Conn
	ctx     context.Context // what filters are given
	id      uint64
	server  string // name, of TLS
	reading reading
	traffic [2]traffic   // by the direction
	last    atomic.Int64 // when bytes came or went, as time since epoch

	mu            sync.Mutex // guards what follows
	lent          *peers     // nil before Envoy has lent the connection
	writes        []writeFilter
	writing       []api.IoBuffer // what Write was given last
	local, remote net.Addr
	restored      bool
	closed        bool
	listeners     []api.ConnectionEventListener
	disabled      int           // how often SetReadDisable was called with true
	enabled       chan struct{} // closed when reading is enabled again
	limit         int
	host          api.HostInfo
	idle          *time.Timer
}

// peers are the two sides of the connection, once Envoy has lent it.
type peers struct{ client, upstream network.Peer }

// traffic is who wants to know of bytes.
type traffic struct {
	listeners []func(uint64)
	counter   metrics.Counter
}

// netHandler is what package network calls: the methods of MOSN's connection have its names.
type netHandler struct{ n *netConn }

func newNetHandler(f *NetworkFilters, c *network.Conn) netHandler {
	n := &netConn{plugin: f, c: c}
	n.reading = newReading(n)
	return netHandler{n}
}

// OnConnection has the filters decide about the connection before Envoy chooses an upstream, and then about its bytes: on
// goroutines, since MOSN's filters may block.
func (h netHandler) OnConnection(c *network.Conn) network.Action {
	n := h.n
	n.id, n.server, n.limit = c.ID(), c.ServerName(), onNetwork.BufferLimit(c)
	n.local, n.remote = addrOf(c.LocalAddr()), addrOf(c.RemoteAddr())
	return network.Go(func(ctx context.Context) network.Action {
		n.begin(ctx)
		return network.Pipe(n.serve)
	})
}

// OnClose tells the filters that the connection has ended.
func (h netHandler) OnClose(_ *network.Conn, by network.Closer) {
	event := api.LocalClose
	if by == network.ByRemote {
		event = api.RemoteClose
	}
	end := func(context.Context) { h.n.end(event) }
	if !h.n.plugin.env.Go(end) {
		end(nil)
	}
}

// begin makes the filters, and asks them about the connection.
func (n *netConn) begin(ctx context.Context) {
	n.ctx = newContext(ctx)
	n.mu.Lock()
	known := map[string]any{"connection": api.Connection(n), "connection_id": n.id, "ori_remote_addr": n.remote}
	if a, isTCP := n.local.(*net.TCPAddr); isTCP {
		known["listener_port"] = a.Port
	}
	n.mu.Unlock()
	for name, value := range known {
		_ = variable.Set(n.ctx, name, value)
	}
	for _, f := range n.plugin.list {
		made := networkCollected{typ: f.typ}
		n.call(f.typ, "CreateFilterChain", func() { f.CreateFilterChain(n.ctx, &made) })
		for _, r := range made.reads {
			n.reading.add(r)
		}
		n.mu.Lock()
		n.writes = append(n.writes, made.writes...)
		n.mu.Unlock()
	}
	n.reading.do(func() { n.reading.iterate(0) })
}

// serve passes the connection's bytes through the filters until it ends.
func (n *netConn) serve(ctx context.Context, client, upstream network.Peer) error {
	p := &peers{client, upstream}
	n.mu.Lock()
	n.lent = p
	n.mu.Unlock()
	go n.forward(ctx, p)
	n.reading.run(ctx, p)
	<-ctx.Done() // nobody but this function passes bytes
	return nil
}

// call runs code of a filter's, on any goroutine. A panic in it resets the connection.
func (n *netConn) call(typ, method string, f func()) (returned bool) {
	if typ == "" {
		typ = "a listener"
	}
	defer func() {
		if !returned {
			n.end(api.LocalClose)
		}
	}()
	return onNetwork.Call(n.c, method+" of "+typ, f)
}

// end tells the listeners how the connection has ended, once.
func (n *netConn) end(event api.ConnectionEvent) (first bool) {
	n.mu.Lock()
	first, n.closed = !n.closed, true
	if n.idle != nil {
		n.idle.Stop()
	}
	n.mu.Unlock()
	if first {
		n.OnConnectionEvent(event)
	}
	return first
}

func (n *netConn) isClosed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closed
}

// piped returns the two sides of the connection, or nil before Envoy has lent it.
func (n *netConn) piped() *peers {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lent
}

// count tells of k bytes in one direction.
func (n *netConn) count(d network.Direction, k int) {
	n.last.Store(int64(time.Since(epoch)))
	n.mu.Lock()
	t := n.traffic[d]
	n.mu.Unlock()
	if t.counter != nil {
		t.counter.Inc(int64(k))
	}
	for _, f := range t.listeners {
		n.call("", "a function for bytes", func() { f(uint64(k)) })
	}
}

// armRead has the read that comes end in time for OnReadTimeout, if somebody listens.
func (n *netConn) armRead() {
	n.mu.Lock()
	p, listened := n.lent, len(n.listeners) > 0
	n.mu.Unlock()
	if p != nil && listened {
		_ = p.client.SetReadDeadline(time.Now().Add(readTimeout))
	}
}

// awaitEnabled waits until SetReadDisable does not keep the client's bytes back, and reports whether the connection lasts.
func (n *netConn) awaitEnabled(ctx context.Context) bool {
	for {
		n.mu.Lock()
		disabled, enabled := n.disabled > 0, n.enabled
		n.mu.Unlock()
		if !disabled {
			return ctx.Err() == nil
		}
		select {
		case <-enabled:
		case <-ctx.Done():
			return false
		}
	}
}

// holdable is how many bytes of the client the filters may hold.
func (n *netConn) holdable() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.limit
}

func (n *netConn) upstreamHost() api.HostInfo {
	n.mu.Lock()
	set := n.host
	n.mu.Unlock()
	if set != nil {
		return set
	}
	u, ok := n.c.Upstream()
	if !ok {
		return nil
	}
	h := &host{u.Addr.String(), u.Hostname, &n.plugin.health, n.unsupported}
	if h.name == "" {
		h.name = h.address
	}
	return h
}

func (n *netConn) unsupported(method, reason string) error {
	return n.plugin.reports.unsupported(n.c.Log(), method, reason)
}

func (n *netConn) no(method string) error { return n.unsupported("Connection."+method, ownsConnection) }

// writeFilters returns the filters of what is written.
func (n *netConn) writeFilters() []writeFilter {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.writes)
}
