package udp_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/udp"
	"mosn.io/moe/framework/udp/udptest"
)

type none struct{}

type misspelt struct{ only }

func (*misspelt) OnDatagrams(*udp.Datagram, []byte) udp.Action { return udp.Continue }

type wrongSignature struct{}

func (*wrongSignature) OnDatagram([]byte) udp.Action { return udp.Continue }

type only struct{}

// OnDatagram is udp's.
func (*only) OnDatagram(*udp.Datagram, []byte) udp.Action { return udp.Continue }

func TestRegisterPanics(t *testing.T) {
	for _, c := range []struct {
		name, want string
		register   func()
	}{
		{"no method", "has no OnDatagram", func() { udp.Register[none]("none") }},
		{"a misspelt method", "OnDatagrams is not a method of UDP filters", func() { udp.Register[misspelt]("misspelt") }},
		{"a wrong signature", "OnDatagram must be func", func() { udp.Register[wrongSignature]("wrong") }},
		{"a name that is taken", "duplicate", func() { udp.Register[only]("script") }},
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

// equal compares addresses, too.
var equal = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestActions(t *testing.T) {
	big := bytes.Repeat([]byte("x"), udp.MaxSize)
	for _, c := range []struct {
		name   string
		action udp.Action
		want   udptest.Result
	}{
		{"continue", udp.Continue, udptest.Result{Passed: true, Data: "sent"}},
		{"drop", udp.Drop, udptest.Result{}},
		{"replace", udp.Replace([]byte("other")), udptest.Result{Passed: true, Data: "other"}},
		{"replace by nothing", udp.Replace(nil), udptest.Result{}},
		{"replace by the most", udp.Replace(big), udptest.Result{Passed: true, Data: string(big)}},
		{"replace by too much", udp.Replace(append(big, 'x')), udptest.Result{}},
		{"reply", udp.Reply([]byte("answer")), udptest.Result{Sent: []udptest.Sent{{Data: "answer"}}}},
		{"reply with nothing", udp.Reply(nil), udptest.Result{}},
		{"reply with too much", udp.Reply(append(big, 'x')), udptest.Result{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := filter(t, always(c.action))
			if diff := cmp.Diff(c.want, f.Receive(udptest.Peer{}, "sent"), equal); diff != "" {
				t.Errorf("what becomes of the datagram (-want +got):\n%s", diff)
			}
		})
	}
}

// The bytes that a filter gets are its own: changing them changes nothing.
func TestBytesAreTheFilters(t *testing.T) {
	for name, sent := range map[string]string{"none": "", "one": "a", "many": strings.Repeat("abc", 20000)} {
		t.Run(name, func(t *testing.T) {
			f := filter(t, func(_ *udp.Datagram, p []byte) udp.Action {
				if string(p) != sent {
					t.Errorf("the filter gets %d bytes, want %d", len(p), len(sent))
				}
				clear(p)
				return udp.Continue
			})
			if got := f.Receive(udptest.Peer{}, sent); got.Data != sent {
				t.Errorf("the next filter gets %d other bytes", len(got.Data))
			}
		})
	}
}

func TestDatagram(t *testing.T) {
	peer := udptest.Peer{Remote: netip.MustParseAddrPort("192.0.2.1:1"), Local: netip.MustParseAddrPort("[2001:db8::1]:53")}
	f := filter(t, func(d *udp.Datagram, _ []byte) udp.Action {
		if got := (udptest.Peer{Remote: d.RemoteAddr(), Local: d.LocalAddr()}); got != peer {
			t.Errorf("the addresses are %v, want %v", got, peer)
		}
		if d.Log() == nil {
			t.Error("there is no logger")
		}
		return udp.Continue
	})
	f.Receive(peer, "")
}

func TestSend(t *testing.T) {
	to := netip.MustParseAddrPort
	var kept *udp.Datagram
	f := filter(t, func(d *udp.Datagram, _ []byte) udp.Action {
		kept = d
		text := []byte("first")
		if err := errors.Join(d.Send(to("192.0.2.1:1"), text), d.Send(to("[::ffff:192.0.2.2]:2"), []byte("second"))); err != nil {
			t.Errorf("sending: %v", err)
		}
		clear(text)
		for name, err := range map[string]error{
			"no address": d.Send(netip.AddrPort{}, text), "no port": d.Send(to("192.0.2.1:0"), text),
			"nothing":  d.Send(to("192.0.2.1:1"), nil),
			"too much": d.Send(to("192.0.2.1:1"), make([]byte, udp.MaxSize+1)),
		} {
			t.Run(name, func(t *testing.T) {
				if !errors.Is(err, udp.ErrRefused) {
					t.Errorf("the error is %v, want ErrRefused", err)
				}
			})
		}
		return udp.Reply([]byte("last"))
	})
	want := udptest.Result{Sent: []udptest.Sent{
		{To: to("192.0.2.1:1"), Data: "first"}, {To: to("192.0.2.2:2"), Data: "second"}, {Data: "last"},
	}}
	if diff := cmp.Diff(want, f.Receive(udptest.Peer{}, ""), equal); diff != "" {
		t.Errorf("what is sent (-want +got):\n%s", diff)
	}
	if err := kept.Send(to("192.0.2.1:1"), []byte("late")); !errors.Is(err, udp.ErrDone) {
		t.Errorf("Send after the decision: %v, want ErrDone", err)
	}
}

func TestSendsAreBounded(t *testing.T) {
	to := netip.MustParseAddrPort("192.0.2.1:1")
	f := filter(t, func(d *udp.Datagram, p []byte) udp.Action {
		for i := range udp.MaxSends {
			if err := d.Send(to, p); err != nil {
				t.Errorf("datagram %d: %v", i, err)
			}
		}
		if err := d.Send(to, p); !errors.Is(err, udp.ErrRefused) {
			t.Errorf("one too many: %v, want ErrRefused", err)
		}
		return udp.Continue
	})
	if got := len(f.Receive(udptest.Peer{}, "text").Sent); got != udp.MaxSends {
		t.Errorf("%d datagrams are sent, want %d", got, udp.MaxSends)
	}
}

// A panic drops the datagram, with all that was to be sent.
func TestPanics(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func()
	}{
		{"panic", func() { panic("told") }},
		{"a nil panic", func() { panic(nil) }},
		{"runtime.Goexit", runtime.Goexit},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := filter(t, func(d *udp.Datagram, p []byte) udp.Action {
				if err := d.Send(netip.MustParseAddrPort("192.0.2.1:1"), p); err != nil {
					t.Errorf("d.Send: %v", err)
				}
				c.end()
				return udp.Continue
			})
			over := make(chan udptest.Result, 1)
			go func() {
				var got udptest.Result // runtime.Goexit ends this goroutine before there is another
				defer func() { over <- got }()
				got = f.Receive(udptest.Peer{}, "text")
			}()
			if diff := cmp.Diff(udptest.Result{}, <-over, equal); diff != "" {
				t.Errorf("what becomes of the datagram (-want +got):\n%s", diff)
			}
			if n := f.Panics(); n != 1 {
				t.Errorf("%d panics are counted, want 1", n)
			}
		})
	}
}

