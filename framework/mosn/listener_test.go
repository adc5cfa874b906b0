package mosn_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/listener/listenertest"
	"mosn.io/moe/framework/mosn"
	"mosn.io/pkg/variable"
)

// onAccept is a listener filter.
type onAccept func(api.ListenerFilterChainFactoryCallbacks) api.FilterStatus

func (f onAccept) OnAccept(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus { return f(cb) }

// handsOver has the connection go to the listener of an address.
func handsOver(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
	cb.SetOriginalAddr("192.0.2.9", 90)
	cb.UseOriginalDst(cb.GetOriContext())
	return api.Stop
}

// later calls f on a goroutine when the filter has had time to return.
func later(f func()) {
	go func() {
		time.Sleep(10 * time.Millisecond)
		f()
	}()
}

var acceptNumber atomic.Int32

// registerListener registers a creator under a name of its own.
func registerListener(creator api.ListenerFilterFactoryCreator) string {
	name := fmt.Sprintf("accept_%d", acceptNumber.Add(1))
	api.RegisterListener(name, creator)
	return name
}

// acceptConfig is a list of filters; more is what each entry has beside its type.
func acceptConfig(more string, filters ...onAccept) string {
	entries := make([]string, len(filters))
	for i, f := range filters {
		typ := registerListener(func(map[string]any) (api.ListenerFilterChainFactory, error) { return f, nil })
		entries[i] = `{"type": "` + typ + `"` + more + `}`
	}
	return `{"listener_filters": [` + strings.Join(entries, ", ") + `]}`
}

func newAccept(t *testing.T, conf string) *listenertest.Filter[mosn.ListenerFilters] {
	t.Helper()
	f, err := listenertest.New[mosn.ListenerFilters](t, conf)
	if err != nil {
		t.Fatalf("listenertest.New: %v", err)
	}
	return f
}

// acceptPeer is a client.
func acceptPeer() listenertest.Peer {
	return listenertest.Peer{
		Remote: netip.MustParseAddrPort("192.0.2.1:1234"), Local: netip.MustParseAddrPort("192.0.2.2:80"),
	}
}

// TestListenerFilters has filters decide, on goroutines and on Envoy's thread.
func TestListenerFilters(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters func() []onAccept // with state of their own
		called  string            // the filters that were called, by their letters
		closed  string            // the details; "" where the connection passes
		local   string            // the address afterwards; "" for the client's
	}{
		{
			name:    "all continue",
			filters: func() []onAccept { return []onAccept{continues, continues} }, called: "ab",
		},
		{
			name: "an unknown status",
			filters: func() []onAccept {
				return []onAccept{func(api.ListenerFilterChainFactoryCallbacks) api.FilterStatus { return "" }, continues}
			},
			called: "ab",
		},
		{
			name: "the connection is closed",
			filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					_ = cb.Conn().Close()
					return api.Stop
				}, continues}
			},
			called: "a", closed: "moe.mosn: a MOSN filter has closed the connection",
		},
		{
			name: "the connection is closed, and the filter continues",
			filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					_ = cb.Conn().Close()
					return api.Continue
				}, continues}
			},
			called: "a", closed: "moe.mosn: a MOSN filter has closed the connection",
		},
		{
			name: "the connection is closed later",
			filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					later(func() { _ = cb.Conn().Close() })
					return api.Stop
				}, continues}
			},
			called: "a", closed: "moe.mosn: a MOSN filter has closed the connection",
		},
		{
			name: "the chain goes on without success",
			filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					later(func() { cb.ContinueFilterChain(cb.GetOriContext(), false) })
					return api.Stop
				}, continues}
			},
			called: "a", closed: "moe.mosn: a MOSN filter has ended the filter chain",
		},
		{
			name: "the chain goes on later, with the same filter", filters: func() []onAccept {
				var calls atomic.Int32
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					if calls.Add(1) == 3 {
						return api.Continue
					}
					later(func() { cb.ContinueFilterChain(cb.GetOriContext(), true) })
					return api.Stop
				}, continues}
			}, called: "aaab",
		},
		{
			name: "the chain goes on at once", filters: func() []onAccept {
				var calls atomic.Int32
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					cb.ContinueFilterChain(cb.GetOriContext(), true)
					if calls.Add(1) == 2 {
						return api.Continue
					}
					return api.Stop
				}, continues}
			}, called: "aab",
		},
		{
			name: "the chain goes on at once, for ever", filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					cb.ContinueFilterChain(cb.GetOriContext(), true)
					return api.Stop
				}}
			}, called: strings.Repeat("a", 11), closed: "continues the filter chain and stops it, again and again",
		},
		{
			name:    "the connection is handed over, past the filters behind",
			filters: func() []onAccept { return []onAccept{handsOver, continues} }, called: "ab", local: "192.0.2.9:90",
		},
		{
			name: "a filter behind closes what is handed over", filters: func() []onAccept {
				return []onAccept{handsOver, func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					_ = cb.Conn().Close()
					return api.Stop
				}}
			}, called: "ab", closed: "moe.mosn: a MOSN filter has closed the connection",
		},
		{
			name: "the connection is handed over later", filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					later(func() { handsOver(cb) })
					return api.Stop
				}, continues}
			}, called: "ab", local: "192.0.2.9:90",
		},
		{
			name: "the original address alone", filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					cb.SetOriginalAddr("192.0.2.9", 90)
					return api.Continue
				}}
			}, called: "a",
		},
		{
			name: "no address to hand over to", filters: func() []onAccept {
				return []onAccept{func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
					cb.SetOriginalAddr("nowhere", 90)
					cb.UseOriginalDst(cb.GetOriContext())
					return api.Stop
				}}
			}, called: "a",
		},
		{
			name: "a panic", filters: func() []onAccept {
				return []onAccept{func(api.ListenerFilterChainFactoryCallbacks) api.FilterStatus { panic("on purpose") }, continues}
			}, called: "a", closed: "moe.mosn: panic",
		},
	} {
		for where, more := range map[string]string{"on goroutines": "", "on the thread": `, "blocking": false`} {
			t.Run(c.name+"/"+where, func(t *testing.T) {
				var called journal
				filters := c.filters()
				for i, f := range filters {
					filters[i] = func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
						called.note(string(rune('a' + i)))
						return f(cb)
					}
				}
				s := newAccept(t, acceptConfig(more, filters...)).Accept(acceptPeer())
				s.Eventually("a decision", func() bool { return s.Passed() || s.Closed() != "" })
				if got := strings.Join(called.all(), ""); got != c.called {
					t.Errorf("the filters %q were called, want %q", got, c.called)
				}
				if got := s.Closed(); !strings.Contains(got, c.closed) || (got == "") != (c.closed == "") {
					t.Errorf("the connection is closed with %q, want %q", got, c.closed)
				}
				local := acceptPeer().Local.String()
				if c.local != "" {
					local = c.local
				}
				if got := s.Known(); got.Local.String() != local || got.UseOriginalDst != (c.local != "") {
					t.Errorf("the local address is %v, handed over: %v; want %s", got.Local, got.UseOriginalDst, local)
				}
				if want := strings.Count(c.closed, "panic"); s.Panics() != want {
					t.Errorf("%d panics were counted, want %d", s.Panics(), want)
				}
			})
		}
	}
}

