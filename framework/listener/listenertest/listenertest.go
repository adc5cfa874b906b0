// Package listenertest is the in-memory host for unit tests of listener filters:
//
//	f, err := listenertest.New[ProxyProtocol](t, "trusted: [10.0.0.0/8]")
//	s := f.Accept(listenertest.Peer{Remote: netip.MustParseAddrPort("10.0.0.1:9")})
//	s.FromClient("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")
//	if got := s.Rest(); got != "hello" {
package listenertest

import (
	"testing"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/testhost"
	"mosn.io/moe/framework/listener"
)

var newFlow = listener.Internals(core.Internal{}).NewFlow

// Filter is a listener filter with a configuration.
type Filter[T any] struct {
	Config *T

	t   testing.TB
	reg *listener.Registration
	env *extension.Env
}

// New makes the listener filter whose registered struct is T from a configuration as an operator writes it, YAML or JSON:
// decoded strictly, validated, provisioned. It is closed when the test ends. The error is what an operator would see.
func New[T any](t testing.TB, conf string) (*Filter[T], error) {
	t.Helper()
	base := testhost.Of[T](extension.Bases(listener.Registrations()))
	value, env, err := testhost.Provision[T](t, "listenertest", base, conf)
	if err != nil {
		return nil, err
	}
	return &Filter[T]{value, t, listener.Lookup(base.Name), env}, nil
}

// Counted returns the sum of a counter that the filter has declared, over all tags: "denied" for env.Counter("denied").
func (f *Filter[T]) Counted(name string) int64 {
	f.t.Helper()
	return testhost.Counted(f.t, f.env, name)
}

// Accept has a client connect. The connection ends with the test.
func (f *Filter[T]) Accept(p Peer) *Socket {
	f.t.Helper()
	s := &Socket{t: f.t, known: p.known(), direct: p}
	s.flow = newFlow(f.reg, f.Config, f.env.Log(), envoy{s})
	f.t.Cleanup(s.CloseFromClient)
	s.enter(func() { s.take(s.flow.Accepted()) })
	return s
}