// As fast as clients send, so fast a filter may panic; the log does not grow as fast.
func TestFloodOfPanics(t *testing.T) {
	var lines bytes.Buffer
	panics := 0
	scripts[t.Name()] = func(*udp.Datagram, []byte) udp.Action { panic("told") }
	f := udp.Internals(core.Internal{}).NewFilter(udp.Lookup("script"), &script{Name: t.Name()},
		slog.New(slog.NewJSONHandler(&lines, nil)), func() { panics++ })
	const flood = 5000
	for range flood {
		if o := f.Arrived(udp.Arrival{}); o.Verdict != udp.Stop {
			t.Fatalf("the verdict is %d, want Stop", o.Verdict)
		}
	}
	if n := strings.Count(lines.String(), "\n"); panics != flood || n == 0 || n >= flood {
		t.Errorf("%d panics are counted and %d logged, want %d and a few", panics, n, flood)
	}
}

// A datagram may be used by any goroutine at any time.
func TestKeptDatagrams(t *testing.T) {
	var users sync.WaitGroup
	to := netip.MustParseAddrPort("192.0.2.1:1")
	f := filter(t, func(d *udp.Datagram, p []byte) udp.Action {
		users.Go(func() {
			for d.Send(to, p) == nil {
				d.RemoteAddr()
			}
		})
		return udp.Continue
	})
	for range 100 {
		f.Receive(udptest.Peer{}, "text")
	}
	users.Wait()
}
