package listenertest

import (
	"net/netip"
	"slices"
	"strings"

	"mosn.io/moe/framework/listener"
)

// envoy is the listener.Host of a socket.
type envoy struct{ s *Socket }

// CanWake is listener.Host's.
func (e envoy) CanWake() bool { return !e.s.direct.NoWake }

// Ask is listener.Host's. What is known here belongs to no thread, but it is read and written one at a time.
func (e envoy) Ask(f func()) error {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if e.s.over {
		return listener.ErrDone
	}
	f()
	return nil
}

// Wake is listener.Host's.
func (e envoy) Wake() { go e.s.enter(func() { e.s.take(e.s.flow.Settle()) }) }

// Panicked is listener.Host's.
func (e envoy) Panicked() {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.s.panics++
}

// Peeked is listener.Host's.
func (e envoy) Peeked(n int) []byte {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if !e.s.inData || n > len(e.s.sent) {
		e.s.t.Errorf("%d bytes are asked for outside of an event that has them", n)
		return nil
	}
	return slices.Clone(e.s.sent[:n])
}

// Drain is listener.Host's.
func (e envoy) Drain(n int) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if !e.s.inData || n > len(e.s.sent) {
		e.s.t.Errorf("%d bytes are drained outside of an event that has them", n)
		return
	}
	e.s.sent = e.s.sent[n:]
}

// Addr is listener.Host's.
func (e envoy) Addr(of listener.AddrField) netip.AddrPort {
	switch of {
	case listener.LocalAddr:
		return e.s.known.Local
	case listener.DirectRemoteAddr:
		return e.s.direct.Remote
	case listener.DirectLocalAddr:
		return e.s.direct.Local
	case listener.OriginalDst:
		return e.s.direct.OriginalDst
	}
	return e.s.known.Remote
}

// SetAddr is listener.Host's.
func (e envoy) SetAddr(of listener.AddrField, a netip.AddrPort) bool {
	if of == listener.LocalAddr {
		e.s.known.Local = a
	} else {
		e.s.known.Remote = a
	}
	return true
}

// UseOriginalDst is listener.Host's.
func (e envoy) UseOriginalDst(use bool) { e.s.known.UseOriginalDst = use }

func (e envoy) field(of listener.TextField) *string {
	return [...]*string{
		listener.ServerName: &e.s.known.ServerName, listener.TransportProtocol: &e.s.known.TransportProtocol,
		listener.JA3: &e.s.known.JA3, listener.JA4: &e.s.known.JA4,
	}[of]
}

// Text is listener.Host's.
func (e envoy) Text(of listener.TextField) string { return *e.field(of) }

// SetText is listener.Host's.
func (e envoy) SetText(of listener.TextField, v string) {
	if of == listener.ServerName {
		v = strings.ToLower(v)
	}
	*e.field(of) = v
}

// ApplicationProtocols is listener.Host's.
func (e envoy) ApplicationProtocols() []string { return slices.Clone(e.s.known.ApplicationProtocols) }

// SetApplicationProtocols is listener.Host's.
func (e envoy) SetApplicationProtocols(all []string) {
	e.s.known.ApplicationProtocols = slices.Clone(all)
}

// FilterState is listener.Host's.
func (e envoy) FilterState(key string) (string, bool) {
	v, ok := e.s.known.FilterState[key]
	return v, ok
}

// SetFilterState is listener.Host's.
func (e envoy) SetFilterState(key, value string) error {
	if _, ok := e.s.known.FilterState[key]; ok {
		return listener.ErrExists
	}
	if strings.HasPrefix(key, "envoy.") {
		return listener.ErrRefused
	}
	e.s.known.FilterState[key] = value
	return nil
}

// Metadata is listener.Host's.
func (e envoy) Metadata(namespace, key string) (any, bool) {
	v, ok := e.s.known.Metadata[namespace][key]
	return v, ok
}

// SetMetadata is listener.Host's.
func (e envoy) SetMetadata(namespace, key string, value any) {
	in := e.s.known.Metadata[namespace]
	if in == nil {
		in = map[string]any{}
		e.s.known.Metadata[namespace] = in
	}
	in[key] = value
}
