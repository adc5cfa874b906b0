package bootstrap_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/bootstrap/bootstraptest"
)

// Envoy waits until OnServerInitialized has returned, however it does, and calls the methods in order.
func TestInitialized(t *testing.T) {
	for _, c := range []struct {
		name        string
		initialized func(context.Context, *bootstrap.Server) error
		timeout     time.Duration
		failures    int
		panics      int
	}{
		{name: "at once", initialized: func(context.Context, *bootstrap.Server) error { return nil }},
		{name: "an error", initialized: func(context.Context, *bootstrap.Server) error { return errors.New("no file") }, failures: 1},
		{name: "a panic", initialized: func(context.Context, *bootstrap.Server) error { panic("as told") }, failures: 1, panics: 1},
		{
			name:        "Goexit",
			initialized: func(context.Context, *bootstrap.Server) error { runtime.Goexit(); return nil },
			failures:    1, panics: 1,
		},
		{
			name: "too late", timeout: time.Millisecond, failures: 1,
			initialized: func(ctx context.Context, _ *bootstrap.Server) error { <-ctx.Done(); return ctx.Err() },
		},
		{
			name: "never", timeout: time.Millisecond, failures: 1,
			initialized: func(_ context.Context, s *bootstrap.Server) error { <-s.Context().Done(); return nil },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := start(t, methods{initialized: c.initialized, timeout: c.timeout})
			x.Eventually("Envoy going on", x.Ready)
			x.Eventually("the counts", func() bool { return x.InitFailures() == c.failures && x.Panics() == c.panics })
		})
	}
}

// Envoy waits, and no longer than it must.
func TestInitializedWaits(t *testing.T) {
	begun, let := make(chan struct{}), make(chan struct{})
	x := start(t, methods{initialized: func(context.Context, *bootstrap.Server) error {
		close(begun)
		<-let
		return nil
	}})
	<-begun
	if x.Ready() {
		t.Error("Envoy goes on before OnServerInitialized has returned")
	}
	close(let)
	x.Eventually("Envoy going on", x.Ready)
}

// Methods are called one after the other; a panic in one is the next one's beginning.
func TestOrder(t *testing.T) {
	var mu sync.Mutex
	var told []string
	tell := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, what)
	}
	x := start(t, methods{
		initialized: func(context.Context, *bootstrap.Server) error { tell("initialized"); return nil },
		drain:       func(*bootstrap.Server) { tell("drain"); panic("as told") },
		shutdown: func(ctx context.Context, _ *bootstrap.Server) {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the context of OnShutdown has no deadline")
			}
			tell("shutdown")
		},
	})
	x.Drain()
	x.Shutdown()
	if diff := cmp.Diff([]string{"initialized", "drain", "shutdown"}, told); diff != "" {
		t.Errorf("the calls (-want +got):\n%s", diff)
	}
	if n := x.Panics(); n != 1 {
		t.Errorf("%d panics are counted, want 1", n)
	}
}

// Envoy ends while the extension still waits for what it needs: OnServerInitialized hears of it.
func TestShutdownWhileInitializing(t *testing.T) {
	begun := make(chan struct{})
	var ended atomic.Bool
	x := start(t, methods{
		initialized: func(ctx context.Context, _ *bootstrap.Server) error {
			close(begun)
			<-ctx.Done()
			ended.Store(true)
			return ctx.Err()
		},
		shutdown: func(context.Context, *bootstrap.Server) {
			if !ended.Load() {
				t.Error("OnShutdown is called before OnServerInitialized has returned")
			}
		},
	})
	<-begun
	x.Shutdown()
	if !ended.Load() || x.InitFailures() != 0 {
		t.Errorf("ended: %v, %d failures; want the end, and no failure", ended.Load(), x.InitFailures())
	}
}

// Envoy does not wait for ever.
func TestShutdownHangs(t *testing.T) {
	t.Parallel()
	x := start(t, methods{shutdown: func(_ context.Context, s *bootstrap.Server) { <-s.Context().Done() }})
	if took := x.Shutdown(); took < bootstrap.ShutdownTimeout {
		t.Errorf("Envoy has waited for %v, want %v", took, bootstrap.ShutdownTimeout)
	}
}

