// Protocol buffers' wire format, as far as plugin configurations and metadata need it: google.protobuf.Any, Struct,
// Value and ListValue, the wrappers of scalars, and xds.type.v3.TypedStruct.
#pragma once

#include <string>
#include <string_view>

#include "json.h"

namespace bridge {

// any_bytes turns an Any in its JSON form, {"@type": …}, into wire bytes. Types that it does not know may be given as
// {"@type": …, "value": BASE64}, the message's own wire bytes.
bool any_bytes(const Json &any, std::string *bytes, std::string *error);

// value_bytes returns a google.protobuf.Value.
std::string value_bytes(const Json &value);

// put_field appends a field of a Struct.
void put_field(std::string *to, std::string_view name, std::string_view value);

// parse_value and parse_struct read wire bytes; false if they are malformed.
bool parse_value(std::string_view bytes, Json *value);
bool parse_struct(std::string_view bytes, Json *object);

} // namespace bridge
