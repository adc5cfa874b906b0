#include "secrets.h"

#include <fstream>
#include <sstream>
#include <sys/stat.h>

#include "json.h"
#include "log.h"

namespace bridge {
namespace {

bool read_file(const std::string &path, std::string *text) {
  std::ifstream f(path, std::ios::binary);
  std::ostringstream all;
  all << f.rdbuf();
  *text = all.str();
  return f.good();
}

const Json *field(const Json *of, const char *snake, const char *camel) {
  if (of == nullptr)
    return nullptr;
  const Json *v = of->find(snake);
  return v != nullptr ? v : of->find(camel);
}

// of_source reads a config.core.v3.DataSource.
bool of_source(const Json *source, std::string *value) {
  if (const Json *text = field(source, "inline_string", "inlineString")) {
    *value = text->text;
    return text->kind == Json::Kind::String;
  }
  const Json *path = source == nullptr ? nullptr : source->find("filename");
  return path != nullptr && read_file(path->text, value);
}

// of_resources finds a secret in the file of a DiscoveryResponse.
bool of_resources(const std::string &text, const std::string &name, std::string *value, std::string *error) {
  Json root;
  if (!parse_json(text, &root, error))
    return false;
  const Json *list = root.find("resources");
  for (const Json &r : list == nullptr ? std::vector<Json>() : list->list) {
    const Json *of = r.find("name"), *generic = field(&r, "generic_secret", "genericSecret");
    if (of != nullptr && of->text == name && generic != nullptr && of_source(generic->find("secret"), value))
      return true;
  }
  *error = "it has no generic_secret of that name with an inline_string or a filename";
  return false;
}

} // namespace

void Secrets::refresh(const std::string &name, File *file) {
  struct stat st;
  bool there = stat(file->path.c_str(), &st) == 0;
  long long changed = there ? st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec : -1;
  unsigned long inode = there ? st.st_ino : 0;
  if (changed == file->changed && inode == file->inode)
    return;
  file->changed = changed;
  file->inode = inode;
  std::string text, value, error = "it cannot be read";
  if (read_file(file->path, &text) && of_resources(text, name, &value, &error)) {
    file->value = std::move(value);
    file->good = true;
    return;
  }
  log(Level::Error, "secret ", name, ", file ", file->path, ": ", error,
      file->good ? ": the value from before stays" : "");
}

// watch is for Envoys that do not share secrets.
void Secrets::watch(const Settings::Secret &s) {
  if (s.path.empty()) {
    log(Level::Warn, "secret ", s.name,
        " has no path_config_source: before 1.40, Envoy shares neither its static secrets nor those of other sources "
        "with modules, so plugins will not find it");
    return;
  }
  std::lock_guard<std::mutex> lock(mutex_);
  File &f = files_[s.name];
  f.path = s.path;
  refresh(s.name, &f);
}

bool Secrets::subscribe(void *envoy_config, const Settings::Secret &s, std::string *error) {
  size_t id = CB(http_filter_config_generic_secret_subscribe)(envoy_config, out(s.name), out(s.source));
  if (id != 0)
    ids_[s.name] = id;
  else
    *error = "generic_secrets: secret " + s.name +
             (s.source.empty() ? " has no sds_config, and Envoy's bootstrap has no static secret of that name"
                               : ": Envoy refuses its sds_config");
  return id != 0;
}

bool Secrets::set(void *envoy_config, const std::vector<Settings::Secret> &list, std::string *error) {
  for (const Settings::Secret &s : list)
    if (CB(http_filter_config_generic_secret_subscribe) == nullptr)
      watch(s);
    else if (!subscribe(envoy_config, s, error))
      return false;
  return true;
}

bool Secrets::get(void *envoy_filter, const std::string &name, std::string *value) {
  auto id = ids_.find(name);
  if (id != ids_.end()) {
    ebuf found{nullptr, 0};
    if (!CB(http_filter_get_generic_secret)(envoy_filter, id->second, &found))
      return false;
    *value = in(found);
    return true;
  }
  std::lock_guard<std::mutex> lock(mutex_);
  auto f = files_.find(name);
  if (f == files_.end())
    return false;
  refresh(name, &f->second);
  *value = f->second.value;
  return f->second.good;
}

} // namespace bridge
