#include "secrets.h"

#include "request.h"

namespace bridge {

bool secrets_ready(void *, const std::vector<std::string> &names, std::string *error) {
  if (names.empty())
    return true;
  *error = "generic_secrets: this Envoy offers no secrets to modules";
  return false;
}

bool secret(const Request &r, const std::string &name, std::string *) {
  log(r.config->limits.secrets.level(), "plugin ", r.config->settings.plugin_name, " asks for secret ", name,
      ", which generic_secrets does not list");
  return false;
}

} // namespace bridge
