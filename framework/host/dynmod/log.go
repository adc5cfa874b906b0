package dynmod

/*
#include <stdlib.h>
#include "moe.h"

static bool moe_log_enabled(int level) {
  return CB(log_enabled) != NULL && CB(log_enabled)((T(log_level))level);
}

static void moe_log(int level, char *p, size_t n) { CB(log)((T(log_level))level, (mbuf){p, n}); }
*/
import "C"

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"unsafe"
)

// logger writes to Envoy's log, under its name dynamic_modules, as "msg key=value …".
var logger slog.Handler = newLogHandler()

type logHandler struct {
	slog.Handler
	out *logLine
}

// logLine carries one formatted record from slog's text handler to Envoy.
type logLine struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logLine) Write(p []byte) (int, error) { return l.text.Write(p) }

func newLogHandler() *logHandler {
	out := &logLine{}
	return &logHandler{out: out, Handler: slog.NewTextHandler(out, &slog.HandlerOptions{
		Level: slog.LevelDebug - 4,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{} // Envoy adds its own
			}
			return a
		},
	})}
}

func envoyLevel(l slog.Level) C.int {
	switch {
	case l >= slog.LevelError:
		return C.envoy_dynamic_module_type_log_level_Error
	case l >= slog.LevelWarn:
		return C.envoy_dynamic_module_type_log_level_Warn
	case l >= slog.LevelInfo:
		return C.envoy_dynamic_module_type_log_level_Info
	case l >= slog.LevelDebug:
		return C.envoy_dynamic_module_type_log_level_Debug
	}
	return C.envoy_dynamic_module_type_log_level_Trace
}

func (h *logHandler) Enabled(_ context.Context, l slog.Level) bool {
	return bool(C.moe_log_enabled(envoyLevel(l)))
}

func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.text.Reset()
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	line := bytes.TrimRight(h.out.text.Bytes(), "\n")
	p := C.CBytes(line)
	defer C.free(p)
	C.moe_log(envoyLevel(r.Level), (*C.char)(unsafe.Pointer(p)), C.size_t(len(line)))
	return nil
}

func (h *logHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return &logHandler{Handler: h.Handler.WithAttrs(as), out: h.out}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{Handler: h.Handler.WithGroup(name), out: h.out}
}
