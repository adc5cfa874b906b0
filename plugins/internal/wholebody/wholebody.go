// Package wholebody is for plugins that look into the bodies of responses.
package wholebody

import "mosn.io/moe/framework/filter"

// fields of a request by which a client has a response encoded, or gets a part of it. A client could choose the part so that what a
// plugin looks for is not in it, or in two responses, or the status 206 is not one that the plugin is for. A server may always
// answer with all of it (RFC 9110, sections 12.5.3 and 14.2).
var fields = []string{"accept-encoding", "range", "if-range"}

// Ask has the upstream answer a request with a body that can be looked into: whole, and as it is.
func Ask(h filter.RequestHeaders) {
	for _, name := range fields {
		if h.Has(name) {
			h.Del(name)
		}
	}
}
