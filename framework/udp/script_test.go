package udp_test

import (
	"fmt"
	"testing"

	"mosn.io/moe/framework/udp"
	"mosn.io/moe/framework/udp/udptest"
)

// script is a filter whose method is a test's.
type script struct {
	Name string `json:"name"`
}

// scripts are the methods of the tests that run, by name.
var scripts = map[string]func(d *udp.Datagram, p []byte) udp.Action{}

func init() { udp.Register[script]("script") }

// OnDatagram is udp's.
func (s *script) OnDatagram(d *udp.Datagram, p []byte) udp.Action { return scripts[s.Name](d, p) }

// filter is a script.
func filter(t *testing.T, method func(d *udp.Datagram, p []byte) udp.Action) *udptest.Filter[script] {
	t.Helper()
	scripts[t.Name()] = method
	f, err := udptest.New[script](t, fmt.Sprintf("name: %q", t.Name()))
	if err != nil {
		t.Fatalf("udptest.New: %v", err)
	}
	return f
}

// always is a method that returns an action.
func always(a udp.Action) func(*udp.Datagram, []byte) udp.Action {
	return func(*udp.Datagram, []byte) udp.Action { return a }
}
