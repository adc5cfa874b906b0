package network

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// elsewhere is a host that is asked on another goroutine than that of the event.
type elsewhere struct{ Host }

// Wake is Host's.
func (elsewhere) Wake() {}

// Received is Host's.
func (elsewhere) Received(_ Direction, p []byte) ([]byte, bool) { return p, false }

// Bytes that a goroutine could not have are there yet for the method.
func TestBytesElsewhere(t *testing.T) {
	var log bytes.Buffer
	f := &Flow{host: elsewhere{}, log: slog.New(slog.NewTextHandler(&log, nil))}
	d := &Data{flow: f, dir: Read, inEnvoy: 3, fresh: true}
	if got := d.Bytes(); got != nil {
		t.Errorf("Bytes are %q, want none", got)
	}
	if got := d.Len(); got != 3 {
		t.Errorf("Len is %d, want 3", got)
	}
	if !d.untouched(3) {
		t.Error("the bytes do not pass as Envoy has them")
	}
	if !strings.Contains(log.String(), "misuse: Data.Bytes") {
		t.Errorf("the log has %q, want a misuse", log.String())
	}
}

// The end of a flow leaves no timer behind, and nothing that was kept.
func TestEndLeavesNothing(t *testing.T) {
	f := &Flow{host: elsewhere{}, log: slog.New(slog.DiscardHandler)}
	late := f.after(time.Hour, func() {})
	dropped := 0
	for dir := range f.ways {
		f.ways[dir] = way{
			held: []byte("a"), queue: []byte("b"), out: []byte("c"), queueEnd: true, outEnd: true,
			sent: []func(){func() { dropped++ }},
		}
	}
	f.End()
	if late.Stop() {
		t.Error("a timer was left to run")
	}
	if later := f.after(0, func() { t.Error("a function is called after the end") }); later.Stop() {
		t.Error("a timer runs that was made after the end")
	}
	for dir := range f.ways {
		w := &f.ways[dir]
		if n := len(w.held) + len(w.queue) + len(w.out) + len(w.sent); n != 0 || w.queueEnd || w.outEnd {
			t.Errorf("the %v direction has kept %+v", Direction(dir), *w)
		}
	}
	if dropped != 2 {
		t.Errorf("%d of those who wait for bytes to go on have heard of the end, want 2", dropped)
	}
}
