// Package accesslog is what the author of an access logger imports. An access logger sees every stream and connection
// that Envoy logs, also those that no HTTP filter saw: requests that are not HTTP, those that another filter answered,
// and connections that broke.
//
//	type Slow struct {
//		Above time.Duration `json:"above" default:"1s"`
//	}
//
//	func init() { accesslog.Register[Slow]("slow") }
//
//	func (l *Slow) Log(e accesslog.Entry) {
//		if took := e.Times().End; took > l.Above {
//			code := e.Number(accesslog.ResponseCode)
//			...
//		}
//	}
//
// The struct is the configuration. It is decoded, checked and provisioned as a plugin's is: strictly, with defaults,
// `validate` tags, [Validator], [Provisioner] and io.Closer.
//
// Envoy runs access loggers where it runs dynamic modules, in its access_log lists: of the HTTP connection manager, of
// the TCP proxy, of a listener, and of the upstream. docs/access-loggers.md shows the configuration.
package accesslog
