package mosn_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metrics "github.com/rcrowley/go-metrics"

	"mosn.io/api"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/mosn"
	"mosn.io/moe/framework/network"
	"mosn.io/moe/framework/network/networktest"
	"mosn.io/pkg/buffer"
	"mosn.io/pkg/variable"
)

// tap is a network filter, in both directions, of functions. Those that are nil continue.
type tap struct {
	init   func(api.ReadFilterCallbacks)
	begin  func(api.ReadFilterCallbacks) api.FilterStatus
	read   func(api.ReadFilterCallbacks, api.IoBuffer) api.FilterStatus
	write  func([]api.IoBuffer) api.FilterStatus
	create func(context.Context)
	ends   func(api.ConnectionEvent)

	cb api.ReadFilterCallbacks
}

func (f *tap) InitializeReadFilterCallbacks(cb api.ReadFilterCallbacks) {
	f.cb = cb
	if f.ends != nil {
		cb.Connection().AddConnectionEventListener(f)
	}
	if f.init != nil {
		f.init(cb)
	}
}

func (f *tap) OnNewConnection() api.FilterStatus {
	if f.begin == nil {
		return api.Continue
	}
	return f.begin(f.cb)
}

func (f *tap) OnData(b api.IoBuffer) api.FilterStatus {
	if f.read == nil {
		return api.Continue
	}
	return f.read(f.cb, b)
}

func (f *tap) OnWrite(b []api.IoBuffer) api.FilterStatus { return f.write(b) }

func (f *tap) OnEvent(e api.ConnectionEvent) { f.ends(e) }

// tapFactory makes taps of one kind.
type tapFactory struct{ of tap }

func (f *tapFactory) CreateFilterChain(ctx context.Context, callbacks api.NetWorkFilterChainFactoryCallbacks) {
	one := f.of
	if one.create != nil {
		one.create(ctx)
	}
	callbacks.AddReadFilter(&one)
	if one.write != nil {
		callbacks.AddWriteFilter(&one)
	}
}

var tapNumber atomic.Int32

// registerNetwork registers a creator under a name of its own.
func registerNetwork(creator api.NetworkFilterFactoryCreator) string {
	name := fmt.Sprintf("tap_%d", tapNumber.Add(1))
	api.RegisterNetwork(name, creator)
	return name
}

func tapType(f tap) string {
	return registerNetwork(func(map[string]any) (api.NetworkFilterChainFactory, error) { return &tapFactory{f}, nil })
}

func tapConfig(types ...string) string {
	entries := make([]string, len(types))
	for i, typ := range types {
		entries[i] = `{"type": "` + typ + `"}`
	}
	return `{"network_filters": [` + strings.Join(entries, ", ") + `]}`
}

// tapped is a connection through filters.
func tapped(t *testing.T, p networktest.Peer, filters ...tap) *networktest.Conn {
	t.Helper()
	c, _ := tappedBy(t, p, filters...)
	return c
}

func tappedBy(t *testing.T, p networktest.Peer, filters ...tap) (*networktest.Conn, *networktest.Filter[mosn.NetworkFilters]) {
	t.Helper()
	types := make([]string, len(filters))
	for i, f := range filters {
		types[i] = tapType(f)
	}
	f, err := networktest.New[mosn.NetworkFilters](t, tapConfig(types...))
	if err != nil {
		t.Fatalf("networktest.New: %v", err)
	}
	return f.Connect(p), f
}

func reaches(t *testing.T, c *networktest.Conn, d network.Direction, want string) {
	t.Helper()
	got := c.ToUpstream
	if d == network.Write {
		got = c.ToClient
	}
	c.Eventually(fmt.Sprintf("%q in the direction %v", want, d), func() bool { return len(got()) >= len(want) })
	if got() != want {
		t.Errorf("%q has passed in the direction %v, want %q", got(), d, want)
	}
}

// journal is what filters have done, by any goroutine.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string(nil), j.lines...)
}

