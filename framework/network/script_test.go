package network_test

import (
	"testing"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

// script is a filter whose methods are a test's.
type script struct {
	Name string `json:"name"`
}

// methods are what a script does. What is nil continues.
type methods struct {
	new        func(c *network.Conn)
	connection func(c *network.Conn) network.Action
	read       func(c *network.Conn, d *network.Data) network.Action
	write      func(c *network.Conn, d *network.Data) network.Action
	close      func(c *network.Conn, by network.Closer)
}

// scripts are the methods of the tests that run, by name.
var scripts = map[string]*methods{}

func init() { network.RegisterPerConnection("script", (*script).newFilter) }

func (s *script) newFilter(c *network.Conn) *methods {
	m := scripts[s.Name]
	if m.new != nil {
		m.new(c)
	}
	return m
}

// OnConnection is network's.
func (m *methods) OnConnection(c *network.Conn) network.Action {
	if m.connection == nil {
		return network.Continue
	}
	return m.connection(c)
}

// OnRead is network's.
func (m *methods) OnRead(c *network.Conn, d *network.Data) network.Action {
	if m.read == nil {
		return network.Continue
	}
	return m.read(c, d)
}

// OnWrite is network's.
func (m *methods) OnWrite(c *network.Conn, d *network.Data) network.Action {
	if m.write == nil {
		return network.Continue
	}
	return m.write(c, d)
}

// OnClose is network's.
func (m *methods) OnClose(c *network.Conn, by network.Closer) {
	if m.close != nil {
		m.close(c, by)
	}
}

// connect begins a connection through methods.
func connect(t *testing.T, m methods, p networktest.Peer) *networktest.Conn {
	t.Helper()
	scripts[t.Name()] = &m
	f, err := networktest.New[script](t, "name: "+quoted(t.Name()))
	if err != nil {
		t.Fatalf("networktest.New: %v", err)
	}
	return f.Connect(p)
}

// quoted is s as YAML.
func quoted(s string) string { return "'" + s + "'" }

// wantPassed compares what has passed.
func wantPassed(t *testing.T, c *networktest.Conn, upstream, client string) {
	t.Helper()
	c.Eventually("what passes", func() bool {
		return len(c.ToUpstream()) >= len(upstream) && len(c.ToClient()) >= len(client)
	})
	if got := c.ToUpstream(); got != upstream {
		t.Errorf("%q has passed to the upstream, want %q", got, upstream)
	}
	if got := c.ToClient(); got != client {
		t.Errorf("%q has passed to the client, want %q", got, client)
	}
}

// wantClosed waits until the filter has closed the connection.
func wantClosed(t *testing.T, c *networktest.Conn, want networktest.Closed) {
	t.Helper()
	c.Eventually("closing", func() bool { return c.Closed() != nil })
	if got := *c.Closed(); got != want {
		t.Errorf("closed as %+v, want %+v", got, want)
	}
}
