package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"mosn.io/moe/framework/internal/core"
)

// Errors of a connection.
var (
	ErrDone        = errors.New("network: the connection has ended, or the filter has let go of it")
	ErrEnded       = errors.New("network: the direction has ended")
	ErrExists      = errors.New("network: Envoy has such a filter state and does not replace it")
	ErrNotFound    = core.ErrNotFound    // there is no such metadata or filter state
	ErrUnsupported = core.ErrUnsupported // Envoy has no such thing
)

// Conn is one connection, as one filter sees it. It may be kept and used by any goroutine at any time. Once the
// connection has ended, its methods do nothing and return [ErrDone] or zero values; so they do when the filter can have
// no more events of it: both directions are [Done], there is no OnClose, and nobody has asked for the context.
//
// What asks Envoy runs on the connection's thread: in a method of the filter at once; a goroutine waits for the thread.
type Conn struct{ f *Flow }

// ask runs f where Envoy may be asked.
func (c *Conn) ask(f func()) error {
	if err := c.f.host.Ask(f); !errors.Is(err, core.ErrStreamDone) {
		return err
	}
	return ErrDone
}

// RemoteAddr returns the client's address: that of the socket, or the one that a listener filter such as PROXY protocol
// has set. It is the zero value where there is no IP address.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.addr(RemoteAddr) }

// LocalAddr returns the address that the client has connected to.
func (c *Conn) LocalAddr() netip.AddrPort { return c.addr(LocalAddr) }

// DirectRemoteAddr returns the address of the socket's other end.
func (c *Conn) DirectRemoteAddr() netip.AddrPort { return c.addr(DirectRemoteAddr) }

func (c *Conn) addr(of AddrField) (a netip.AddrPort) {
	_ = c.ask(func() { a = c.f.host.Addr(of) })
	return a
}

// ID returns Envoy's number of the connection, which logs have as %CONNECTION_ID%. It is unique in this process.
func (c *Conn) ID() (id uint64) {
	_ = c.ask(func() { id = c.f.host.ID() })
	return id
}

// ServerName returns the name that the client's TLS asks for (SNI), where a listener filter has looked for it: Envoy's TLS
// inspector, which a listener needs for that even if it terminates TLS. QUIC has it too. It is "" otherwise.
func (c *Conn) ServerName() (name string) {
	_ = c.ask(func() { name = c.f.host.ServerName() })
	return name
}

// TLS is what Envoy knows of the client's certificate, once the handshake is over. All is empty without a certificate.
type TLS struct {
	Subject  string
	DNSNames []string // subject alternative names
	URIs     []string
}

// TLS reports whether Envoy terminates TLS for the connection, and what it knows of the client's certificate. The
// handshake ends after OnConnection, and before the first bytes.
func (c *Conn) TLS() (t TLS, ok bool) {
	_ = c.ask(func() { t, ok = c.f.host.TLS() })
	return t, ok
}

// Upstream is where Envoy has connected to.
type Upstream struct {
	Addr     netip.AddrPort
	Hostname string
	Cluster  string
}

// Upstream returns where Envoy has connected to, and whether it has chosen a host yet.
func (c *Conn) Upstream() (u Upstream, ok bool) {
	_ = c.ask(func() { u, ok = c.f.host.Upstream() })
	return u, ok
}

// SetUpstreamCluster has the tcp_proxy behind this filter use another cluster than the one that is configured. Call it
// in OnConnection, before tcp_proxy chooses; the name is not checked.
func (c *Conn) SetUpstreamCluster(name string) error {
	return c.SetFilterState("envoy.tcp_proxy.cluster", name)
}

// FilterState returns an object of Envoy's filter state as text.
func (c *Conn) FilterState(key string) (value string, err error) {
	err = ErrNotFound
	if done := c.ask(func() {
		if v, ok := c.f.host.FilterState(key); ok {
			value, err = v, nil
		}
	}); done != nil {
		return "", done
	}
	return value, err
}

// SetFilterState sets an object of Envoy's filter state, for as long as the connection. Keys for which Envoy knows a
// type become objects of that type. [ErrExists] if there is one.
func (c *Conn) SetFilterState(key, value string) (err error) {
	if done := c.ask(func() { err = c.f.host.SetFilterState(key, value) }); done != nil {
		return done
	}
	return err
}

// Metadata returns a value of the connection's dynamic metadata: a string, a float64 or a bool.
func (c *Conn) Metadata(namespace, key string) (value any, err error) {
	err = ErrNotFound
	if done := c.ask(func() {
		if v, ok := c.f.host.Metadata(namespace, key); ok {
			value, err = v, nil
		}
	}); done != nil {
		return nil, done
	}
	return value, err
}

// SetMetadata sets a value of the connection's dynamic metadata, which access logs print: a string, a bool or a number.
// Other kinds are [ErrUnsupported].
func (c *Conn) SetMetadata(namespace, key string, value any) error {
	scalar, ok := core.Scalar(value)
	if !ok {
		return fmt.Errorf("metadata %s/%s: a %T: %w", namespace, key, value, ErrUnsupported)
	}
	return c.ask(func() { c.f.host.SetMetadata(namespace, key, scalar) })
}

// Inject sends p, which is copied, in one direction, past this filter: to the upstream (Read) or to the client (Write).
// It goes before the bytes that a method of the filter has at hand, and before those that are held. Bytes for the
// upstream wait until there is one. The error is [ErrDone], or [ErrEnded] after [Conn.End].
func (c *Conn) Inject(d Direction, p []byte) error {
	return c.f.push(op{kind: opInject, dir: d, p: slices.Clone(p)})
}

// End closes one direction: its receiver sees the end of the stream, after all that was sent. What comes in that
// direction later is dropped.
func (c *Conn) End(d Direction) error { return c.f.push(op{kind: opEnd, dir: d}) }

// Close closes the connection as the action [Close] does.
func (c *Conn) Close(reason string) error { return c.f.push(op{kind: opClose, reason: reason}) }

// Reset closes the connection as the action [Reset] does.
func (c *Conn) Reset(reason string) error {
	return c.f.push(op{kind: opClose, reason: reason, how: Abort})
}

// Context is cancelled when the connection ends, with the cause [ErrDone].
func (c *Conn) Context() context.Context {
	c.f.mu.Lock()
	c.f.lent = true
	c.f.mu.Unlock()
	return c.f.context()
}

// Log returns the logger to Envoy's log, with the filter's name.
func (c *Conn) Log() *slog.Logger { return c.f.log }

// Timer is a call to come.
type Timer struct {
	f     *Flow
	timer *time.Timer
}

// AfterFunc has f called on the connection's thread, as a method of the filter is, when d has passed. It is not called
// once the connection has ended.
func (c *Conn) AfterFunc(d time.Duration, f func()) *Timer { return c.f.after(d, f) }

// Stop keeps the function from being called, and reports whether it has: false if it was called, or is about to be.
func (t *Timer) Stop() bool {
	if !t.timer.Stop() {
		return false
	}
	t.f.timerEnded(t)
	return true
}
