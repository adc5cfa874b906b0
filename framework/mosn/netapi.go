package mosn

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"time"

	metrics "github.com/rcrowley/go-metrics"
	"mosn.io/api"
	"mosn.io/moe/framework/network"
	"mosn.io/pkg/buffer"
)

// addrOf returns an address as package net has it: that of a Unix socket where there is no IP address.
func addrOf(a netip.AddrPort) net.Addr {
	if !a.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(a)
}

// ID returns Envoy's number of the connection.
func (n *netConn) ID() uint64 { return n.id }

// Start does nothing: the connection has been started.
func (n *netConn) Start(context.Context) {}

// Close closes the connection, after what was written before. As in MOSN, FlushWrite has the filters of what is written see
// a buffer that says EOF, and the listeners learn of event with NoFlush, and of LocalClose with FlushWrite.
func (n *netConn) Close(typ api.ConnectionCloseType, event api.ConnectionEvent) error {
	if typ == api.FlushWrite {
		return n.Write(buffer.NewIoBufferEOF())
	}
	if !n.end(event) {
		return nil
	}
	return n.c.Close("a MOSN filter has closed the connection")
}

// LocalAddr returns the address to which the client has connected, or what SetLocalAddress was given.
func (n *netConn) LocalAddr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.local
}

// RemoteAddr returns the client's address by Envoy's rules, or what SetRemoteAddr was given.
func (n *netConn) RemoteAddr() net.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.remote
}

// SetRemoteAddr sets what RemoteAddr returns to the filters of this list.
func (n *netConn) SetRemoteAddr(a net.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.remote = a
}

// SetLocalAddress sets what LocalAddressRestored returns, as in MOSN, and what LocalAddr returns to the filters of this
// list.
func (n *netConn) SetLocalAddress(a net.Addr, restored bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.local, n.restored = a, restored
}

// LocalAddressRestored returns what SetLocalAddress was given.
func (n *netConn) LocalAddressRestored() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.restored
}

// AddConnectionEventListener has l learn how the connection ends, and of every 15 seconds in which the client sends
// nothing (OnReadTimeout).
func (n *netConn) AddConnectionEventListener(l api.ConnectionEventListener) {
	if isNil(l) {
		return
	}
	n.mu.Lock()
	n.listeners = append(n.listeners, l)
	n.mu.Unlock()
	n.armRead()
}

// OnConnectionEvent tells the listeners of an event.
func (n *netConn) OnConnectionEvent(event api.ConnectionEvent) {
	n.mu.Lock()
	all := slices.Clone(n.listeners)
	n.mu.Unlock()
	for _, l := range all {
		n.call("", "OnEvent", func() { l.OnEvent(event) })
	}
}

// AddBytesReadListener has f called with the number of bytes whenever some come from the client.
func (n *netConn) AddBytesReadListener(f func(uint64)) { n.listen(network.Read, f) }

// AddBytesSentListener has f called with the number of bytes whenever some have gone to the client.
func (n *netConn) AddBytesSentListener(f func(uint64)) { n.listen(network.Write, f) }

func (n *netConn) listen(d network.Direction, f func(uint64)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.traffic[d].listeners = append(slices.Clone(n.traffic[d].listeners), f)
}

// SetCollector has bytes counted.
func (n *netConn) SetCollector(read, write metrics.Counter) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.traffic[network.Read].counter, n.traffic[network.Write].counter = read, write
}

// NextProtocol returns "", as in MOSN: Envoy does not tell network filters.
func (n *netConn) NextProtocol() string { return "" }

// SetNoDelay can only be true, which Envoy's connections are.
func (n *netConn) SetNoDelay(enable bool) {
	if !enable {
		_ = n.no("SetNoDelay")
	}
}

// SetReadDisable stops the reading from the client, or goes on with it when it was called as often with false as with true.
func (n *netConn) SetReadDisable(disable bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case disable:
		if n.disabled == 0 {
			n.enabled = make(chan struct{})
		}
		n.disabled++
	case n.disabled > 0:
		if n.disabled--; n.disabled == 0 {
			close(n.enabled)
		}
	}
}

// ReadEnabled reports whether the client's bytes are read.
func (n *netConn) ReadEnabled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.disabled == 0
}

// SetBufferLimit sets how many bytes of the client the filters may hold. 0 changes nothing, as in MOSN.
func (n *netConn) SetBufferLimit(limit uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if limit > 0 {
		n.limit = int(limit)
	}
}

// BufferLimit returns how many bytes of the client the filters may hold: the listener's per_connection_buffer_limit_bytes,
// unless SetBufferLimit has set it.
func (n *netConn) BufferLimit() uint32 { return uint32(n.holdable()) }

// GetReadBuffer returns what has come and has not passed. It is for the goroutine on which a filter was called.
func (n *netConn) GetReadBuffer() api.IoBuffer { return n.reading.buf }

// GetWriteBuffer returns what was written last.
func (n *netConn) GetWriteBuffer() []api.IoBuffer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.writing
}

// State returns whether the connection lasts.
func (n *netConn) State() api.ConnState {
	if n.isClosed() {
		return api.ConnClosed
	}
	return api.ConnActive
}