// TestNetworkOrder has two filters see a connection in MOSN's order.
func TestNetworkOrder(t *testing.T) {
	var j journal
	named := func(name string) tap {
		return tap{
			init:  func(api.ReadFilterCallbacks) { j.note(name + " init") },
			begin: func(api.ReadFilterCallbacks) api.FilterStatus { j.note(name + " begin"); return api.Continue },
			read: func(_ api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
				j.note(name + " read " + b.String())
				return api.Continue
			},
			write: func(b []api.IoBuffer) api.FilterStatus {
				j.note(name + " write " + b[0].String())
				return api.Continue
			},
			ends: func(e api.ConnectionEvent) { j.note(name + " " + string(e)) },
		}
	}
	c := tapped(t, networktest.Peer{}, named("a"), named("b"))
	c.FromClient("ping")
	reaches(t, c, network.Read, "ping")
	c.FromUpstream("pong")
	reaches(t, c, network.Write, "pong")
	c.Abort()
	c.Eventually("the end of both", func() bool { return len(j.all()) == 10 })
	want := []string{
		"a init", "b init", "a begin", "b begin", "a read ping", "b read ping", "a write pong", "b write pong",
		"a RemoteClose", "b RemoteClose",
	}
	if diff := cmp.Diff(want, j.all()); diff != "" {
		t.Errorf("what the filters did (-want +got):\n%s", diff)
	}
}

// TestNetworkHolds has filters hold bytes: until there are enough, until another goroutine continues, and by taking them.
func TestNetworkHolds(t *testing.T) {
	t.Run("until there are enough", func(t *testing.T) {
		var calls atomic.Int32
		c := tapped(t, networktest.Peer{}, tap{read: func(_ api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
			calls.Add(1)
			if b.Len() < 6 {
				return api.Stop
			}
			return api.Continue
		}})
		c.FromClient("abc")
		c.Eventually("OnData", func() bool { return calls.Load() == 1 })
		if got := c.ToUpstream(); got != "" {
			t.Errorf("%q has passed a filter that stops", got)
		}
		c.FromClient("def")
		reaches(t, c, network.Read, "abcdef")
	})
	t.Run("until a goroutine continues", func(t *testing.T) {
		release := make(chan struct{})
		c := tapped(t, networktest.Peer{}, tap{read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
			go func() { <-release; cb.ContinueReading() }()
			return api.Stop
		}}, tap{read: func(_ api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
			changed := bytes.ToUpper(b.Bytes())
			b.Drain(b.Len())
			_, _ = b.Write(changed)
			return api.Continue
		}})
		c.FromClient("abc")
		time.Sleep(10 * time.Millisecond)
		if got := c.ToUpstream(); got != "" {
			t.Errorf("%q has passed a filter that stops", got)
		}
		close(release)
		reaches(t, c, network.Read, "ABC")
	})
	t.Run("and continues before it stops", func(t *testing.T) {
		c := tapped(t, networktest.Peer{}, tap{read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
			cb.ContinueReading()
			return api.Stop
		}})
		c.FromClient("abc")
		reaches(t, c, network.Read, "abc")
	})
	t.Run("and takes part of them", func(t *testing.T) {
		c := tapped(t, networktest.Peer{}, tap{read: func(_ api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
			b.Drain(min(3, b.Len()))
			return api.Continue
		}})
		c.FromClient("abcdef")
		reaches(t, c, network.Read, "def")
	})
	t.Run("from the beginning", func(t *testing.T) {
		c := tapped(t, networktest.Peer{}, tap{begin: func(api.ReadFilterCallbacks) api.FilterStatus { return api.Stop }})
		c.FromUpstream("220 hello")
		time.Sleep(10 * time.Millisecond)
		if got := c.ToClient(); got != "" {
			t.Errorf("the upstream's %q has passed before the filter let the connection pass", got)
		}
		c.FromClient("abc") // as in MOSN, bytes ask the filter again
		reaches(t, c, network.Read, "abc")
		reaches(t, c, network.Write, "220 hello")
	})
	t.Run("beyond the client's end", func(t *testing.T) {
		release := make(chan struct{})
		c := tapped(t, networktest.Peer{}, tap{read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
			go func() { <-release; cb.ContinueReading() }()
			return api.Stop
		}})
		c.EndFromClient("abc")
		time.Sleep(10 * time.Millisecond)
		if c.Ended(network.Read) {
			t.Errorf("the client's end has passed the bytes that are held")
		}
		close(release)
		reaches(t, c, network.Read, "abc")
		c.Eventually("the client's end", func() bool { return c.Ended(network.Read) })
		c.EndFromUpstream("bye")
		reaches(t, c, network.Write, "bye")
		c.Eventually("the upstream's end", func() bool { return c.Ended(network.Write) })
	})
}

