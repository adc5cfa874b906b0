#include "accesslog.h"

#include <string>
#include <unordered_map>

#include "request.h"

namespace bridge {
namespace {

std::atomic<int> loggers{0};

// Requests of this worker, by numbers that are written into the streams' dynamic metadata.
thread_local std::unordered_map<uint64_t, Request *> requests;

constexpr View space = "golang_bridge", key = "requests";

enum { DownstreamStart = 4, DownstreamPeriodic = 5 };

} // namespace

void announce(Request *r) {
  if (loggers.load(std::memory_order_relaxed) == 0)
    return;
  static thread_local uint64_t last = 0;
  r->number = ++last;
  requests[r->number] = r;
  std::string numbers; // those of other filters of the bridge's, before this one
  ebuf before;
  if (CB(http_get_metadata_string)(r->envoy, T(metadata_source_Dynamic), out(space), out(key), &before))
    numbers = std::string(in(before)) + ",";
  numbers += std::to_string(r->number);
  CB(http_set_dynamic_metadata_string)(r->envoy, out(space), out(key), out(numbers));
}

void withdraw(Request *r) {
  if (r->number != 0)
    requests.erase(r->number);
}

} // namespace bridge

using namespace bridge;

extern "C" {

HOOK const void *ON(access_logger_config_new)(void *, ebuf, ebuf) {
  loggers++;
  return &loggers;
}

HOOK void ON(access_logger_config_destroy)(const void *) { loggers--; }

HOOK const void *ON(access_logger_new)(const void *, void *) { return &loggers; }

HOOK void ON(access_logger_log)(void *envoy, const void *, int type) {
  ebuf found{nullptr, 0};
  if ((type != DownstreamStart && type != DownstreamPeriodic) ||
      !CB(access_logger_get_dynamic_metadata)(envoy, out(space), out(key), &found))
    return;
  std::string numbers(in(found));
  for (const char *at = numbers.c_str(); *at != '\0';) {
    char *end;
    auto r = requests.find(std::strtoull(at, &end, 10));
    at = *end == ',' ? end + 1 : numbers.c_str() + numbers.size();
    if (r == requests.end())
      continue;
    Request::Held held(r->second);
    if (r->second->ready())
      r->second->access_log(static_cast<uint64_t>(type));
  }
}

HOOK void ON(access_logger_destroy)(const void *) {}
HOOK void ON(access_logger_flush)(const void *) {}
}
