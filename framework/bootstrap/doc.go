// Package bootstrap is what the author of a bootstrap extension imports. A bootstrap extension lives as long as Envoy: it
// begins before the first listener does, can keep Envoy from taking traffic until it is ready, hears of its end, and has
// pages in Envoy's admin interface.
//
//	type Blocklist struct {
//		File string `json:"file" validate:"required"`
//	}
//
//	func init() { bootstrap.Register[Blocklist]("blocklist") }
//
//	func (b *Blocklist) OnServerInitialized(ctx context.Context, s *bootstrap.Server) error {
//		s.Every(time.Minute, func(context.Context) { b.read() })
//		return b.read() // Envoy takes no traffic before
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// None of an extension's code runs on a thread of Envoy's: its methods are called one after the other, on goroutines, and
// what they want of Envoy is done by Envoy's main thread. docs/bootstrap-extensions.md shows the configuration and a worked
// example.
package bootstrap