// TestNetworkWrites has filters answer the client, and filters of what is written see it.
func TestNetworkWrites(t *testing.T) {
	echo := func(answered chan<- bool) tap {
		return tap{read: func(cb api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
			_ = cb.Connection().Write(buffer.NewIoBufferString("got "), nil, b.Clone())
			b.Drain(b.Len())
			answered <- true
			return api.Stop
		}}
	}
	for _, c := range []struct {
		name  string
		write func([]api.IoBuffer) api.FilterStatus
		want  string
	}{
		{name: "no filter", want: "got ping."},
		{name: "a filter that continues", write: func([]api.IoBuffer) api.FilterStatus { return api.Continue }, want: "got ping."},
		{name: "a filter that changes", write: func(b []api.IoBuffer) api.FilterStatus {
			if b[0].String() == "got " {
				b[0].Drain(1)
			}
			return api.Continue
		}, want: "ot ping."},
		{name: "a filter that stops what it has seen", write: func(b []api.IoBuffer) api.FilterStatus {
			if b[0].String() == "got " {
				return api.Stop
			}
			return api.Continue
		}, want: "."},
	} {
		t.Run(c.name, func(t *testing.T) {
			answered := make(chan bool, 1)
			seen := echo(answered)
			seen.write = c.write
			conn := tapped(t, networktest.Peer{}, seen)
			conn.FromClient("ping")
			<-answered
			conn.FromUpstream(".")
			reaches(t, conn, network.Write, c.want)
		})
	}
}

