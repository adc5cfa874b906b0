// Package udptest is the in-memory host for unit tests of UDP filters:
//
//	f, err := udptest.New[Ping](t, "word: hello")
//	got := f.Receive(udptest.Peer{}, "hello")
//	if diff := cmp.Diff(udptest.Result{Sent: []udptest.Sent{{Data: "pong"}}}, got); diff != "" {
package udptest

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"mosn.io/moe/framework/extension"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/internal/testhost"
	"mosn.io/moe/framework/udp"
)

var newFilter = udp.Internals(core.Internal{}).NewFilter

// Filter is a UDP filter with a configuration. Its methods may be called from any goroutine.
type Filter[T any] struct {
	Config *T

	t      testing.TB
	env    *extension.Env
	filter *udp.Filter
	panics atomic.Int64
}

// New makes the UDP filter whose registered struct is T from a configuration as an operator writes it, YAML or JSON:
// decoded strictly, validated, provisioned. It is closed when the test ends. The error is what an operator would see.
func New[T any](t testing.TB, conf string) (*Filter[T], error) {
	t.Helper()
	base := testhost.Of[T](extension.Bases(udp.Registrations()))
	value, env, err := testhost.Provision[T](t, "udptest", base, conf)
	if err != nil {
		return nil, err
	}
	f := &Filter[T]{Config: value, t: t, env: env}
	f.filter = newFilter(udp.Lookup(base.Name), value, env.Log(), func() { f.panics.Add(1) })
	return f, nil
}

// Peer is where a datagram comes from and the address that it was sent to.
type Peer struct{ Remote, Local netip.AddrPort }

// Result is what becomes of a datagram.
type Result struct {
	Passed bool
	Data   string // what the next filter sees, if it passed
	Sent   []Sent
}

// Sent is a datagram that the filter has sent.
type Sent struct {
	To   netip.AddrPort // the zero value in a reply to the client
	Data string
}

// Receive has a client send a datagram.
func (f *Filter[T]) Receive(from Peer, data string) Result {
	o := f.filter.Arrived(udp.Arrival{Remote: from.Remote, Local: from.Local, Data: []byte(data)})
	var r Result
	switch o.Verdict {
	case udp.Pass:
		r.Passed, r.Data = true, data
	case udp.Changed:
		r.Passed, r.Data = true, string(o.Data)
	}
	for _, s := range o.Sends {
		r.Sent = append(r.Sent, Sent{s.To, string(s.Data)})
	}
	return r
}

// Counted returns the sum of a counter that the filter has declared, over all tags: "denied" for env.Counter("denied").
func (f *Filter[T]) Counted(name string) int64 {
	f.t.Helper()
	return testhost.Counted(f.t, f.env, name)
}

// Panics returns how many panics were caught.
func (f *Filter[T]) Panics() int { return int(f.panics.Load()) }
