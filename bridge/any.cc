// Messages in their JSON form, for plugin configurations.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "wire.h"

namespace bridge {
namespace {

// base64 reads the usual alphabet or that of URLs, with padding or without.
bool base64(std::string_view text, std::string *bytes) {
  static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned hold = 0, bits = 0;
  for (int i = 0; i < 2 && text.size() % 4 == (i == 0 ? 0 : 3) && !text.empty() && text.back() == '='; i++)
    text.remove_suffix(1);
  if (text.find_first_of("-_") != std::string_view::npos && text.find_first_of("+/") != std::string_view::npos)
    return false;
  for (char c : text) {
    c = c == '-' ? '+' : c == '_' ? '/' : c;
    const char *p = c == '\0' ? nullptr : std::strchr(set, c);
    if (p == nullptr)
      return false;
    hold = hold << 6 | static_cast<unsigned>(p - set);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes->push_back(static_cast<char>(hold >> bits & 0xff));
    }
  }
  return bits < 6;
}

// Message writes one well-known type from its JSON form; what it needs of any is in value, nullptr if that is missing.
// It returns false if the value is of a wrong kind, or says in why what else is wrong.
using Message = bool (*)(const Json &any, const Json *value, std::string *bytes, std::string *why);

bool whole_struct(const Json &, const Json *value, std::string *bytes, std::string *) {
  if (value != nullptr && value->kind != Json::Kind::Object && value->kind != Json::Kind::Null)
    return false;
  if (value != nullptr)
    *bytes = struct_bytes(*value);
  return true;
}

bool typed_struct(const Json &any, const Json *value, std::string *bytes, std::string *why) {
  const Json *type = any.find("type_url"), *camel = any.find("typeUrl");
  if (type != nullptr && camel != nullptr) {
    *why = "typeUrl is not a field of it beside type_url";
    return false;
  }
  type = type != nullptr ? type : camel;
  if (type != nullptr && type->kind != Json::Kind::String && type->kind != Json::Kind::Null) {
    *why = std::string("its type_url is ") + type->kind_name();
    return false;
  }
  if (type != nullptr && !type->text.empty())
    put_bytes(bytes, 1, type->text);
  std::string fields;
  if (!whole_struct(any, value, &fields, why))
    return false;
  if (value != nullptr && value->kind == Json::Kind::Object)
    put_bytes(bytes, 2, fields);
  return true;
}

bool any_value(const Json &, const Json *value, std::string *bytes, std::string *) {
  *bytes = value_bytes(value == nullptr ? Json() : *value);
  return true;
}

bool list_value(const Json &, const Json *value, std::string *bytes, std::string *) {
  if (value == nullptr || value->kind != Json::Kind::List)
    return false;
  *bytes = list_bytes(*value);
  return true;
}

bool string_value(const Json &, const Json *value, std::string *bytes, std::string *) {
  if (value == nullptr || value->kind != Json::Kind::String)
    return false;
  if (!value->text.empty())
    put_bytes(bytes, 1, value->text);
  return true;
}

bool bytes_value(const Json &, const Json *value, std::string *bytes, std::string *why) {
  if (value == nullptr || value->kind != Json::Kind::String)
    return false;
  std::string raw;
  if (!base64(value->text, &raw)) {
    *why = "its value is not base64";
    return false;
  }
  if (!raw.empty())
    put_bytes(bytes, 1, raw);
  return true;
}

bool bool_value(const Json &, const Json *value, std::string *bytes, std::string *) {
  if (value == nullptr || value->kind != Json::Kind::Bool)
    return false;
  if (value->truth)
    put_number(bytes, 1, 1);
  return true;
}

bool double_value(const Json &, const Json *value, std::string *bytes, std::string *) {
  if (value == nullptr || value->kind != Json::Kind::Number)
    return false;
  put_double(bytes, 1, value->number);
  return true;
}

constexpr char not_whole[] = "its value is not a whole number", out_of_range[] = "its value is out of range";

// integer_of_text reads digits, protobuf's own form of what has 64 bits. It returns what is wrong, or nullptr.
template <typename Integer> const char *integer_of_text(std::string_view text, uint64_t *n) {
  bool negative = !text.empty() && text[0] == '-';
  std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos ||
      (digits[0] == '0' && digits.size() > 1))
    return not_whole;
  uint64_t most = static_cast<uint64_t>(std::numeric_limits<Integer>::max());
  if (negative)
    most = std::numeric_limits<Integer>::is_signed ? most + 1 : 0;
  *n = 0;
  for (char c : digits) {
    uint64_t digit = static_cast<uint64_t>(c - '0');
    if (*n > (most - std::min(digit, most)) / 10 || digit > most)
      return out_of_range;
    *n = *n * 10 + digit;
  }
  *n = negative ? 0 - *n : *n;
  return nullptr;
}