// TestNetworkCloses has filters close the connection at every moment.
func TestNetworkCloses(t *testing.T) {
	bye := func(typ api.ConnectionCloseType) func(api.ReadFilterCallbacks) api.FilterStatus {
		return func(cb api.ReadFilterCallbacks) api.FilterStatus {
			_ = cb.Connection().Write(buffer.NewIoBufferString("bye"))
			_ = cb.Connection().Close(typ, api.OnReadErrClose)
			return api.Stop
		}
	}
	onData := func(f func(api.ReadFilterCallbacks) api.FilterStatus) func(api.ReadFilterCallbacks, api.IoBuffer) api.FilterStatus {
		return func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus { return f(cb) }
	}
	for _, c := range []struct {
		name string
		tap  tap
		want api.ConnectionEvent
	}{
		{"in OnNewConnection, at once", tap{begin: bye(api.NoFlush)}, api.OnReadErrClose},
		{"in OnNewConnection, flushing", tap{begin: bye(api.FlushWrite)}, api.LocalClose},
		{"in OnData, at once", tap{read: onData(bye(api.NoFlush))}, api.OnReadErrClose},
		{"in OnData, flushing", tap{read: onData(bye(api.FlushWrite))}, api.LocalClose},
		{"by RawConn", tap{read: onData(func(cb api.ReadFilterCallbacks) api.FilterStatus {
			_, _ = cb.Connection().RawConn().Write([]byte("bye"))
			_ = cb.Connection().RawConn().Close()
			return api.Stop
		})}, api.LocalClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j journal
			c.tap.ends = func(e api.ConnectionEvent) { j.note(string(e)) }
			conn := tapped(t, networktest.Peer{}, c.tap)
			conn.FromClient("ping")
			conn.Eventually("the end", func() bool { return conn.Closed() != nil && len(j.all()) > 0 })
			if got := conn.ToClient(); got != "bye" {
				t.Errorf("the client got %q, want bye", got)
			}
			if conn.Closed().Reset {
				t.Error("the connection was reset")
			}
			if got := conn.ToUpstream(); got != "" {
				t.Errorf("the upstream got %q", got)
			}
			if diff := cmp.Diff([]string{string(c.want)}, j.all()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNetworkFaults has filters panic, and end their goroutine, wherever they are called.
func TestNetworkFaults(t *testing.T) {
	for name, fault := range map[string]func(){"a panic": func() { panic("at fault") }, "Goexit": runtime.Goexit} {
		for _, c := range []struct {
			name   string
			fences int // around the filter, each of which sees runtime.Goexit
			tap    tap
		}{
			{"InitializeReadFilterCallbacks", 2, tap{init: func(api.ReadFilterCallbacks) { fault() }}},
			{"OnNewConnection", 2, tap{begin: func(api.ReadFilterCallbacks) api.FilterStatus { fault(); return api.Continue }}},
			{"OnData", 2, tap{read: func(api.ReadFilterCallbacks, api.IoBuffer) api.FilterStatus { fault(); return api.Continue }}},
			{"OnWrite", 1, tap{write: func([]api.IoBuffer) api.FilterStatus { fault(); return api.Continue }}},
			{"a listener", 3, tap{read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
				cb.Connection().OnConnectionEvent(api.OnConnect)
				return api.Continue
			}, ends: func(e api.ConnectionEvent) {
				if e == api.OnConnect {
					fault()
				}
			}}},
			{"a function for bytes", 2, tap{init: func(cb api.ReadFilterCallbacks) {
				cb.Connection().AddBytesReadListener(func(uint64) { fault() })
			}}},
		} {
			t.Run(c.name+" with "+name, func(t *testing.T) {
				conn := tapped(t, networktest.Peer{}, c.tap)
				conn.FromClient("ping")
				conn.FromUpstream("pong")
				conn.Eventually("a reset", func() bool { return conn.Closed() != nil })
				if !conn.Closed().Reset {
					t.Errorf("the connection was closed as %+v, want a reset", *conn.Closed())
				}
				want := 1
				if name == "Goexit" {
					want = c.fences
				}
				conn.Eventually(fmt.Sprintf("%d panics counted", want), func() bool { return conn.Panics() >= want })
				if conn.Panics() != want {
					t.Errorf("%d panics are counted, want %d", conn.Panics(), want)
				}
			})
		}
	}
	t.Run("behind ContinueReading on a goroutine of the filter's", func(t *testing.T) {
		conn := tapped(t, networktest.Peer{}, tap{read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
			go func() { time.Sleep(time.Millisecond); cb.ContinueReading() }()
			return api.Stop
		}}, tap{read: func(api.ReadFilterCallbacks, api.IoBuffer) api.FilterStatus { panic("at fault") }})
		conn.FromClient("ping")
		conn.Eventually("a reset", func() bool { return conn.Closed() != nil })
		if !conn.Closed().Reset || conn.Panics() != 1 {
			t.Errorf("closed as %+v with %d panics, want a reset and one panic", *conn.Closed(), conn.Panics())
		}
	})
}

// TestNetworkBounds has filters hold what they must not, and wait for what does not come.
func TestNetworkBounds(t *testing.T) {
	stop := tap{read: func(api.ReadFilterCallbacks, api.IoBuffer) api.FilterStatus { return api.Stop }}
	for _, c := range []struct {
		name, sent string
		end        bool
		want       string // in the reason
	}{
		{name: "more than the limit", sent: strings.Repeat("x", 200), want: "more bytes than the buffer limit are held"},
		{name: "at the end", sent: "x", end: true, want: "bytes are held at the end of the stream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := tapped(t, networktest.Peer{BufferLimit: 100}, stop)
				if c.end {
					conn.EndFromClient(c.sent)
				} else {
					conn.FromClient(c.sent)
				}
				time.Sleep(network.GoTimeout - time.Second)
				synctest.Wait()
				if conn.Closed() != nil {
					t.Fatalf("closed too early: %+v", *conn.Closed())
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if conn.Closed() == nil || !strings.Contains(conn.Closed().Details, c.want) {
					t.Errorf("closed as %+v, want %q", conn.Closed(), c.want)
				}
			})
		})
	}
	t.Run("a delay of more than the limit goes on", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			conn := tapped(t, networktest.Peer{BufferLimit: 100}, tap{
				read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
					time.AfterFunc(time.Second, cb.ContinueReading)
					return api.Stop
				},
			})
			conn.FromClient(strings.Repeat("x", 200))
			time.Sleep(time.Second)
			synctest.Wait()
			conn.FromClient(strings.Repeat("y", 200))
			time.Sleep(time.Second)
			synctest.Wait()
			if got := len(conn.ToUpstream()); got != 400 {
				t.Errorf("%d bytes have passed, want 400", got)
			}
		})
	})
	t.Run("idle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var j journal
			conn := tapped(t, networktest.Peer{}, tap{init: func(cb api.ReadFilterCallbacks) {
				cb.Connection().SetIdleTimeout(15*time.Second, 40*time.Second) // 45, in whole reads
			}, ends: func(e api.ConnectionEvent) { j.note(string(e)) }})
			time.Sleep(20 * time.Second)
			conn.FromClient("x")
			time.Sleep(44 * time.Second)
			synctest.Wait()
			if conn.Closed() != nil {
				t.Fatalf("closed too early: %+v", *conn.Closed())
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if conn.Closed() == nil {
				t.Error("an idle connection stays open")
			}
			events := map[string]int{}
			for _, e := range j.all() {
				events[e]++
			}
			if events["LocalClose"] != 1 || events["OnReadTimeout"] < 3 || len(events) != 2 {
				t.Errorf("events %v, want LocalClose once, and OnReadTimeout after each 15 seconds", j.all())
			}
		})
	})
	t.Run("reading disabled", func(t *testing.T) {
		var conn api.Connection
		var mu sync.Mutex
		c := tapped(t, networktest.Peer{}, tap{begin: func(cb api.ReadFilterCallbacks) api.FilterStatus {
			mu.Lock()
			defer mu.Unlock()
			conn = cb.Connection()
			conn.SetReadDisable(true)
			conn.SetReadDisable(true)
			return api.Continue
		}})
		c.FromClient("ping")
		c.Eventually("OnNewConnection", func() bool { mu.Lock(); defer mu.Unlock(); return conn != nil })
		conn.SetReadDisable(false)
		time.Sleep(10 * time.Millisecond)
		if conn.ReadEnabled() || c.ToUpstream() != "" {
			t.Errorf("enabled: %v, passed: %q; want false and nothing", conn.ReadEnabled(), c.ToUpstream())
		}
		conn.SetReadDisable(false)
		reaches(t, c, network.Read, "ping")
	})
}

