package listener_test

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/listener"
	"mosn.io/moe/framework/listener/listenertest"
)

type none struct{}

type dataAlone struct{}

func (*dataAlone) OnData(*listener.Socket, []byte) listener.Action { return listener.Continue }

type misspelt struct{ only }

func (*misspelt) OnDate(*listener.Socket, []byte) listener.Action { return listener.Continue }

type wrongSignature struct{ only }

func (*wrongSignature) OnClose() {}

// only has one method.
type only struct{}

func init() { listener.Register[only]("only") }

// OnAccept is listener's. It asks for bytes that the filter could not take.
func (*only) OnAccept(*listener.Socket) listener.Action { return listener.Peek(1, 1) }

func TestRegisterPanics(t *testing.T) {
	for _, c := range []struct {
		name, want string
		register   func()
	}{
		{"no method", "has no OnAccept", func() { listener.Register[none]("none") }},
		{"OnData alone", "has no OnAccept", func() { listener.Register[dataAlone]("data-alone") }},
		{"a misspelt method", "OnDate is not a method of listener filters", func() { listener.Register[misspelt]("misspelt") }},
		{"a wrong signature", "OnClose must be func", func() { listener.Register[wrongSignature]("wrong") }},
		{"a name that is taken", "duplicate", func() { listener.Register[only]("script") }},
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

// OnData gets what Peek asks for, however the client cuts it.
func TestPeek(t *testing.T) {
	const text = "0123456789"
	for _, c := range []struct {
		name   string
		accept listener.Action
		then   []listener.Action // of OnData; the last continues
		pieces []string
		want   []string
	}{
		{name: "in one piece", accept: listener.Peek(4, 6), pieces: []string{text}, want: []string{"012345"}},
		{name: "one byte at a time", accept: listener.Peek(4, 6), pieces: strings.Split(text, ""), want: []string{"0123"}},
		{
			name: "more and more", accept: listener.Peek(1, 1), then: []listener.Action{listener.Peek(3, 3), listener.Peek(9, 9)},
			pieces: []string{text}, want: []string{"0", "012", "012345678"},
		},
		{
			name: "no more than before", accept: listener.Peek(2, 2), then: []listener.Action{listener.Peek(1, 1)},
			pieces: []string{text}, want: []string{"01", "012"},
		},
		{name: "most is less than least", accept: listener.Peek(5, 2), pieces: []string{text}, want: []string{"01234"}},
		{name: "too little", accept: listener.Peek(11, 11), pieces: []string{text}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			s := accept(t, methods{
				accept: func(*listener.Socket) listener.Action { return c.accept },
				data: func(_ *listener.Socket, p []byte) listener.Action {
					got = append(got, string(p))
					if len(got) <= len(c.then) {
						return c.then[len(got)-1]
					}
					return listener.Continue
				},
			}, listenertest.Peer{})
			for _, p := range c.pieces {
				s.FromClient(p)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("what OnData gets (-want +got):\n%s", diff)
			}
			if passed := s.Passed(); passed != (c.want != nil) {
				t.Errorf("passed: %v", passed)
			}
			if s.Rest() != text {
				t.Errorf("those behind see %q, want all", s.Rest())
			}
		})
	}
}

func TestDrain(t *testing.T) {
	s := accept(t, methods{
		accept: peek(2, 9),
		data:   func(*listener.Socket, []byte) listener.Action { return listener.Drain(2) },
	}, listenertest.Peer{})
	s.FromClient("ab")
	s.FromClient("cd")
	if !s.Passed() || s.Rest() != "cd" {
		t.Errorf("passed: %v, with %q behind; want cd", s.Passed(), s.Rest())
	}
}

// What a filter must not return closes the connection.
func TestMisuse(t *testing.T) {
	given := func(a listener.Action) methods {
		return methods{accept: peek(1, 1), data: func(*listener.Socket, []byte) listener.Action { return a }}
	}
	late := func(a listener.Action) methods {
		return methods{accept: func(*listener.Socket) listener.Action {
			return listener.Go(func(context.Context) listener.Action { return a })
		}}
	}
	first := func(a listener.Action) methods {
		return methods{accept: func(*listener.Socket) listener.Action { return a }}
	}
	for _, c := range []struct {
		name string
		m    methods
	}{
		{"drains what it was not given", given(listener.Drain(2))},
		{"drains less than nothing", given(listener.Drain(-1))},
		{"drains in OnAccept", first(listener.Drain(1))},
		{"peeks at nothing", first(listener.Peek(0, 0))},
		{"peeks at too much", first(listener.Peek(1, listener.MaxPeek+1))},
		{"waits for too much", first(listener.Peek(listener.MaxPeek+1, 1))},
		{"peeks on a goroutine", late(listener.Peek(1, 1))},
		{"drains on a goroutine", late(listener.Drain(1))},
		{"goes on and on", late(listener.Go(func(context.Context) listener.Action { return listener.Continue }))},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := accept(t, c.m, listenertest.Peer{})
			s.FromClient("a")
			wantClosed(t, s, "moe.script: misuse")
		})
	}
	t.Run("peeks without OnData", func(t *testing.T) {
		f, err := listenertest.New[only](t, "")
		if err != nil {
			t.Fatalf("listenertest.New: %v", err)
		}
		wantClosed(t, f.Accept(listenertest.Peer{}), "moe.only: misuse")
	})
}

