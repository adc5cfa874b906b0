package extension

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
)

var door = Internals(core.Internal{})

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
	e, closeEnv := door.NewEnv(EnvConfig{Host: h, ID: "a", Plugin: "a"})
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
		t.Errorf("h.log.String() = %q, want it to contain %q, and it to contain %q",
			h.log.String(), "boom", "env_test.go")
	}
}

func TestEnvCloseIsBounded(t *testing.T) {
	h := &host{}
	e, _ := door.NewEnv(EnvConfig{Host: h, ID: "a", Plugin: "a"})
	stop := make(chan struct{})
	e.Go(func(context.Context) { <-stop })
	e.close(time.Millisecond)
	if h.mu.Lock(); !strings.Contains(h.log.String(), "left behind") {
		t.Errorf("h.log.String() = %q, want it to contain %q", h.log.String(), "left behind")
	}
	h.mu.Unlock()
	close(stop)
	<-e.idle
}

func TestMetrics(t *testing.T) {
	e, _ := door.NewEnv(EnvConfig{Host: &host{}, ID: "second", Plugin: "a"})
	c := e.Counter("hits")
	if again := e.Counter("hits"); again.m != c.m {
		t.Error("a counter that is declared again is another one")
	}
	c.Inc()
	c.Add(2)
	if n := door.Sum(c); n != 3 {
		t.Errorf("the sum is %d, want 3", n)
	}
	tagged, two := e.Tag("rule").Counter("by_rule"), e.Tag("rule").Tag("host").Histogram("size")
	door.Seal(e)
	door.Seal(e)
	var names []string
	for _, m := range door.Metrics(e) {
		names = append(names, m.Name+" "+strings.Join(m.Tags, ","))
	}
	if diff := cmp.Diff([]string{"moe.second.hits ", "moe.second.by_rule rule", "moe.second.size rule,host"}, names); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
	tagged.With("x").Inc()
	tagged.With("x").Inc()
	tagged.With("").Add(5)
	two.With("a", "b").Record(7)
	two.With("a", "b").Record(8)
	got := map[string][]int64{}
	for _, m := range door.Metrics(e) {
		m.Flush(func(s core.Sample) {
			key := m.Series(s.Values)
			got[key] = append(got[key], s.N)
		})
	}
	want := map[string][]int64{
		"moe.second.hits": {3}, "moe.second.by_rule;rule=x": {2}, "moe.second.by_rule;rule=": {5},
		"moe.second.size;rule=a;host=b": {7, 8},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// A metric must be declared in Provision, and once.
func TestMetricsPanic(t *testing.T) {
	for name, f := range map[string]func(*Env){
		"late":           func(e *Env) { door.Seal(e); e.Gauge("late") },
		"late, tagged":   func(e *Env) { door.Seal(e); e.Tag("t").Gauge("late") },
		"another tag":    func(e *Env) { e.Tag("kind").Counter("hits") },
		"another kind":   func(e *Env) { e.Gauge("hits") },
		"another number": func(e *Env) { e.Tag("rule").Tag("kind").Counter("hits") },
		"no tag":         func(e *Env) { e.Counter("by_rule") },
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := door.NewEnv(EnvConfig{Host: &host{}, ID: "a", Plugin: "a"})
			e.Counter("hits")
			e.Tag("rule").Counter("by_rule")
			defer func() {
				if recover() == nil {
					t.Error("the declaration is accepted")
				}
			}()
			f(e)
		})
	}
}

// A plugin that was not provisioned counts nothing.
func TestNilMetrics(t *testing.T) {
	var (
		none   *Counter
		tagged *Tagged[*Counter]
		two    *Tagged2[*Gauge]
	)
	none.Inc()
	(*Gauge)(nil).Add(1)
	(*Histogram)(nil).Record(1)
	tagged.With("a").Inc()
	two.With("a", "b").Add(1)
	if n := door.Sum(none); n != 0 {
		t.Errorf("the sum of no counter is %d", n)
	}
}

// Values of tags may come from requests: those beyond maxRemembered, and what is beyond 128 bytes of one, are counted
// together.
func TestTagsAreBounded(t *testing.T) {
	e, _ := door.NewEnv(EnvConfig{Host: &host{}, ID: "bounded", Plugin: "bounded"})
	c := e.Tag("tenant").Counter("hits")
	for range 2 {
		for i := range maxRemembered + 10 {
			c.With(strconv.Itoa(i)).Inc()
		}
	}
	if n := len(*c.t.known.Load()); n != maxRemembered {
		t.Errorf("%d values are remembered, want %d", n, maxRemembered)
	}
	long := e.Tag("tenant").Counter("long")
	for _, end := range []string{"a", "b"} {
		long.With(strings.Repeat("x", 128) + end).Inc()
	}
	if n := len(*long.t.known.Load()); n != 0 {
		t.Errorf("%d long values are remembered, want 0", n)
	}
	got := map[string]int64{}
	for _, m := range door.Metrics(e) {
		m.Flush(func(s core.Sample) { got[s.Values[0]] += s.N })
	}
	for value, want := range map[string]int64{
		"0": 2, strconv.Itoa(maxRemembered - 1): 2, strconv.Itoa(maxRemembered): 0, core.OtherValues: 20, strings.Repeat("x", 128): 2,
	} {
		t.Run(value, func(t *testing.T) {
			if n := got[value]; n != want {
				t.Errorf("the value was counted %d times, want %d", n, want)
			}
		})
	}
	if n := len(got); n != maxRemembered+2 {
		t.Errorf("%d values were counted, want %d", n, maxRemembered+2)
	}
}

func TestTagsDoNotAllocate(t *testing.T) {
	e, _ := door.NewEnv(EnvConfig{Host: &host{}, ID: "a", Plugin: "a"})
	one, two := e.Tag("a").Counter("one"), e.Tag("a").Tag("b").Gauge("two")
	if n := testing.AllocsPerRun(100, func() {
		one.With("x").Inc()
		two.With("x", "y").Add(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
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
		t.Errorf("json.Marshal: %v", err)
	}
	out.Write(j)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "v", v)
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "68756e74") {
		t.Errorf("out.String() = %q, want it without %q, and it without %q", out.String(), "hunter2", "68756e74")
	}
	if !s.Equal("hunter2") || s.Equal("hunter") || (Secret{}).Equal("") || (Secret{}).Reveal() != "" {
		t.Error("Equal")
	}
}