// SetIdleTimeout has the connection closed when nothing was read or written for idle, which is made a whole number of
// reads, as in MOSN.
func (n *netConn) SetIdleTimeout(read, idle time.Duration) {
	if read <= 0 {
		read = readTimeout
	}
	after := (idle + read - 1) / read * read
	n.last.Store(int64(time.Since(epoch)))
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.idle != nil {
		n.idle.Stop()
		n.idle = nil
	}
	if after > 0 && !n.closed {
		n.watchIdle(after, after)
	}
}

// watchIdle looks after some time whether the connection is idle. n.mu is held.
func (n *netConn) watchIdle(after, look time.Duration) {
	n.idle = time.AfterFunc(look, func() {
		idle := time.Since(epoch) - time.Duration(n.last.Load())
		if idle >= after {
			_ = n.Close(api.NoFlush, api.LocalClose)
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.closed {
			n.watchIdle(after, after-idle)
		}
	})
}

// SetTransferEventListener is unsupported: Envoy's connections do not move to another process.
func (n *netConn) SetTransferEventListener(func() bool) { _ = n.no("SetTransferEventListener") }

// OnRead has the filters find the bytes of b as if the client had sent them.
func (n *netConn) OnRead(b api.IoBuffer) {
	if isNil(b) {
		return
	}
	p := slices.Clone(b.Bytes())
	n.reading.do(func() { n.reading.arrived(p) })
}

// FilterManager returns the manager of the connection's filters.
func (n *netConn) FilterManager() api.FilterManager { return netFilters{n} }

// TLS returns nil where Envoy terminates no TLS. What it returns otherwise has the method ConnectionState, with the name
// that the client asks for, and is RawConn as a connection.
func (n *netConn) TLS() net.Conn {
	if _, ok := n.c.TLS(); !ok {
		return nil
	}
	return &netTLS{netRaw{n}}
}

// RawConn returns a connection that writes to the client past the filters.
func (n *netConn) RawConn() net.Conn { return &netRaw{n} }

// netRaw is a connection as net.Conn.
type netRaw struct{ n *netConn }

// Read is unsupported: bytes come as arguments of OnData.
func (r *netRaw) Read([]byte) (int, error) { return 0, r.n.no("RawConn.Read") }

// Write sends bytes to the client, past the filters.
func (r *netRaw) Write(p []byte) (int, error) {
	if err := r.n.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close closes the connection.
func (r *netRaw) Close() error { return r.n.Close(api.NoFlush, api.LocalClose) }

// LocalAddr is that of net.Conn.
func (r *netRaw) LocalAddr() net.Addr { return r.n.LocalAddr() }

// RemoteAddr is that of net.Conn.
func (r *netRaw) RemoteAddr() net.Addr { return r.n.RemoteAddr() }

// SetDeadline is unsupported, as SetReadDeadline is.
func (r *netRaw) SetDeadline(time.Time) error { return r.n.no("RawConn.SetDeadline") }

// SetReadDeadline is unsupported: nothing is read here.
func (r *netRaw) SetReadDeadline(time.Time) error { return r.n.no("RawConn.SetReadDeadline") }

// SetWriteDeadline bounds how long Write waits for the client.
func (r *netRaw) SetWriteDeadline(t time.Time) error {
	if p := r.n.piped(); p != nil {
		return p.client.SetWriteDeadline(t)
	}
	return nil // Write does not wait yet
}

// netTLS is a connection with TLS.
type netTLS struct{ netRaw }

// ConnectionState returns the name that the client asks for. Envoy does not tell network filters the version.
func (t *netTLS) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: true, ServerName: t.n.server}
}

// netFilters is MOSN's manager of a connection's filters.
type netFilters struct{ n *netConn }

// AddReadFilter adds a filter behind the others of the list.
func (m netFilters) AddReadFilter(f api.ReadFilter) {
	if !isNil(f) {
		m.n.reading.add(readFilter{typ: "a filter that another has added", ReadFilter: f})
	}
}

// AddWriteFilter adds a filter behind the others of the list.
func (m netFilters) AddWriteFilter(f api.WriteFilter) {
	if isNil(f) {
		return
	}
	m.n.mu.Lock()
	defer m.n.mu.Unlock()
	m.n.writes = append(m.n.writes, writeFilter{"a filter that another has added", f})
}

// ListReadFilter returns the filters of the list.
func (m netFilters) ListReadFilter() (all []api.ReadFilter) {
	for _, f := range m.n.reading.list() {
		all = append(all, f.ReadFilter)
	}
	return all
}

// ListWriteFilters returns the filters of the list.
func (m netFilters) ListWriteFilters() (all []api.WriteFilter) {
	for _, f := range m.n.writeFilters() {
		all = append(all, f.WriteFilter)
	}
	return all
}

// InitializeReadFilters calls the filters that have not seen the connection, and reports whether there are any at all.
func (m netFilters) InitializeReadFilters() bool {
	m.OnRead()
	return len(m.n.reading.list()) > 0
}

// OnRead calls the filters with what the buffer has.
func (m netFilters) OnRead() { m.n.reading.do(func() { m.n.reading.iterate(0) }) }

// OnWrite calls the filters of what is written.
func (m netFilters) OnWrite(buffers []api.IoBuffer) api.FilterStatus { return m.n.onWrite(buffers) }
