package network

import (
	"log/slog"
	"net/netip"

	"mosn.io/moe/framework/internal/core"
)

// Wants is a set of events for which a connection needs Go.
type Wants uint8

// Events, as the C side of the host for dynamic modules numbers them.
const (
	WantConnection Wants = 1 << iota
	WantRead
	WantWrite
	WantClose
	WantWatermark
)

// Direction is the way of bytes.
type Direction uint8

// Directions, as Envoy names them.
const (
	Read  Direction = iota // from the client to the upstream
	Write                  // from the upstream to the client
)

// String is "read" or "write".
func (d Direction) String() string { return [...]string{"read", "write"}[d] }

// How tells a host how to close a connection.
type How uint8

// Ways to close.
const (
	Flush How = iota // after what is to be written
	Abort            // at once, with a TCP reset
)

// Host is what a host provides for one connection.
type Host interface {
	// What Ask, Wake and Panicked do may be asked for by any goroutine. Ask runs f on the connection's thread and returns
	// when it has run, or [ErrDone]. Wake has the thread call Flow.Settle soon.
	Ask(f func()) error
	Wake()
	Panicked()

	// The rest is called on the connection's thread. Received and Replace are about the bytes of the event under way;
	// Received appends them to p, or reports that this is not their thread, or no event of theirs; Replace puts p in their place. Inject passes bytes to the filters after this one.
	Received(d Direction, p []byte) (all []byte, ok bool)
	Replace(d Direction, p []byte)
	Inject(d Direction, p []byte, end bool)
	ContinueReading()
	DisableReading(disable bool)
	ReadingEnabled() bool
	Close(how How, details string)
	// DelayClose has others' closing of the connection wait, where Envoy can.
	DelayClose(delay bool)
	BufferLimit() int // 0: none

	// What the connection is asked: within Ask.
	ID() uint64
	Addr(of AddrField) netip.AddrPort
	TLS() (TLS, bool)
	ServerName() string
	Upstream() (Upstream, bool)
	FilterState(key string) (string, bool)
	SetFilterState(key, value string) error
	Metadata(namespace, key string) (any, bool)
	SetMetadata(namespace, key string, value any) // a string, bool or float64
}

// AddrField is one of a connection's addresses.
type AddrField uint8

// Addresses.
const (
	RemoteAddr AddrField = iota
	LocalAddr
	DirectRemoteAddr
)

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// NewFlow makes the way of one connection through the filter that reg and config are.
func (internals) NewFlow(reg *Registration, config any, log *slog.Logger, h Host) *Flow {
	f := &Flow{host: h, reg: reg, config: config, log: log}
	f.conn = &Conn{f}
	return f
}

// Call runs code of a filter's on any goroutine, as functions of Go and Pipe run: a panic in it, or runtime.Goexit, is
// logged, counted, and resets the connection. It reports whether f has returned.
func (internals) Call(c *Conn, what string, f func()) (returned bool) {
	c.f.beside(what, func() Action { f(); return Continue }, func(a Action) {
		if returned = a.kind == actContinue; !returned {
			_ = c.Reset(a.reason)
		}
	})
	return returned
}

// BufferLimit returns how many bytes a filter may hold for one direction.
func (internals) BufferLimit(c *Conn) (n int) {
	n = defaultLimit
	_ = c.ask(func() { n = c.f.limit() })
	return n
}
