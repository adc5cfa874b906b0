#include "wire.h"

#include <cstdint>
#include <cstring>
#include <unordered_map>

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
      return shift < 63 || b <= 1; // more than 64 bits
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
      if (part.number == 1 && is_utf8(part.bytes))
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
    bool again = (f.number == 5 && v->kind == Json::Kind::Object) || (f.number == 6 && v->kind == Json::Kind::List);
    if (!again) // a message that comes in several parts is all of them
      *v = Json();
    switch (f.number) {
    case 2:
      v->kind = Json::Kind::Number;
      std::memcpy(&v->number, f.bytes.data(), sizeof v->number);
      break;
    case 3:
      v->kind = Json::Kind::String;
      v->text = f.bytes;
      if (!is_utf8(v->text))
        return false;
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

} // namespace

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
  std::unordered_map<std::string_view, const Json *> last; // of equal names
  for (const auto &f : object.fields)
    last[f.first] = &f.second;
  for (const auto &f : object.fields)
    if (last[f.first] == &f.second)
      put_field(&bytes, f.first, value_bytes(f.second));
  return bytes;
}

std::string list_bytes(const Json &list) {
  std::string bytes;
  for (const Json &v : list.list)
    put_bytes(&bytes, 1, value_bytes(v));
  return bytes;
}

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
  case Json::Kind::Unknown:
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

bool parse_value(std::string_view bytes, Json *value) { return read_value(bytes, value, 0); }

bool parse_struct(std::string_view bytes, Json *object) { return read_struct(bytes, object, 0); }

} // namespace bridge
