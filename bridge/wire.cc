#include "wire.h"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace bridge {
namespace {

constexpr int max_depth = 100;

// Wire types.
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

void put_varint(std::string *to, uint64_t n) {
  for (; n >= 0x80; n >>= 7)
    to->push_back(static_cast<char>(n | 0x80));
  to->push_back(static_cast<char>(n));
}

void put_number(std::string *to, int field, uint64_t n) {
  put_varint(to, static_cast<uint64_t>(field) << 3 | VARINT);
  put_varint(to, n);
}

void put_bytes(std::string *to, int field, std::string_view bytes) {
  put_varint(to, static_cast<uint64_t>(field) << 3 | BYTES);
  put_varint(to, bytes.size());
  to->append(bytes);
}

void put_double(std::string *to, int field, double d) {
  put_varint(to, static_cast<uint64_t>(field) << 3 | FIXED64);
  char raw[sizeof d];
  std::memcpy(raw, &d, sizeof d);
  to->append(raw, sizeof raw);
}

std::string struct_bytes(const Json &object) {
  std::string bytes;
  for (const auto &f : object.fields)
    if (object.find(f.first) == &f.second)
      put_field(&bytes, f.first, value_bytes(f.second));
  return bytes;
}

std::string list_bytes(const Json &list) {
  std::string bytes;
  for (const Json &v : list.list)
    put_bytes(&bytes, 1, value_bytes(v));
  return bytes;
}

bool base64(std::string_view text, std::string *bytes) {
  static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  unsigned hold = 0, bits = 0;
  while (!text.empty() && text.back() == '=')
    text.remove_suffix(1);
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

// Field of a message on the wire.
struct Field {
  int number;
  int type;
  uint64_t value;
  std::string_view bytes;
};

bool take_varint(std::string_view *from, uint64_t *n) {
  *n = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (from->empty())
      return false;
    auto b = static_cast<unsigned char>(from->front());
    from->remove_prefix(1);
    *n |= static_cast<uint64_t>(b & 0x7f) << shift;
    if (b < 0x80)
      return true;
  }
  return false;
}

bool take_field(std::string_view *from, Field *f) {
  uint64_t tag, length;
  if (!take_varint(from, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
    return false;
  f->number = static_cast<int>(tag >> 3);
  f->type = static_cast<int>(tag & 7);
  switch (f->type) {
  case VARINT:
    return take_varint(from, &f->value);
  case FIXED64:
  case FIXED32:
    length = f->type == FIXED64 ? 8 : 4;
    break;
  case BYTES:
    if (!take_varint(from, &length))
      return false;
    break;
  default:
    return false;
  }
  if (length > from->size())
    return false;
  f->bytes = from->substr(0, length);
  from->remove_prefix(length);
  return true;
}

bool read_value(std::string_view bytes, Json *v, int depth);

bool read_struct(std::string_view bytes, Json *object, int depth) {
  object->kind = Json::Kind::Object;
  Field f, part;
  while (!bytes.empty()) {
    if (!take_field(&bytes, &f) || f.number != 1 || f.type != BYTES)
      return false;
    std::string name;
    Json value;
    for (std::string_view entry = f.bytes; !entry.empty();) {
      if (!take_field(&entry, &part) || part.type != BYTES)
        return false;
      if (part.number == 1)
        name = part.bytes;
      else if (part.number != 2 || !read_value(part.bytes, &value, depth + 1))
        return false;
    }
    object->fields.emplace_back(std::move(name), std::move(value));
  }
  return true;
}

bool read_list(std::string_view bytes, Json *list, int depth) {
  list->kind = Json::Kind::List;
  Field f;
  while (!bytes.empty()) {
    if (!take_field(&bytes, &f) || f.number != 1 || f.type != BYTES)
      return false;
    list->list.emplace_back();
    if (!read_value(f.bytes, &list->list.back(), depth + 1))
      return false;
  }
  return true;
}

bool read_value(std::string_view bytes, Json *v, int depth) {
  if (depth > max_depth)
    return false;
  Field f;
  while (!bytes.empty()) {
    if (!take_field(&bytes, &f))
      return false;
    static const int types[] = {-1, VARINT, FIXED64, BYTES, VARINT, BYTES, BYTES};
    if (f.number > 6 || f.type != types[f.number])
      return false;
    *v = Json();
    switch (f.number) {
    case 2:
      v->kind = Json::Kind::Number;
      std::memcpy(&v->number, f.bytes.data(), sizeof v->number);
      break;
    case 3:
      v->kind = Json::Kind::String;
      v->text = f.bytes;
      break;
    case 4:
      v->kind = Json::Kind::Bool;
      v->truth = f.value != 0;
      break;
    case 5:
      if (!read_struct(f.bytes, v, depth))
        return false;
      break;
    case 6:
      if (!read_list(f.bytes, v, depth))
        return false;
    }
  }
  return true;
}

// Message writes one well-known type from its JSON form; what it needs of any is in value.
using Message = bool (*)(const Json &any, const Json *value, std::string *bytes);

bool whole_struct(const Json &, const Json *value, std::string *bytes) {
  if (value != nullptr && value->kind != Json::Kind::Object && value->kind != Json::Kind::Null)
    return false;
  if (value != nullptr)
    *bytes = struct_bytes(*value);
  return true;
}

bool typed_struct(const Json &any, const Json *value, std::string *bytes) {
  for (const auto &f : any.fields)
    if (f.first != "@type" && f.first != "type_url" && f.first != "typeUrl" && f.first != "value")
      return false;
  const Json *type = any.find("type_url") != nullptr ? any.find("type_url") : any.find("typeUrl");
  if (type != nullptr && type->kind != Json::Kind::String)
    return false;
  if (type != nullptr && !type->text.empty())
    put_bytes(bytes, 1, type->text);
  std::string fields;
  if (!whole_struct(any, value, &fields))
    return false;
  if (value != nullptr && value->kind == Json::Kind::Object)
    put_bytes(bytes, 2, fields);
  return true;
}

bool any_value(const Json &, const Json *value, std::string *bytes) {
  *bytes = value_bytes(value == nullptr ? Json() : *value);
  return true;
}

bool list_value(const Json &, const Json *value, std::string *bytes) {
  if (value == nullptr || value->kind != Json::Kind::List)
    return false;
  *bytes = list_bytes(*value);
  return true;
}

bool string_value(const Json &, const Json *value, std::string *bytes) {
  if (value == nullptr || value->kind != Json::Kind::String)
    return false;
  if (!value->text.empty())
    put_bytes(bytes, 1, value->text);
  return true;
}

bool bytes_value(const Json &, const Json *value, std::string *bytes) {
  std::string raw;
  if (value == nullptr || value->kind != Json::Kind::String || !base64(value->text, &raw))
    return false;
  if (!raw.empty())
    put_bytes(bytes, 1, raw);
  return true;
}

bool bool_value(const Json &, const Json *value, std::string *bytes) {
  if (value == nullptr || value->kind != Json::Kind::Bool)
    return false;
  if (value->truth)
    put_number(bytes, 1, 1);
  return true;
}

bool double_value(const Json &, const Json *value, std::string *bytes) {
  if (value == nullptr || value->kind != Json::Kind::Number)
    return false;
  put_double(bytes, 1, value->number);
  return true;
}

bool integer_value(const Json &, const Json *value, std::string *bytes) {
  if (value == nullptr || value->kind != Json::Kind::Number || value->number != std::floor(value->number) ||
      std::fabs(value->number) > 9007199254740992.0) // beyond it JSON's numbers lose digits
    return false;
  if (value->number != 0)
    put_number(bytes, 1, static_cast<uint64_t>(static_cast<int64_t>(value->number)));
  return true;
}

bool empty(const Json &any, const Json *, std::string *) { return any.fields.size() == 1; }

const struct {
  const char *name;
  Message write;
} messages[] = {
    {"xds.type.v3.TypedStruct", typed_struct},      {"udpa.type.v1.TypedStruct", typed_struct},
    {"google.protobuf.Struct", whole_struct},       {"google.protobuf.Value", any_value},
    {"google.protobuf.ListValue", list_value},      {"google.protobuf.StringValue", string_value},
    {"google.protobuf.BytesValue", bytes_value},    {"google.protobuf.BoolValue", bool_value},
    {"google.protobuf.DoubleValue", double_value},  {"google.protobuf.Int32Value", integer_value},
    {"google.protobuf.Int64Value", integer_value},  {"google.protobuf.UInt32Value", integer_value},
    {"google.protobuf.UInt64Value", integer_value}, {"google.protobuf.Empty", empty},
};

} // namespace

void put_field(std::string *to, std::string_view name, std::string_view value) {
  std::string entry;
  put_bytes(&entry, 1, name);
  put_bytes(&entry, 2, value);
  put_bytes(to, 1, entry);
}

std::string value_bytes(const Json &v) {
  std::string bytes;
  switch (v.kind) {
  case Json::Kind::Null:
    put_number(&bytes, 1, 0);
    break;
  case Json::Kind::Number:
    put_double(&bytes, 2, v.number);
    break;
  case Json::Kind::String:
    put_bytes(&bytes, 3, v.text);
    break;
  case Json::Kind::Bool:
    put_number(&bytes, 4, v.truth);
    break;
  case Json::Kind::Object:
    put_bytes(&bytes, 5, struct_bytes(v));
    break;
  case Json::Kind::List:
    put_bytes(&bytes, 6, list_bytes(v));
  }
  return bytes;
}

bool any_bytes(const Json &any, std::string *bytes, std::string *error) {
  if (any.kind == Json::Kind::Null)
    return true;
  const Json *type = any.find("@type"), *value = any.find("value");
  if (any.kind != Json::Kind::Object) {
    *error = std::string("is ") + any.kind_name() + ", and should be a message with an @type";
    return false;
  }
  if (type == nullptr || type->kind != Json::Kind::String) {
    *error = "has no @type: write type.googleapis.com/xds.type.v3.TypedStruct with a value, as for contrib Envoys";
    return false;
  }
  const std::string &url = type->text;
  std::string name = url.substr(url.rfind('/') == std::string::npos ? 0 : url.rfind('/') + 1), message;
  for (const auto &m : messages)
    if (name == m.name) {
      if (!m.write(any, value, &message)) {
        *error = "is no valid " + name + ": its value is " + (value == nullptr ? "missing" : value->kind_name());
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

bool parse_value(std::string_view bytes, Json *value) { return read_value(bytes, value, 0); }

bool parse_struct(std::string_view bytes, Json *object) { return read_struct(bytes, object, 0); }

} // namespace bridge
