// Writing JSON documents (RFC 8259): the form in which Envoy takes messages from modules.
#pragma once

#include <string>

#include "json.h"

namespace bridge {

// json_text writes a value without blanks, so that parse_json reads the same one.
std::string json_text(const Json &value);

} // namespace bridge
