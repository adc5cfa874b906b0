package fakeenvoy_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

const patience = 10 * time.Second

// mainThread is Envoy's. It serves the callouts of its configurations as it likes.
type mainThread struct {
	thread  *fakeenvoy.Thread
	calls   chan func()
	serve   []*fakeenvoy.Config
	random  *rand.Rand
	stopped chan struct{}
}

func startMain(t *testing.T) *mainThread {
	m := &mainThread{calls: make(chan func()), random: rand.New(rand.NewPCG(1, 1)), stopped: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread() // until it ends, and the thread with it: to the module it is Envoy's
		defer close(m.stopped)
		m.thread = fakeenvoy.NewMain()
		close(ready)
		for {
			select {
			case f, ok := <-m.calls:
				if !ok {
					return
				}
				f()
			case <-time.After(200 * time.Microsecond):
			}
			m.thread.Run()
			for _, c := range m.serve {
				m.answer(c)
			}
		}
	}()
	<-ready
	t.Cleanup(func() {
		close(m.calls)
		<-m.stopped
	})
	return m
}

// answer takes some callouts of c a step on.
func (m *mainThread) answer(c *fakeenvoy.Config) {
	if c.Destroyed() {
		return
	}
	for _, o := range c.Callouts() {
		step(o, m.random)
	}
}

// step is something that may happen to a callout.
func step(o fakeenvoy.Callout, random *rand.Rand) {
	switch random.IntN(12) {
	case 0:
		o.Headers(false)
	case 1:
		o.Headers(true)
	case 2:
		o.Data(random.IntN(3) == 0)
	case 3:
		o.Trailers()
	case 4, 5:
		o.Complete()
	case 6:
		o.Reset()
	case 7:
		o.Headers(false)
		o.Data(true)
		o.Complete()
	}
}

// do runs f on the main thread and waits for it.
func (m *mainThread) do(f func()) {
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// config makes a configuration of the plugin fakeprobe.
func (m *mainThread) config(t *testing.T, plugin string) *fakeenvoy.Config {
	t.Helper()
	return m.configOf(t, "fakeprobe", plugin)
}

func (m *mainThread) configOf(t *testing.T, name, plugin string) *fakeenvoy.Config {
	t.Helper()
	var c *fakeenvoy.Config
	var err error
	m.do(func() { c, err = fakeenvoy.NewConfig(m.thread, name, plugin) })
	if err != nil {
		t.Fatalf("configuration %s: %v\n%s", plugin, err, strings.Join(fakeenvoy.Log(), "\n"))
	}
	return c
}

// worker runs f on a thread of its own.
func worker(f func(t *fakeenvoy.Thread)) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		f(fakeenvoy.NewThread())
	}()
	<-done
}

// flush has the module hear of all streams that are destroyed on this thread.
func flush(c *fakeenvoy.Config, t *fakeenvoy.Thread) {
	s := fakeenvoy.NewStream(c, t, 1)
	s.Headers(fakeenvoy.Request, true)
	s.Complete()
	s.Destroy()
	s = fakeenvoy.NewStream(c, t, 2) // now the module frees what it keeps until Envoy has destroyed the stream before
	s.Complete()
	s.Destroy()
}

// poll runs the thread until f holds.
func poll(t *fakeenvoy.Thread, f func() bool) bool {
	for deadline := time.Now().Add(patience); ; {
		t.Run()
		if f() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// problems is what must not have happened since the last call: faults, panics of the framework, and texts of one stream
// that another has got.
func problems() (all []string) {
	for _, f := range fakeenvoy.Faults() {
		all = append(all, "fault: "+f)
	}
	for _, l := range fakeenvoy.Log() {
		if strings.Contains(l, "framework panic") {
			all = append(all, l)
		}
	}
	for _, s := range takeForeign() {
		all = append(all, "of another stream: "+s)
	}
	return all
}

// check fails the test for problems, each kind once.
func check(t *testing.T, what string) {
	t.Helper()
	times := map[string]int{}
	for _, p := range problems() {
		times[p]++
	}
	for _, p := range slices.Sorted(maps.Keys(times)) {
		t.Errorf("%s, %d times: %s", what, times[p], strings.ReplaceAll(p, `\n`, "\n"))
	}
}

func document(do string, more ...string) string {
	return fmt.Sprintf(`{"do": %q%s}`, do, strings.Join(more, ""))
}
