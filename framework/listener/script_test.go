package listener_test

import (
	"fmt"
	"testing"

	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/listener/listenertest"
)

// script is a filter whose methods are a test's.
type script struct {
	Name string `json:"name"`
}

// methods are what a script does. What is nil continues.
type methods struct {
	new    func(s *listener.Socket)
	accept func(s *listener.Socket) listener.Action
	data   func(s *listener.Socket, p []byte) listener.Action
	close  func(s *listener.Socket)
}

// scripts are the methods of the tests that run, by name.
var scripts = map[string]*methods{}

func init() { listener.RegisterPerSocket("script", (*script).newFilter) }

func (s *script) newFilter(of *listener.Socket) *methods {
	m := scripts[s.Name]
	if m.new != nil {
		m.new(of)
	}
	return m
}

// OnAccept is listener's.
func (m *methods) OnAccept(s *listener.Socket) listener.Action {
	if m.accept == nil {
		return listener.Continue
	}
	return m.accept(s)
}

// OnData is listener's.
func (m *methods) OnData(s *listener.Socket, p []byte) listener.Action {
	if m.data == nil {
		return listener.Continue
	}
	return m.data(s, p)
}

// OnClose is listener's.
func (m *methods) OnClose(s *listener.Socket) {
	if m.close != nil {
		m.close(s)
	}
}

// accept has a client connect to a filter of methods.
func accept(t *testing.T, m methods, p listenertest.Peer) *listenertest.Socket {
	t.Helper()
	scripts[t.Name()] = &m
	f, err := listenertest.New[script](t, fmt.Sprintf("name: %q", t.Name()))
	if err != nil {
		t.Fatalf("listenertest.New: %v", err)
	}
	return f.Accept(p)
}

// peek asks for bytes.
func peek(least, most int) func(*listener.Socket) listener.Action {
	return func(*listener.Socket) listener.Action { return listener.Peek(least, most) }
}

// wantClosed waits until the filter has closed the connection.
func wantClosed(t *testing.T, s *listenertest.Socket, details string) {
	t.Helper()
	s.Eventually("closing", func() bool { return s.Closed() != "" || s.Passed() })
	if got := s.Closed(); got != details {
		t.Errorf("closed with %q, want %q", got, details)
	}
}
