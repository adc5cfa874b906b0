#include "settings.h"

#include "json.h"
#include "jsontext.h"
#include "wire.h"

namespace bridge {
namespace {

// document reads either form. Envoy hands a Struct over as JSON, but 1.38 a route's as wire bytes.
bool document(std::string_view text, Json *value, std::string *error) {
  size_t start = text.find_first_not_of(" \t\r\n");
  if (start == std::string_view::npos) {
    *error = "there is no configuration";
    return false;
  }
  // A Struct's wire bytes begin with 0x0a, which is also a line's end, but never with '{'.
  if (text[start] != '{' && parse_struct(text, value) && !value->fields.empty())
    return true;
  *value = Json();
  if (!parse_json(text, value, error))
    return false;
  if (value->kind == Json::Kind::Object)
    return true;
  *error = std::string("it is ") + value->kind_name() + ", and should be an object";
  return false;
}

std::string camel(std::string_view snake) {
  std::string s;
  for (size_t i = 0; i < snake.size(); i++)
    if (snake[i] == '_' && i + 1 < snake.size())
      s.push_back(static_cast<char>(snake[++i] - 'a' + 'A'));
    else
      s.push_back(snake[i]);
  return s;
}

// Fields reads the fields of a message, under their names in protobuf or in its JSON form, and refuses others.
class Fields {
public:
  Fields(const Json &object, std::string path, std::string *error)
      : object_(object), path_(std::move(path)), error_(error) {}

  const Json *get(std::string_view name) {
    known_.push_back(std::string(name));
    known_.push_back(camel(name));
    const Json *v = object_.find(name);
    v = v != nullptr ? v : object_.find(known_.back());
    return v == nullptr || v->kind == Json::Kind::Null ? nullptr : v;
  }

  bool text(std::string_view name, std::string *to) {
    const Json *v = get(name);
    if (v == nullptr)
      return fail(name, "is missing");
    if (v->kind != Json::Kind::String)
      return fail(name, std::string("is ") + v->kind_name() + ", and should be a string");
    if (v->text.empty())
      return fail(name, "is empty");
    *to = v->text;
    return true;
  }

  bool any(std::string_view name, std::string *bytes) {
    const Json *v = get(name);
    std::string why;
    return v == nullptr || any_bytes(*v, bytes, &why) || fail(name, why);
  }

  bool fail(std::string_view name, const std::string &why) {
    *error_ = path_ + std::string(name) + " " + why;
    return false;
  }

  bool no_others() {
    for (const auto &f : object_.fields) {
      bool found = f.first == "@type" && path_.empty();
      for (const std::string &name : known_)
        found = found || name == f.first;
      if (!found)
        return fail(f.first, "is not a field of this message");
    }
    return true;
  }

private:
  const Json &object_;
  std::string path_;
  std::string *error_;
  std::vector<std::string> known_;
};

bool decode_merge_policy(Fields *fields, bool *merges) {
  const Json *v = fields->get("merge_policy");
  if (v == nullptr)
    return true;
  static const struct {
    const char *name;
    double number;
  } policies[] = {{"MERGE_VIRTUALHOST_ROUTER_FILTER", 0}, {"MERGE_VIRTUALHOST_ROUTER", 1}, {"OVERRIDE", 3}};
  for (const auto &p : policies)
    if ((v->kind == Json::Kind::String && v->text == p.name) ||
        (v->kind == Json::Kind::Number && v->number == p.number)) {
      *merges = p.number == 0;
      return true;
    }
  return fields->fail("merge_policy", "is none of MERGE_VIRTUALHOST_ROUTER_FILTER, MERGE_VIRTUALHOST_ROUTER, OVERRIDE");
}

// sds_path returns the file of a ConfigSource, if it is one.
std::string sds_path(const Json *source) {
  const Json *v = source;
  for (const char *name : {"path_config_source", "pathConfigSource"})
    if (v != nullptr && v->find(name) != nullptr)
      v = v->find(name);
  const Json *path = v == nullptr ? nullptr : v->find("path");
  return path == nullptr ? "" : path->text;
}

bool decode_secrets(Fields *fields, std::vector<Settings::Secret> *secrets, std::string *error) {
  const Json *list = fields->get("generic_secrets");
  if (list == nullptr)
    return true;
  if (list->kind != Json::Kind::List)
    return fields->fail("generic_secrets", std::string("is ") + list->kind_name() + ", and should be a list");
  for (size_t i = 0; i < list->list.size(); i++) {
    std::string path = "generic_secrets[" + std::to_string(i) + "]";
    if (list->list[i].kind != Json::Kind::Object) {
      *error = path + " is " + list->list[i].kind_name() + ", and should be an object";
      return false;
    }
    Fields secret(list->list[i], path + ".", error);
    std::string name;
    if (!secret.text("name", &name))
      return false;
    for (const Settings::Secret &other : *secrets)
      if (other.name == name)
        return secret.fail("name", "is given twice: \"" + name + "\"");
    const Json *source = secret.get("sds_config");
    if (source != nullptr && source->kind != Json::Kind::Object)
      return secret.fail("sds_config", std::string("is ") + source->kind_name() + ", and should be an object");
    if (!secret.no_others())
      return false;
    secrets->push_back({name, source == nullptr ? "" : json_text(*source), sds_path(source)});
  }
  return true;
}

bool decode_route_plugin(const std::string &name, const Json &v, RouteSettings::Plugin *plugin, std::string *error) {
  std::string path = "plugins_config." + name;
  if (v.kind != Json::Kind::Object) {
    *error = path + " is " + v.kind_name() + ", and should be an object with disabled or config";
    return false;
  }
  Fields fields(v, path + ".", error);
  const Json *disabled = fields.get("disabled"), *config = fields.get("config");
  if (disabled != nullptr && (disabled->kind != Json::Kind::Bool || !disabled->truth))
    return fields.fail("disabled", "must be true where it is given");
  if ((disabled != nullptr) == (config != nullptr))
    return fields.fail(disabled != nullptr ? "config" : "disabled",
                       disabled != nullptr ? "goes not together with disabled" : "is missing, and config too");
  plugin->disabled = disabled != nullptr;
  return fields.any("config", &plugin->config) && fields.no_others();
}

} // namespace

bool decode_settings(std::string_view text, Settings *s, std::string *error) {
  Json root;
  if (!document(text, &root, error))
    return false;
  Fields fields(root, "", error);
  return fields.text("library_id", &s->library_id) && fields.text("library_path", &s->library_path) &&
         fields.text("plugin_name", &s->plugin_name) && fields.any("plugin_config", &s->plugin_config) &&
         decode_merge_policy(&fields, &s->merges) && decode_secrets(&fields, &s->secrets, error) && fields.no_others();
}

bool decode_route_settings(std::string_view text, RouteSettings *s, std::string *error) {
  Json root;
  if (!document(text, &root, error))
    return false;
  Fields fields(root, "", error);
  const Json *plugins = fields.get("plugins_config");
  if (plugins != nullptr && plugins->kind != Json::Kind::Object)
    return fields.fail("plugins_config", std::string("is ") + plugins->kind_name() + ", and should be an object");
  if (plugins != nullptr)
    for (const auto &p : plugins->fields)
      if (!decode_route_plugin(p.first, p.second, &s->plugins[p.first], error))
        return false;
  return fields.no_others();
}

} // namespace bridge
