package networktest

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/network"
)

// Peer is what Envoy knows of a connection.
type Peer struct {
	Remote, Local netip.AddrPort
	DirectRemote  netip.AddrPort // where it differs from Remote
	ServerName    string
	TLS           *network.TLS // nil: Envoy terminates none
	Upstream      *network.Upstream
	BufferLimit   int // 1 MiB if 0

	// NotReady has the connection begin without an upstream, as behind tcp_proxy: reading is disabled until
	// [Conn.Ready].
	NotReady bool
}

// Conn is a connection through a filter, with a client and an upstream that take all that they get. Its methods may be
// called from any goroutine, but not by the filter.
type Conn struct {
	t    testing.TB
	flow *network.Flow
	peer Peer

	thread sync.Mutex // is the connection's thread
	in     *event     // under way

	mu        sync.Mutex // guards what follows
	wants     network.Wants
	limit     int
	crossings int
	copies    int
	panics    int
	began     bool
	disabled  int
	socket    []byte // what the client has sent and Envoy has not read
	socketEnd bool
	got       [2][]byte // what has passed, by direction
	ended     [2]bool
	closed    *Closed
	over      bool
	delayed   bool
	state     map[string]string
	metadata  map[string]any
}

// event is bytes on their way through the filter.
type event struct {
	dir   network.Direction
	p     []byte
	outer *event
}

// Closed is how Envoy was asked to close a connection.
type Closed struct {
	Reset   bool
	Details string
}

// enter runs f on the connection's thread if the filter wants to know of an event.
func (c *Conn) enter(want network.Wants, f func()) {
	c.thread.Lock()
	defer c.thread.Unlock()
	c.cross(want, f)
	c.read()
}

func (c *Conn) cross(want network.Wants, f func()) {
	c.mu.Lock()
	wanted := want == 0 || c.wants&want != 0
	over := c.over
	if wanted && !over && want != 0 {
		c.crossings++
	}
	c.mu.Unlock()
	if !wanted || over {
		return
	}
	if want == network.WantWrite {
		c.flow.BeginWrite()
	}
	f()
	c.flow.Settle()
	if want == network.WantWrite {
		c.flow.EndWrite()
	}
	quiet, wants := c.flow.Quiet(), c.flow.Wants()
	c.mu.Lock()
	c.wants = wants
	c.over = c.over || quiet
	c.mu.Unlock()
	if quiet {
		c.flow.End()
	}
}

// read delivers what the client has sent. The thread is held.
func (c *Conn) read() {
	for {
		c.mu.Lock()
		p, end := c.socket, c.socketEnd
		if c.disabled > 0 || len(p) == 0 && !end {
			c.mu.Unlock()
			return
		}
		c.socket, c.socketEnd = nil, false
		c.mu.Unlock()
		c.data(network.Read, p, end)
	}
}

func (c *Conn) begin() {
	c.mu.Lock()
	if c.peer.NotReady {
		c.disabled = 1
	}
	c.mu.Unlock()
	stop := false
	c.enter(network.WantConnection, func() { stop = c.flow.Connected() })
	if !stop {
		c.beginBehind()
	}
}

// beginBehind notes that the filters behind this one begin.
func (c *Conn) beginBehind() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = c.closed == nil
}

// data passes bytes through the filter. The thread is held.
func (c *Conn) data(dir network.Direction, p []byte, end bool) {
	want := [...]network.Wants{network.WantRead, network.WantWrite}[dir]
	e := &event{dir: dir, p: p, outer: c.in}
	stop := false
	c.in = e
	c.cross(want, func() { stop = c.flow.Data(dir, len(p), end) })
	c.in = e.outer
	if stop {
		if len(e.p) > 0 {
			c.t.Errorf("%d bytes are left in Envoy's buffer, and the filter says to stop", len(e.p))
		}
		return
	}
	c.pass(dir, e.p, end)
}

// pass notes what comes out.
func (c *Conn) pass(dir network.Direction, p []byte, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != nil {
		return
	}
	if c.ended[dir] {
		c.t.Errorf("%d bytes (end: %v) pass in the %v direction after its end", len(p), end, dir)
	}
	c.got[dir] = append(c.got[dir], p...)
	c.ended[dir] = c.ended[dir] || end
}

// FromClient has the client send bytes.
func (c *Conn) FromClient(s string) { c.send(s, false) }

// EndFromClient has the client close its direction, behind some bytes.
func (c *Conn) EndFromClient(s string) { c.send(s, true) }

func (c *Conn) send(s string, end bool) {
	c.mu.Lock()
	c.socket, c.socketEnd = append(c.socket, s...), end
	c.mu.Unlock()
	c.thread.Lock()
	defer c.thread.Unlock()
	c.read()
}

// FromUpstream has the upstream send bytes.
func (c *Conn) FromUpstream(s string) { c.answer(s, false) }

// EndFromUpstream has the upstream close its direction, behind some bytes.
func (c *Conn) EndFromUpstream(s string) { c.answer(s, true) }

func (c *Conn) answer(s string, end bool) {
	c.thread.Lock()
	defer c.thread.Unlock()
	c.data(network.Write, []byte(s), end)
	c.read()
}

// Watermark tells that what waits for the client is too much, or little again.
func (c *Conn) Watermark(above bool) {
	c.enter(network.WantWatermark, func() { c.flow.Watermark(above) })
}

// Ready is the moment when the upstream takes bytes, where [Peer.NotReady] has delayed it.
func (c *Conn) Ready() {
	c.mu.Lock()
	c.disabled = max(0, c.disabled-1)
	c.mu.Unlock()
	c.thread.Lock()
	defer c.thread.Unlock()
	c.read()
}

// Abort ends the connection as the client does, with a reset.
func (c *Conn) Abort() {
	c.enter(network.WantClose, func() { c.flow.Closed(network.ByRemote) })
	c.end()
}

func (c *Conn) end() {
	c.thread.Lock()
	defer c.thread.Unlock()
	c.mu.Lock()
	if c.closed == nil {
		c.closed = &Closed{Details: "remote"}
	}
	c.over = true
	c.mu.Unlock()
	c.flow.End()
}

// ToUpstream returns the bytes that have passed to the upstream.
func (c *Conn) ToUpstream() string { return c.passed(network.Read) }

// ToClient returns the bytes that have passed to the client.
func (c *Conn) ToClient() string { return c.passed(network.Write) }

func (c *Conn) passed(dir network.Direction) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.got[dir])
}

// Ended reports whether the end of the stream has passed in a direction.
func (c *Conn) Ended(dir network.Direction) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended[dir]
}

// Began reports whether the filters behind this one know of the connection.
func (c *Conn) Began() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began
}

// Closed returns how the filter has closed the connection, or nil.
func (c *Conn) Closed() *Closed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Crossings returns how many events have entered the filter.
func (c *Conn) Crossings() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crossings
}

// Copies returns how often bytes were copied from Envoy.
func (c *Conn) Copies() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copies
}

// Panics returns how many panics were caught.
func (c *Conn) Panics() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.panics
}

// FilterStateOf returns a filter state that was set.
func (c *Conn) FilterStateOf(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state[key]
}

// MetadataOf returns a value of dynamic metadata that was set, or nil.
func (c *Conn) MetadataOf(namespace, key string) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.metadata[namespace+"\x00"+key]
}

// Eventually waits until ok returns true, for filters with goroutines, and fails the test after ten seconds.
func (c *Conn) Eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s: not within 10s", what)
		}
	}
}
