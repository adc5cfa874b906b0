#include "config.h"

#include <set>

#include "envoy.h"

namespace bridge {

Alive alive;

namespace {

uint64_t address(const void *p) { return reinterpret_cast<uint64_t>(p); }

// workers is Envoy's concurrency, which only its main thread may ask for.
std::atomic<uint32_t> workers{0};

void describe(GoConfig *c, const std::string &plugin, const std::string &config, bool route) {
  c->plugin_name = address(plugin.data());
  c->plugin_name_length = plugin.size();
  c->config = address(config.data());
  c->config_length = config.size();
  c->route = route;
  c->concurrency = workers;
}

// routes are all RouteConfigs, for Config's end.
struct Routes {
  std::mutex mutex;
  std::set<RouteConfig *> all;
};

Routes &routes() {
  static Routes *r = new Routes;
  return *r;
}

// reads_in_log_of returns what all configurations of a plugin share.
std::atomic<bool> *reads_in_log_of(const Library *library, const std::string &plugin) {
  static auto *all = new std::map<std::pair<const Library *, std::string>, std::atomic<bool>>;
  return &(*all)[{library, plugin}];
}

} // namespace

Config::Config(void *e) : envoy(e), metrics(std::make_shared<Metrics>(e)) { alive.configs++; }

Config *Config::make(void *envoy, std::string_view document, std::string *error) {
  // Envoy may leave load by an exception of its own, which runs no destructor here: the next one tidies up.
  static Config *unfinished = nullptr;
  delete unfinished;
  Config *c = unfinished = new Config(envoy);
  bool good = c->load(document, error);
  unfinished = nullptr;
  if (good)
    return c;
  delete c;
  return nullptr;
}

bool Config::load(std::string_view document, std::string *error) {
  workers = CB(get_concurrency)();
  const Settings &s = settings;
  if (!decode_settings(document, &settings, error))
    return false;
  library = load_library(s.library_id, s.library_path, error);
  if (library == nullptr || !secrets.set(envoy, s.secrets, error))
    return false;
  if (Library *other = serve_plugin(library, s.plugin_name))
    log(Level::Warn, "plugin_name \"", s.plugin_name, "\" is served by ", library->path, " and by ", other->path,
        ": a route's configuration of that name is given to each, where a request comes to it");
  if (!s.merges)
    log(Level::Warn, "merge_policy has no effect, as in contrib Envoys: routes' configurations are merged into the "
                     "filter's by the plugin itself");
  reads_in_log = reads_in_log_of(library, s.plugin_name);
  metrics->define(Metrics::Kind::Counter, "golang.panic_error", &panics);
  auto *handle = new ConfigHandle;
  alive.handles++;
  describe(handle, s.plugin_name, s.plugin_config, false);
  handle->metrics = metrics;
  id = library->go.new_config(handle); // from here on handle is Go's
  if (id == 0)
    *error = "plugin " + s.plugin_name + " of " + s.library_path + " refused plugin_config; its reason is logged above";
  return id != 0;
}

Config::~Config() {
  if (id != 0) {
    {
      Routes &r = routes();
      std::lock_guard<std::mutex> lock(r.mutex);
      for (RouteConfig *route : r.all)
        route->forget(*this);
    }
    library->go.destroy_config(id, 0);
  }
  metrics->detach();
  alive.configs--;
}

std::atomic<uint64_t> RouteConfig::alive_{0};

RouteConfig *RouteConfig::make(std::string_view document, std::string *error) {
  RouteSettings settings;
  if (!decode_route_settings(document, &settings, error))
    return nullptr;
  std::unique_ptr<RouteConfig> c(new RouteConfig);
  for (auto &p : settings.plugins) {
    Plugin &plugin = c->plugins_[p.first];
    plugin.settings = std::move(p.second);
    // Parsed now if the library is known, so that Envoy can refuse a bad configuration; else at the first request.
    Library *library = plugin.settings.disabled ? nullptr : library_of(p.first);
    if (library != nullptr && parse(library, p.first, &plugin) == 0) {
      *error = "plugin " + p.first + " refused its configuration; its reason is logged above";
      return nullptr;
    }
  }
  Routes &r = routes();
  std::lock_guard<std::mutex> lock(r.mutex);
  r.all.insert(c.get());
  return c.release();
}

RouteConfig::~RouteConfig() {
  {
    Routes &r = routes();
    std::lock_guard<std::mutex> lock(r.mutex);
    r.all.erase(this);
  }
  for (auto &p : plugins_) {
    for (auto &m : p.second.merged)
      m.first->library->go.destroy_config(m.second, 0);
    for (auto &id : p.second.parsed)
      if (id.second != 0)
        id.first->go.destroy_config(id.second, 0);
  }
  alive_.fetch_sub(1, std::memory_order_relaxed);
}

uint64_t RouteConfig::parse(Library *library, const std::string &name, Plugin *plugin) {
  auto known = plugin->parsed.find(library);
  if (known != plugin->parsed.end())
    return known->second;
  GoConfig c;
  describe(&c, name, plugin->settings.config, true);
  return plugin->parsed[library] = library->go.new_config(&c);
}

RouteConfig::Found RouteConfig::find(const Config &config, uint64_t *id) {
  std::lock_guard<std::mutex> lock(mutex_);
  const std::string &name = config.settings.plugin_name;
  auto p = plugins_.find(name);
  if (p == plugins_.end())
    return Found::Nothing;
  Plugin &plugin = p->second;
  if (plugin.settings.disabled)
    return Found::Disabled;
  for (const auto &m : plugin.merged)
    if (m.first == &config) {
      *id = m.second;
      return Found::Merged;
    }
  uint64_t own = parse(config.library, name, &plugin);
  if (own == 0)
    return Found::Failed;
  *id = config.library->go.merge_config(address(name.data()), name.size(), config.id, own);
  if (*id == 0)
    return Found::Failed;
  plugin.merged.emplace_back(&config, *id);
  return Found::Merged;
}

void RouteConfig::forget(const Config &config) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (auto &p : plugins_) {
    auto &merged = p.second.merged;
    for (size_t i = 0; i < merged.size(); i++)
      if (merged[i].first == &config) {
        config.library->go.destroy_config(merged[i].second, 0);
        merged.erase(merged.begin() + static_cast<ptrdiff_t>(i));
        break;
      }
  }
}

} // namespace bridge

using namespace bridge;

GOAPI void envoyGoConfigHttpFinalize(void *c) {
  delete static_cast<ConfigHandle *>(static_cast<GoConfig *>(c));
  alive.handles--;
}
