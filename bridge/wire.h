// Protocol buffers' wire format, as far as plugin configurations and metadata need it: google.protobuf.Any, Struct,
// Value and ListValue, the wrappers of scalars, and xds.type.v3.TypedStruct.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "json.h"

namespace bridge {

// any_bytes turns an Any in its JSON form, {"@type": …}, into wire bytes. Types that it does not know may be given as
// {"@type": …, "value": BASE64}, the message's own wire bytes.
bool any_bytes(const Json &any, std::string *bytes, std::string *error);

// These append a field of a number, of bytes or of a double.
void put_number(std::string *to, int field, uint64_t n);
void put_bytes(std::string *to, int field, std::string_view bytes);
void put_double(std::string *to, int field, double d);

// struct_bytes and list_bytes return a google.protobuf.Struct and ListValue.
std::string struct_bytes(const Json &object);
std::string list_bytes(const Json &list);

// value_bytes returns a google.protobuf.Value.
std::string value_bytes(const Json &value);

// put_field appends a field of a Struct, its value being a Value.
void put_field(std::string *to, std::string_view name, std::string_view value);

// parse_value and parse_struct read wire bytes; false if they are malformed.
bool parse_value(std::string_view bytes, Json *value);
bool parse_struct(std::string_view bytes, Json *object);

} // namespace bridge
