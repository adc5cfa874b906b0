// What Go does to a stream as a whole: filter state, routes, hosts, connections.
#include <arpa/inet.h>

#include "call.h"
#include "log.h"

namespace bridge {
namespace {

std::string plugin(const Request &r) { return "plugin " + r.config->settings.plugin_name; }

// is_address reports whether host is an IP address, with or without a port, as in a URL.
bool is_address(std::string host) {
  unsigned char raw[16];
  if (host.empty())
    return false;
  if (host[0] == '[') {
    size_t end = host.find(']');
    return end != std::string::npos && inet_pton(AF_INET6, host.substr(1, end - 1).c_str(), raw) == 1;
  }
  if (inet_pton(AF_INET6, host.c_str(), raw) == 1)
    return true;
  size_t colon = host.find(':');
  return inet_pton(AF_INET, host.substr(0, colon).c_str(), raw) == 1;
}

} // namespace
} // namespace bridge

using namespace bridge;

GOAPI int envoyGoFilterHttpSetStringFilterState(void *r, void *key, int key_length, void *value, int length,
                                                int, int life_span, int sharing) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  if (life_span != 0 || sharing != 0)
    log(request->config->limits.filter_state_scope.level(), plugin(*request),
        ": filter state lives as long as the stream's filters and is shared with none, whatever is asked for: that is "
        "all that modules can set");
  auto set = [request, k = std::string(text(key, key_length)), v = std::string(text(value, length))] {
    ebuf there;
    // Envoy 1.38 keeps what is there, says that it does not, and logs a bug of its own.
    bool kept = !since_139() && (CB(http_get_filter_state_bytes)(request->envoy, out(k), &there) ||
                                 CB(http_get_filter_state_typed)(request->envoy, out(k), &there));
    if (!kept && CB(http_set_filter_state_bytes)(request->envoy, out(k), out(v)))
      return Result::Ok;
    log(request->config->limits.filter_state.level(), plugin(*request), ": filter state ", k,
        " is not set: it is there, and Envoy does not let it be changed");
    return Result::Failed;
  };
  if (call.on_worker())
    return static_cast<int>(set());
  return call.write(set);
}

GOAPI int envoyGoFilterHttpGetStringFilterState(void *r, void *key, int key_length, uint64_t *data, int *length) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  return call.read([=, k = std::string(text(key, key_length))] {
    ebuf found{nullptr, 0};
    if (CB(http_get_filter_state_bytes)(request->envoy, out(k), &found))
      give(request, in(found), data, length);
    return Result::Ok;
  });
}

GOAPI int envoyGoFilterHttpClearRouteCache(void *r, bool refresh) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  return call.write([request, refresh] {
    if (!request->route_open())
      return;
    CB(http_clear_route_cache)(request->envoy);
    if (refresh)
      CB(get_most_specific_route_config)(request->envoy); // which looks for the route now
  });
}

GOAPI int envoyGoFilterHttpSetUpstreamOverrideHost(void *s, void *host, int length, bool strict) {
  Call call = Call::of_lane(s);
  if (call.refused())
    return call.code();
  if (call.lane->encoding)
    return static_cast<int>(Result::BadPhase);
  std::string to(text(host, length));
  if (!is_address(to))
    return static_cast<int>(Result::BadAddress);
  Request *request = call.request;
  return call.write([request, to, strict] {
    if (!CB(http_set_upstream_override_host)(request->envoy, out(to), strict))
      log(Level::Error, plugin(*request), ": Envoy refuses ", to, " as the upstream's host");
  });
}

GOAPI int envoyGoFilterHttpSetDrainConnectionUponCompletion(void *r) {
  Call call = Call::of_request(r);
  if (call.refused())
    return call.code();
  Request *request = call.request;
  log(request->config->limits.drain.level(), plugin(*request),
      " drains a connection: dynamic modules can only start Envoy's graceful end of one, which takes the drain "
      "time");
  // Envoy must not be asked from inside one of its hooks.
  request->post([request] { CB(http_filter_send_go_away_and_close)(request->envoy, true); });
  return call.code();
}