func continues(api.ListenerFilterChainFactoryCallbacks) api.FilterStatus { return api.Continue }

// TestListenerFilterBefore139 runs filters in an Envoy that has no way back from a goroutine.
func TestListenerFilterBefore139(t *testing.T) {
	for more, want := range map[string]string{`, "blocking": false`: "", "": "moe.mosn: Go takes Envoy 1.39 or later"} {
		t.Run(more, func(t *testing.T) {
			p := acceptPeer()
			p.NoWake = true
			s := newAccept(t, acceptConfig(more, handsOver)).Accept(p)
			if s.Closed() != want || s.Passed() != (want == "") {
				t.Errorf("the connection is closed with %q, want %q", s.Closed(), want)
			}
		})
	}
}

// TestListenerFilterCallbacks asks for everything that a filter can.
func TestListenerFilterCallbacks(t *testing.T) {
	asked := make(chan string, 3)
	f := newAccept(t, strings.Replace(acceptConfig("", func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
		port, err := variable.Get(cb.GetOriContext(), "listener_port")
		asked <- fmt.Sprintf("%v %v %v %v %v", cb.Conn().LocalAddr(), cb.Conn().RemoteAddr(), port, err, cb.GetUseOriginalDst())
		handsOver(cb)
		return api.Continue
	}, func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
		asked <- fmt.Sprint(cb.GetUseOriginalDst())
		cb.SetUseOriginalDst(true)
		asked <- fmt.Sprint(cb.GetUseOriginalDst())
		return api.Continue
	}), "{", `{"use_original_dst": true, `, 1))
	f.Accept(acceptPeer())
	want := []string{"192.0.2.2:80 192.0.2.1:1234 80 <nil> true", "false", "true"}
	if diff := cmp.Diff(want, []string{<-asked, <-asked, <-asked}); diff != "" {
		t.Errorf("what the filters have found (-want +got):\n%s", diff)
	}
}

// TestListenerFilterUseOriginalDst has a filter say whether Envoy's own filter hands connections over.
func TestListenerFilterUseOriginalDst(t *testing.T) {
	for _, use := range []bool{false, true} {
		t.Run(fmt.Sprint(use), func(t *testing.T) {
			s := newAccept(t, acceptConfig("", func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
				cb.SetUseOriginalDst(use)
				return api.Continue
			})).Accept(acceptPeer())
			s.Eventually("passing", s.Passed)
			if got := s.Known().UseOriginalDst; got != use {
				t.Errorf("Envoy hands it over: %v, want %v", got, use)
			}
		})
	}
}

