// Package dynlog writes to the log of the Envoy that has loaded this process as a dynamic module.
package dynlog

/*
#include <stdlib.h>
#include "../../abi.h"

static bool moe_log_enabled(int level) {
  return CB(log_enabled) != NULL && CB(log_enabled)((T(log_level))level);
}

static void moe_log(int level, char *p, size_t n) { CB(log)((T(log_level))level, (mbuf){p, n}); }
*/
import "C"

import (
	"log/slog"
	"unsafe"

	"mosn.io/moe/framework/internal/envoylog"
	"mosn.io/moe/framework/internal/logs"
)

// Handler writes to Envoy's log, under its name dynamic_modules. Without Envoy it is never enabled.
var Handler slog.Handler = logs.Tee(envoylog.New(envoylog.Sink{
	Enabled: func(l envoylog.Level) bool { return bool(C.moe_log_enabled(C.int(l))) },
	Write: func(l envoylog.Level, line []byte) {
		p := C.CBytes(line)
		defer C.free(p)
		C.moe_log(C.int(l), (*C.char)(unsafe.Pointer(p)), C.size_t(len(line)))
	},
}))
