package nethttp_test

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/chain"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/nethttp"
)

// hook is a middleware made by a test.
type hook struct {
	F func(next http.Handler) http.Handler `json:"-"`
}

func (h *hook) Wrap(next http.Handler) http.Handler { return h.F(next) }

func init() { nethttp.Register[hook]("hook", filter.Transform) }

// handler makes a middleware of a function that is given next.
func handler(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) *hook {
	return &hook{func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f(w, r, next) })
	}}
}

func pass(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

// wire is one stream whose events a test makes one by one.
type wire struct {
	t    *testing.T
	st   *chain.Stream
	loop chan func()
	stop chan struct{}
	idle sync.WaitGroup

	mu      sync.Mutex
	bugs    []string
	headers [2][]core.Field
	body    [2]bytes.Buffer
	trailer [2]http.Header
	ended   [2]bool
	reset   string
}

// newWire starts a stream through middlewares. At the test's end no goroutine may be left.
func newWire(t *testing.T, hooks ...*hook) *wire {
	before := runtime.NumGoroutine()
	w := openWire(t, hooks...)
	t.Cleanup(func() {
		w.done()
		for end := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				buf := make([]byte, 1<<20)
				t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
			}
		}
	})
	return w
}

// openWire is newWire without that check, for tests that run side by side.
func openWire(t *testing.T, hooks ...*hook) *wire {
	w := &wire{t: t, loop: make(chan func(), 64), stop: make(chan struct{})}
	var ps []chain.Plugin
	for i, h := range hooks {
		ps = append(ps, chain.Plugin{Name: "hook" + strconv.Itoa(i), Reg: filter.Lookup("hook"), Config: h})
	}
	w.idle.Go(func() {
		for {
			select {
			case f := <-w.loop:
				f()
			case <-w.stop:
				return
			}
		}
	})
	c := chain.New(ps, chain.Options{Misuse: func(_, what string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.bugs = append(w.bugs, what)
	}})
	w.do(func() { w.st = c.Start(w, w) })
	return w
}

// do runs f on the stream's thread.
func (w *wire) do(f func()) {
	ready := make(chan struct{})
	w.loop <- func() { defer close(ready); f() }
	<-ready
}

// done ends the stream, as when the client goes away.
func (w *wire) done() {
	if w.st == nil {
		return
	}
	w.do(func() { w.st.Done() })
	w.st = nil
	close(w.stop)
	w.idle.Wait()
}

func (w *wire) block(i int, pairs []string) {
	w.st.Mu.Lock()
	defer w.st.Mu.Unlock()
	b := &w.st.H[i]
	b.Fields, b.Present = b.Fields[:0], true
	for p := range slices.Chunk(pairs, 2) {
		b.Fields = append(b.Fields, core.Field{Name: p[0], Value: p[1]})
	}
}

func (w *wire) request(method, path string, end bool, fields ...string) {
	w.do(func() {
		pseudo := []string{":method", method, ":path", path, ":scheme", "http", ":authority", "a"}
		w.block(core.RequestHeaders, append(pseudo, fields...))
		w.st.Headers(core.Request, end)
	})
}

func (w *wire) respond(status string, end bool, fields ...string) {
	w.do(func() {
		w.block(core.ResponseHeaders, append([]string{":status", status}, fields...))
		w.st.Headers(core.Response, end)
	})
}

func (w *wire) data(dir core.Direction, p string, end bool) {
	w.do(func() { w.st.Data(dir, []byte(p), end) })
}

func (w *wire) trailers(dir core.Direction, fields ...string) {
	w.do(func() {
		w.block(dir.Trailers(), fields)
		w.st.Trailers(dir)
	})
}

// until waits for something to be so.
func (w *wire) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		is := ok()
		w.mu.Unlock()
		if is {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("waited for %s; status %q, bodies %q and %q, ended %v, reset %q, bugs %q", what,
				w.get(core.Response, ":status"), w.body[0].String(), w.body[1].String(), w.ended, w.reset, w.bugs)
		}
	}
}

func (w *wire) untilSent(dir core.Direction, body string) {
	w.t.Helper()
	w.until(strconv.Quote(body), func() bool { return w.body[dir].String() == body })
}

func (w *wire) untilEnd(dir core.Direction) {
	w.t.Helper()
	w.until("the end", func() bool { return w.ended[dir] || w.reset != "" })
}

func (w *wire) get(dir core.Direction, name string) string {
	for _, f := range w.headers[dir] {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func (w *wire) Headers(dir core.Direction, end bool) {
	w.st.Mu.Lock()
	fields := slices.Clone(w.st.H[dir.Headers()].Fields)
	w.st.Mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.headers[dir], w.ended[dir] = fields, end
}

func (w *wire) Data(dir core.Direction, p []byte, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body[dir].Write(p)
	w.ended[dir] = end
}

func (w *wire) Trailers(dir core.Direction) {
	w.st.Mu.Lock()
	fields := slices.Clone(w.st.H[dir.Trailers()].Fields)
	w.st.Mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trailer[dir], w.ended[dir] = http.Header{}, true
	for _, f := range fields {
		w.trailer[dir].Add(f.Name, f.Value)
	}
}

func (w *wire) Reset(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reset = reason
}

func (w *wire) Post(f func()) {
	select {
	case w.loop <- f:
	case <-w.stop:
	}
}

func (w *wire) Attribute(name string) (string, error) {
	v, ok := map[string]string{"source.address": "10.0.0.1:99", "request.protocol": "HTTP/2"}[name]
	if !ok {
		return "", filter.ErrNotFound
	}
	return v, nil
}
func (w *wire) Metadata(string, string) (any, error)  { return nil, filter.ErrNotFound }
func (w *wire) SetMetadata(string, string, any) error { return nil }
func (w *wire) FilterState(string) (string, error)    { return "", filter.ErrNotFound }
func (w *wire) SetFilterState(string, string) error   { return nil }
func (w *wire) ClearRouteCache() error                { return nil }
func (w *wire) SetUpstreamHost(string, bool) error    { return nil }
func (w *wire) Secret(string) (string, error)         { return "", nil }
func (w *wire) Fetch(int) []core.Field                { return nil }
func (w *wire) BufferLimit() int                      { return 0 }
func (w *wire) Escaped()                              {}

func (w *wire) bugged(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Contains(strings.Join(w.bugs, "\n"), what)
}