func TestRefuse(t *testing.T) {
	s := accept(t, methods{accept: func(*listener.Socket) listener.Action { return listener.Refuse("not you") }}, listenertest.Peer{})
	wantClosed(t, s, "moe.script: not you")
}

func TestGo(t *testing.T) {
	for _, c := range []struct {
		name string
		a    listener.Action
		want string
	}{
		{"continue", listener.Continue, ""},
		{"refuse", listener.Refuse("late"), "moe.script: late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wait := make(chan bool)
			s := accept(t, methods{accept: func(*listener.Socket) listener.Action {
				return listener.Go(func(context.Context) listener.Action { <-wait; return c.a })
			}}, listenertest.Peer{})
			s.FromClient("abc")
			if s.Passed() || s.Closed() != "" {
				t.Error("decided before the function has returned")
			}
			close(wait)
			wantClosed(t, s, c.want)
		})
	}
}

// Envoy 1.38 cannot be woken, so that a function of Go would never end its wait.
func TestGoWithoutWake(t *testing.T) {
	s := accept(t, methods{accept: func(*listener.Socket) listener.Action {
		return listener.Go(func(context.Context) listener.Action { return listener.Continue })
	}}, listenertest.Peer{NoWake: true})
	wantClosed(t, s, "moe.script: Go takes Envoy 1.39 or later")
}

// Where the connection ends first, the function hears of it, OnClose is called once, and the result is late.
func TestCloseFirst(t *testing.T) {
	ended, returned := make(chan error, 1), make(chan bool)
	closes := 0
	var kept *listener.Socket
	s := accept(t, methods{
		accept: func(s *listener.Socket) listener.Action {
			kept = s
			return listener.Go(func(ctx context.Context) listener.Action {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				defer close(returned)
				return listener.Continue
			})
		},
		close: func(*listener.Socket) { closes++ },
	}, listenertest.Peer{Remote: netip.MustParseAddrPort("192.0.2.1:1")})
	s.CloseFromClient()
	s.CloseFromClient()
	if err := <-ended; !errors.Is(err, listener.ErrDone) {
		t.Errorf("the context ends with %v, want ErrDone", err)
	}
	<-returned
	if s.Passed() || closes != 1 {
		t.Errorf("passed: %v; OnClose is called %d times, want once", s.Passed(), closes)
	}
	if err := kept.SetServerName("late"); !errors.Is(err, listener.ErrDone) {
		t.Errorf("SetServerName after the end: %v, want ErrDone", err)
	}
	if a := kept.RemoteAddr(); a.IsValid() {
		t.Errorf("the address after the end is %v", a)
	}
}

