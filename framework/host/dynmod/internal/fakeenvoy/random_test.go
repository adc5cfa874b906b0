package fakeenvoy_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/framework/host/dynmod/internal/fakeenvoy"
)

var randomTime = flag.Duration("fake.duration", 2*time.Second, "how long TestRandomLives goes on")

const (
	workers = 4
	atOnce  = 24 // streams of a worker
)

// live is a stream of the random test.
type live struct {
	*fakeenvoy.Stream
	sent [2]int // what of each direction has come: 0 nothing, 1 headers, 2 the end
}

// Workers run streams through their lives in any order that Envoy may choose, with plugins of every kind that call the
// streams from goroutines, while the main thread replaces the configurations, which call over clusters themselves.
func TestRandomLives(t *testing.T) {
	m := startMain(t)
	random := rand.New(rand.NewPCG(3, 3))
	deeds := []string{"", "go", "call", "call", "leave", "wait", "body", "reply", "reader", "panic"}
	make := func(n int) *fakeenvoy.Config {
		deed := deeds[n%len(deeds)]
		switch random.IntN(4) {
		case 0:
			return m.configOf(t, "fakeasker", document(deed, fmt.Sprintf(`, "touch": %v`, n%3 != 0)))
		case 1:
			return m.configOf(t, "fakeanswerer", document(deed, fmt.Sprintf(`, "touch": %v`, n%3 != 0)))
		}
		return m.config(t, document(deed, fmt.Sprintf(`, "background": %v`, n%3 != 0)))
	}
	// What workers take their configurations from.
	var mu sync.Mutex
	current := []*fakeenvoy.Config{}
	for n := range deeds {
		current = append(current, make(n))
	}
	m.do(func() { m.serve = append(m.serve, current...) })
	end := time.Now().Add(*randomTime)
	var lives atomic.Int64
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			worker(func(thread *fakeenvoy.Thread) {
				random := rand.New(rand.NewPCG(uint64(i), 2))
				var all []*live
				for tag := i + 1; time.Now().Before(end); tag += workers {
					for len(all) < atOnce {
						mu.Lock()
						c := current[random.IntN(len(current))]
						s := fakeenvoy.NewStream(c, thread, tag)
						mu.Unlock()
						if s == nil {
							t.Error("a configuration ended while it was Envoy's")
							return
						}
						s.Manners(random.IntN(2) == 0, random.IntN(2) == 0)
						all = append(all, &live{Stream: s})
						lives.Add(1)
						tag += workers
					}
					at := random.IntN(len(all))
					all[at].step(random)
					if all[at].Outcome().Destroyed {
						all[at] = all[len(all)-1]
						all = all[:len(all)-1]
					}
					if random.IntN(4) == 0 {
						thread.Run()
					}
				}
				for _, s := range all {
					s.end()
				}
				mu.Lock()
				c := current[0]
				mu.Unlock()
				flush(c, thread)
			})
		})
	}
	replaced := 0
	for n := len(deeds); time.Now().Before(end); n++ {
		c := make(n)
		at := n % len(deeds)
		mu.Lock()
		old := current[at]
		current[at] = c
		mu.Unlock()
		m.do(func() {
			m.serve = append(m.serve, c)
			old.Release()
		})
		replaced++
		time.Sleep(2 * time.Millisecond)
	}
	wg.Wait()
	for _, c := range current[1:] {
		m.do(c.Release)
	}
	if !pollFor(func() bool { return running.Load() == 0 }) {
		t.Errorf("%d goroutines of plugins are left, want 0", running.Load())
	}
	m.do(current[0].Release)
	t.Logf("%d streams, %d configurations replaced", lives.Load(), replaced)
	check(t, "in the end")
}

func pollFor(f func() bool) bool {
	for deadline := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// step is what Envoy may do next with a stream.
func (s *live) step(random *rand.Rand) {
	switch n := random.IntN(20); {
	case s.Outcome().Destroyed:
	case n == 0:
		s.end()
	case n == 1:
		s.Watermark(random.IntN(2) == 0)
	case n == 2:
		s.LocalReply()
	case n == 3:
		s.ClearRoute()
	case n < 7:
		if all := s.Callouts(); len(all) > 0 {
			step(all[random.IntN(len(all))], random)
		}
	case n < 14 || s.sent[request] == 0:
		s.event(request, random)
	default:
		s.event(response, random)
	}
}

// event is the next of a direction.
func (s *live) event(dir int, random *rand.Rand) {
	switch {
	case s.sent[dir] == 2:
	case s.sent[dir] == 0:
		last := random.IntN(4) == 0
		s.sent[dir] = 1
		if last {
			s.sent[dir] = 2
		}
		s.Headers(dir, last)
	case random.IntN(8) == 0:
		s.sent[dir] = 2
		s.Trailers(dir)
	default:
		last := random.IntN(6) == 0
		if last {
			s.sent[dir] = 2
		}
		s.Data(dir, "some bytes", last)
	}
}

// end completes and destroys a stream, with what Envoy may still tell in between.
func (s *live) end() {
	if s.Outcome().Destroyed {
		return
	}
	s.Complete()
	for _, o := range s.Callouts() {
		o.Reset()
	}
	s.Destroy()
}
