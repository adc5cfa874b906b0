package network_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
)

type none struct{}

type misspelt struct{}

func (*misspelt) OnReed(*network.Conn, *network.Data) network.Action { return network.Continue }

type wrongSignature struct{}

func (*wrongSignature) OnClose(*network.Conn) {}

func TestRegisterPanics(t *testing.T) {
	for _, c := range []struct {
		name, want string
		register   func()
	}{
		{"no method", "none of OnConnection", func() { network.Register[none]("none") }},
		{"a misspelt method", "OnReed is not a method of network filters", func() { network.Register[misspelt]("misspelt") }},
		{"a wrong signature", "OnClose must be func", func() { network.Register[wrongSignature]("wrong") }},
		{"a name that is taken", "duplicate", func() { network.Register[only]("script") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, c.want) {
					t.Errorf("the panic is %q, want %q in it", got, c.want)
				}
			}()
			c.register()
		})
	}
}

// only has one method.
type only struct{}

func init() { network.Register[only]("only") }

// OnConnection is network's.
func (*only) OnConnection(*network.Conn) network.Action { return network.Continue }

// A filter that has no more methods for a connection costs nothing, and its handle ends.
func TestLetGo(t *testing.T) {
	f, err := networktest.New[only](t, "")
	if err != nil {
		t.Fatalf("networktest.New: %v", err)
	}
	c := f.Connect(networktest.Peer{})
	c.FromClient("abc")
	c.FromUpstream("def")
	wantPassed(t, c, "abc", "def")
	if n := c.Crossings(); n != 1 {
		t.Errorf("%d events have entered the filter, want 1", n)
	}
}

func TestDone(t *testing.T) {
	var kept *network.Conn
	for _, c := range []struct {
		name      string
		m         methods
		crossings int // of a, b from the client and c, d from the upstream, and the end
	}{
		{"from OnConnection", methods{connection: func(*network.Conn) network.Action { return network.Done }}, 2},
		{"from OnRead", methods{read: func(*network.Conn, *network.Data) network.Action { return network.Done }}, 5},
		{"of both directions", methods{read: func(*network.Conn, *network.Data) network.Action { return network.DoneAll }}, 3},
		{"never", methods{}, 6},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.m.close = func(c *network.Conn, _ network.Closer) { kept = c }
			conn := connect(t, c.m, networktest.Peer{})
			conn.FromClient("a")
			conn.FromClient("b")
			conn.FromUpstream("c")
			conn.FromUpstream("d")
			wantPassed(t, conn, "ab", "cd")
			conn.Abort()
			if n := conn.Crossings(); n != c.crossings {
				t.Errorf("%d events have entered the filter, want %d", n, c.crossings)
			}
			if n := conn.Copies(); n != 0 {
				t.Errorf("bytes were copied %d times, and nobody has asked for them", n)
			}
			if err := kept.Close("late"); !errors.Is(err, network.ErrDone) {
				t.Errorf("Close of a connection that has ended: %v, want ErrDone", err)
			}
		})
	}
}

// lines passes whole lines on and holds the rest.
func lines(_ *network.Conn, d *network.Data) network.Action {
	if d.End() {
		return network.Continue
	}
	return network.Pass(strings.LastIndexByte(string(d.Bytes()), '\n') + 1)
}

func TestHold(t *testing.T) {
	for _, c := range []struct {
		name   string
		chunks []string
		end    bool
		want   string
	}{
		{"nothing but a part", []string{"ab"}, false, ""},
		{"one byte at a time", strings.Split("ab\ncd\ne", ""), false, "ab\ncd\n"},
		{"more than one line", []string{"a\nb\nc", "\n"}, false, "a\nb\nc\n"},
		{"the end", []string{"a\nb"}, true, "a\nb"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t, methods{read: lines, write: lines}, networktest.Peer{})
			for _, chunk := range c.chunks {
				conn.FromClient(chunk)
				conn.FromUpstream(chunk)
			}
			if c.end {
				conn.EndFromClient("")
				conn.EndFromUpstream("")
			}
			wantPassed(t, conn, c.want, c.want)
			if conn.Ended(network.Read) != c.end || conn.Ended(network.Write) != c.end {
				t.Errorf("the ends have passed: %v, %v; want %v", conn.Ended(network.Read), conn.Ended(network.Write), c.end)
			}
		})
	}
}

// hold always holds.
func hold(*network.Conn, *network.Data) network.Action { return network.Hold }

