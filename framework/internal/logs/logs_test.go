package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// record is a host's log that takes levels from info on.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) handler() slog.Handler {
	return slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug - 4, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

// Write is that of io.Writer.
func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, string(bytes.TrimSpace(p)))
	return len(p), nil
}

// take returns the lines since the last time.
func (r *record) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := r.lines
	r.lines = nil
	return lines
}

// fromInfo is a host's handler that is enabled from info on, and writes all that it is given.
type fromInfo struct{ slog.Handler }

func (h fromInfo) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }
func (h fromInfo) WithAttrs(as []slog.Attr) slog.Handler        { return fromInfo{h.Handler.WithAttrs(as)} }

func (h fromInfo) WithGroup(name string) slog.Handler { return fromInfo{h.Handler.WithGroup(name)} }

func level(name string) Settings {
	l := Levels[name]
	return Settings{Level: &l, Repeats: Standard.Repeats}
}

// enabled names the levels that a logger takes.
func enabled(l *slog.Logger) string {
	var names []string
	for _, name := range []string{"trace", "debug", "info", "warn", "error"} {
		if l.Enabled(context.Background(), Levels[name]) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// A configuration's level counts in place of the host's, in both directions.
func TestLevelOfChain(t *testing.T) {
	for name, want := range map[string]string{
		"":      "info warn error",
		"trace": "trace debug info warn error",
		"debug": "debug info warn error",
		"info":  "info warn error",
		"warn":  "warn error",
		"error": "error",
		"off":   "",
	} {
		t.Run("level "+name, func(t *testing.T) {
			s := Standard
			if name != "" {
				s = level(name)
			}
			l := New(fromInfo{(&record{}).handler()}, "p", Standard)
			if got := enabled(l.LoggerFor(s)); got != want {
				t.Errorf("the levels of the chain are %q, want %q", got, want)
			}
			if got := enabled(l.LoggerFor(s).With("a", 1).WithGroup("g")); got != want {
				t.Errorf("the levels with attributes are %q, want %q", got, want)
			}
			if got, want := enabled(l.Logger()), "info warn error"; got != want {
				t.Errorf("the levels of another chain are %q, want the host's, %q", got, want)
			}
		})
	}
}

// Lines of no stream are logged as the most curious of all chains asks for, at any time.
func TestLevelOfAllChains(t *testing.T) {
	l := New(fromInfo{(&record{}).handler()}, "p", level("error"))
	log := l.Logger()
	expect := func(what, want string) {
		t.Helper()
		if got := enabled(log); got != want {
			t.Errorf("%s: the levels are %q, want %q", what, got, want)
		}
	}
	expect("while it is provisioned", "error")
	warn := l.Hold(level("warn"))
	expect("one chain", "warn error")
	host := l.Hold(Standard)
	expect("and one with the host's level", "info warn error")
	trace := l.Hold(level("trace"))
	expect("and one that wants all", "trace debug info warn error")
	trace()
	trace()
	expect("which is gone", "info warn error")
	host()
	expect("only the first again", "warn error")
	warn()
	expect("none is left", "warn error")
}

// The highest limit of all chains counts for lines of no stream.
func TestLimitOfAllChains(t *testing.T) {
	l := New(fromInfo{(&record{}).handler()}, "p", Standard)
	var drops []func()
	for _, n := range []int{5, 50, 7, -1} {
		drops = append(drops, l.Hold(Settings{Repeats: n}))
	}
	if got := l.merged.Load().repeats; got != -1 {
		t.Errorf("the limit is %d with one that has none, want -1", got)
	}
	drops[3]()
	if got := l.merged.Load().repeats; got != 50 {
		t.Errorf("the limit is %d, want 50", got)
	}
}

// limited returns a log with a limit of n lines.
func limited(r *record, n int) (*Log, *slog.Logger) {
	l := New(r.handler(), "p", Standard)
	return l, l.LoggerFor(Settings{Repeats: n})
}

// Lines of one message are left out beyond the limit, and one line says how many, when their time is over.
func TestRepeatedLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r record
		before := repeated.Sum()
		_, log := limited(&r, 2)
		for i := range 5 {
			log.With("n", i).Warn("no luck")
		}
		log.Warn("another")
		log.Error("no luck")
		want := []string{
			`level=WARN msg="no luck" plugin=p n=0`, `level=WARN msg="no luck" plugin=p n=1`,
			`level=WARN msg=another plugin=p`, `level=ERROR msg="no luck" plugin=p`,
		}
		if diff := cmp.Diff(want, r.take()); diff != "" {
			t.Errorf("the lines (-want +got):\n%s", diff)
		}
		if got := repeated.Sum() - before; got != 3 {
			t.Errorf("%d lines were counted as left out, want 3", got)
		}
		time.Sleep(Interval)
		synctest.Wait()
		if diff := cmp.Diff([]string{`level=WARN msg="no luck" plugin=p repeated=3 within=10s`}, r.take()); diff != "" {
			t.Errorf("the lines after the interval (-want +got):\n%s", diff)
		}
		log.Warn("no luck")
		time.Sleep(Interval)
		log.Warn("no luck")
		if diff := cmp.Diff([]string{`level=WARN msg="no luck" plugin=p`, `level=WARN msg="no luck" plugin=p`}, r.take()); diff != "" {
			t.Errorf("lines in intervals of their own (-want +got):\n%s", diff)
		}
	})
}

