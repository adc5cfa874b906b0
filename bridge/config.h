// Configurations in force: of filters, of routes, and what Go keeps of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "golang.h"
#include "library.h"
#include "log.h"
#include "metrics.h"
#include "secrets.h"
#include "settings.h"

namespace bridge {

// ConfigHandle is Go's hold on a filter's configuration, until its collector drops it: that may be long before the
// configuration ends, and long after.
struct ConfigHandle : GoConfig {
  std::shared_ptr<Metrics> metrics;
};

// Limits say once what this Envoy does not let the bridge do.
struct Limits {
  Once empty_header, metadata_kind, filter_state, filter_state_scope, stream_value, property, drain, add_data;
};

// Config is one filter in Envoy's configuration.
class Config {
public:
  // make reads a document and has the plugin parse its part. It returns nullptr and says why if either is wrong.
  static Config *make(void *envoy, std::string_view document, std::string *error);
  ~Config();

  void *const envoy;
  Settings settings;
  Library *library = nullptr;
  uint64_t id = 0; // the plugin's configuration, in Go
  std::shared_ptr<Metrics> metrics;
  uint32_t panics = 0; // the counter of panics
  Limits limits;
  Secrets secrets;
  // Whether the plugin has ever copied headers in its log phase: most never do, and counting their bytes is for that.
  std::atomic<bool> *reads_in_log = nullptr; // of all its configurations

private:
  explicit Config(void *envoy);

  bool load(std::string_view document, std::string *error);
};

// RouteConfig is one ConfigsPerRoute.
class RouteConfig {
public:
  static RouteConfig *make(std::string_view document, std::string *error);
  ~RouteConfig();

  enum class Found { Nothing, Merged, Disabled, Failed };

  // find returns what a stream of config meets on this route: for Merged, *id is the plugin's configuration in Go.
  Found find(const Config &config, uint64_t *id);

  // forget releases what was merged with the filter's configuration.
  void forget(const Config &config);

  static bool any() { return alive_.load(std::memory_order_relaxed) != 0; }
  static uint64_t alive() { return alive_.load(std::memory_order_relaxed); }

private:
  struct Plugin {
    RouteSettings::Plugin settings;
    std::map<Library *, uint64_t> parsed; // ids; 0: the plugin refused it
    std::vector<std::pair<const Config *, uint64_t>> merged;
  };

  RouteConfig() { alive_.fetch_add(1, std::memory_order_relaxed); }

  static uint64_t parse(Library *library, const std::string &name, Plugin *plugin);

  static std::atomic<uint64_t> alive_;

  std::mutex mutex_;
  std::map<std::string, Plugin> plugins_;
};

// Objects that live, for tests and for whoever looks for a leak.
struct Alive {
  std::atomic<uint64_t> configs{0}, handles{0}, requests{0};
};
extern Alive alive;

} // namespace bridge
