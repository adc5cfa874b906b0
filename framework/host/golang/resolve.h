// How the trampolines of host.c find what Envoy, or the bridge, defines.
#pragma once

#include <stdint.h>

#include "abi.h"
#include "limits.h"

// What the log's level is where there is no log: that of errors.
enum { MOE_NO_LOG_LEVEL = 4 };

// Returns the function of that name in the process's main program, or in a library that was loaded for all to use; NULL
// where there is none yet. *known remembers it.
void *golang_resolve(_Atomic(void *) *known, const char *name);

// Returns the GOLANG_LIMIT_ bits of whoever plays Envoy's Golang filter: none in a contrib Envoy, those that the bridge
// names in a stock one.
uint64_t golang_limits(void);
