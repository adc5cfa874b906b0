package bootstraptest

import (
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/bootstrap"
)

// Envoy is what an extension runs in. A goroutine is its main thread. Its methods may be called from any goroutine, but not by
// the extension.
type Envoy struct {
	t        testing.TB
	instance *bootstrap.Instance
	calls    chan func() // for the main thread
	ended    chan struct{}
	onMain   bool // a call of the main thread's is under way; its own
	end      sync.Once

	mu       sync.Mutex // guards what follows
	woken    bool
	readies  int
	panics   int
	failures int
	taken    map[string]bool // paths of pages, also of Envoy's own
	counters map[string]uint64
	gauges   map[string]uint64
	sums     map[string]sum // of histograms
	overview bootstrap.Overview
}

type sum struct {
	count uint64
	sum   float64
}

func newEnvoy(t testing.TB) *Envoy {
	return &Envoy{
		t: t, calls: make(chan func()), ended: make(chan struct{}),
		taken: map[string]bool{"/stats": true}, counters: map[string]uint64{}, gauges: map[string]uint64{}, sums: map[string]sum{},
	}
}

// loop is the main thread.
func (e *Envoy) loop() {
	for {
		select {
		case <-e.ended:
			return
		case f := <-e.calls:
			e.onMain = true
			f()
			e.onMain = false
		}
	}
}

// do runs f on the main thread and waits for it; not once Envoy has ended.
func (e *Envoy) do(f func()) bool {
	done := make(chan struct{})
	select {
	case e.calls <- func() {
		defer close(done)
		f()
	}:
		<-done
		return true
	case <-e.ended:
		return false
	}
}

// destroy has Envoy give the extension up.
func (e *Envoy) destroy() {
	e.end.Do(func() {
		e.do(e.instance.End)
		close(e.ended)
	})
}

// Start has Envoy be initialized: it may wait for the extension from now on.
func (e *Envoy) Start() {
	e.t.Helper()
	if !e.do(e.instance.Initialized) {
		e.t.Error("Envoy has ended")
	}
}

// Ready reports whether Envoy need not wait for the extension.
func (e *Envoy) Ready() bool {
	if !e.instance.NeedsInit() {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.readies > 0
}

// Drain has Envoy begin to drain.
func (e *Envoy) Drain() { e.do(e.instance.Drain) }

// Shutdown has Envoy end, which waits for the extension. It returns how long that took.
func (e *Envoy) Shutdown() time.Duration {
	e.t.Helper()
	begun := time.Now()
	done := make(chan struct{})
	e.do(func() { e.instance.Shutdown(func() { close(done) }) })
	select {
	case <-done:
	case <-time.After(12 * bootstrap.ShutdownTimeout): // a busy machine is late
		e.t.Errorf("Envoy still waits for the extension, %v after it began to end", 12*bootstrap.ShutdownTimeout)
	}
	e.destroy()
	return time.Since(begun)
}

// Get asks for a page of the extension's, as a browser does at Envoy's admin interface: target is the path and the query.
func (e *Envoy) Get(target string) (status int, text string) { return e.Request("GET", target, "") }

// Post does the same with POST and a body.
func (e *Envoy) Post(target, body string) (status int, text string) {
	return e.Request("POST", target, body)
}

// Request does the same with any method.
func (e *Envoy) Request(method, target, body string) (status int, text string) {
	e.t.Helper()
	if !e.do(func() {
		var p []byte
		status, p = e.instance.Page(method, target, []byte(body))
		text = string(p)
	}) {
		e.t.Error("Envoy has ended")
	}
	return status, text
}

// SetCounter has Envoy have a counter.
func (e *Envoy) SetCounter(name string, value uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counters[name] = value
}

// SetGauge has Envoy have a gauge.
func (e *Envoy) SetGauge(name string, value uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gauges[name] = value
}

// SetHistogram has Envoy have a histogram.
func (e *Envoy) SetHistogram(name string, count uint64, total float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sums[name] = sum{count, total}
}

// SetOverview says what is at work in the process.
func (e *Envoy) SetOverview(o bootstrap.Overview) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.overview = o
}

// Panics returns how many panics were caught.
func (e *Envoy) Panics() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.panics
}

// InitFailures returns how many initializations have failed.
func (e *Envoy) InitFailures() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failures
}
