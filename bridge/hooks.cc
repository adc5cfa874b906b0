// Envoy's events, handed to the objects that they are about.
#include "config.h"
#include "library.h"
#include "log.h"
#include "request.h"

using namespace bridge;

namespace {

Request *request(const void *filter) { return static_cast<Request *>(const_cast<void *>(filter)); }

// Statuses of different hooks are different types with the same numbers.
template <typename Status> Status status(uint32_t s) { return static_cast<Status>(s); }

uint32_t headers(Request *r, Lane &lane, bool end) {
  Request::Held held(r);
  if (r->ready()) {
    if (lane.encoding)
      r->answered();
    return lane.on_headers(end);
  }
  if (!r->bad_route || lane.encoding)
    return CONTINUE;
  Reply reply;
  reply.code = 500;
  reply.details = "golang_route_config";
  r->send(reply);
  return STOP;
}

uint32_t data(Request *r, Lane &lane, bool end) {
  Request::Held held(r);
  return r->ready() ? lane.on_data(end) : CONTINUE;
}

uint32_t trailers(Request *r, Lane &lane) {
  Request::Held held(r);
  return r->ready() ? lane.on_trailers() : CONTINUE;
}

} // namespace

extern "C" {

HOOK const char *ON(program_init)(void) {
  std::string error;
  if (!promote(&error)) {
    log(Level::Error, "cannot show its functions to Go libraries: ", error);
    return nullptr;
  }
  return ENVOY_DYNAMIC_MODULES_ABI_VERSION;
}

HOOK const void *ON(http_filter_config_new)(void *envoy, ebuf name, ebuf value) {
  std::string error;
  Config *config = Config::make(envoy, in(value), &error);
  if (config == nullptr)
    log(Level::Error, "filter ", in(name), ": ", error);
  return config;
}

HOOK void ON(http_filter_config_destroy)(const void *config) {
  delete static_cast<Config *>(const_cast<void *>(config));
}

HOOK const void *ON(http_filter_per_route_config_new)(ebuf name, ebuf value) {
  std::string error;
  RouteConfig *config = RouteConfig::make(in(value), &error);
  if (config == nullptr)
    log(Level::Error, "filter ", in(name), ", a route's configuration: ", error);
  return config;
}

HOOK void ON(http_filter_per_route_config_destroy)(const void *config) {
  delete static_cast<RouteConfig *>(const_cast<void *>(config));
}

HOOK const void *ON(http_filter_new)(const void *config, void *filter) {
  return new Request(static_cast<Config *>(const_cast<void *>(config)), filter);
}

HOOK T(on_http_filter_request_headers_status) ON(http_filter_request_headers)(void *, const void *f, bool end) {
  return status<T(on_http_filter_request_headers_status)>(headers(request(f), request(f)->decode, end));
}

HOOK T(on_http_filter_request_body_status) ON(http_filter_request_body)(void *, const void *f, bool end) {
  return status<T(on_http_filter_request_body_status)>(data(request(f), request(f)->decode, end));
}

HOOK T(on_http_filter_request_trailers_status) ON(http_filter_request_trailers)(void *, const void *f) {
  return status<T(on_http_filter_request_trailers_status)>(trailers(request(f), request(f)->decode));
}

HOOK T(on_http_filter_response_headers_status) ON(http_filter_response_headers)(void *, const void *f, bool end) {
  return status<T(on_http_filter_response_headers_status)>(headers(request(f), request(f)->encode, end));
}

HOOK T(on_http_filter_response_body_status) ON(http_filter_response_body)(void *, const void *f, bool end) {
  return status<T(on_http_filter_response_body_status)>(data(request(f), request(f)->encode, end));
}

HOOK T(on_http_filter_response_trailers_status) ON(http_filter_response_trailers)(void *, const void *f) {
  return status<T(on_http_filter_response_trailers_status)>(trailers(request(f), request(f)->encode));
}

HOOK void ON(http_filter_stream_complete)(void *, const void *f) {
  Request::Held held(request(f));
  request(f)->complete();
}

HOOK void ON(http_filter_destroy)(const void *f) { request(f)->destroy(); }

HOOK void ON(http_filter_scheduled)(void *, const void *f, uint64_t) {
  Request::Held held(request(f));
  request(f)->scheduled();
}

HOOK T(on_http_filter_local_reply_status)
    ON(http_filter_local_reply)(void *, const void *f, uint32_t, ebuf details, bool) {
  request(f)->details = in(details);
  return T(on_http_filter_local_reply_status_Continue);
}

// Events that the bridge has no use for.
HOOK void ON(http_filter_config_scheduled)(void *, const void *, uint64_t) {}
HOOK void ON(http_filter_downstream_above_write_buffer_high_watermark)(void *, const void *) {}
HOOK void ON(http_filter_downstream_below_write_buffer_low_watermark)(void *, const void *) {}

#define NO_CALLOUT(name)                                                                                              \
  HOOK void ON(http_filter_##name##http_callout_done)(void *, const void *, uint64_t, T(http_callout_result),          \
                                                      eheader *, size_t, ebuf *, size_t) {}                            \
  HOOK void ON(http_filter_##name##http_stream_headers)(void *, const void *, uint64_t, eheader *, size_t, bool) {}    \
  HOOK void ON(http_filter_##name##http_stream_data)(void *, const void *, uint64_t, const ebuf *, size_t, bool) {}    \
  HOOK void ON(http_filter_##name##http_stream_trailers)(void *, const void *, uint64_t, eheader *, size_t) {}         \
  HOOK void ON(http_filter_##name##http_stream_complete)(void *, const void *, uint64_t) {}                            \
  HOOK void ON(http_filter_##name##http_stream_reset)(void *, const void *, uint64_t, T(http_stream_reset_reason)) {}
NO_CALLOUT()
NO_CALLOUT(config_)
}
