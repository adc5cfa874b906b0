// Generic secrets. Envoy shares them with modules from 1.40 on. Before, the bridge reads the files of those that come
// from one, and has no others.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "settings.h"

namespace bridge {

class Secrets {
public:
  // set takes a configuration's secrets, while Envoy makes it. It returns false and says why if Envoy refuses one, and
  // says in the log which cannot be had, where Envoy is older than 1.40.
  bool set(void *envoy_config, const std::vector<Settings::Secret> &list, std::string *error);

  // get returns the present value of a secret; false if it is not in the list, or cannot be had. On the worker of
  // that stream.
  bool get(void *envoy_filter, const std::string &name, std::string *value);

private:
  struct File {
    std::string path;
    unsigned long inode = 0;
    long long changed = 0; // ns
    bool good = false;
    std::string value;
  };

  static void refresh(const std::string &name, File *file);
  bool subscribe(void *envoy_config, const Settings::Secret &secret, std::string *error);
  void watch(const Settings::Secret &secret);

  std::map<std::string, size_t> ids_; // Envoy's
  std::mutex mutex_;                  // of what follows
  std::map<std::string, File> files_;
};

} // namespace bridge
