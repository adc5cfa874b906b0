package mosn

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	mosnlog "mosn.io/pkg/log"
)

// output is where MOSN's code logs to: the log of the configuration that was made last.
var output atomic.Pointer[slog.Logger]

// logTo has MOSN's packages log to l.
func logTo(l *slog.Logger) {
	output.Store(l)
	takeLoggers()
}

// takeLoggers puts ours in the place of the loggers in mosn.io/pkg/log, which are variables: once, as filters read them.
var takeLoggers = sync.OnceFunc(func() {
	mosnlog.DefaultLogger = DefaultLogger()
	mosnlog.DefaultContextLogger = ProxyLogger()
})

// DefaultLogger returns MOSN's logger without a request: Envoy's log. Programs that link in MOSN's own packages give it
// to mosn.io/mosn/pkg/log.
func DefaultLogger() mosnlog.ErrorLogger { return &theLogger.errors }

// ProxyLogger returns MOSN's logger for a request's context: Envoy's log, with the request's id.
func ProxyLogger() mosnlog.ContextLogger { return &theLogger.contexts }

var theLogger = struct {
	errors   errorLogger
	contexts contextLogger
}{}

// levels holds what may be set of a logger.
type levels struct {
	set      atomic.Uint32 // 1 + what SetLogLevel was given
	disabled atomic.Bool
}

// SetLogLevel hides lines below a level, beside what Envoy's own log level hides.
func (l *levels) SetLogLevel(level mosnlog.Level) { l.set.Store(1 + uint32(level)) }

// GetLogLevel returns the level that Envoy's log has, or what SetLogLevel was given.
func (l *levels) GetLogLevel() mosnlog.Level {
	if v := l.set.Load(); v != 0 {
		return mosnlog.Level(v - 1)
	}
	out := output.Load()
	if out == nil {
		return mosnlog.INFO
	}
	ctx := context.Background()
	switch {
	case out.Enabled(ctx, slog.LevelDebug):
		return mosnlog.DEBUG
	case out.Enabled(ctx, slog.LevelInfo):
		return mosnlog.INFO
	case out.Enabled(ctx, slog.LevelWarn):
		return mosnlog.WARN
	}
	return mosnlog.ERROR
}

// Toggle switches the logger off or on.
func (l *levels) Toggle(disable bool) { l.disabled.Store(disable) }

// Disable reports whether the logger is off.
func (l *levels) Disable() bool { return l.disabled.Load() }

// slogLevels are slog's levels for MOSN's.
var slogLevels = map[mosnlog.Level]slog.Level{
	mosnlog.FATAL: slog.LevelError, mosnlog.ERROR: slog.LevelError, mosnlog.WARN: slog.LevelWarn,
	mosnlog.INFO: slog.LevelInfo, mosnlog.DEBUG: slog.LevelDebug, mosnlog.TRACE: slog.LevelDebug,
}

// write writes a line to out.
func (l *levels) write(out *slog.Logger, level mosnlog.Level, alert, format string, args []any) {
	if out == nil || l.Disable() || level > l.GetLogLevel() || !out.Enabled(context.Background(), slogLevels[level]) {
		return
	}
	var attrs []any
	if alert != "" {
		attrs = []any{"alert", alert}
	}
	out.Log(context.Background(), slogLevels[level], fmt.Sprintf(format, args...), attrs...)
}

type errorLogger struct{ levels }

// Alertf logs an error with a code.
func (l *errorLogger) Alertf(alert, format string, args ...any) {
	l.write(output.Load(), mosnlog.ERROR, alert, format, args)
}

// Infof logs.
func (l *errorLogger) Infof(f string, args ...any) { l.write(output.Load(), mosnlog.INFO, "", f, args) }

// Debugf logs.
func (l *errorLogger) Debugf(f string, args ...any) {
	l.write(output.Load(), mosnlog.DEBUG, "", f, args)
}

// Warnf logs.
func (l *errorLogger) Warnf(f string, args ...any) { l.write(output.Load(), mosnlog.WARN, "", f, args) }

// Errorf logs.
func (l *errorLogger) Errorf(f string, args ...any) {
	l.write(output.Load(), mosnlog.ERROR, "", f, args)
}

// Tracef logs.
func (l *errorLogger) Tracef(f string, args ...any) {
	l.write(output.Load(), mosnlog.TRACE, "", f, args)
}

// Fatalf logs an error. MOSN's own ends the process; nothing here may.
func (l *errorLogger) Fatalf(f string, args ...any) {
	l.write(output.Load(), mosnlog.FATAL, "", f, args)
}

type contextLogger struct{ levels }

// of returns the log of the stream that ctx belongs to.
func (l *contextLogger) of(ctx context.Context) *slog.Logger {
	if st := streamOf(ctx); st != nil {
		return st.s.Log()
	}
	return output.Load()
}

// Alertf logs an error with a code.
func (l *contextLogger) Alertf(ctx context.Context, alert, format string, args ...any) {
	l.write(l.of(ctx), mosnlog.ERROR, alert, format, args)
}

// Infof logs.
func (l *contextLogger) Infof(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.INFO, "", f, args)
}

// Debugf logs.
func (l *contextLogger) Debugf(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.DEBUG, "", f, args)
}

// Warnf logs.
func (l *contextLogger) Warnf(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.WARN, "", f, args)
}

// Errorf logs.
func (l *contextLogger) Errorf(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.ERROR, "", f, args)
}

// Tracef logs.
func (l *contextLogger) Tracef(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.TRACE, "", f, args)
}

// Fatalf logs an error, and does not end the process.
func (l *contextLogger) Fatalf(ctx context.Context, f string, args ...any) {
	l.write(l.of(ctx), mosnlog.FATAL, "", f, args)
}
