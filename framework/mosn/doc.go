// Package mosn runs MOSN's stream filters as a plugin, its network filters as a network filter, and its listener filters as
// a listener filter: code that is compiled against mosn.io/api, with the JSON that configures it.
//
// Importing the package registers the three under the name "mosn". A filter is found by the type under which its package has
// called api.RegisterStream, api.RegisterNetwork or api.RegisterListener, so that one import more puts a filter into a program:
//
//	import (
//		_ "example.com/filters/audit" // calls api.RegisterStream("audit", …)
//		_ "mosn.io/moe/framework/mosn"
//	)
//
// The plugin's configuration is MOSN's own list:
//
//	plugins:
//	- name: mosn
//	  config:
//	    stream_filters:
//	    - type: audit
//	      config: {header: x-user}
//
// # A stream
//
// A list of filters runs on Envoy's thread if none of them may block, as [Declare] or the configuration's blocking says.
// Other lists run on goroutines: one for the request's filters and one for the response's. The phases BeforeRoute,
// AfterRoute and AfterChooseHost run one after the other before the request goes on, and BeforeSend when there is a response,
// be it the upstream's or a filter's own. As in MOSN, StreamFilterStop leaves
// out what remains of the phase and no more; what ends a request is a reply.
//
// A filter sees bodies as a whole, as in MOSN. [Declare] says which of them a type reads, so that one that looks at
// headers costs no buffer; the configuration's body decides where nobody has declared anything.
//
// # A connection
//
// The filters of a list of [NetworkFilters] run on goroutines: one for what the client sends and one for what the upstream
// sends. They share a buffer of the client's bytes, as in MOSN: what the last one leaves in it passes.
//
// The filters of a list of [ListenerFilters] decide about a connection before it has a filter chain: on a goroutine, or on
// Envoy's thread where none of them may block.
//
// What Envoy cannot do is an [UnsupportedError], or, where a method returns no error, a line in the log and a count.
// docs/mosn.md lists every method.
package mosn
