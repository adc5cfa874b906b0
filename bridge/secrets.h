// Generic secrets, which Envoy offers to modules from 1.40 on.
#pragma once

#include <string>
#include <vector>

namespace bridge {

class Request;

// secrets_ready checks that Envoy has the secrets that a configuration lists.
bool secrets_ready(void *envoy_config, const std::vector<std::string> &names, std::string *error);

// secret reads one that the configuration lists. For who may read Envoy's side.
bool secret(const Request &r, const std::string &name, std::string *value);

} // namespace bridge
