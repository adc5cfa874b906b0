package conformance

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
)

// Control proves that the scenarios can fail: it runs them on an Envoy without the filter, and fails for each that
// passes there, unless it is Neutral.
func Control(t *testing.T, h Host) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	h.Build(t)
	for _, g := range Groups() {
		t.Run(g.Name, func(t *testing.T) {
			t.Parallel()
			s := startStation(t, none{h}, bins[0], workDir(t))
			defer func() { s.stop(t) }()
			for _, sc := range g.Scenarios {
				r := &recorder{TB: t}
				r.run(func() {
					sc.Run(&Bed{TB: r, station: s, Patience: 300 * time.Millisecond, mark: s.hostMark()})
				})
				if !r.failed && !sc.Neutral {
					t.Errorf("%s passes without the filter: it cannot fail", sc.Name)
				}
				if r.failed && sc.Neutral {
					t.Errorf("%s is called neutral, but fails without the filter: %s", sc.Name, r.first)
				}
				if err := s.Envoy.Alive(); err != nil {
					t.Fatalf("s.Envoy.Alive: %v", err)
				}
			}
		})
	}
}

// recorder is a testing.TB whose failure is not the test's.
type recorder struct {
	testing.TB
	failed   bool
	first    string
	cleanups []func()
}

func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for len(r.cleanups) > 0 {
				last := r.cleanups[len(r.cleanups)-1]
				r.cleanups = r.cleanups[:len(r.cleanups)-1]
				last()
			}
		}()
		f()
	}()
	<-done
}

func (r *recorder) fail(s string) {
	if !r.failed {
		r.first = s
	}
	r.failed = true
}

func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool              { return r.failed }
func (r *recorder) Fail()                     { r.fail("") }
func (r *recorder) Error(a ...any)            { r.fail(sprint(a)) }
func (r *recorder) Errorf(f string, a ...any) { r.fail(sprintf(f, a)) }
func (r *recorder) Fatal(a ...any)            { r.fail(sprint(a)); runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.fail(sprintf(f, a)); runtime.Goexit() }
func (r *recorder) FailNow()                  { r.fail(""); runtime.Goexit() }
func (r *recorder) Log(...any)                {}
func (r *recorder) Logf(string, ...any)       {}

func sprint(a []any) string            { return fmt.Sprint(a...) }
func sprintf(f string, a []any) string { return fmt.Sprintf(f, a...) }
