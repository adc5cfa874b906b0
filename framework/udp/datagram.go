package udp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
)

// Errors of a datagram.
var (
	ErrDone    = errors.New("udp: the filter has decided about the datagram")
	ErrRefused = errors.New("udp: this cannot be sent")
)

// MaxSends is how many datagrams a filter can [Datagram.Send] for one that has come.
const MaxSends = 64

// Datagram is one that a client has sent, as one filter sees it. It may be kept and used by any goroutine at any time. Once
// OnDatagram has returned, it sends nothing more.
type Datagram struct {
	arrival Arrival
	log     *slog.Logger

	mu    sync.Mutex // guards what follows
	sends []Sent
	done  bool
}

// RemoteAddr returns where the datagram comes from. It is the zero value where Envoy knows no IP address. Anybody can write any
// address on a datagram.
func (d *Datagram) RemoteAddr() netip.AddrPort { return d.arrival.Remote }

// LocalAddr returns the address that the datagram was sent to.
func (d *Datagram) LocalAddr() netip.AddrPort { return d.arrival.Local }

// Log returns the logger to Envoy's log, with the filter's name.
func (d *Datagram) Log() *slog.Logger { return d.log }

// Send sends a copy of p to an address, from the one that the datagram was sent to, when OnDatagram has returned: in the order
// of the calls, and before a [Reply]. If OnDatagram panics, nothing is sent. The error is [ErrDone] once OnDatagram has
// returned, and ErrRefused for an address that is none, for no bytes or more than [MaxSize], and for more than [MaxSends]
// datagrams.
func (d *Datagram) Send(to netip.AddrPort, p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.done:
		return ErrDone
	case !to.IsValid() || to.Port() == 0:
		return fmt.Errorf("%w: the address is not that of a peer", ErrRefused)
	case !fits(p):
		return fmt.Errorf("%w: %d bytes, where 1 to %d can be sent", ErrRefused, len(p), MaxSize)
	case len(d.sends) == MaxSends:
		return fmt.Errorf("%w: %d datagrams are sent already", ErrRefused, MaxSends)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	d.sends = append(d.sends, Sent{To: to, Data: append([]byte{}, p...)})
	return nil
}

// fits reports whether Envoy sends a datagram with these bytes: it sends none without.
func fits(p []byte) bool { return len(p) > 0 && len(p) <= MaxSize }

// end takes what is to be sent; from then on nothing more is.
func (d *Datagram) end() []Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done = true
	return d.sends
}