func TestPanics(t *testing.T) {
	for _, c := range []struct {
		name string
		m    methods
	}{
		{"new", methods{new: func(*listener.Socket) { panic("told") }}},
		{"OnAccept", methods{accept: func(*listener.Socket) listener.Action { panic("told") }}},
		{"OnData", methods{accept: peek(1, 1), data: func(*listener.Socket, []byte) listener.Action { panic("told") }}},
		{"Go", methods{accept: func(*listener.Socket) listener.Action {
			return listener.Go(func(context.Context) listener.Action { panic("told") })
		}}},
		{"Goexit in Go", methods{accept: func(*listener.Socket) listener.Action {
			return listener.Go(func(context.Context) listener.Action { runtime.Goexit(); return listener.Continue })
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := accept(t, c.m, listenertest.Peer{})
			s.FromClient("a")
			wantClosed(t, s, "moe.script: panic")
			if n := s.Panics(); n != 1 {
				t.Errorf("%d panics are counted, want 1", n)
			}
		})
	}
	t.Run("OnClose", func(t *testing.T) {
		s := accept(t, methods{accept: peek(1, 1), close: func(*listener.Socket) { panic("told") }}, listenertest.Peer{})
		s.CloseFromClient()
		if n := s.Panics(); n != 1 || s.Passed() {
			t.Errorf("%d panics are counted, want 1; passed: %v", n, s.Passed())
		}
	})
}

// What a filter sets, and what Envoy does not take.
func TestSet(t *testing.T) {
	addr := netip.MustParseAddrPort
	for _, c := range []struct {
		name string
		set  func(s *listener.Socket) error
		want error
	}{
		{"RemoteAddr", func(s *listener.Socket) error { return s.SetRemoteAddr(addr("10.0.0.1:4")) }, nil},
		{"no RemoteAddr", func(s *listener.Socket) error { return s.SetRemoteAddr(netip.AddrPort{}) }, listener.ErrRefused},
		{"LocalAddr", func(s *listener.Socket) error { return s.SetLocalAddr(s.OriginalDst()) }, nil},
		{"UseOriginalDst", func(s *listener.Socket) error { return s.UseOriginalDst(true) }, nil},
		{"ServerName", func(s *listener.Socket) error { return s.SetServerName("A.example") }, nil},
		{"no ServerName", func(s *listener.Socket) error { return s.SetServerName("") }, listener.ErrRefused},
		{"TransportProtocol", func(s *listener.Socket) error { return s.SetTransportProtocol("tls") }, nil},
		{"ApplicationProtocols", func(s *listener.Socket) error { return s.SetApplicationProtocols([]string{"h2"}) }, nil},
		{"no ApplicationProtocols", func(s *listener.Socket) error { return s.SetApplicationProtocols(nil) }, listener.ErrRefused},
		{"JA3", func(s *listener.Socket) error { return s.SetJA3("3") }, nil},
		{"JA4", func(s *listener.Socket) error { return s.SetJA4("4") }, nil},
		{"filter state", func(s *listener.Socket) error { return s.SetFilterState("key", "value") }, nil},
		{"filter state again", func(s *listener.Socket) error { return s.SetFilterState("there", "value") }, listener.ErrExists},
		{"filter state of Envoy's", func(s *listener.Socket) error {
			return s.SetFilterState("envoy.tcp_proxy.cluster", "value")
		}, listener.ErrRefused},
		{"a number in metadata", func(s *listener.Socket) error { return s.SetMetadata("space", "n", 7) }, nil},
		{"text in metadata", func(s *listener.Socket) error { return s.SetMetadata("space", "s", "text") }, nil},
		{"a truth in metadata", func(s *listener.Socket) error { return s.SetMetadata("space", "b", true) }, listener.ErrUnsupported},
		{"nothing in metadata", func(s *listener.Socket) error { return s.SetMetadata("space", "b", nil) }, listener.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got error
			accept(t, methods{accept: func(s *listener.Socket) listener.Action {
				got = c.set(s)
				return listener.Continue
			}}, listenertest.Peer{OriginalDst: addr("192.0.2.3:3"), FilterState: map[string]string{"there": "before"}})
			if !errors.Is(got, c.want) {
				t.Errorf("the error is %v, want %v", got, c.want)
			}
		})
	}
}

func TestSocket(t *testing.T) {
	addr := netip.MustParseAddrPort
	peer := listenertest.Peer{
		Remote: addr("192.0.2.1:1"), Local: addr("192.0.2.2:2"), OriginalDst: addr("192.0.2.3:3"),
		FilterState: map[string]string{"there": "before"},
	}
	s := accept(t, methods{accept: func(s *listener.Socket) listener.Action {
		if err := errors.Join(
			s.SetRemoteAddr(addr("[::ffff:10.0.0.1]:4")), s.SetLocalAddr(s.OriginalDst()), s.UseOriginalDst(true),
			s.SetServerName("A.example"), s.SetTransportProtocol("tls"), s.SetApplicationProtocols([]string{"h2", "http/1.1"}),
			s.SetJA3("3"), s.SetJA4("4"), s.SetFilterState("key", "value"), s.SetMetadata("space", "n", 7),
			s.SetMetadata("space", "s", "text"),
		); err != nil {
			t.Errorf("setting what Envoy takes: %v", err)
		}
		if v, err := s.FilterState("there"); v != "before" || err != nil {
			t.Errorf("FilterState: %q, %v", v, err)
		}
		if _, err := s.FilterState("nothing"); !errors.Is(err, listener.ErrNotFound) {
			t.Errorf("FilterState of nothing: %v", err)
		}
		if v, err := s.Metadata("space", "n"); v != 7.0 || err != nil {
			t.Errorf("Metadata: %v, %v", v, err)
		}
		got := []netip.AddrPort{s.RemoteAddr(), s.LocalAddr(), s.DirectRemoteAddr(), s.DirectLocalAddr()}
		want := []netip.AddrPort{addr("10.0.0.1:4"), addr("192.0.2.3:3"), peer.Remote, peer.Local}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("addresses (-want +got):\n%s", diff)
		}
		return listener.Continue
	}}, peer)
	want := listenertest.Known{
		Remote: addr("10.0.0.1:4"), Local: addr("192.0.2.3:3"), UseOriginalDst: true, ServerName: "a.example",
		TransportProtocol: "tls", ApplicationProtocols: []string{"h2", "http/1.1"}, JA3: "3", JA4: "4",
		FilterState: map[string]string{"there": "before", "key": "value"},
		Metadata:    map[string]map[string]any{"space": {"n": 7.0, "s": "text"}},
	}
	if diff := cmp.Diff(want, s.Known(), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("what Envoy knows (-want +got):\n%s", diff)
	}
}
