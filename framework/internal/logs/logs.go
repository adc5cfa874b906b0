// Package logs is what the lines of a plugin pass on their way to the log of its host: the level that configurations set for
// the plugin, and a limit for lines that repeat.
package logs

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"mosn.io/moe/framework/internal/guard"
)

// Settings are what a configuration says of a plugin's lines.
type Settings struct {
	// Level is the lowest that is logged; nil is that of the host.
	Level *slog.Level
	// Repeats is how many lines with one message are logged within [Interval]; below 0 there is no limit.
	Repeats int
}

// Standard is what holds where configurations say nothing.
var Standard = Settings{Repeats: 100}

// Levels are those that a configuration may name.
var Levels = map[string]slog.Level{
	"trace": slog.LevelDebug - 4, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn,
	"error": slog.LevelError, "off": math.MaxInt,
}

// Log is the log of one instance of a plugin, which several chains may share, with settings of their own. Its methods may
// be called from any goroutine.
type Log struct {
	to     slog.Handler // the host's, with the plugin
	limits limits

	mu      sync.Mutex
	holders []*Settings
	merged  atomic.Pointer[settings] // of all holders, for lines that belong to none of their streams
}

// settings are [Settings] as a handler asks for them.
type settings struct {
	lowest  slog.Level // that is logged whatever the host's is
	host    bool       // what the host logs is logged too
	repeats int
}

func settingsOf(s Settings) *settings {
	if s.Level == nil {
		return &settings{lowest: math.MaxInt, host: true, repeats: s.Repeats}
	}
	return &settings{lowest: *s.Level, repeats: s.Repeats}
}

// New returns the log of a plugin in that of its host, with the settings of whoever is the first to use it.
func New(host slog.Handler, plugin string, first Settings) *Log {
	l := &Log{to: guard.LogHandler(host).WithAttrs([]slog.Attr{slog.String("plugin", plugin)})}
	l.limits.init(plugin, l.to)
	l.merged.Store(settingsOf(first))
	return l
}

// Hold has lines that belong to no stream be logged by s, too, until drop is called: of several, the lowest level counts and
// the highest limit. The settings of the last holder stay.
func (l *Log) Hold(s Settings) (drop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	mine := &s
	l.holders = append(l.holders, mine)
	l.merge()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.holders, mine); i >= 0 {
			l.holders = slices.Delete(l.holders, i, i+1)
			l.merge()
		}
	}
}

// merge is called with l.mu held.
func (l *Log) merge() {
	if len(l.holders) == 0 {
		return
	}
	all := settingsOf(*l.holders[0])
	for _, h := range l.holders[1:] {
		s := settingsOf(*h)
		all.lowest, all.host = min(all.lowest, s.lowest), all.host || s.host
		if all.repeats >= 0 && (s.repeats < 0 || s.repeats > all.repeats) {
			all.repeats = s.repeats
		}
	}
	l.merged.Store(all)
}

// Logger is for lines that belong to no stream.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{Handler: l.to, log: l}) }

// LoggerFor is for lines of the streams of a chain with these settings.
func (l *Log) LoggerFor(s Settings) *slog.Logger {
	return slog.New(&handler{Handler: l.to, log: l, own: settingsOf(s)})
}

// Close logs how often messages have repeated for which no line has said it yet. Lines may come later, and are logged.
func (l *Log) Close() { l.limits.tell() }

// handler is a plugin's.
type handler struct {
	slog.Handler
	log *Log
	own *settings // nil: those of all holders
}

func (h *handler) settings() *settings {
	if h.own != nil {
		return h.own
	}
	return h.log.merged.Load()
}

// Enabled is that of slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool {
	s := h.settings()
	return l >= s.lowest || s.host && h.Handler.Enabled(ctx, l)
}

// Handle is that of slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if n := h.settings().repeats; n >= 0 && r.Level >= slog.LevelInfo && !everyLine(ctx) && !h.log.limits.pass(&r, n) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is that of slog.Handler.
func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(as), h.log, h.own}
}

// WithGroup is that of slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.log, h.own}
}

type everyLineKey struct{}

// EveryLine returns a context with which lines have no limit.
func EveryLine(ctx context.Context) context.Context {
	return context.WithValue(ctx, everyLineKey{}, true)
}

func everyLine(ctx context.Context) bool { return ctx.Value(everyLineKey{}) != nil }
