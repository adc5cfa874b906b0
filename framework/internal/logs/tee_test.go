package logs

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// sendTo has lines go to a record, too, for one test.
func sendTo(t *testing.T) *record {
	t.Helper()
	r := &record{}
	SendTo(r.handler())
	t.Cleanup(func() { SendTo(nil) })
	return r
}

// What a host logs goes to the second handler as well, with what loggers have added, whenever that handler came.
func TestTee(t *testing.T) {
	var host record
	log := slog.New(Tee(fromInfo{host.handler()}))
	derived := log.With("a", 1).WithGroup("g").With("b", 2).WithGroup("")
	derived.Info("before")
	first := sendTo(t)
	derived.Info("hello", "c", 3)
	log.Debug("the host does not want it")
	second := sendTo(t)
	derived.Info("again")
	SendTo(nil)
	derived.Info("after")
	want := []string{"level=INFO msg=hello a=1 g.b=2 g.c=3"}
	if diff := cmp.Diff(want, first.take()); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"level=INFO msg=again a=1 g.b=2"}, second.take()); diff != "" {
		t.Errorf("its successor (-want +got):\n%s", diff)
	}
	want = []string{
		"level=INFO msg=before a=1 g.b=2", "level=INFO msg=hello a=1 g.b=2 g.c=3", "level=INFO msg=again a=1 g.b=2",
		"level=INFO msg=after a=1 g.b=2",
	}
	if diff := cmp.Diff(want, host.take()); diff != "" {
		t.Errorf("the host (-want +got):\n%s", diff)
	}
}

// broken is a value that panics when somebody reads it.
type broken struct{}

func (broken) Error() string { panic("no text") }

// named is a value that says what it is.
type named struct{ text string }

func (n named) LogValue() slog.Value { return slog.StringValue(n.text) }

// Whatever a plugin logs is sent on as what every collector takes.
func TestSentLinesArePlain(t *testing.T) {
	for name, c := range map[string]struct {
		in   slog.Attr
		want any
	}{
		"text":             {slog.String("k", "v"), "v"},
		"broken UTF-8":     {slog.String("k", "a\xffb"), "a\uFFFDb"},
		"a number":         {slog.Int("k", 7), int64(7)},
		"a truth value":    {slog.Bool("k", true), true},
		"an error":         {slog.Any("k", errors.New("no\xff luck")), "no\uFFFD luck"},
		"JSON":             {slog.Any("k", json.RawMessage(`{"a":1}`)), `{"a":1}`},
		"a list":           {slog.Any("k", []string{"a", "b"}), "[a b]"},
		"nothing":          {slog.Any("k", nil), "<nil>"},
		"a value of ours":  {slog.Any("k", named{"x"}), "x"},
		"an error's panic": {slog.Any("k", broken{}), "(a logs.broken whose text cannot be had: its method panics)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)
			r.AddAttrs(c.in)
			plain(r).Attrs(func(a slog.Attr) bool {
				if diff := cmp.Diff(c.want, a.Value.Any()); diff != "" {
					t.Errorf("the value (-want +got):\n%s", diff)
				}
				return true
			})
		})
	}
	t.Run("a group", func(t *testing.T) {
		r := slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)
		r.AddAttrs(slog.Group("g", slog.Any("e", errors.New("x\xff"))))
		plain(r).Attrs(func(a slog.Attr) bool {
			if got := a.Value.Group()[0].Value.String(); got != "x\uFFFD" {
				t.Errorf("the value in the group is %q, want valid text", got)
			}
			return true
		})
	})
}

// FuzzPlainText has any bytes sent on as text of bounded length.
func FuzzPlainText(f *testing.F) {
	f.Add("hello")
	f.Add("\xff\xfe")
	f.Add(strings.Repeat("é", maxText))
	f.Fuzz(func(t *testing.T, s string) {
		got := plainText(s)
		if !utf8.ValidString(got) || len(got) > 3*maxText+4 {
			t.Errorf("%d bytes became %d, valid: %v", len(s), len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(s) && len(s) <= maxText && got != s {
			t.Errorf("%q became %q, want it as it is", s, got)
		}
	})
}

// Without a second handler, a line costs no more than without a tee.
func TestTeeIsFreeWhereOff(t *testing.T) {
	h := slog.DiscardHandler
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0)
	r.AddAttrs(slog.String("k", "v"))
	to := Tee(h)
	if n := testing.AllocsPerRun(100, func() { _ = to.Handle(context.Background(), r) }); n != 0 {
		t.Errorf("a line allocates %v times, want 0", n)
	}
}
