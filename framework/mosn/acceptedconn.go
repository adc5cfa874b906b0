package mosn

import (
	"net"
	"time"
)

// acceptedConn is a connection that Envoy has accepted, as far as listener filters have it.
type acceptedConn struct {
	a             *accepting
	local, remote net.Addr
}

func (c *acceptedConn) no(method string) error {
	return c.a.plugin.reports.unsupported(c.a.s.Log(), "ListenerFilterChainFactoryCallbacks.Conn."+method, ownsConnection)
}

// Read is unsupported, as Write and deadlines are.
func (c *acceptedConn) Read([]byte) (int, error) { return 0, c.no("Read") }

// Write is unsupported.
func (c *acceptedConn) Write([]byte) (int, error) { return 0, c.no("Write") }

// Close closes the connection, when the filter has returned.
func (c *acceptedConn) Close() error {
	c.a.says("Conn.Close", func() { c.a.refuse("a MOSN filter has closed the connection") })
	return nil
}

// LocalAddr returns the address to which the client has connected, by Envoy's rules.
func (c *acceptedConn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the client's address, by Envoy's rules.
func (c *acceptedConn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is unsupported.
func (c *acceptedConn) SetDeadline(time.Time) error { return c.no("SetDeadline") }

// SetReadDeadline is unsupported.
func (c *acceptedConn) SetReadDeadline(time.Time) error { return c.no("SetReadDeadline") }

// SetWriteDeadline is unsupported.
func (c *acceptedConn) SetWriteDeadline(time.Time) error { return c.no("SetWriteDeadline") }
