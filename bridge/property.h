// Properties: what a path such as request.path or metadata.filter_metadata.NAMESPACE.KEY leads to.
#pragma once

#include <string>

#include "attributes.h"
#include "envoy.h"

namespace bridge {

class Request;

// property answers as contrib's filter does, which takes a path apart at its dots and walks through Envoy's attributes,
// maps, messages and lists. On the worker.
Lookup property(const Request &r, View path, std::string *value);

} // namespace bridge
