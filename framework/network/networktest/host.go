package networktest

import (
	"net/netip"

	"mosn.io/moe/framework/network"
)

// envoy is the network.Host of a connection.
type envoy struct{ c *Conn }

// Ask is network.Host's. What is known here belongs to no thread.
func (e envoy) Ask(f func()) error {
	c := e.c
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		return network.ErrDone
	}
	f()
	return nil
}

// Wake is network.Host's.
func (e envoy) Wake() { go e.c.enter(0, func() {}) }

// Panicked is network.Host's.
func (e envoy) Panicked() {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.panics++
}

// Received is network.Host's.
func (e envoy) Received(d network.Direction, p []byte) (all []byte, ok bool) {
	c := e.c
	if c.in == nil || c.in.dir != d {
		c.t.Errorf("bytes of the %v direction are asked for outside of its events", d)
		return p, false
	}
	c.mu.Lock()
	c.copies++
	c.mu.Unlock()
	return append(p, c.in.p...), true
}

// Replace is network.Host's.
func (e envoy) Replace(d network.Direction, p []byte) {
	c := e.c
	if c.in == nil || c.in.dir != d {
		c.t.Errorf("bytes of the %v direction are replaced outside of its events", d)
		return
	}
	c.in.p = append([]byte(nil), p...)
}

// Inject is network.Host's.
func (e envoy) Inject(d network.Direction, p []byte, end bool) {
	c := e.c
	if d == network.Read {
		c.notWriting("bytes for the upstream are injected")
		c.beginBehind() // as Envoy begins the filters behind, too
	}
	c.pass(d, p, end)
}

// ContinueReading is network.Host's.
func (e envoy) ContinueReading() {
	e.c.notWriting("reading is continued")
	e.c.beginBehind()
}

// notWriting fails the test within an event of the write direction. A filter behind may answer at once there, and Envoy
// crashes when it comes back to the event.
func (c *Conn) notWriting(what string) {
	for e := c.in; e != nil; e = e.outer {
		if e.dir == network.Write {
			c.t.Errorf("%s within an event of the write direction", what)
			return
		}
	}
}

// DisableReading is network.Host's.
func (e envoy) DisableReading(disable bool) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if disable {
		c.disabled++
		return
	}
	if c.disabled--; c.disabled < 0 {
		c.t.Error("reading is enabled more often than disabled")
	}
}

// ReadingEnabled is network.Host's.
func (e envoy) ReadingEnabled() bool {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disabled == 0
}

// DelayClose is network.Host's.
func (e envoy) DelayClose(delay bool) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delayed == delay {
		c.t.Errorf("closing is delayed (%v) twice", delay)
	}
	c.delayed = delay
}

// Close is network.Host's.
func (e envoy) Close(how network.How, details string) {
	c := e.c
	c.mu.Lock()
	if c.closed != nil {
		c.t.Error("the connection is closed twice")
	}
	c.closed = &Closed{Reset: how == network.Abort, Details: details}
	c.mu.Unlock()
	c.flow.Closed(network.ByLocal)
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
}

// BufferLimit is network.Host's.
func (e envoy) BufferLimit() int { return e.c.limit }

// ID is network.Host's.
func (envoy) ID() uint64 { return 1 }

// Addr is network.Host's.
func (e envoy) Addr(of network.AddrField) netip.AddrPort {
	c := e.c
	switch {
	case of == network.LocalAddr:
		return c.peer.Local
	case of == network.DirectRemoteAddr && c.peer.DirectRemote.IsValid():
		return c.peer.DirectRemote
	}
	return c.peer.Remote
}

// TLS is network.Host's.
func (e envoy) TLS() (network.TLS, bool) {
	c := e.c
	if c.peer.TLS == nil {
		return network.TLS{}, false
	}
	return *c.peer.TLS, true
}

// ServerName is network.Host's.
func (e envoy) ServerName() string { return e.c.peer.ServerName }

// Upstream is network.Host's.
func (e envoy) Upstream() (network.Upstream, bool) {
	c := e.c
	if c.peer.Upstream == nil {
		return network.Upstream{}, false
	}
	return *c.peer.Upstream, true
}

// FilterState is network.Host's.
func (e envoy) FilterState(key string) (string, bool) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.state[key]
	return v, ok
}

// SetFilterState is network.Host's.
func (e envoy) SetFilterState(key, value string) error {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.state[key]; ok {
		return network.ErrExists
	}
	if c.state == nil {
		c.state = map[string]string{}
	}
	c.state[key] = value
	return nil
}

// Metadata is network.Host's.
func (e envoy) Metadata(namespace, key string) (any, bool) {
	c := e.c
	v := c.MetadataOf(namespace, key)
	return v, v != nil
}

// SetMetadata is network.Host's.
func (e envoy) SetMetadata(namespace, key string, value any) {
	c := e.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.metadata == nil {
		c.metadata = map[string]any{}
	}
	c.metadata[namespace+"\x00"+key] = value
}
