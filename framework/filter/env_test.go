package filter

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

type host struct {
	mu  sync.Mutex
	log bytes.Buffer
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.log.Write(p)
}
func (h *host) Name() string                                { return "test" }
func (h *host) Capabilities() uint32                        { return uint32(CanCallout | CanSetMetadata) }
func (h *host) Transport(string) (http.RoundTripper, error) { return nil, ErrUnsupported }
func (h *host) Log() slog.Handler                           { return slog.NewTextHandler(h, nil) }

func TestEnvGo(t *testing.T) {
	h := &host{}
	e, closeEnv := NewEnv(EnvConfig{Host: h, ID: "a", Plugin: "a"})
	done := make(chan struct{})
	if !e.Go(func(ctx context.Context) { <-ctx.Done(); close(done) }) || !e.Go(func(context.Context) { panic("boom") }) {
		t.Error("refused")
	}
	closeEnv()
	select {
	case <-done:
	default:
		t.Error("Close does not wait")
	}
	if e.Go(func(context.Context) { t.Error("runs") }) {
		t.Error("started after Close")
	}
	closeEnv()
	if !strings.Contains(h.log.String(), "boom") || !strings.Contains(h.log.String(), "env_test.go") {
		t.Error(h.log.String())
	}
}

func TestEnvCloseIsBounded(t *testing.T) {
	h := &host{}
	e, _ := NewEnv(EnvConfig{Host: h, ID: "a", Plugin: "a"})
	stop := make(chan struct{})
	e.Go(func(context.Context) { <-stop })
	e.close(time.Millisecond)
	if h.mu.Lock(); !strings.Contains(h.log.String(), "left behind") {
		t.Error(h.log.String())
	}
	h.mu.Unlock()
	close(stop)
	<-e.idle
}

func TestMetrics(t *testing.T) {
	e, _ := NewEnv(EnvConfig{Host: &host{}, ID: "second", Plugin: "a"})
	c := e.Counter("hits", "rule")
	if e.Counter("hits", "rule").m != c.m {
		t.Error("declared twice")
	}
	c.Inc("x")
	c.Add(2, "y")
	if c.Value() != 3 || e.Metrics()[0].Name != "moe.second.hits" {
		t.Error(c.Value(), e.Metrics()[0].Name)
	}
	for name, f := range map[string]func(){
		"late":      func() { e.Gauge("late") },
		"different": func() { e.Counter("hits") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name, "is accepted")
				}
			}()
			f()
		}()
	}
	var none *Counter
	none.Inc()
	(*Gauge)(nil).Add(1)
	(*Histogram)(nil).Record(1)
	if none.Value() != 0 {
		t.Error("nil")
	}
}

func TestSecret(t *testing.T) {
	s := NewSecret("hunter2")
	type both struct {
		S Secret
		s Secret
		P *Secret
	}
	v := both{s, s, &s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, v)
		fmt.Fprintf(&out, verb, s)
		fmt.Fprintf(&out, verb, &s)
	}
	j, err := json.Marshal(v)
	if err != nil {
		t.Error(err)
	}
	out.Write(j)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "v", v)
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "68756e74") {
		t.Error(out.String())
	}
	if !s.Equal("hunter2") || s.Equal("hunter") || (Secret{}).Equal("") || (Secret{}).Reveal() != "" {
		t.Error("Equal")
	}
}

func TestTraceparent(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"
	for v, ok := range map[string]bool{
		"00-" + id + "01": true, "00-" + id + "00": true, "cc-" + id + "01-future": true, "cc-" + id + "01": true,
		"": false, "00-" + id + "01-x": false, "ff-" + id + "01": false, "00-" + id + "0g": false, "00-" + id + "0": false,
		"00-" + strings.ToUpper(id) + "01": false, "00_" + id + "01": false, "cc-" + id + "01x": false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": false,
	} {
		if _, got := parseTraceparent(v); got != ok {
			t.Errorf("%q: %v", v, got)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Fuzz(func(t *testing.T, v string) {
		if sc, ok := parseTraceparent(v); ok && (!sc.IsValid() || !strings.HasPrefix(v[3:], sc.TraceID().String())) {
			t.Error(v)
		}
	})
}
