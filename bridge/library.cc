#include "library.h"

#include <cstring>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "elf.h"
#include "log.h"
#include "probe.h"

namespace bridge {
namespace {

struct Registry {
  std::mutex mutex;
  std::map<std::string, std::unique_ptr<Library>> libraries; // by id
  std::map<std::string, std::set<Library *>> plugins;        // by plugin name
};

// Never destroyed: threads of Go outlive main.
Registry &registry() {
  static Registry *r = new Registry;
  return *r;
}

// Export is a function that every library has, and where its address goes.
struct Export {
  const char *name;
  void **to;
};

template <typename Function> Export entry(const char *name, Function *to) {
  return {name, reinterpret_cast<void **>(to)};
}

constexpr size_t first_exports = 2; // a library without these was built with something else than the SDK

std::vector<Export> exports(Exports *go) {
  return {
      entry("envoyGoFilterNewHttpPluginConfig", &go->new_config),
      entry("envoyGoFilterOnHttpHeader", &go->on_header),
      entry("envoyGoFilterDestroyHttpPluginConfig", &go->destroy_config),
      entry("envoyGoFilterMergeHttpPluginConfig", &go->merge_config),
      entry("envoyGoFilterOnHttpData", &go->on_data),
      entry("envoyGoFilterOnHttpLog", &go->on_log),
      entry("envoyGoFilterOnHttpStreamComplete", &go->on_complete),
      entry("envoyGoFilterOnHttpDestroy", &go->on_destroy),
      entry("envoyGoRequestSemaDec", &go->request_sema_dec),
      entry("envoyGoFilterCleanUp", &go->clean_up),
  };
}

// lacking says what it means that a library does not export the function of number i.
std::string lacking(const std::vector<Export> &all, size_t i) {
  return std::string("it exports no ") + all[i].name +
         (i < first_exports ? ": it is not a library of HTTP filters built with Envoy's Golang SDK "
                              "(package github.com/envoyproxy/envoy/contrib/golang/filters/http/source/go/pkg/http)"
                            : ": its SDK is older than v1.36.2");
}

// resolve finds the functions of a library that is loaded.
bool resolve(void *handle, Exports *go, std::string *error) {
  const std::vector<Export> all = exports(go);
  for (size_t i = 0; i < all.size(); i++) {
    *all[i].to = dlsym(handle, all[i].name);
    if (*all[i].to == nullptr) {
      *error = lacking(all, i);
      return false;
    }
  }
  return true;
}

// ours reports whether a library may leave name for the bridge to define.
bool ours(const std::string &name) {
  static void *const bridge = [] {
    Dl_info self;
    return dladdr(reinterpret_cast<void *>(&promote), &self) == 0 ? nullptr
                                                                  : dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }();
  return bridge != nullptr && dlsym(bridge, name.c_str()) != nullptr;
}

// inspect looks into the file before anything of it runs.
bool inspect(const std::string &path, std::string *error) {
  Symbols symbols;
  if (path.find('/') == std::string::npos) // the dynamic linker searches for it
    return true;
  if (!read_symbols(path, &symbols, error))
    return false;
  Exports none;
  const std::vector<Export> all = exports(&none);
  auto has = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; i++)
      if (symbols.defined.count(all[i].name) == 0) {
        *error = lacking(all, i);
        return false;
      }
    return true;
  };
  if (!has(0, first_exports))
    return false;
  for (const std::string &name : symbols.undefined)
    for (const char *family : {"envoyGoFilterHttp", "envoyGoConfigHttp", "envoyGoFilterLog"})
      if (name.compare(0, std::strlen(family), family) == 0 && !ours(name)) {
        *error = "it needs " + name + ", which this bridge lacks: it is built with an SDK newer than v1.39.0";
        return false;
      }
  return has(first_exports, all.size());
}

} // namespace

bool promote(std::string *error) {
  Dl_info self;
  if (dladdr(reinterpret_cast<void *>(&promote), &self) != 0 &&
      dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL) != nullptr)
    return true;
  const char *why = dlerror();
  *error = why == nullptr ? "the dynamic linker does not know this library" : why;
  return false;
}

Library *load_library(const std::string &id, const std::string &path, std::string *error) {
  Registry &r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto known = r.libraries.find(id);
  if (known != r.libraries.end()) {
    if (known->second->path == path)
      return known->second.get();
    *error = "library_id \"" + id + "\" stands for " + known->second->path +
             " since this Envoy started: a Go library cannot be replaced in a running process";
    return nullptr;
  }
  std::string why;
  if (!inspect(path, &why) || !survives(path, &why)) {
    *error = "library_path " + path + ": " + why;
    return nullptr;
  }
  void *handle = dlopen(path.c_str(), RTLD_LAZY);
  if (handle == nullptr) {
    *error = "library_path " + path + ": " + dlerror();
    return nullptr;
  }
  auto library = std::make_unique<Library>();
  if (!resolve(handle, &library->go, &why)) {
    *error = "library_path " + path + ": " + why;
    return nullptr; // and stays: Go cannot be unloaded
  }
  library->id = id;
  library->path = path;
  log(Level::Info, "loaded ", path, " as library \"", id, "\"");
  return r.libraries.emplace(id, std::move(library)).first->second.get();
}

Library *serve_plugin(Library *library, const std::string &plugin) {
  Registry &r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  std::set<Library *> &serving = r.plugins[plugin];
  serving.insert(library);
  for (Library *other : serving)
    if (other->path != library->path)
      return other;
  return nullptr;
}

Library *library_of(const std::string &plugin) {
  Registry &r = registry();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto serving = r.plugins.find(plugin);
  return serving == r.plugins.end() || serving->second.size() != 1 ? nullptr : *serving->second.begin();
}

} // namespace bridge
