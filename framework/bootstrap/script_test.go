package bootstrap_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/framework/bootstrap"
	"mosn.io/moe/framework/bootstrap/bootstraptest"
)

// script is an extension whose methods are a test's.
type script struct {
	Name string `json:"name" validate:"required"`
}

// methods are what a script does. What is nil does nothing.
type methods struct {
	timeout     time.Duration // instead of bootstrap.InitTimeout
	initialized func(ctx context.Context, s *bootstrap.Server) error
	drain       func(s *bootstrap.Server)
	shutdown    func(ctx context.Context, s *bootstrap.Server)
	pages       func() []bootstrap.Page
}

// scripts are the methods of the tests that run, by name.
var scripts sync.Map

func init() { bootstrap.Register[script]("script") }

func (s *script) methods() *methods {
	m, _ := scripts.Load(s.Name)
	return m.(*methods)
}

// InitTimeout is bootstrap's.
func (s *script) InitTimeout() time.Duration {
	if t := s.methods().timeout; t > 0 {
		return t
	}
	return bootstrap.InitTimeout
}

// OnServerInitialized is bootstrap's.
func (s *script) OnServerInitialized(ctx context.Context, e *bootstrap.Server) error {
	if f := s.methods().initialized; f != nil {
		return f(ctx, e)
	}
	return nil
}

// OnDrainStarted is bootstrap's.
func (s *script) OnDrainStarted(e *bootstrap.Server) {
	if f := s.methods().drain; f != nil {
		f(e)
	}
}

// OnShutdown is bootstrap's.
func (s *script) OnShutdown(ctx context.Context, e *bootstrap.Server) {
	if f := s.methods().shutdown; f != nil {
		f(ctx, e)
	}
}

// AdminPages is bootstrap's.
func (s *script) AdminPages() []bootstrap.Page {
	if f := s.methods().pages; f != nil {
		return f()
	}
	return nil
}

// load makes an extension of methods.
func load(t *testing.T, m methods) (*bootstraptest.Extension[script], error) {
	t.Helper()
	scripts.Store(t.Name(), &m)
	return bootstraptest.New[script](t, fmt.Sprintf("name: %q", t.Name()))
}

// start makes one, and has Envoy be initialized.
func start(t *testing.T, m methods) *bootstraptest.Extension[script] {
	t.Helper()
	x, err := load(t, m)
	if err != nil {
		t.Fatalf("bootstraptest.New: %v", err)
	}
	x.Start()
	return x
}
