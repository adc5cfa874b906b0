package probes

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	"mosn.io/moe/framework/listener"
)

// Listener is a listener filter that behaves as its configuration asks.
type Listener struct {
	Do string         `json:"do" enum:"pass,refuse,name,peek,drain,go,late,facts,handoff,users,panic" default:"pass"`
	In string         `json:"in" enum:",new,accept,data,close,go"` // where to panic
	To netip.AddrPort `json:"to"`                                  // for handoff

	events *listener.Counter
	closes *listener.Counter
}

func init() { listener.RegisterPerSocket("probe", (*Listener).newFilter) }

// Provision declares metrics.
func (l *Listener) Provision(env *listener.Env) error {
	l.events, l.closes = env.Counter("accepts"), env.Counter("closes")
	return nil
}

func (l *Listener) newFilter(*listener.Socket) *listenerFilter {
	l.panics("new")
	return &listenerFilter{l}
}

func (l *Listener) panics(in string) {
	if l.Do == "panic" && l.In == in {
		panic("as told")
	}
}

// listenerFilter is one connection's.
type listenerFilter struct{ *Listener }

// OnAccept is listener's.
func (f *listenerFilter) OnAccept(s *listener.Socket) listener.Action {
	f.events.Inc()
	f.panics("accept")
	switch f.Do {
	case "refuse":
		return listener.Refuse("as told")
	case "name":
		if err := errors.Join(s.SetServerName("Other.example"), s.SetTransportProtocol("tls"),
			s.SetApplicationProtocols([]string{"one", "two"})); err != nil {
			return listener.Refuse(err.Error())
		}
	case "peek", "drain":
		return listener.Peek(4, 4)
	case "go":
		return decide(listener.Continue)
	case "late":
		return decide(listener.Refuse("as told"))
	case "facts":
		if err := facts(s); err != nil {
			return listener.Refuse(err.Error())
		}
	case "handoff":
		if err := errors.Join(s.SetLocalAddr(f.To), s.UseOriginalDst(true)); err != nil {
			return listener.Refuse(err.Error())
		}
	case "users":
		useSocket(s)
		return decide(listener.Continue)
	case "panic":
		if f.In == "go" {
			return listener.Go(func(context.Context) listener.Action { panic("as told") })
		}
		return listener.Peek(1, 1)
	}
	return listener.Continue
}

// OnData is listener's.
func (f *listenerFilter) OnData(_ *listener.Socket, p []byte) listener.Action {
	f.panics("data")
	switch {
	case f.Do == "drain" && len(p) == 4:
		return listener.Peek(8, 8)
	case f.Do == "drain" && string(p) != "HEADER: ":
		return listener.Refuse("no header")
	case f.Do == "drain":
		return listener.Drain(len(p))
	case f.Do == "peek" && len(p) < 8:
		return listener.Peek(8, 1000)
	}
	return listener.Continue
}

// OnClose is listener's.
func (f *listenerFilter) OnClose(*listener.Socket) {
	f.closes.Inc()
	f.panics("close")
}

// facts sets and compares all that a socket knows.
func facts(s *listener.Socket) error {
	state := func() (string, error) { return s.FilterState("probe.state") }
	before, missing := state()
	err := errors.Join(
		s.SetMetadata("probe", "text", "told"), s.SetMetadata("probe", "number", 7), s.SetFilterState("probe.state", "set"),
		s.SetJA3("three"), s.SetJA4("four"),
	)
	number, _ := s.Metadata("probe", "number")
	after, _ := state()
	again := s.SetFilterState("probe.state", "again")
	typed := s.SetFilterState("envoy.tcp_proxy.cluster", "other")
	switch {
	case err != nil:
		return err
	case before != "" || !errors.Is(missing, listener.ErrNotFound) || after != "set":
		return errors.New("filter state is " + before + " and " + after)
	case !errors.Is(again, listener.ErrExists) || !errors.Is(typed, listener.ErrRefused):
		return errors.Join(errors.New("filter state that must not be set"), again, typed)
	case number != 7.0:
		return errors.New("the metadata are lost")
	case s.RemoteAddr() != s.DirectRemoteAddr() || s.LocalAddr() != s.DirectLocalAddr() || !s.RemoteAddr().IsValid():
		return errors.New("addresses differ")
	}
	name, protocols := s.ServerName(), strings.Join(s.ApplicationProtocols(), ",")
	if name+s.TransportProtocol()+protocols != "" {
		return errors.New("the protocol is known: " + name + ", " + protocols)
	}
	return errors.Join(
		s.SetRemoteAddr(netip.MustParseAddrPort("192.0.2.1:1234")),
		s.SetLocalAddr(netip.MustParseAddrPort("[2001:db8::1]:5678")),
	)
}

// decide is an action that takes a while.
func decide(a listener.Action) listener.Action {
	return listener.Go(func(context.Context) listener.Action {
		time.Sleep(2 * time.Millisecond)
		return a
	})
}

// useSocket uses a socket from another goroutine, until its end and a little longer.
func useSocket(s *listener.Socket) {
	go func() {
		for late := 0; late < 10; {
			err := s.SetMetadata("probe", "text", strings.Repeat("x", 100))
			s.RemoteAddr()
			s.ApplicationProtocols()
			if errors.Is(err, listener.ErrDone) {
				late++
			}
			time.Sleep(50 * time.Microsecond)
		}
	}()
}