// A Server answers any goroutine, and after the end with ErrDone.
func TestServer(t *testing.T) {
	servers := make(chan *bootstrap.Server, 1)
	x := start(t, methods{initialized: func(_ context.Context, s *bootstrap.Server) error { servers <- s; return nil }})
	x.SetCounter("a", 1)
	x.SetGauge("b", 2)
	x.SetHistogram("c", 3, 4.5)
	s := <-servers
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				a, errA := s.Counter("a")
				b, errB := s.Gauge("b")
				n, sum, errC := s.Histogram("c")
				if err := errors.Join(errA, errB, errC); err != nil {
					t.Errorf("the server does not answer: %v", err)
				}
				if diff := cmp.Diff([]any{uint64(1), uint64(2), uint64(3), 4.5}, []any{a, b, n, sum}); diff != "" {
					t.Errorf("what Envoy counts (-want +got):\n%s", diff)
				}
			}
		})
	}
	wg.Wait()
	if _, err := s.Counter("none"); !errors.Is(err, bootstrap.ErrNotFound) {
		t.Errorf("Counter of what is not there gives %v, want ErrNotFound", err)
	}
	x.Shutdown()
	if _, err := s.Gauge("b"); !errors.Is(err, bootstrap.ErrDone) {
		t.Errorf("Gauge gives %v at the end, want ErrDone", err)
	}
	if cause := context.Cause(s.Context()); !errors.Is(cause, bootstrap.ErrDone) {
		t.Errorf("the context ends with %v, want ErrDone", cause)
	}
}

// Questions are asked while Envoy ends, at any moment.
func TestServerAtTheEnd(t *testing.T) {
	servers := make(chan *bootstrap.Server, 1)
	x := start(t, methods{initialized: func(_ context.Context, s *bootstrap.Server) error { servers <- s; return nil }})
	x.SetCounter("a", 1)
	s := <-servers
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				n, err := s.Counter("a")
				if errors.Is(err, bootstrap.ErrDone) {
					return
				}
				if err != nil || n != 1 {
					t.Errorf("Counter gives %d, %v", n, err)
					return
				}
			}
		})
	}
	x.Shutdown()
	wg.Wait()
}

// Timers go on after a panic, never overlap, and end when they are stopped or Envoy ends.
func TestTimers(t *testing.T) {
	var ticks, once, running, overlaps atomic.Int32
	servers := make(chan *bootstrap.Server, 1)
	x := start(t, methods{initialized: func(_ context.Context, s *bootstrap.Server) error {
		s.After(time.Millisecond, func(context.Context) { once.Add(1) })
		s.After(time.Hour, func(context.Context) { t.Error("a timer fires that was stopped") })()
		s.Every(0, func(context.Context) {
			if running.Add(1) > 1 {
				overlaps.Add(1)
			}
			defer running.Add(-1)
			switch ticks.Add(1) {
			case 1:
				panic("as told")
			case 2:
				runtime.Goexit()
			}
		})
		servers <- s
		return nil
	}})
	x.Eventually("three ticks", func() bool { return ticks.Load() >= 3 && once.Load() == 1 })
	if n := x.Panics(); n != 2 {
		t.Errorf("%d panics are counted, want 2", n)
	}
	begun, ended := make(chan struct{}), make(chan struct{})
	s := <-servers
	s.Every(time.Millisecond, func(ctx context.Context) {
		close(begun)
		<-ctx.Done()
		close(ended)
	})
	<-begun
	x.Shutdown()
	<-ended
	if n := overlaps.Load(); n != 0 {
		t.Errorf("%d calls of a timer overlap", n)
	}
}

func page(path string, f http.HandlerFunc) func() []bootstrap.Page {
	return func() []bootstrap.Page { return []bootstrap.Page{{Path: path, Help: "a test's", Handler: f}} }
}

// answers asks for a page until the answer is as wanted and begins with text: a machine that is busy may take longer for it
// than Envoy waits.
func answers(t *testing.T, x *bootstraptest.Extension[script], method, target string, wantStatus int, wantText string) {
	t.Helper()
	var status int
	var text string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if status, text = x.Request(method, target, ""); status == wantStatus && strings.HasPrefix(text, wantText) {
			return
		}
	}
	t.Errorf("%s %s is answered with %d %.50q, want %d %q", method, target, status, text, wantStatus, wantText)
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		name, method, target string
		handler              http.HandlerFunc
		status               int
		text                 string // the beginning
		panics               int
	}{
		{
			name: "text", handler: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "to ", r.FormValue("who")) },
			status: 200, text: "to me",
		},
		{name: "nothing", handler: func(http.ResponseWriter, *http.Request) {}, status: 200},
		{name: "a status", handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "none", 404) }, status: 404, text: "none"},
		{name: "a status that is not one", handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(999) }, status: 500},
		{name: "a panic", handler: func(http.ResponseWriter, *http.Request) { panic("as told") }, status: 500, text: "the page panicked", panics: 1},
		{name: "Goexit", handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, status: 500, text: "the page panicked", panics: 1},
		{
			name: "no return", handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
			status: 503, text: "the page takes longer than 1s",
		},
		{
			name: "no end", status: 500, text: "/mine: the page is longer than 1048576 bytes",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			},
		},
		{name: "another method", method: "POST", handler: func(http.ResponseWriter, *http.Request) {}, status: 405},
		{name: "another path", target: "/other", handler: func(http.ResponseWriter, *http.Request) {}, status: 404},
		{name: "a target that cannot be read", target: "/%zz", handler: func(http.ResponseWriter, *http.Request) {}, status: 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := start(t, methods{pages: page("/mine", c.handler)})
			method, target := "GET", "/mine?who=me"
			if c.method != "" {
				method = c.method
			}
			if c.target != "" {
				target = c.target
			}
			answers(t, x, method, target, c.status, c.text)
			if n := x.Panics(); n < c.panics || c.panics == 0 && n > 0 {
				t.Errorf("%d panics are counted, want %d", n, c.panics)
			}
		})
	}
}