func TestHoldBounds(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(c *networktest.Conn)
		want networktest.Closed
	}{
		{
			"more than the limit from the client", func(c *networktest.Conn) { c.FromClient("12345") },
			networktest.Closed{Details: "moe.script: more bytes than the buffer limit would be held"},
		},
		{
			"more than the limit, in parts, from the upstream",
			func(c *networktest.Conn) { c.FromUpstream("123"); c.FromUpstream("45") },
			networktest.Closed{Details: "moe.script: more bytes than the buffer limit would be held"},
		},
		{
			"at the end", func(c *networktest.Conn) { c.FromClient("12"); c.EndFromClient("") },
			networktest.Closed{Reset: true, Details: "moe.script: misuse"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(t, methods{read: hold, write: hold}, networktest.Peer{BufferLimit: 4})
			c.send(conn)
			wantClosed(t, conn, c.want)
			conn.FromClient("more")
			conn.FromUpstream("more")
			wantPassed(t, conn, "", "")
		})
	}
}

func TestSet(t *testing.T) {
	upper := func(_ *network.Conn, d *network.Data) network.Action {
		d.Set([]byte(strings.ToUpper(string(d.Bytes()))))
		return network.Continue
	}
	c := connect(t, methods{read: upper, write: upper}, networktest.Peer{})
	c.FromClient("abc")
	c.EndFromUpstream("def")
	wantPassed(t, c, "ABC", "DEF")
}

// What is injected goes before what a method has at hand, and before what is held.
func TestInject(t *testing.T) {
	var conn *network.Conn
	first := true
	c := connect(t, methods{
		connection: func(c *network.Conn) network.Action {
			conn = c
			return network.Continue
		},
		read: func(c *network.Conn, d *network.Data) network.Action {
			if first {
				first = false
				if err := errors.Join(c.Inject(network.Read, []byte("<")), c.Inject(network.Write, []byte(">"))); err != nil {
					t.Errorf("Inject: %v", err)
				}
				return network.Pass(1)
			}
			return network.Continue
		},
	}, networktest.Peer{})
	c.FromClient("ab")
	wantPassed(t, c, "<a", ">")
	if err := conn.Inject(network.Read, []byte("|")); err != nil {
		t.Errorf("Inject from another goroutine: %v", err)
	}
	wantPassed(t, c, "<a|", ">")
	c.FromClient("c")
	wantPassed(t, c, "<a|bc", ">")
	if err := conn.End(network.Read); err != nil {
		t.Errorf("End: %v", err)
	}
	c.Eventually("the end", func() bool { return c.Ended(network.Read) })
	if err := conn.Inject(network.Read, []byte("late")); !errors.Is(err, network.ErrEnded) {
		t.Errorf("Inject after End: %v, want ErrEnded", err)
	}
	c.FromClient("dropped")
	wantPassed(t, c, "<a|bc", ">")
}

// What is injected for the upstream waits until there is one.
func TestInjectBeforeUpstream(t *testing.T) {
	c := connect(t, methods{connection: func(c *network.Conn) network.Action {
		if err := c.Inject(network.Read, []byte("hello ")); err != nil {
			t.Errorf("Inject: %v", err)
		}
		return network.Continue
	}}, networktest.Peer{NotReady: true})
	c.FromClient("world")
	if got := c.ToUpstream(); got != "" {
		t.Errorf("%q was passed on, and there is no upstream", got)
	}
	c.Ready()
	wantPassed(t, c, "hello world", "")
}

// A connection waits for a function of Go, and what comes meanwhile is kept in order.
func TestGo(t *testing.T) {
	for _, c := range []struct {
		name string
		m    func(wait func(context.Context) network.Action) methods
	}{
		{"from OnConnection", func(wait func(context.Context) network.Action) methods {
			return methods{
				connection: func(*network.Conn) network.Action { return network.Go(wait) },
				read:       lines,
			}
		}},
		{"from OnRead and OnWrite", func(wait func(context.Context) network.Action) methods {
			both := func(*network.Conn, *network.Data) network.Action { return network.Go(wait) }
			return methods{read: both, write: both}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			release := make(chan struct{})
			conn := connect(t, c.m(func(context.Context) network.Action {
				<-release
				return network.Continue
			}), networktest.Peer{BufferLimit: 4})
			for _, chunk := range []string{"ab\n", "c\n", "d\n", "e\n"} {
				conn.FromClient(chunk)
			}
			conn.EndFromClient("")
			conn.FromUpstream("one")
			conn.EndFromUpstream("two")
			wantPassed(t, conn, "", "")
			close(release)
			wantPassed(t, conn, "ab\nc\nd\ne\n", "onetwo")
			conn.Eventually("the ends", func() bool { return conn.Ended(network.Read) && conn.Ended(network.Write) })
		})
	}
}

