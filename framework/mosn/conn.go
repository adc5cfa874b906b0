package mosn

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"time"

	metrics "github.com/rcrowley/go-metrics"
	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/pkg/buffer"
)

// connection is the client's connection as far as a stream knows it. What it is made of belongs to Envoy.
type connection struct {
	st *stream
}

func (c *connection) no(method string) error {
	return c.st.unsupported("Connection."+method, ownsConnection)
}

// ID returns Envoy's number of the connection, or 0 where the host does not tell.
func (c *connection) ID() uint64 { return c.st.number(attrConnectionID) }

// LocalAddr returns the address to which the client has connected, or nil.
func (c *connection) LocalAddr() net.Addr { return parseAddr(c.st.attr(filter.AttrDestinationAddress)) }

// RemoteAddr returns the client's address by Envoy's rules, or an empty one on a Unix socket.
func (c *connection) RemoteAddr() net.Addr {
	addr := c.st.client().addr
	if !addr.IsValid() {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(addr)
}

// parseAddr returns an address that Envoy has written, or nil.
func parseAddr(text string) net.Addr {
	if text == "" {
		return nil
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(a)
	}
	return &net.UnixAddr{Name: text, Net: "unix"}
}

// TLS returns nil where the client came without TLS. What it returns otherwise has the method ConnectionState, with the
// version and the server's name; as a connection it can do nothing.
func (c *connection) TLS() net.Conn {
	version := c.st.attr(filter.AttrTLSVersion)
	if version == "" {
		return nil
	}
	return &tlsConn{c, version}
}

// NextProtocol returns the protocol in the words of ALPN, such as h2.
func (c *connection) NextProtocol() string {
	switch c.st.info.Protocol() {
	case protocolHTTP1:
		return "http/1.1"
	case protocolHTTP2:
		return "h2"
	case protocolHTTP3:
		return "h3"
	}
	return ""
}

// State returns ConnActive: while a stream lasts its connection does.
func (c *connection) State() api.ConnState { return api.ConnActive }

// ReadEnabled reports true.
func (c *connection) ReadEnabled() bool { return true }

// LocalAddressRestored reports false: Envoy does not tell filters.
func (c *connection) LocalAddressRestored() bool { return false }

// BufferLimit returns 0: Envoy does not tell filters its per_connection_buffer_limit_bytes.
func (c *connection) BufferLimit() uint32 { return 0 }

// RawConn returns a connection that knows its addresses and can do nothing.
func (c *connection) RawConn() net.Conn { return &tlsConn{c, ""} }

// GetReadBuffer returns an empty buffer: bodies come as arguments.
func (c *connection) GetReadBuffer() api.IoBuffer { return buffer.NewIoBuffer(0) }

// GetWriteBuffer returns nothing.
func (c *connection) GetWriteBuffer() []api.IoBuffer { return nil }

// FilterManager returns one without filters.
func (c *connection) FilterManager() api.FilterManager { return filterManager{c} }

// The rest belongs to Envoy.

// Start is unsupported.
func (c *connection) Start(context.Context) { _ = c.no("Start") }

// Write returns an UnsupportedError.
func (c *connection) Write(...api.IoBuffer) error { return c.no("Write") }

// Close returns an UnsupportedError. A filter that wants to end a stream returns StreamFiltertermination.
func (c *connection) Close(api.ConnectionCloseType, api.ConnectionEvent) error { return c.no("Close") }

// SetRemoteAddr is unsupported.
func (c *connection) SetRemoteAddr(net.Addr) { _ = c.no("SetRemoteAddr") }

// AddConnectionEventListener is unsupported: no event comes.
func (c *connection) AddConnectionEventListener(api.ConnectionEventListener) {
	_ = c.no("AddConnectionEventListener")
}

// OnConnectionEvent is unsupported.
func (c *connection) OnConnectionEvent(api.ConnectionEvent) { _ = c.no("OnConnectionEvent") }

// AddBytesReadListener is unsupported.
func (c *connection) AddBytesReadListener(func(uint64)) { _ = c.no("AddBytesReadListener") }

// AddBytesSentListener is unsupported.
func (c *connection) AddBytesSentListener(func(uint64)) { _ = c.no("AddBytesSentListener") }

// SetNoDelay is unsupported.
func (c *connection) SetNoDelay(bool) { _ = c.no("SetNoDelay") }

// SetReadDisable is unsupported.
func (c *connection) SetReadDisable(bool) { _ = c.no("SetReadDisable") }

// SetBufferLimit is unsupported.
func (c *connection) SetBufferLimit(uint32) { _ = c.no("SetBufferLimit") }

// SetLocalAddress is unsupported.
func (c *connection) SetLocalAddress(net.Addr, bool) { _ = c.no("SetLocalAddress") }

// SetCollector is unsupported.
func (c *connection) SetCollector(metrics.Counter, metrics.Counter) { _ = c.no("SetCollector") }

// SetTransferEventListener is unsupported.
func (c *connection) SetTransferEventListener(func() bool) { _ = c.no("SetTransferEventListener") }

// SetIdleTimeout is unsupported.
func (c *connection) SetIdleTimeout(time.Duration, time.Duration) { _ = c.no("SetIdleTimeout") }

// OnRead is unsupported.
func (c *connection) OnRead(api.IoBuffer) { _ = c.no("OnRead") }

// tlsConn has a connection's addresses, and what is known of its TLS.
type tlsConn struct {
	c       *connection
	version string
}

// ConnectionState returns the version, and the name that the client asked for.
func (t *tlsConn) ConnectionState() tls.ConnectionState {
	versions := map[string]uint16{
		"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13,
	}
	return tls.ConnectionState{
		Version: versions[t.version], HandshakeComplete: t.version != "", ServerName: t.c.st.attr(filter.AttrServerName),
		NegotiatedProtocol: t.c.NextProtocol(),
	}
}

func (t *tlsConn) Read([]byte) (int, error)         { return 0, t.c.no("RawConn.Read") }
func (t *tlsConn) Write([]byte) (int, error)        { return 0, t.c.no("RawConn.Write") }
func (t *tlsConn) Close() error                     { return t.c.no("RawConn.Close") }
func (t *tlsConn) LocalAddr() net.Addr              { return t.c.LocalAddr() }
func (t *tlsConn) RemoteAddr() net.Addr             { return t.c.RemoteAddr() }
func (t *tlsConn) SetDeadline(time.Time) error      { return t.c.no("RawConn.SetDeadline") }
func (t *tlsConn) SetReadDeadline(time.Time) error  { return t.c.no("RawConn.SetReadDeadline") }
func (t *tlsConn) SetWriteDeadline(time.Time) error { return t.c.no("RawConn.SetWriteDeadline") }

// filterManager has no network filters: they belong to Envoy's connection.
type filterManager struct{ c *connection }

func (m filterManager) AddReadFilter(api.ReadFilter) { _ = m.c.no("FilterManager.AddReadFilter") }

func (m filterManager) AddWriteFilter(api.WriteFilter)      { _ = m.c.no("FilterManager.AddWriteFilter") }
func (m filterManager) ListReadFilter() []api.ReadFilter    { return nil }
func (m filterManager) ListWriteFilters() []api.WriteFilter { return nil }
func (m filterManager) InitializeReadFilters() bool         { return false }
func (m filterManager) OnRead()                             { _ = m.c.no("FilterManager.OnRead") }
func (m filterManager) OnWrite([]api.IoBuffer) api.FilterStatus {
	_ = m.c.no("FilterManager.OnWrite")
	return api.Continue
}
