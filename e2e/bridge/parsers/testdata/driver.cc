// Runs the bridge's parsers on what comes in on stdin, for the tests of this package. A request is one byte that says
// which, four bytes of length, and the input; an answer is one byte, 1 if the input was good, and then the output in
// that form. Trees are written as n, t, f, d and the bits of a number in 16 digits, s with a length, a colon and the bytes,
// lists in brackets, and objects in braces with their names before their values.
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "elf.h"
#include "json.h"
#include "wire.h"

using namespace bridge;

namespace {

void text(const std::string &s, std::string *to) { *to += "s" + std::to_string(s.size()) + ":" + s; }

void tree(const Json &v, std::string *to) {
  switch (v.kind) {
  case Json::Kind::Null:
    *to += 'n';
    break;
  case Json::Kind::Bool:
    *to += v.truth ? 't' : 'f';
    break;
  case Json::Kind::Number: {
    uint64_t bits;
    std::memcpy(&bits, &v.number, sizeof bits);
    char digits[18];
    std::snprintf(digits, sizeof digits, "d%016" PRIx64, bits);
    *to += digits;
    break;
  }
  case Json::Kind::String:
    text(v.text, to);
    break;
  case Json::Kind::List:
    *to += '[';
    for (const Json &e : v.list)
      tree(e, to);
    *to += ']';
    break;
  case Json::Kind::Object:
    *to += '{';
    for (const auto &f : v.fields) {
      text(f.first, to);
      tree(f.second, to);
    }
    *to += '}';
    break;
  case Json::Kind::Unknown: // documents have none: no expectation has it
    *to += 'u';
  }
}

bool answer(char what, const std::string &in, std::string *out) {
  Json v;
  bool good = false;
  switch (what) {
  case 'j': // JSON to a tree
    good = parse_json(in, &v, out);
    break;
  case 'a': // an Any in JSON to wire bytes
    return parse_json(in, &v, out) && any_bytes(v, out, out);
  case 'w': // any value in JSON to the wire bytes of a Value
    good = parse_json(in, &v, out);
    if (good)
      *out = value_bytes(v);
    return good;
  case 'v': // wire bytes of a Value to a tree
    good = parse_value(in, &v);
    break;
  case 's': // and of a Struct
    good = parse_struct(in, &v);
    break;
  case 'e': { // a library's path to its symbols, each with a + or - before it, and a NUL behind
    Symbols symbols;
    if (!read_symbols(in, &symbols, out))
      return false;
    for (const std::string &s : symbols.defined)
      *out += "+" + s + std::string(1, '\0');
    for (const std::string &s : symbols.undefined)
      *out += "-" + s + std::string(1, '\0');
    return true;
  }
  }
  if (good) {
    out->clear();
    tree(v, out);
  }
  return good;
}

} // namespace

int main() {
  char what;
  uint32_t length;
  while (std::fread(&what, 1, 1, stdin) == 1 && std::fread(&length, sizeof length, 1, stdin) == 1) {
    std::string in(length, '\0'), out;
    if (length > 0 && std::fread(&in[0], 1, length, stdin) != length)
      return 1;
    char good = answer(what, in, &out);
    length = static_cast<uint32_t>(out.size());
    std::fwrite(&good, 1, 1, stdout);
    std::fwrite(&length, sizeof length, 1, stdout);
    std::fwrite(out.data(), 1, out.size(), stdout);
    std::fflush(stdout);
  }
}
