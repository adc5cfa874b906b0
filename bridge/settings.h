// What an operator configures: contrib's messages Config and ConfigsPerRoute
// (envoy.extensions.filters.http.golang.v3alpha), as JSON or as the wire bytes of a google.protobuf.Struct.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bridge {

// Settings is a Config.
struct Settings {
  std::string library_id;
  std::string library_path;
  std::string plugin_name;
  std::string plugin_config; // wire bytes of the Any
  bool merges = true;        // merge_policy is the default
  struct Secret {
    std::string name;
    std::string source; // sds_config, as JSON; empty: a static secret of the bootstrap
    std::string path;   // of the file of a path_config_source; else empty
  };
  std::vector<Secret> secrets;
};

// RouteSettings is a ConfigsPerRoute.
struct RouteSettings {
  struct Plugin {
    bool disabled = false;
    std::string config; // wire bytes of the Any
  };
  std::map<std::string, Plugin> plugins;
};

// Both return false and say which field is wrong, and why.
bool decode_settings(std::string_view document, Settings *settings, std::string *error);
bool decode_route_settings(std::string_view document, RouteSettings *settings, std::string *error);

} // namespace bridge
