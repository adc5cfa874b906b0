// Package listener is what the author of a listener filter imports. A listener filter sees a TCP connection that has just
// been accepted, before Envoy chooses a filter chain for it: it can look at the client's first bytes, say whose connection
// it is and which protocol it speaks, and refuse it.
//
//	type Internal struct {
//		From []netip.Prefix `json:"from" validate:"required"`
//	}
//
//	func init() { listener.Register[Internal]("internal") }
//
//	func (f *Internal) OnAccept(s *listener.Socket) listener.Action {
//		for _, p := range f.From {
//			if p.Contains(s.RemoteAddr().Addr()) {
//				return listener.Continue
//			}
//		}
//		return listener.Refuse("not an internal address")
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// A filter's part ends with its decision: from [Continue], [Drain] or [Refuse] on, nothing of the connection enters Go for
// it, and its [Socket] does nothing. docs/listener-filters.md shows the configuration and a worked example.
package listener