template <typename Integer> const char *integer_of_number(double d, uint64_t *n) {
  double beyond = std::ldexp(1.0, std::numeric_limits<Integer>::digits);
  if (d != std::floor(d))
    return not_whole;
  if (d >= beyond || d < (std::numeric_limits<Integer>::is_signed ? -beyond : 0))
    return out_of_range;
  if (std::fabs(d) > 9007199254740991.0)
    return "its value loses digits as a number: write it as a string";
  *n = static_cast<uint64_t>(static_cast<int64_t>(d));
  return nullptr;
}

template <typename Integer> bool integer_value(const Json &, const Json *value, std::string *bytes, std::string *why) {
  if (value == nullptr || (value->kind != Json::Kind::Number && value->kind != Json::Kind::String))
    return false;
  uint64_t n;
  const char *wrong = value->kind == Json::Kind::Number ? integer_of_number<Integer>(value->number, &n)
                                                        : integer_of_text<Integer>(value->text, &n);
  if (wrong != nullptr)
    *why = wrong;
  else if (n != 0)
    put_number(bytes, 1, n);
  return wrong == nullptr;
}

// empty has no field, or in the form that protobuf gives messages of its own an empty object.
bool empty(const Json &, const Json *value, std::string *, std::string *) {
  return value == nullptr || (value->kind == Json::Kind::Object && value->fields.empty());
}

const struct {
  const char *name;
  Message write;
} messages[] = {
    {"xds.type.v3.TypedStruct", typed_struct},
    {"udpa.type.v1.TypedStruct", typed_struct},
    {"google.protobuf.Struct", whole_struct},
    {"google.protobuf.Value", any_value},
    {"google.protobuf.ListValue", list_value},
    {"google.protobuf.StringValue", string_value},
    {"google.protobuf.BytesValue", bytes_value},
    {"google.protobuf.BoolValue", bool_value},
    {"google.protobuf.DoubleValue", double_value},
    {"google.protobuf.Int32Value", integer_value<int32_t>},
    {"google.protobuf.Int64Value", integer_value<int64_t>},
    {"google.protobuf.UInt32Value", integer_value<uint32_t>},
    {"google.protobuf.UInt64Value", integer_value<uint64_t>},
    {"google.protobuf.Empty", empty},
};

// only_known refuses fields that would be lost.
bool only_known(const Json &any, Message message, std::string *why) {
  for (const auto &f : any.fields)
    if (f.first != "@type" && f.first != "value" &&
        (message != typed_struct || (f.first != "type_url" && f.first != "typeUrl"))) {
      *why = f.first + " is not a field of it";
      return false;
    }
  return true;
}

} // namespace

bool any_bytes(const Json &any, std::string *bytes, std::string *error) {
  if (any.kind == Json::Kind::Null)
    return true;
  const Json *type = any.find("@type"), *value = any.find("value");
  if (any.kind != Json::Kind::Object) {
    *error = std::string("is ") + any.kind_name() + ", and should be a message with an @type";
    return false;
  }
  std::string url = type != nullptr && type->kind == Json::Kind::String ? type->text : "";
  std::string name = url.substr(url.rfind('/') == std::string::npos ? 0 : url.rfind('/') + 1), message, why;
  if (name.empty()) {
    *error = "has no @type: write type.googleapis.com/xds.type.v3.TypedStruct with a value, as for contrib Envoys";
    return false;
  }
  for (const auto &m : messages)
    if (name == m.name) {
      if (!only_known(any, m.write, &why) || !m.write(any, value, &message, &why)) {
        if (why.empty())
          why = std::string("its value is ") + (value == nullptr ? "missing" : value->kind_name());
        *error = "is not a valid " + name + ": " + why;
        return false;
      }
      put_bytes(bytes, 1, url);
      put_bytes(bytes, 2, message);
      return true;
    }
  bool raw = any.fields.size() == 2 && value != nullptr && value->kind == Json::Kind::String;
  if (raw && base64(value->text, &message)) {
    put_bytes(bytes, 1, url);
    put_bytes(bytes, 2, message);
    return true;
  }
  *error = "is a " + name +
           ", which a dynamic module cannot encode: give it as {\"@type\": …, \"value\": BASE64} of its wire bytes, or "
           "use xds.type.v3.TypedStruct";
  return false;
}

} // namespace bridge
