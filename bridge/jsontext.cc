#include "jsontext.h"

#include <cstdio>

namespace bridge {
namespace {

void put(std::string *to, const std::string &text) {
  to->push_back('"');
  for (char c : text) {
    if (c == '"' || c == '\\')
      to->push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) {
      to->push_back(c);
      continue;
    }
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
    to->append(code);
  }
  to->push_back('"');
}

void put(std::string *to, double number) {
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.17g", number); // enough to tell any two apart
  to->append(digits);
}

void put(std::string *to, const Json &v) {
  bool first = true;
  auto next = [&] {
    if (!first)
      to->push_back(',');
    first = false;
  };
  switch (v.kind) {
  case Json::Kind::Null:
  case Json::Kind::Unknown:
    to->append("null");
    break;
  case Json::Kind::Bool:
    to->append(v.truth ? "true" : "false");
    break;
  case Json::Kind::Number:
    put(to, v.number);
    break;
  case Json::Kind::String:
    put(to, v.text);
    break;
  case Json::Kind::List:
    to->push_back('[');
    for (const Json &one : v.list) {
      next();
      put(to, one);
    }
    to->push_back(']');
    break;
  case Json::Kind::Object:
    to->push_back('{');
    for (const auto &f : v.fields) {
      next();
      put(to, f.first);
      to->push_back(':');
      put(to, f.second);
    }
    to->push_back('}');
    break;
  }
}

} // namespace

std::string json_text(const Json &value) {
  std::string text;
  put(&text, value);
  return text;
}

} // namespace bridge
