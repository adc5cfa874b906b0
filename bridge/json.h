// JSON documents (RFC 8259), read into a tree: the form in which Envoy hands google.protobuf.Struct to modules.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bridge {

struct Json {
  // Unknown is for values of Envoy's that it does not show; documents have none.
  enum class Kind { Null, Bool, Number, String, List, Object, Unknown };

  Kind kind = Kind::Null;
  bool truth = false;
  double number = 0;
  std::string text;
  std::vector<Json> list;
  std::vector<std::pair<std::string, Json>> fields; // in the document's order; the last of equal names counts

  // find returns a field of an object, or nullptr.
  const Json *find(std::string_view name) const;
  const char *kind_name() const;
};

// parse_json reads a whole document. It returns false and says where and what is wrong if that is not JSON.
bool parse_json(std::string_view text, Json *value, std::string *error);

// utf8_sequence returns the length of the character that text begins with; 0 if that is not UTF-8 (RFC 3629).
size_t utf8_sequence(std::string_view text);
bool is_utf8(std::string_view text);

} // namespace bridge
