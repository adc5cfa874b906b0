// What Envoy looks up in this library: in gate.c, and in config.go. abi_test.go holds it against Envoy's libgolang.h.
#pragma once

#include "abi.h"

uint64_t envoyGoFilterOnHttpHeader(processState *state, uint64_t end, uint64_t n, uint64_t bytes);
uint64_t envoyGoFilterOnHttpData(processState *state, uint64_t end, uint64_t buffer, uint64_t length);
void envoyGoFilterOnHttpLog(httpRequest *r, uint64_t type, processState *decoding, processState *encoding,
                            uint64_t request_n, uint64_t request_bytes, uint64_t request_trailers_n,
                            uint64_t request_trailers_bytes, uint64_t response_n, uint64_t response_bytes,
                            uint64_t response_trailers_n, uint64_t response_trailers_bytes);
void envoyGoFilterOnHttpStreamComplete(httpRequest *r);
void envoyGoFilterOnHttpDestroy(httpRequest *r, uint64_t reason);
void envoyGoRequestSemaDec(httpRequest *r);
void envoyGoFilterCleanUp(void);

uint64_t envoyGoFilterNewHttpPluginConfig(httpConfig *c);
uint64_t envoyGoFilterMergeHttpPluginConfig(uint64_t name, uint64_t name_n, uint64_t parent, uint64_t child);
void envoyGoFilterDestroyHttpPluginConfig(uint64_t id, int64_t later);
