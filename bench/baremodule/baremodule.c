// A dynamic module in plain C: the least that a filter behind Envoy's dynamic-module ABI can cost.
//
// The name of the filter says what it does: "nop" nothing; "one" reads a request header and sets one request and one
// response header, whose names are its configuration, "REQUEST RESPONSE". A filter keeps nothing for a stream: its
// configuration stands for it.

#include "abi.h"

#include <stdlib.h>
#include <string.h>

#define INPUT "x-bench"
#define LONGEST 256

typedef struct config {
  bool nop;
  envoy_dynamic_module_type_module_buffer request, response;
  char text[];
} config;

static const config* cfg(const void* p) { return p; }

const char* envoy_dynamic_module_on_program_init(void) { return ENVOY_DYNAMIC_MODULES_ABI_VERSION; }

const void* envoy_dynamic_module_on_http_filter_config_new(void* envoy, envoy_dynamic_module_type_envoy_buffer name,
                                                           envoy_dynamic_module_type_envoy_buffer text) {
  (void)envoy;
  config* c = calloc(1, sizeof *c + text.length);
  if (c == NULL) {
    return NULL;
  }
  c->nop = name.length == 3 && memcmp(name.ptr, "nop", 3) == 0;
  if (c->nop) {
    return c;
  }
  memcpy(c->text, text.ptr, text.length);
  const char* space = memchr(c->text, ' ', text.length);
  if (space == NULL) {
    free(c);
    return NULL;
  }
  c->request.ptr = c->text;
  c->request.length = (size_t)(space - c->text);
  c->response.ptr = space + 1;
  c->response.length = text.length - c->request.length - 1;
  return c;
}

void envoy_dynamic_module_on_http_filter_config_destroy(const void* c) { free((void*)c); }

const void* envoy_dynamic_module_on_http_filter_new(const void* c, void* envoy) {
  (void)envoy;
  return c;
}

void envoy_dynamic_module_on_http_filter_destroy(const void* filter) { (void)filter; }

envoy_dynamic_module_type_on_http_filter_request_headers_status
envoy_dynamic_module_on_http_filter_request_headers(void* envoy, const void* filter, bool end) {
  (void)end;
  const config* c = cfg(filter);
  if (c->nop) {
    return envoy_dynamic_module_type_on_http_filter_request_headers_status_Continue;
  }
  // What Envoy hands out is good until a header is set: copy it.
  static const envoy_dynamic_module_type_module_buffer input = {INPUT, sizeof INPUT - 1};
  envoy_dynamic_module_type_envoy_buffer found;
  char copy[LONGEST];
  if (envoy_dynamic_module_callback_http_get_header(envoy, envoy_dynamic_module_type_http_header_type_RequestHeader,
                                                    input, &found, 0, NULL) &&
      found.length <= sizeof copy) {
    memcpy(copy, found.ptr, found.length);
    envoy_dynamic_module_type_module_buffer value = {copy, found.length};
    envoy_dynamic_module_callback_http_set_header(envoy, envoy_dynamic_module_type_http_header_type_RequestHeader,
                                                  c->request, value);
  }
  return envoy_dynamic_module_type_on_http_filter_request_headers_status_Continue;
}

envoy_dynamic_module_type_on_http_filter_response_headers_status
envoy_dynamic_module_on_http_filter_response_headers(void* envoy, const void* filter, bool end) {
  (void)end;
  const config* c = cfg(filter);
  if (!c->nop) {
    static const envoy_dynamic_module_type_module_buffer value = {"1", 1};
    envoy_dynamic_module_callback_http_set_header(envoy, envoy_dynamic_module_type_http_header_type_ResponseHeader,
                                                  c->response, value);
  }
  return envoy_dynamic_module_type_on_http_filter_response_headers_status_Continue;
}

// Every other hook must be there and does nothing. What each returns is the enumeration's zero, Continue.

envoy_dynamic_module_type_on_http_filter_request_body_status
envoy_dynamic_module_on_http_filter_request_body(void* envoy, const void* filter, bool end) {
  (void)envoy, (void)filter, (void)end;
  return envoy_dynamic_module_type_on_http_filter_request_body_status_Continue;
}

envoy_dynamic_module_type_on_http_filter_request_trailers_status
envoy_dynamic_module_on_http_filter_request_trailers(void* envoy, const void* filter) {
  (void)envoy, (void)filter;
  return envoy_dynamic_module_type_on_http_filter_request_trailers_status_Continue;
}

envoy_dynamic_module_type_on_http_filter_response_body_status
envoy_dynamic_module_on_http_filter_response_body(void* envoy, const void* filter, bool end) {
  (void)envoy, (void)filter, (void)end;
  return envoy_dynamic_module_type_on_http_filter_response_body_status_Continue;
}

envoy_dynamic_module_type_on_http_filter_response_trailers_status
envoy_dynamic_module_on_http_filter_response_trailers(void* envoy, const void* filter) {
  (void)envoy, (void)filter;
  return envoy_dynamic_module_type_on_http_filter_response_trailers_status_Continue;
}

void envoy_dynamic_module_on_http_filter_stream_complete(void* envoy, const void* filter) {
  (void)envoy, (void)filter;
}

void envoy_dynamic_module_on_http_filter_scheduled(void* envoy, const void* filter, uint64_t event) {
  (void)envoy, (void)filter, (void)event;
}

void envoy_dynamic_module_on_http_filter_http_callout_done(
    void* envoy, const void* filter, uint64_t id, envoy_dynamic_module_type_http_callout_result result,
    envoy_dynamic_module_type_envoy_http_header* headers, size_t n, envoy_dynamic_module_type_envoy_buffer* chunks,
    size_t m) {
  (void)envoy, (void)filter, (void)id, (void)result, (void)headers, (void)n, (void)chunks, (void)m;
}

void envoy_dynamic_module_on_http_filter_http_stream_headers(void* envoy, const void* filter, uint64_t id,
                                                             envoy_dynamic_module_type_envoy_http_header* headers,
                                                             size_t n, bool end) {
  (void)envoy, (void)filter, (void)id, (void)headers, (void)n, (void)end;
}

void envoy_dynamic_module_on_http_filter_http_stream_data(void* envoy, const void* filter, uint64_t id,
                                                          const envoy_dynamic_module_type_envoy_buffer* chunks,
                                                          size_t n, bool end) {
  (void)envoy, (void)filter, (void)id, (void)chunks, (void)n, (void)end;
}

void envoy_dynamic_module_on_http_filter_http_stream_trailers(void* envoy, const void* filter, uint64_t id,
                                                              envoy_dynamic_module_type_envoy_http_header* trailers,
                                                              size_t n) {
  (void)envoy, (void)filter, (void)id, (void)trailers, (void)n;
}

void envoy_dynamic_module_on_http_filter_http_stream_complete(void* envoy, const void* filter, uint64_t id) {
  (void)envoy, (void)filter, (void)id;
}

void envoy_dynamic_module_on_http_filter_http_stream_reset(
    void* envoy, const void* filter, uint64_t id, envoy_dynamic_module_type_http_stream_reset_reason reason) {
  (void)envoy, (void)filter, (void)id, (void)reason;
}

void envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void* envoy,
                                                                                      const void* filter) {
  (void)envoy, (void)filter;
}

void envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void* envoy,
                                                                                     const void* filter) {
  (void)envoy, (void)filter;
}
