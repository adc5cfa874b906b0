package udp

import (
	"log/slog"
	"net/netip"

	"mosn.io/moe/framework/internal/core"
)

// Arrival is a datagram as a host hands it over. Its bytes are the filter's.
type Arrival struct {
	Remote, Local netip.AddrPort
	Data          []byte
}

// Sent is a datagram that a filter sends; to whoever has sent the one at hand if To is the zero value.
type Sent struct {
	To   netip.AddrPort
	Data []byte
}

// Verdict is what becomes of a datagram.
type Verdict uint8

// Verdicts.
const (
	Pass    Verdict = iota // it goes on
	Changed                // it goes on with other bytes
	Stop                   // it goes no further
)

// Outcome is what a filter has decided about a datagram. A host sends first.
type Outcome struct {
	Verdict Verdict
	Data    []byte // of the verdict Changed
	Sends   []Sent
}

// Internals is for the framework's own packages, the only ones that can name its argument. What it leads to may change
// at any time.
func Internals(core.Internal) internals { return internals{} }

type internals struct{}

// NewFilter makes the filter that reg and config are. panicked is called for each panic, which it counts.
func (internals) NewFilter(reg *Registration, config any, log *slog.Logger, panicked func()) *Filter {
	return &Filter{handler: config.(DatagramHandler), name: reg.Name, log: log, panicked: panicked}
}