// TestNetworkRefused has configurations that must not load.
func TestNetworkRefused(t *testing.T) {
	known := tapType(tap{})
	strict := tapType(tap{})
	mosn.DeclareNetwork(strict, strictConfig{})
	one := func(typ, config string) string {
		return `{"network_filters": [{"type": "` + known + `"}, {"type": "` + typ + `", "config": ` + config + `}]}`
	}
	creator := func(f api.NetworkFilterChainFactory, err error) string {
		return registerNetwork(func(map[string]any) (api.NetworkFilterChainFactory, error) { return f, err })
	}
	for _, c := range []struct {
		name, json string
		want       []string
	}{
		{"no list", `{}`, []string{"network_filters"}},
		{"no type", `{"network_filters": [{}]}`, []string{"network_filters[0].type"}},
		{"unknown type", one("Tap_1", `{}`), []string{"network_filters[1].type: no network filter", `did you mean "tap_1"`}},
		{"type of a stream filter", one(typeOf(receives(func(*call) {})), `{}`), []string{"network_filters[1].type"}},
		{"factory panics", one(registerNetwork(func(map[string]any) (api.NetworkFilterChainFactory, error) {
			panic("no such file")
		}), `{}`), []string{"network_filters[1]", "panicked", "no such file"}},
		{"factory fails", one(creator(nil, errors.New("not today")), `{}`), []string{"network_filters[1].config", "not today"}},
		{"no factory", one(creator(nil, nil), `{}`), []string{"network_filters[1]", "neither a factory nor an error"}},
		{"typed nil", one(creator((*tapFactory)(nil), nil), `{}`), []string{"network_filters[1]", "neither a factory nor"}},
		{"adds nothing", one(creator(idleFactory{}, nil), `{}`), []string{"network_filters[1]", "adds no filter"}},
		{"wants a listener", one(creator(initFactory{}, nil), `{}`), []string{"network_filters[1]", "FactoryInitializer.Init"}},
		{"unknown field", one(strict, `{"max_size": 1}`), []string{"network_filters[1].config", `did you mean "max_size "`}},
		{"unknown in an entry", `{"network_filters": [{"type": "` + known + `", "go_plugin_config": {}}]}`, []string{"go_plugin_config"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := networktest.New[mosn.NetworkFilters](t, c.json)
			if err == nil {
				t.Fatalf("the configuration %s was accepted", c.json)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

type idleFactory struct{}

func (idleFactory) CreateFilterChain(context.Context, api.NetWorkFilterChainFactoryCallbacks) {}

type initFactory struct{}

func (initFactory) CreateFilterChain(context.Context, api.NetWorkFilterChainFactoryCallbacks) {}
func (initFactory) Init(any) error                                                            { return nil }

// TestNetworkConnection calls every method of a connection. None panics, and what cannot be is a typed error or counted.
func TestNetworkConnection(t *testing.T) {
	var got map[string]any
	done := make(chan struct{})
	peer := networktest.Peer{
		Remote: netip.MustParseAddrPort("192.0.2.1:1234"), Local: netip.MustParseAddrPort("192.0.2.2:80"),
		ServerName: "shop.example", TLS: &network.TLS{Subject: "CN=client"}, BufferLimit: 1000,
		Upstream: &network.Upstream{Addr: netip.MustParseAddrPort("192.0.2.3:81"), Hostname: "up.example"},
	}
	read, written := metrics.NewCounter(), metrics.NewCounter()
	var bytesRead, bytesSent atomic.Uint64
	c, f := tappedBy(t, peer, tap{create: func(ctx context.Context) {
		_, _ = variable.Get(ctx, "connection_id") // also where there is no connection
	}, read: func(cb api.ReadFilterCallbacks, b api.IoBuffer) api.FilterStatus {
		if got != nil {
			return api.Continue
		}
		defer close(done)
		conn := cb.Connection()
		host := cb.UpstreamHost()
		state := conn.TLS().(interface{ ConnectionState() tls.ConnectionState }).ConnectionState()
		conn.SetCollector(read, written)
		conn.AddBytesReadListener(func(n uint64) { bytesRead.Add(n) })
		conn.AddBytesSentListener(func(n uint64) { bytesSent.Add(n) })
		_ = conn.Write(buffer.NewIoBufferString("hello"))
		_, readErr := conn.RawConn().Read(nil)
		_, wroteErr := conn.RawConn().Write([]byte("!"))
		conn.Start(context.Background())
		conn.SetNoDelay(true)
		conn.SetNoDelay(false)
		conn.SetTransferEventListener(func() bool { return true })
		conn.SetBufferLimit(0)
		limit := conn.BufferLimit()
		conn.SetBufferLimit(500)
		conn.AddConnectionEventListener(nil)
		conn.OnRead(nil)
		m := conn.FilterManager()
		m.AddReadFilter(nil)
		m.AddWriteFilter(nil)
		got = map[string]any{
			"id": conn.ID(), "local": conn.LocalAddr().String(), "remote": conn.RemoteAddr().String(), "limit": limit,
			"limit set": conn.BufferLimit(), "next": conn.NextProtocol(), "server": state.ServerName,
			"state": conn.State(), "host": host.AddressString(), "hostname": host.Hostname(), "healthy": host.Health(),
			"buffer": conn.GetReadBuffer().String(), "written": len(conn.GetWriteBuffer()), "restored": conn.LocalAddressRestored(),
			"reads": len(m.ListReadFilter()), "writes": len(m.ListWriteFilters()), "enabled": conn.ReadEnabled(),
			"raw":      conn.RawConn().LocalAddr().String() + " " + conn.RawConn().RemoteAddr().String(),
			"raw read": errors.Is(readErr, filter.ErrUnsupported), "raw write": wroteErr,
			"raw deadlines": errors.Is(conn.RawConn().SetDeadline(time.Time{}), filter.ErrUnsupported) &&
				errors.Is(conn.RawConn().SetReadDeadline(time.Time{}), filter.ErrUnsupported) &&
				conn.RawConn().SetWriteDeadline(time.Time{}) == nil,
			"on write": m.OnWrite(nil),
		}
		cb.SetUpstreamHost(host)
		host.SetHealthFlag(api.FAILED_ACTIVE_HC)
		conn.SetLocalAddress(conn.RemoteAddr(), true)
		conn.SetRemoteAddr(nil)
		got["set"] = fmt.Sprint(conn.LocalAddr(), conn.LocalAddressRestored(), conn.RemoteAddr(), cb.UpstreamHost().Health())
		return api.Continue
	}})
	c.FromClient("ping")
	reaches(t, c, network.Read, "ping")
	<-done
	want := map[string]any{
		"id": uint64(1), "local": "192.0.2.2:80", "remote": "192.0.2.1:1234", "limit": uint32(1000), "limit set": uint32(500),
		"next": "", "server": "shop.example", "state": api.ConnActive, "host": "192.0.2.3:81", "hostname": "up.example",
		"healthy": true, "buffer": "ping", "written": 1, "restored": false, "reads": 1, "writes": 0, "enabled": true,
		"raw": "192.0.2.2:80 192.0.2.1:1234", "raw read": true, "raw write": error(nil), "raw deadlines": true,
		"on write": api.Continue, "set": "192.0.2.1:1234 true <nil> false",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the connection says (-want +got):\n%s", diff)
	}
	reaches(t, c, network.Write, "hello!")
	if written.Count() != 6 || bytesSent.Load() != 6 {
		t.Errorf("%d and %d bytes are counted as sent, want 6", written.Count(), bytesSent.Load())
	}
	c.FromClient("more")
	reaches(t, c, network.Read, "pingmore")
	if read.Count() != 4 || bytesRead.Load() != 4 {
		t.Errorf("%d and %d bytes are counted as read, want 4", read.Count(), bytesRead.Load())
	}
	if n := f.Counted("unsupported"); n != 6 { // SetNoDelay, SetTransferEventListener, three of RawConn, SetHealthFlag
		t.Errorf("%d calls are counted as unsupported, want 6", n)
	}
}

// TestNetworkContext has filters find the connection by MOSN's variables.
func TestNetworkContext(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{}
	peer := networktest.Peer{Remote: netip.MustParseAddrPort("192.0.2.1:1234"), Local: netip.MustParseAddrPort("192.0.2.2:80")}
	c := tapped(t, peer, tap{create: func(ctx context.Context) {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"connection_id", "listener_port", "ori_remote_addr"} {
			if v, err := variable.Get(ctx, name); err == nil {
				got[name] = fmt.Sprint(v)
			}
		}
	}})
	c.FromClient("ping")
	reaches(t, c, network.Read, "ping")
	want := map[string]string{"connection_id": "1", "listener_port": "80", "ori_remote_addr": "192.0.2.1:1234"}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// TestNetworkAtOnce has everybody use a connection at the same time, also beyond its end. It is for the race detector.
func TestNetworkAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	busy := tap{
		write: func([]api.IoBuffer) api.FilterStatus { return api.Continue },
		read: func(cb api.ReadFilterCallbacks, _ api.IoBuffer) api.FilterStatus {
			for range 4 {
				wg.Go(func() {
					conn := cb.Connection()
					for range 20 {
						cb.ContinueReading()
						_ = conn.Write(buffer.NewIoBufferString("."))
						conn.SetReadDisable(true)
						conn.OnConnectionEvent(api.OnConnect)
						_, _, _ = conn.State(), conn.GetWriteBuffer(), cb.UpstreamHost()
						conn.SetReadDisable(false)
					}
				})
			}
			return api.Stop
		},
		ends: func(api.ConnectionEvent) {},
	}
	for range 10 {
		c := tapped(t, networktest.Peer{}, busy, busy)
		c.FromClient("ping")
		c.FromUpstream("pong")
		c.Eventually("bytes", func() bool { return len(c.ToClient()) > 10 })
		c.Abort()
	}
	wg.Wait()
}
