// Headers and trailers, as Go counts, copies, reads and changes them.
#pragma once

#include <cstdint>

#include "lane.h"

namespace bridge {

// count_headers counts the headers (kind 0) or trailers (1) of lane, of Envoy's type, and, unless bytes is nullptr, the
// bytes of their names and values, which takes longer. On the worker.
void count_headers(const Lane &lane, int kind, int type, uint64_t *count, uint64_t *bytes);

// keep_headers copies what Go may read of lane, for other threads. On the worker, which holds the request's mutex.
void keep_headers(Lane &lane);

} // namespace bridge
