// Package bootstraptest is the in-memory host for unit tests of bootstrap extensions:
//
//	e, err := bootstraptest.New[Blocklist](t, "file: list.txt")
//	e.Start()
//	e.Eventually("a list", e.Ready)
//	if status, text := e.Get("/blocklist"); status != 200 {
package bootstraptest

import (
	"testing"
	"time"

	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/testhost"
)

var (
	shared      = extension.Internals(core.Internal{})
	newInstance = bootstrap.Internals(core.Internal{}).NewInstance
)

// Extension is a bootstrap extension, in an Envoy that this package plays.
type Extension[T any] struct {
	Config *T

	*Envoy
	t   testing.TB
	reg *bootstrap.Registration
	env *extension.Env
}

// New makes the bootstrap extension whose registered struct is T from a configuration as an operator writes it, YAML or
// JSON: decoded strictly, validated, provisioned. Envoy is not initialized yet, and ends with the test, if not before. The
// error is what an operator would see.
func New[T any](t testing.TB, conf string) (*Extension[T], error) {
	t.Helper()
	base := testhost.Of[T](extension.Bases(bootstrap.Registrations()))
	value, env, err := testhost.Provision[T](t, "bootstraptest", base, conf)
	if err != nil {
		return nil, err
	}
	x := &Extension[T]{Config: value, Envoy: newEnvoy(t), t: t, reg: bootstrap.Lookup(base.Name), env: env}
	if x.instance, err = newInstance(x.reg, value, env.Log(), host{x.Envoy}); err != nil {
		return nil, err
	}
	go x.loop()
	t.Cleanup(x.destroy)
	return x, nil
}

// Counted returns the sum of a counter that the extension has declared, over all tags: "reads" for env.Counter("reads").
func (x *Extension[T]) Counted(name string) int64 {
	x.t.Helper()
	full := "moe." + x.reg.Name + "." + name
	for _, m := range shared.Metrics(x.env) {
		if m.Name == full {
			return m.Sum()
		}
	}
	x.t.Errorf("the extension has no metric %s", full)
	return 0
}

// Eventually waits until ok returns true, for extensions with goroutines, and fails the test after ten seconds.
func (x *Extension[T]) Eventually(what string, ok func() bool) {
	x.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			x.t.Fatalf("%s: not within 10s", what)
		}
	}
}