// A page that changes something gets its body.
func TestPageChanges(t *testing.T) {
	x := start(t, methods{pages: func() []bootstrap.Page {
		return []bootstrap.Page{{Path: "/mine", Changes: true, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Method, " ", r.FormValue("a"))
		})}}
	}})
	answers(t, x, "POST", "/mine?a=1", 200, "POST 1")
}

// A page may ask Envoy while Envoy waits for it.
func TestPageAsks(t *testing.T) {
	var server atomic.Pointer[bootstrap.Server]
	x := start(t, methods{
		initialized: func(_ context.Context, s *bootstrap.Server) error { server.Store(s); return nil },
		pages: page("/mine", func(w http.ResponseWriter, _ *http.Request) {
			for range 20 {
				n, err := server.Load().Counter("a")
				fmt.Fprint(w, n, err, ";")
			}
		}),
	})
	x.SetCounter("a", 7)
	x.Eventually("Envoy going on", x.Ready)
	answers(t, x, "GET", "/mine", 200, strings.Repeat("7 <nil>;", 20))
}

// Pages that Envoy has itself are not taken over, and the others are there.
func TestPageTaken(t *testing.T) {
	x := start(t, methods{pages: func() []bootstrap.Page {
		return slices.Concat(page("/stats", func(http.ResponseWriter, *http.Request) {})(), page("/mine", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "mine")
		})())
	}})
	answers(t, x, "GET", "/mine", 200, "mine")
}

func TestPagesRefused(t *testing.T) {
	handler := http.NotFoundHandler()
	for _, c := range []struct {
		name, want string
		pages      func() []bootstrap.Page
	}{
		{"no path", `AdminPages[0]: "" is not the path of a page`, func() []bootstrap.Page { return []bootstrap.Page{{Handler: handler}} }},
		{"a query", `"/a?b" is not the path`, func() []bootstrap.Page { return []bootstrap.Page{{Path: "/a?b", Handler: handler}} }},
		{"no handler", "/a has no Handler", func() []bootstrap.Page { return []bootstrap.Page{{Path: "/a"}} }},
		{"twice", "AdminPages[1]: /a is there already", func() []bootstrap.Page {
			return []bootstrap.Page{{Path: "/a", Handler: handler}, {Path: "/a", Handler: handler}}
		}},
		{"a panic", "AdminPages does not return", func() []bootstrap.Page { panic("as told") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := load(t, methods{pages: c.pages}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestConfiguration(t *testing.T) {
	for conf, want := range map[string]string{"{}": "name", "{nam: a}": "unknown field", "{name: {}}": "name"} {
		t.Run(conf, func(t *testing.T) {
			if _, err := bootstraptest.New[script](t, conf); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("bootstraptest.New: got error %v, want one about %q", err, want)
			}
		})
	}
}

type (
	none     struct{}
	misspelt struct{ script }
	wrong    struct{ script }
)

func (*misspelt) OnServerInitialised() {}
func (*wrong) OnShutdown()             {}

func TestRegisterRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"no method":          {func() { bootstrap.Register[none]("none") }, "has no method that Envoy would call"},
		"a misspelt one":     {func() { bootstrap.Register[misspelt]("misspelt") }, "OnServerInitialised is not a method"},
		"another signature":  {func() { bootstrap.Register[wrong]("wrong") }, "OnShutdown must be"},
		"a name that is not": {func() { bootstrap.Register[script]("Script") }, "may only contain"},
		"a name taken":       {func() { bootstrap.Register[script]("script") }, "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), c.want) {
					t.Errorf("Register panics with %v, want %q in it", v, c.want)
				}
			}()
			c.register()
		})
	}
}
