#include "json.h"

#include <cmath>
#include <cstdlib>
#include <cstring>

namespace bridge {
namespace {

constexpr int max_depth = 100; // as protobuf's own

class Reader {
public:
  Reader(std::string_view text, std::string *error) : text_(text), error_(error) {}

  bool document(Json *v) {
    if (!value(v, 0))
      return false;
    space();
    return at_ == text_.size() || fail("something follows the document");
  }

private:
  bool fail(const char *what) {
    *error_ = "JSON, byte " + std::to_string(at_) + ": " + what;
    return false;
  }

  void space() {
    while (at_ < text_.size() && std::strchr(" \t\r\n", text_[at_]) != nullptr && text_[at_] != '\0')
      at_++;
  }

  bool eat(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c)
      return false;
    at_++;
    return true;
  }

  bool word(std::string_view w) {
    if (text_.substr(at_, w.size()) != w)
      return fail("no value");
    at_ += w.size();
    return true;
  }

  bool value(Json *v, int depth) {
    if (depth > max_depth)
      return fail("too deeply nested");
    space();
    if (at_ >= text_.size())
      return fail("the document ends too early");
    switch (text_[at_]) {
    case '{':
      return object(v, depth);
    case '[':
      return list(v, depth);
    case '"':
      v->kind = Json::Kind::String;
      return string(&v->text);
    case 't':
    case 'f':
      v->kind = Json::Kind::Bool;
      v->truth = text_[at_] == 't';
      return word(v->truth ? "true" : "false");
    case 'n':
      return word("null");
    default:
      return number(v);
    }
  }

  bool object(Json *v, int depth) {
    v->kind = Json::Kind::Object;
    at_++;
    if (eat('}'))
      return true;
    do {
      space();
      std::string name;
      if (at_ >= text_.size() || text_[at_] != '"')
        return fail("a field's name is missing");
      if (!string(&name))
        return false;
      if (!eat(':'))
        return fail("no colon behind a field's name");
      v->fields.emplace_back(std::move(name), Json());
      if (!value(&v->fields.back().second, depth + 1))
        return false;
    } while (eat(','));
    return eat('}') || fail("an object does not end");
  }

  bool list(Json *v, int depth) {
    v->kind = Json::Kind::List;
    at_++;
    if (eat(']'))
      return true;
    do {
      v->list.emplace_back();
      if (!value(&v->list.back(), depth + 1))
        return false;
    } while (eat(','));
    return eat(']') || fail("a list does not end");
  }

  bool digits() {
    size_t from = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9')
      at_++;
    return at_ > from;
  }

  bool number(Json *v) {
    size_t from = at_;
    if (text_[at_] == '-')
      at_++;
    size_t first = at_;
    if (!digits())
      return fail("no value");
    if (text_[first] == '0' && at_ - first > 1) {
      at_ = first + 1;
      return fail("a number begins with a needless 0");
    }
    if (at_ < text_.size() && text_[at_] == '.') {
      at_++;
      if (!digits())
        return fail("no digit behind a point");
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      at_++;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-'))
        at_++;
      if (!digits())
        return fail("no digit in an exponent");
    }
    v->kind = Json::Kind::Number;
    v->number = std::strtod(std::string(text_.substr(from, at_ - from)).c_str(), nullptr);
    return std::isfinite(v->number) || fail("a number is too large");
  }

  bool hex4(unsigned *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, at_++) {
      const char *hex = "0123456789abcdef";
      char c = at_ < text_.size() ? text_[at_] : '\0';
      if (c >= 'A' && c <= 'F')
        c += 'a' - 'A';
      const char *p = c == '\0' ? nullptr : std::strchr(hex, c);
      if (p == nullptr)
        return fail("no four hexadecimal digits behind \\u");
      *code = *code * 16 + static_cast<unsigned>(p - hex);
    }
    return true;
  }

  static void utf8(unsigned code, std::string *s) {
    if (code < 0x80) {
      s->push_back(static_cast<char>(code));
      return;
    }
    int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xc0, 0xe0, 0xf0};
    s->push_back(static_cast<char>(lead[more] | code >> (6 * more)));
    while (more-- > 0)
      s->push_back(static_cast<char>(0x80 | (code >> (6 * more) & 0x3f)));
  }

  bool escape(std::string *s) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = at_ < text_.size() ? text_[at_++] : '\0';
    if (c != 'u') {
      const char *p = c == '\0' ? nullptr : std::strchr(from, c);
      if (p == nullptr)
        return fail("unknown escape");
      s->push_back(to[p - from]);
      return true;
    }
    unsigned code, low;
    if (!hex4(&code))
      return false;
    if (code >= 0xdc00 && code < 0xe000) // the second half of a pair
      return fail("half a surrogate pair");
    if (code >= 0xd800 && code < 0xdc00) { // the first half
      if (text_.substr(at_, 2) != "\\u")
        return fail("half a surrogate pair");
      at_ += 2;
      if (!hex4(&low))
        return false;
      if (low < 0xdc00 || low > 0xdfff)
        return fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    utf8(code, s);
    return true;
  }

  bool string(std::string *s) {
    at_++;
    while (at_ < text_.size()) {
      char c = text_[at_++];
      if (c == '"')
        return true;
      if (static_cast<unsigned char>(c) < 0x20)
        return fail("a control character in a string");
      if (c == '\\') {
        if (!escape(s))
          return false;
        continue;
      }
      size_t n = utf8_sequence(text_.substr(at_ - 1));
      if (n == 0)
        return fail("a string is not UTF-8");
      s->append(text_.substr(at_ - 1, n));
      at_ += n - 1;
    }
    return fail("a string does not end");
  }

  std::string_view text_;
  std::string *error_;
  size_t at_ = 0;
};

} // namespace

const Json *Json::find(std::string_view name) const {
  for (auto f = fields.rbegin(); f != fields.rend(); ++f)
    if (f->first == name)
      return &f->second;
  return nullptr;
}

const char *Json::kind_name() const {
  static const char *names[] = {"null", "a bool", "a number", "a string", "a list", "an object",
                                "of a kind that modules cannot read"};
  return names[static_cast<int>(kind)];
}

size_t utf8_sequence(std::string_view text) {
  auto at = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  unsigned lead = at(0);
  if (lead < 0x80)
    return text.empty() ? 0 : 1;
  size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4)
    return 0;
  // The second byte keeps out what has a shorter form, surrogates, and what is beyond Unicode.
  unsigned low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
    if (at(i) < low || at(i) > high)
      return 0;
  return n;
}

bool is_utf8(std::string_view text) {
  for (size_t n; !text.empty(); text.remove_prefix(n))
    if ((n = utf8_sequence(text)) == 0)
      return false;
  return true;
}

bool parse_json(std::string_view text, Json *value, std::string *error) {
  return Reader(text, error).document(value);
}

} // namespace bridge
