// The beginning and the middle of a stream, as Envoy's access loggers hear of them: dynamic modules have no such events
// for filters. An access logger of the bridge's, in the same connection manager, passes them on. The end needs none.
#pragma once

namespace bridge {

class Request;

// announce lets access loggers find the request, if there are any. On its worker.
void announce(Request *r);
void withdraw(Request *r);

} // namespace bridge