// What has repeated is said when the plugin is closed, too, and lines that come later are logged.
func TestCloseTells(t *testing.T) { synctest.Test(t, closeTells) }

func closeTells(t *testing.T) {
	var r record
	l, log := limited(&r, 1)
	log.Info("a")
	log.Info("a")
	r.take()
	l.Close()
	if diff := cmp.Diff([]string{`level=INFO msg=a plugin=p repeated=1 within=10s`}, r.take()); diff != "" {
		t.Errorf("the lines of Close (-want +got):\n%s", diff)
	}
	log.Info("a")
	if diff := cmp.Diff([]string{`level=INFO msg=a plugin=p`}, r.take()); diff != "" {
		t.Errorf("the lines after Close (-want +got):\n%s", diff)
	}
}

// Some lines have no limit.
func TestUnlimitedLines(t *testing.T) { synctest.Test(t, unlimitedLines) }

func unlimitedLines(t *testing.T) {
	expectAll := func(what string, repeats int, write func(*slog.Logger)) {
		t.Helper()
		var r record
		_, log := limited(&r, repeats)
		for range 10 {
			write(log)
		}
		if n := len(r.take()); n != 10 {
			t.Errorf("%s: %d of 10 lines are logged, want all", what, n)
		}
	}
	expectAll("below info", 1, func(l *slog.Logger) { l.Debug("a") })
	expectAll("every line", 1, func(l *slog.Logger) { l.InfoContext(EveryLine(context.Background()), "a") })
	expectAll("no limit", -1, func(l *slog.Logger) { l.Info("a") })
}

// However many messages there are, the first line of each is logged, what is remembered stays bounded, and nothing that was
// left out is lost.
func TestManyMessages(t *testing.T) { synctest.Test(t, manyMessages) }

func manyMessages(t *testing.T) {
	var r record
	l, log := limited(&r, 1)
	const messages = 3 * maxMessages
	for i := range messages {
		for range 2 {
			log.Info(fmt.Sprintf("%d %s", i, strings.Repeat("x", maxMessage+i)))
		}
		if n := len(l.limits.seen); n > maxMessages {
			t.Fatalf("%d messages are remembered, want at most %d", n, maxMessages)
		}
	}
	for m := range l.limits.seen {
		if len(m.text) > maxMessage {
			t.Fatalf("%d bytes of a message are remembered, want at most %d", len(m.text), maxMessage)
		}
	}
	l.Close()
	first, told := 0, 0
	for _, line := range r.take() {
		if strings.Contains(line, " repeated=1 ") {
			told++
		} else {
			first++
		}
	}
	if first != messages || told != messages {
		t.Errorf("%d messages were logged and of %d it was said that they repeat, want %d of both", first, told, messages)
	}
}

// Any goroutine may log, hold and close.
func TestLogFromManyGoroutines(t *testing.T) { synctest.Test(t, logFromManyGoroutines) }

func logFromManyGoroutines(t *testing.T) {
	var r record
	l, log := limited(&r, 10)
	var all sync.WaitGroup
	const goroutines, lines = 8, 100
	for range goroutines {
		all.Go(func() {
			for i := range lines {
				drop := l.Hold(level("debug"))
				log.Info("a")
				l.Logger().Enabled(context.Background(), slog.LevelDebug)
				drop()
				if i%10 == 0 {
					l.Close()
				}
			}
		})
	}
	all.Wait()
	l.Close()
	logged, left := 0, 0
	for _, line := range r.take() {
		var n int
		if _, rest, ok := strings.Cut(line, " repeated="); ok {
			if _, err := fmt.Sscan(rest, &n); err != nil {
				t.Fatalf("the line %q does not say how many: %v", line, err)
			}
			left += n
		} else {
			logged++
		}
	}
	if logged+left != goroutines*lines {
		t.Errorf("%d lines are logged and %d are said to be left out, want %d together", logged, left, goroutines*lines)
	}
}

// A level that nothing takes allocates nothing.
func TestDisabledAllocatesNothing(t *testing.T) {
	l := New(fromInfo{(&record{}).handler()}, "p", Standard)
	off := Settings{Repeats: 1}
	off.Level = new(slog.Level)
	*off.Level = math.MaxInt
	for name, log := range map[string]*slog.Logger{"of the plugin": l.Logger(), "of a chain": l.LoggerFor(Standard), "off": l.LoggerFor(off)} {
		t.Run(name, func(t *testing.T) {
			if n := testing.AllocsPerRun(100, func() { log.Debug("a", "b", "c") }); n != 0 {
				t.Errorf("a line that is not logged allocates %v times, want 0", n)
			}
		})
	}
}
