package envoylog

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	var lines []string
	log := slog.New(New(Sink{
		Enabled: func(l Level) bool { return l >= Debug },
		Write:   func(l Level, line []byte) { lines = append(lines, fmt.Sprintf("%d %s", l, line)) },
	}))
	log.Log(t.Context(), slog.LevelDebug-4, "too fine")
	log.Debug("a")
	log.Info("b c", "time", 1, "n", 2)
	log.With("plugin", "p").WithGroup("g").Warn("d", "level", "x")
	log.Error("e\nf", "error", errors.New("no \"luck\""))
	log.Log(t.Context(), slog.LevelError+4, "h")
	log.Info("i", "record", json.RawMessage(`{"a b":"c"}`), "n", 3)
	want := []string{
		"1 msg=a", `2 msg="b c" n=2`, "3 msg=d plugin=p g.level=x", `4 msg="e\nf" error="no \"luck\""`, "4 msg=h",
		`2 msg=i n=3 record={"a b":"c"}`,
	}
	h := New(Sink{
		Enabled: func(l Level) bool { return l >= Warn },
		Write:   func(l Level, line []byte) { lines = append(lines, fmt.Sprintf("%d %s", l, line)) },
	})
	r := slog.NewRecord(time.Time{}, slog.LevelDebug, "more than Envoy logs", 0)
	r.AddAttrs(slog.Any("record", json.RawMessage(`{}`)))
	if err := h.Handle(t.Context(), r); err != nil {
		t.Fatalf("Handle: %v", err)
	}
	want = append(want, `3 msg="more than Envoy logs" level=DEBUG record={}`)
	if strings.Join(lines, "|") != strings.Join(want, "|") {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
}
