package golang

/*
#include "gate.h"
*/
import "C"

import (
	"log/slog"

	"mosn.io/moe/framework/internal/envoylog"
	"mosn.io/moe/framework/internal/logs"
)

// logger writes to Envoy's log, under its name golang.
var logger slog.Handler = logs.Tee(envoylog.New(envoylog.Sink{
	Enabled: func(l envoylog.Level) bool { return uint32(l) >= uint32(C.golang_host_FilterLogLevel()) },
	Write: func(l envoylog.Level, line []byte) {
		p, n := bytesOf(line)
		C.golang_host_FilterLog(C.uint32_t(l), p, n)
	},
}))