// TestListenerFilterUnsupported calls what a connection of Envoy's cannot do.
func TestListenerFilterUnsupported(t *testing.T) {
	failed := make(chan map[string]error, 1)
	f := newAccept(t, acceptConfig("", func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
		_, read := cb.Conn().Read(nil)
		_, write := cb.Conn().Write(nil)
		failed <- map[string]error{
			"Read": read, "Write": write, "SetDeadline": cb.Conn().SetDeadline(time.Time{}),
			"SetReadDeadline": cb.Conn().SetReadDeadline(time.Time{}), "SetWriteDeadline": cb.Conn().SetWriteDeadline(time.Time{}),
		}
		cb.SetOriginalAddr("192.0.2.9", 65536)
		return api.Continue
	}))
	s := f.Accept(acceptPeer())
	for method, err := range <-failed {
		var unsupported *mosn.UnsupportedError
		if !errors.As(err, &unsupported) || !errors.Is(err, filter.ErrUnsupported) ||
			unsupported.Method != "ListenerFilterChainFactoryCallbacks.Conn."+method {
			t.Errorf("%s returns %v, want an UnsupportedError with its name", method, err)
		}
	}
	s.Eventually("passing", s.Passed)
	if got := f.Counted("unsupported"); got != 6 {
		t.Errorf("%d calls were counted, want 6", got)
	}
}

// TestListenerFilterLate keeps the callbacks, and uses them when the connection has gone on, or has ended.
func TestListenerFilterLate(t *testing.T) {
	for _, c := range []struct {
		name   string
		status api.FilterStatus
		counts int64
	}{
		{name: "after the decision", status: api.Continue, counts: 5},
		{name: "after the client's end", status: api.Stop},
	} {
		t.Run(c.name, func(t *testing.T) {
			kept := make(chan api.ListenerFilterChainFactoryCallbacks, 1)
			f := newAccept(t, acceptConfig("", func(cb api.ListenerFilterChainFactoryCallbacks) api.FilterStatus {
				kept <- cb
				return c.status
			}))
			s := f.Accept(acceptPeer())
			cb := <-kept
			if c.status == api.Continue {
				s.Eventually("passing", s.Passed)
			}
			s.CloseFromClient()
			<-cb.GetOriContext().Done()
			cb.ContinueFilterChain(context.Background(), true)
			cb.SetOriginalAddr("192.0.2.9", 90)
			cb.SetUseOriginalDst(true)
			cb.UseOriginalDst(context.Background())
			if err := cb.Conn().Close(); err != nil {
				t.Errorf("Close returns %v, want nothing", err)
			}
			if got := s.Known(); got.Local != acceptPeer().Local || got.UseOriginalDst {
				t.Errorf("what comes late changes the connection: %+v", got)
			}
			if got := f.Counted("late_calls"); got != c.counts {
				t.Errorf("%d calls were counted, want %d", got, c.counts)
			}
		})
	}
}

// TestListenerFilterConfigurations looks for errors with their places.
func TestListenerFilterConfigurations(t *testing.T) {
	creates := func(creator api.ListenerFilterFactoryCreator) string {
		return `{"listener_filters": [{"type": "` + registerListener(creator) + `", "config": {"adress": 1}}]}`
	}
	declared := registerListener(func(map[string]any) (api.ListenerFilterChainFactory, error) { return onAccept(continues), nil })
	mosn.DeclareListener(declared, struct {
		Address string `json:"address"`
	}{})
	for _, c := range []struct {
		name, conf string
		want       []string
	}{
		{name: "no list", conf: `{}`, want: []string{"listener_filters"}},
		{name: "no type", conf: `{"listener_filters": [{}]}`, want: []string{"listener_filters[0].type"}},
		{
			name: "an unknown type", conf: strings.Replace(acceptConfig("", continues), `"accept_`, `"acept_`, 1),
			want: []string{"listener_filters[0].type", "no listener filter", `did you mean "accept_`},
		},
		{
			name: "an unknown field", conf: `{"listener_filters": [{"type": "` + declared + `", "config": {"adress": ""}}]}`,
			want: []string{"listener_filters[0].config", `did you mean "address"`},
		},
		{
			name: "an error", conf: creates(func(map[string]any) (api.ListenerFilterChainFactory, error) {
				return nil, errors.New("on purpose")
			}),
			want: []string{"listener_filters[0].config", "on purpose"},
		},
		{
			name: "nothing", conf: creates(func(map[string]any) (api.ListenerFilterChainFactory, error) { return nil, nil }),
			want: []string{"listener_filters[0]", "neither"},
		},
		{
			name: "a panic", conf: creates(func(map[string]any) (api.ListenerFilterChainFactory, error) { panic("on purpose") }),
			want: []string{"listener_filters[0]", "panicked: on purpose"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := listenertest.New[mosn.ListenerFilters](t, c.conf)
			if err == nil {
				t.Fatal("the configuration is taken, want an error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// TestListenerTypes finds what is registered.
func TestListenerTypes(t *testing.T) {
	typ := registerListener(func(map[string]any) (api.ListenerFilterChainFactory, error) { return onAccept(continues), nil })
	if got := mosn.ListenerTypes(); !slices.Contains(got, typ) {
		t.Errorf("the types are %q, want %q among them", got, typ)
	}
}
