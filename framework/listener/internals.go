package listener

import (
	"context"
	"log/slog"
	"net/netip"

	"mosn.io/moe/framework/internal/core"
)

// Host is what a host provides for one socket.
type Host interface {
	// CanWake reports whether Wake has an effect, and whether Ask can be called on other threads than the connection's.
	CanWake() bool
	// What Ask, Wake and Panicked do may be asked for by any goroutine. Ask runs f on the connection's thread and returns
	// when it has run, or [ErrDone]. Wake has the thread call Flow.Settle soon.
	Ask(f func()) error
	Wake()
	Panicked()

	// Peeked copies the first n bytes of the event under way, which has them, and Drain drops them.
	Peeked(n int) []byte
	Drain(n int)

	// What the socket is asked and told: within Ask.
	Addr(of AddrField) netip.AddrPort
	SetAddr(of AddrField, a netip.AddrPort) bool // RemoteAddr or LocalAddr
	UseOriginalDst(use bool)
	Text(of TextField) string
	SetText(of TextField, v string)
	ApplicationProtocols() []string
	SetApplicationProtocols(all []string)
	FilterState(key string) (string, bool)
	SetFilterState(key, value string) error
	Metadata(namespace, key string) (any, bool)
	SetMetadata(namespace, key string, value any) // a string or float64
}

// AddrField is one of a socket's addresses.
type AddrField uint8

// Addresses.
const (
	RemoteAddr AddrField = iota
	LocalAddr
	DirectRemoteAddr
	DirectLocalAddr
	OriginalDst
)

// TextField is something that Envoy knows of a socket as text.
type TextField uint8

// Texts. JA3 and JA4 are only set.
const (
	ServerName TextField = iota
	TransportProtocol
	JA3
	JA4
)

// Verdict is what becomes of the connection after an event.
type Verdict uint8

// Verdicts.
const (
	Wait  Verdict = iota // for the next event
	Pass                 // it goes on
	Close                // it is closed
)

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// NewFlow makes the way of one socket through the filter that reg and config are.
func (internals) NewFlow(reg *Registration, config any, log *slog.Logger, h Host) *Flow {
	f := &Flow{host: h, reg: reg, config: config, log: log}
	f.socket = &Socket{f}
	f.ctx, f.cancel = context.WithCancelCause(context.Background())
	return f
}