// A function of Go ends with the connection, and what it returns then is dropped.
func TestGoEndsWithConnection(t *testing.T) {
	ended := make(chan error, 1)
	c := connect(t, methods{read: func(*network.Conn, *network.Data) network.Action {
		return network.Go(func(ctx context.Context) network.Action {
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return network.Continue
		})
	}}, networktest.Peer{})
	c.FromClient("a")
	c.Abort()
	if err := <-ended; !errors.Is(err, network.ErrDone) {
		t.Errorf("the context's cause is %v, want ErrDone", err)
	}
	wantPassed(t, c, "", "")
}

func TestAfterFunc(t *testing.T) {
	var timer *network.Timer
	c := connect(t, methods{
		connection: func(c *network.Conn) network.Action {
			timer = c.AfterFunc(time.Hour, func() { t.Error("a timer that was stopped") })
			c.AfterFunc(time.Millisecond, func() {
				if err := c.Close("too late"); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			return network.Done
		},
	}, networktest.Peer{})
	if !timer.Stop() || timer.Stop() {
		t.Error("Stop: want true once, and false then")
	}
	wantClosed(t, c, networktest.Closed{Details: "moe.script: too late"})
}

func TestClose(t *testing.T) {
	for _, tc := range []struct {
		name   string
		action network.Action
		want   networktest.Closed
		client string
	}{
		{"Close", network.Close("enough"), networktest.Closed{Details: "moe.script: enough"}, "bye"},
		{"Reset", network.Reset("enough"), networktest.Closed{Reset: true, Details: "moe.script: enough"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var by []network.Closer
			c := connect(t, methods{
				write: func(c *network.Conn, _ *network.Data) network.Action {
					if err := c.Inject(network.Write, []byte("bye")); err != nil {
						t.Errorf("Inject: %v", err)
					}
					return tc.action
				},
				close: func(_ *network.Conn, b network.Closer) { by = append(by, b) },
			}, networktest.Peer{})
			c.FromUpstream("secret")
			wantClosed(t, c, tc.want)
			if tc.client != "" {
				wantPassed(t, c, "", tc.client)
			}
			if got := c.ToClient(); strings.Contains(got, "secret") {
				t.Errorf("%q has passed", got)
			}
			if diff := cmp.Diff([]network.Closer{network.ByLocal}, by); diff != "" {
				t.Errorf("calls of OnClose (-want +got):\n%s", diff)
			}
		})
	}
}

// A panic resets the connection, wherever it is, and nothing passes.
func TestPanics(t *testing.T) {
	explode := func() network.Action { panic("boom") }
	send := func(c *networktest.Conn) {
		c.FromClient("a")
		c.FromUpstream("b")
	}
	for _, tc := range []struct {
		name string
		m    methods
	}{
		{"newFilter", methods{new: func(*network.Conn) { explode() }}},
		{"OnConnection", methods{connection: func(*network.Conn) network.Action { return explode() }}},
		{"OnRead", methods{
			read:  func(*network.Conn, *network.Data) network.Action { return explode() },
			write: hold,
		}},
		{"OnWrite", methods{
			write: func(*network.Conn, *network.Data) network.Action { return explode() },
			read:  hold,
		}},
		{"a function of Go", methods{read: func(*network.Conn, *network.Data) network.Action {
			return network.Go(func(context.Context) network.Action { return explode() })
		}, write: hold}},
		{"a function of AfterFunc", methods{connection: func(c *network.Conn) network.Action {
			c.AfterFunc(0, func() { explode() })
			return network.Continue
		}, read: hold, write: hold}},
		{"a function of Pipe", methods{connection: func(*network.Conn) network.Action {
			return network.Pipe(func(context.Context, network.Peer, network.Peer) error { panic("boom") })
		}}},
		{"Goexit in a function of Go", methods{read: func(*network.Conn, *network.Data) network.Action {
			return network.Go(func(context.Context) network.Action { runtime.Goexit(); return network.Continue })
		}, write: hold}},
		{"Goexit in a function of Pipe", methods{connection: func(*network.Conn) network.Action {
			return network.Pipe(func(context.Context, network.Peer, network.Peer) error { runtime.Goexit(); return nil })
		}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, tc.m, networktest.Peer{})
			send(c)
			wantClosed(t, c, networktest.Closed{Reset: true, Details: "moe.script: panic"})
			send(c)
			wantPassed(t, c, "", "")
			if n := c.Panics(); n != 1 {
				t.Errorf("%d panics are counted, want 1", n)
			}
		})
	}
	t.Run("OnClose", func(t *testing.T) {
		c := connect(t, methods{close: func(*network.Conn, network.Closer) { explode() }}, networktest.Peer{})
		c.Abort()
		if n := c.Panics(); n != 1 {
			t.Errorf("%d panics are counted, want 1", n)
		}
	})
}

// What a connection is asked is answered while it lives, and by zero values afterwards.
func TestFacts(t *testing.T) {
	type facts struct {
		Remote, Local, Direct netip.AddrPort
		ServerName            string
		TLS                   network.TLS
		Upstream              network.Upstream
		State                 string
		Number                any
	}
	var kept *network.Conn
	ask := func() (f facts) {
		f.Remote, f.Local, f.Direct = kept.RemoteAddr(), kept.LocalAddr(), kept.DirectRemoteAddr()
		f.ServerName = kept.ServerName()
		f.TLS, _ = kept.TLS()
		f.Upstream, _ = kept.Upstream()
		f.State, _ = kept.FilterState("envoy.tcp_proxy.cluster")
		f.Number, _ = kept.Metadata("moe", "n")
		return f
	}
	var got facts
	peer := networktest.Peer{
		Remote: netip.MustParseAddrPort("10.0.0.1:1"), Local: netip.MustParseAddrPort("10.0.0.2:2"),
		DirectRemote: netip.MustParseAddrPort("10.0.0.3:3"), ServerName: "a.example",
		TLS:      &network.TLS{Subject: "CN=a", DNSNames: []string{"a"}, URIs: []string{"spiffe://a"}},
		Upstream: &network.Upstream{Addr: netip.MustParseAddrPort("10.0.0.4:4"), Hostname: "up", Cluster: "c"},
	}
	c := connect(t, methods{connection: func(c *network.Conn) network.Action {
		kept = c
		if err := c.SetUpstreamCluster("other"); err != nil {
			t.Errorf("SetUpstreamCluster: %v", err)
		}
		if err := c.SetUpstreamCluster("again"); !errors.Is(err, network.ErrExists) {
			t.Errorf("SetUpstreamCluster again: %v, want ErrExists", err)
		}
		if err := c.SetMetadata("moe", "n", uint8(7)); err != nil {
			t.Errorf("SetMetadata: %v", err)
		}
		if err := c.SetMetadata("moe", "list", []string{"x"}); !errors.Is(err, network.ErrUnsupported) {
			t.Errorf("SetMetadata of a list: %v, want ErrUnsupported", err)
		}
		got = ask()
		return network.Continue
	}}, peer)
	want := facts{
		Remote: peer.Remote, Local: peer.Local, Direct: peer.DirectRemote, ServerName: "a.example",
		TLS: *peer.TLS, Upstream: *peer.Upstream, State: "other", Number: 7.0,
	}
	addresses := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	if diff := cmp.Diff(want, got, addresses); diff != "" {
		t.Errorf("in a method (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, ask(), addresses); diff != "" {
		t.Errorf("on another goroutine (-want +got):\n%s", diff)
	}
	c.Abort()
	if diff := cmp.Diff(facts{}, ask(), addresses); diff != "" {
		t.Errorf("after the end (-want +got):\n%s", diff)
	}
	if err := kept.SetMetadata("moe", "n", 1); !errors.Is(err, network.ErrDone) {
		t.Errorf("SetMetadata after the end: %v, want ErrDone", err)
	}
}

// Bytes that were kept beyond their method are gone.
func TestDataEnds(t *testing.T) {
	var kept *network.Data
	c := connect(t, methods{read: func(_ *network.Conn, d *network.Data) network.Action {
		kept = d
		return network.Continue
	}}, networktest.Peer{})
	c.FromClient("abc")
	kept.Set([]byte("late"))
	if kept.Len() != 0 || kept.Bytes() != nil {
		t.Errorf("%d bytes (%q) are there, want none", kept.Len(), kept.Bytes())
	}
	wantPassed(t, c, "abc", "")
}
