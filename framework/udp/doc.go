// Package udp is what the author of a UDP listener filter imports. Such a filter sees each datagram that clients send to a
// UDP listener of Envoy's: it can let the datagram pass, with other bytes if it likes, drop it, and answer it.
//
//	type Ping struct {
//		Word string `json:"word" default:"ping"`
//	}
//
//	func init() { udp.Register[Ping]("ping") }
//
//	func (f *Ping) OnDatagram(d *udp.Datagram, p []byte) udp.Action {
//		if string(p) == f.Word {
//			return udp.Reply([]byte("pong"))
//		}
//		return udp.Continue
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// A filter sees what clients send, and nothing of what an upstream answers. docs/udp-filters.md shows the configuration and a
// worked example.
package udp
