package listener

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"mosn.io/moe/framework/internal/core"
)

// Errors of a socket.
var (
	ErrDone        = errors.New("listener: the filter has decided, or the connection has ended")
	ErrExists      = errors.New("listener: Envoy has such a filter state and does not replace it")
	ErrRefused     = errors.New("listener: Envoy does not take this value")
	ErrNotFound    = core.ErrNotFound    // there is no such metadata or filter state
	ErrUnsupported = core.ErrUnsupported // Envoy has no such thing
)

// Socket is one connection before it is one, as one filter sees it. It may be kept and used by any goroutine at any time.
// Once the filter has decided, or the connection has ended, its methods do nothing and return [ErrDone] or zero values.
//
// What asks Envoy runs on the connection's thread: in a method of the filter at once; a goroutine waits for the thread, but
// gets [ErrUnsupported] or zero values in Envoy 1.38, which has no way to reach it.
type Socket struct{ f *Flow }

// ask runs f where Envoy may be asked.
func (s *Socket) ask(f func()) error {
	if s.f.ended() {
		return ErrDone
	}
	if err := s.f.host.Ask(f); !errors.Is(err, core.ErrStreamDone) {
		return err
	}
	return ErrDone
}

// set asks Envoy to take a value, which f reports.
func (s *Socket) set(f func() bool) error {
	err := ErrRefused
	if done := s.ask(func() {
		if f() {
			err = nil
		}
	}); done != nil {
		return done
	}
	return err
}

// RemoteAddr returns the client's address: that of the socket, or the one that a filter has set. It is the zero value where
// there is no IP address.
func (s *Socket) RemoteAddr() netip.AddrPort { return s.addr(RemoteAddr) }

// LocalAddr returns the address that the client has connected to: the listener's, or the one that a filter has set.
func (s *Socket) LocalAddr() netip.AddrPort { return s.addr(LocalAddr) }

// DirectRemoteAddr returns the address of the socket's other end.
func (s *Socket) DirectRemoteAddr() netip.AddrPort { return s.addr(DirectRemoteAddr) }

// DirectLocalAddr returns the address of the socket's own end.
func (s *Socket) DirectLocalAddr() netip.AddrPort { return s.addr(DirectLocalAddr) }

// OriginalDst returns the address that the client meant before the system's packet filter (REDIRECT of iptables) has sent
// the connection here. It is the zero value where nothing has.
func (s *Socket) OriginalDst() netip.AddrPort { return s.addr(OriginalDst) }

func (s *Socket) addr(of AddrField) (a netip.AddrPort) {
	_ = s.ask(func() { a = s.f.host.Addr(of) })
	return a
}

// SetRemoteAddr sets the client's address, for all that follows: filters, filter chain matches, logs.
func (s *Socket) SetRemoteAddr(a netip.AddrPort) error { return s.setAddr(RemoteAddr, a) }

// SetLocalAddr sets the address that the client has meant to connect to, which filter chains may match, and to which an
// ORIGINAL_DST cluster connects.
func (s *Socket) SetLocalAddr(a netip.AddrPort) error { return s.setAddr(LocalAddr, a) }

func (s *Socket) setAddr(of AddrField, a netip.AddrPort) error {
	if !a.IsValid() {
		return ErrRefused
	}
	a = netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	return s.set(func() bool { return s.f.host.SetAddr(of, a) })
}

// UseOriginalDst says whether Envoy hands the connection to the listener of its local address, where [Socket.SetLocalAddr]
// has set one and there is such a listener. The listener's own setting, use_original_dst, is the default.
func (s *Socket) UseOriginalDst(use bool) error {
	return s.ask(func() { s.f.host.UseOriginalDst(use) })
}

// ServerName returns the name that the client's TLS asks for (SNI), where a filter before this one has found it.
func (s *Socket) ServerName() string { return s.text(ServerName) }

// SetServerName sets the name that the client's TLS asks for, which filter chains match as server_names. Envoy keeps it in
// lower case.
func (s *Socket) SetServerName(name string) error { return s.setText(ServerName, name) }

// TransportProtocol returns "tls" or "raw_buffer", or "" where no filter before this one has said.
func (s *Socket) TransportProtocol() string { return s.text(TransportProtocol) }

// SetTransportProtocol sets what filter chains match as transport_protocol: "tls" or "raw_buffer".
func (s *Socket) SetTransportProtocol(name string) error { return s.setText(TransportProtocol, name) }

// SetJA3 sets the JA3 fingerprint, which access logs print as %TLS_JA3_FINGERPRINT%.
func (s *Socket) SetJA3(hash string) error { return s.setText(JA3, hash) }

// SetJA4 sets the JA4 fingerprint, which access logs print as %TLS_JA4_FINGERPRINT%.
func (s *Socket) SetJA4(fingerprint string) error { return s.setText(JA4, fingerprint) }

func (s *Socket) text(of TextField) (v string) {
	_ = s.ask(func() { v = s.f.host.Text(of) })
	return v
}

func (s *Socket) setText(of TextField, v string) error {
	if v == "" { // Envoy has no way to take one back
		return ErrRefused
	}
	return s.ask(func() { s.f.host.SetText(of, v) })
}

// ApplicationProtocols returns the protocols that the client offers (ALPN), where a filter before this one has found them.
func (s *Socket) ApplicationProtocols() (all []string) {
	_ = s.ask(func() { all = s.f.host.ApplicationProtocols() })
	return all
}

// SetApplicationProtocols sets the protocols that the client offers, which filter chains match as application_protocols.
func (s *Socket) SetApplicationProtocols(all []string) error {
	if len(all) == 0 {
		return ErrRefused
	}
	return s.ask(func() { s.f.host.SetApplicationProtocols(all) })
}

// FilterState returns text of Envoy's filter state.
func (s *Socket) FilterState(key string) (value string, err error) {
	err = ErrNotFound
	if done := s.ask(func() {
		if v, ok := s.f.host.FilterState(key); ok {
			value, err = v, nil
		}
	}); done != nil {
		return "", done
	}
	return value, err
}

// SetFilterState sets text in Envoy's filter state, for as long as the connection; requests on it see it, too. [ErrExists] if
// there is some. Envoy gives listener filters no keys of its own types: those that begin with "envoy." are [ErrRefused].
func (s *Socket) SetFilterState(key, value string) (err error) {
	if done := s.ask(func() { err = s.f.host.SetFilterState(key, value) }); done != nil {
		return done
	}
	return err
}

// Metadata returns a value of the connection's dynamic metadata: a string or a float64.
func (s *Socket) Metadata(namespace, key string) (value any, err error) {
	err = ErrNotFound
	if done := s.ask(func() {
		if v, ok := s.f.host.Metadata(namespace, key); ok {
			value, err = v, nil
		}
	}); done != nil {
		return nil, done
	}
	return value, err
}

// SetMetadata sets a value of the connection's dynamic metadata, which network filters and access logs of connections see:
// a string or a number. Other kinds are [ErrUnsupported].
func (s *Socket) SetMetadata(namespace, key string, value any) error {
	scalar, _ := core.Scalar(value)
	switch scalar.(type) {
	case string, float64:
		return s.ask(func() { s.f.host.SetMetadata(namespace, key, scalar) })
	}
	return fmt.Errorf("metadata %s/%s: a %T: %w", namespace, key, value, ErrUnsupported)
}

// Context is cancelled, with the cause [ErrDone], when the filter has decided or the connection has ended.
func (s *Socket) Context() context.Context { return s.f.ctx }

// Log returns the logger to Envoy's log, with the filter's name.
func (s *Socket) Log() *slog.Logger { return s.f.log }
