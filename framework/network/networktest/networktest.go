// Package networktest is the in-memory host for unit tests of network filters:
//
//	f, err := networktest.New[Guard](t, "deny: [FLUSHALL]")
//	c := f.Connect(networktest.Peer{})
//	c.FromClient("GET a\r\n")
//	if got := c.ToUpstream(); got != "GET a\r\n" {
package networktest

import (
	"testing"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/testhost"
	"mosn.io/moe/framework/network"
)

var newFlow = network.Internals(core.Internal{}).NewFlow

// Filter is a network filter with a configuration.
type Filter[T any] struct {
	Config *T

	t   testing.TB
	reg *network.Registration
	env *extension.Env
}

// New makes the network filter whose registered struct is T from a configuration as an operator writes it, YAML or JSON:
// decoded strictly, validated, provisioned. It is closed when the test ends. The error is what an operator would see.
func New[T any](t testing.TB, conf string) (*Filter[T], error) {
	t.Helper()
	base := testhost.Of[T](extension.Bases(network.Registrations()))
	value, env, err := testhost.Provision[T](t, "networktest", base, conf)
	if err != nil {
		return nil, err
	}
	return &Filter[T]{value, t, network.Lookup(base.Name), env}, nil
}

// Counted returns the sum of a counter that the filter has declared, over all tags: "denied" for env.Counter("denied").
func (f *Filter[T]) Counted(name string) int64 {
	f.t.Helper()
	return testhost.Counted(f.t, f.env, name)
}

// Connect begins a connection. It ends with the test.
func (f *Filter[T]) Connect(p Peer) *Conn {
	f.t.Helper()
	c := &Conn{t: f.t, peer: p, limit: 1 << 20}
	if p.BufferLimit > 0 {
		c.limit = p.BufferLimit
	}
	c.flow = newFlow(f.reg, f.Config, f.env.Log(), envoy{c})
	c.wants = f.reg.Wants()
	f.t.Cleanup(c.Abort)
	c.begin()
	return c
}
