// Package network is what the author of a network filter imports. A network filter sees TCP connections: when they
// begin, the bytes of both directions, and when they end.
//
//	type Allow struct {
//		From []netip.Prefix `json:"from" validate:"required"`
//	}
//
//	func init() { network.Register[Allow]("allow") }
//
//	func (a *Allow) OnConnection(c *network.Conn) network.Action {
//		for _, p := range a.From {
//			if p.Contains(c.RemoteAddr().Addr()) {
//				return network.Continue
//			}
//		}
//		return network.Reset("not allowed")
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// The read direction is from the client to the upstream, the write direction back, as in Envoy. A filter without OnRead
// and OnWrite, and one that has returned [Done], costs nothing for the bytes that pass. [Pipe] lends a connection to
// plain Go code, as two values like net.Conn. docs/network-filters.md shows the configuration and a worked example.
package network
