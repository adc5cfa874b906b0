// Generic secrets. Envoy does not share its own with modules: the bridge reads the files of those that come from one.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "settings.h"

namespace bridge {

class Secrets {
public:
  // set says in the log which of a configuration's secrets cannot be had.
  void set(const std::vector<Settings::Secret> &list);

  // get returns the present value of a secret; false if it is not in the list, or cannot be had. For any thread.
  bool get(const std::string &name, std::string *value);

private:
  struct File {
    std::string path;
    unsigned long inode = 0;
    long long changed = 0; // ns
    bool good = false;
    std::string value;
  };

  static void refresh(const std::string &name, File *file);

  std::mutex mutex_;
  std::map<std::string, File> files_;
};

} // namespace bridge
