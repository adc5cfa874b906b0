// What the bridge tells the libraries that it runs. Upstream's ABI has no question for it.
#pragma once

// Limits of whoever plays Envoy's Golang filter, as bits of golang_bridge_limits. A contrib Envoy has neither the function
// nor the limits.
enum {
  // What is let go between two of Envoy's events, as by InjectData, may wait for the next event.
  GOLANG_LIMIT_BODY_WAITS = 1,
};
