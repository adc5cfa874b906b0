package dynmod

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// tcpUpstream serves connections until the test ends, and returns its address.
func tcpUpstream(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return l.Addr().String()
}

func echo(c *net.TCPConn) {
	if _, err := io.Copy(c, c); err == nil {
		_ = c.CloseWrite()
	}
}

// afterEnd answers when the client has ended, and closes.
func afterEnd(c *net.TCPConn) {
	if p, err := io.ReadAll(c); err == nil {
		_, _ = fmt.Fprintf(c, "%d bytes\n", len(p))
	}
}

func other(c *net.TCPConn) {
	_, _ = io.WriteString(c, "the other\n")
	_ = c.CloseWrite()
	_, _ = io.Copy(io.Discard, c)
}

// netBed is an Envoy with TCP listeners that have Go's network filters.
type netBed struct {
	*testing.T
	envoy *envoytest.Envoy
}

// netListener is a listener of TCP with filters before tcp_proxy.
func netListener(name, cluster string, filters ...m) m {
	all := a{}
	for _, f := range filters {
		all = append(all, f)
	}
	return m{
		"name": name, "address": envoytest.Address("127.0.0.1:0"),
		"filter_chains": a{m{"filters": append(all, m{"name": "tcp", "typed_config": m{
			"@type":       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
			"stat_prefix": name, "cluster": cluster,
		}})}},
	}
}

// netProbe is the network filter of the probes.
func netProbe(config m) m {
	return envoytest.MoE.NetworkFilter("probe", envoytest.Document(envoytest.Struct, config))
}

// dial connects to a listener.
func (b *netBed) dial(listener string) *net.TCPConn {
	b.Helper()
	c, err := b.tryDial(listener)
	if err != nil {
		b.Fatalf("net.Dial: %v", err)
	}
	return c
}

// tryDial is dial where Envoy may reset the connection before the client notices that there is one.
func (b *netBed) tryDial(listener string) (*net.TCPConn, error) {
	b.Helper()
	var addr string
	if err := envoytest.Poll(patience, func() (err error) {
		addr, err = b.envoy.ListenerAddress(listener)
		return err
	}); err != nil {
		b.Fatalf("e.ListenerAddress: %v", err)
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	b.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		b.Fatalf("SetDeadline: %v", err)
	}
	return c.(*net.TCPConn), nil
}

// exchange sends text in pieces, ends, and returns what comes back until the end.
func (b *netBed) exchange(listener, text string, piece func() int) string {
	b.Helper()
	c := b.dial(listener)
	go func() {
		for rest := text; len(rest) > 0; {
			n := min(piece(), len(rest))
			if _, err := io.WriteString(c, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = c.CloseWrite()
	}()
	p, err := io.ReadAll(c)
	if err != nil {
		b.Errorf("reading from %s: %v", listener, err)
	}
	return string(p)
}

// wantClosed reads until the connection is reset or ends, with nothing received.
func (b *netBed) wantClosed(c net.Conn) {
	b.Helper()
	p, err := io.ReadAll(c)
	if len(p) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		b.Errorf("the client gets %q, %v; want it closed without a byte", p, err)
	}
}

// wantRefused sends text on a connection that Envoy closes, perhaps before the client notices that there is one.
func (b *netBed) wantRefused(listener, text string) {
	b.Helper()
	c, err := b.tryDial(listener)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		b.Fatalf("net.Dial: %v", err)
	}
	_, _ = io.WriteString(c, text)
	b.wantClosed(c)
}

// TestNetwork has Go see connections on real Envoys.
func TestNetwork(t *testing.T) {
	guard := m{"layered_runtime": m{"layers": a{m{"name": "static", "static_layer": m{
		"envoy.reloadable_features.connection_close_through_filter_manager": true,
	}}}}}
	conformance.OnEnvoys(t, &Host{}, nil, envoytest.Options{Bootstrap: guard}, func(t *testing.T, e *envoytest.Envoy, _ *upstream.Server) {
		b := &netBed{t, e}
		clusters := []m{
			envoytest.Cluster("echo", false, tcpUpstream(t, echo)),
			envoytest.Cluster("after-end", false, tcpUpstream(t, afterEnd)),
			envoytest.Cluster("other", false, tcpUpstream(t, other)),
		}
		if err := e.SetClusters(clusters); err != nil {
			t.Fatalf("e.SetClusters: %v", err)
		}
		listeners := []m{
			netListener("after-end", "after-end", netProbe(m{"do": "pipe"})),
			netListener("facts", "echo", netProbe(m{"do": "facts", "output": b.file("facts.log")})),
			netListener("cluster", "echo", netProbe(m{"do": "cluster"})),
			netListener("chain", "echo", netProbe(m{"do": "lines"}), netProbe(m{"do": "upper"}), netProbe(m{"do": "go"})),
			netListener("hold", "echo", netProbe(m{"do": "hold"})),
		}
		for _, do := range passing {
			listeners = append(listeners, netListener(do, "echo", netProbe(m{"do": do})))
		}
		for _, in := range explosive {
			listeners = append(listeners, netListener("panic-"+in, "echo", netProbe(m{"do": "panic", "in": in})))
		}
		listeners = append(listeners, netListener("panic-close", "echo", netProbe(m{"do": "panic", "in": "close"})))
		if err := e.SetListeners(append(listeners, boxListeners()...)); err != nil {
			t.Fatalf("e.SetListeners: %v", err)
		}
		for _, c := range []struct {
			name string
			run  func(*netBed)
		}{
			{"bytes pass", testBytesPass},
			{"much passes", testMuchPasses},
			{"several filters", testSeveralFilters},
			{"the filter speaks first", testSpeaksFirst},
			{"a filter chooses the cluster", testChoosesCluster},
			{"the answer after both ends", testAfterEnd},
			{"what Envoy knows", testNetFacts},
			{"panics", testNetPanics},
			{"bytes that are held at the end", testHeldAtEnd},
			{"clients that say nothing, and resets at any time", testResets},
			{"network filters in the box", testNetBox},
			{"bad configurations", testNetRefused},
			{"configurations change under connections", testNetPushes},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(&netBed{t, e}) })
		}
	})
}

// file is where a filter of this bed writes.
func (b *netBed) file(name string) string { return filepath.Join(b.envoy.Dir, name) }

// passing are the probes that let everything pass, and explosive those that panic.
var (
	passing   = []string{"pass", "done", "lines", "go", "pipe", "users", "hello", "upper"}
	explosive = []string{"new", "connection", "read", "go", "pipe", "timer", "write"}
)

func testBytesPass(b *netBed) {
	text := strings.Repeat("one\ntwo, three\n", 10) + "the end"
	for _, listener := range passing {
		for name, piece := range map[string]func() int{
			"in one piece":       func() int { return len(text) },
			"one byte at a time": func() int { time.Sleep(50 * time.Microsecond); return 1 },
			"in pieces":          func() int { time.Sleep(50 * time.Microsecond); return 1 + rand.IntN(100) },
		} {
			b.Run(listener+" "+name, func(t *testing.T) {
				want := text
				switch listener {
				case "upper":
					want = strings.ToUpper(text)
				case "hello":
					want = "hello client\nhello upstream\n" + text
				}
				if diff := cmp.Diff(want, (&netBed{t, b.envoy}).exchange(listener, text, piece)); diff != "" {
					t.Errorf("what came back (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func testMuchPasses(b *netBed) {
	text := strings.Repeat("0123456789abcde\n", 1<<18)
	for _, listener := range []string{"pass", "lines", "pipe", "go"} {
		b.Run(listener, func(t *testing.T) {
			got := (&netBed{t, b.envoy}).exchange(listener, text, func() int { return 1 << 20 })
			if got != text {
				t.Errorf("%d bytes came back, want the %d that were sent, in order", len(got), len(text))
			}
		})
	}
}

func testSeveralFilters(b *netBed) {
	text := strings.Repeat("ab\ncd", 100)
	got := b.exchange("chain", text, func() int { time.Sleep(50 * time.Microsecond); return 1 + rand.IntN(9) })
	if diff := cmp.Diff(strings.ToUpper(text), got); diff != "" {
		b.Errorf("what came back (-want +got):\n%s", diff)
	}
}

// The client hears of the filter before it has sent anything, and so does the upstream.
func testSpeaksFirst(b *netBed) {
	c := b.dial("hello")
	want := "hello client\nhello upstream\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		b.Errorf("the client gets %q, %v; want %q", got, err, want)
	}
}

func testChoosesCluster(b *netBed) {
	if got := b.exchange("cluster", "hi", func() int { return 2 }); got != "the other\n" {
		b.Errorf("the client gets %q, want what the other cluster says", got)
	}
}

// tcp_proxy closes when both have ended; what the filter has at hand then is not lost.
func testAfterEnd(b *netBed) {
	for range 50 {
		if got := b.exchange("after-end", "hello", func() int { return 5 }); got != "5 bytes\n" {
			b.Fatalf("the client gets %q, want 5 bytes", got)
		}
	}
}

func testNetFacts(b *netBed) {
	c := b.dial("facts")
	if _, err := io.WriteString(c, "x"); err != nil {
		b.Fatalf("writing: %v", err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		b.Fatalf("reading: %v", err)
	}
	me, to := c.LocalAddr().String(), c.RemoteAddr().String()
	c.Close()
	line := (&logBed{b.T, b.envoy}).lines("facts.log", 1)[0]
	want := m{
		"remote": me, "direct": me, "local": to, "server_name": "", "terminated": false, "cluster": "echo",
		"number": 7.0, "state": "set", "again": true, "refused": true,
		"tls": m{"Subject": "", "DNSNames": nil, "URIs": nil},
	}
	if line["id"] == 0.0 || line["upstream"] == "" {
		b.Errorf("the connection has no number or no upstream in %v", line)
	}
	delete(line, "id")
	delete(line, "upstream")
	delete(line, "by")
	if diff := cmp.Diff(want, line); diff != "" {
		b.Errorf("facts (-want +got):\n%s", diff)
	}
}

// A panic closes its connection, is counted, and harms no other.
func testNetPanics(b *netBed) {
	for _, in := range explosive {
		b.Run(in, func(t *testing.T) {
			b := &netBed{t, b.envoy}
			text := "x"
			if in == "timer" { // which may be later than the answer
				text = ""
			}
			b.wantRefused("panic-"+in, text)
		})
	}
	if got := b.exchange("panic-close", "x", func() int { return 1 }); got != "x" {
		b.Errorf("the client gets %q, want x", got)
	}
	(&logBed{b.T, b.envoy}).counted(`moe\.network\.panics;filter=probe$`, 1)
	if err := envoytest.Poll(patience, func() error {
		if n := b.envoy.Log.Count(0, "panic in .* of the network filter probe"); n < len(explosive)+1 {
			return fmt.Errorf("%d panics in Envoy's log, want %d", n, len(explosive)+1)
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for panics: %v", err)
	}
}

func testHeldAtEnd(b *netBed) {
	c := b.dial("hold")
	if _, err := io.WriteString(c, "held"); err != nil {
		b.Fatalf("writing: %v", err)
	}
	if err := c.CloseWrite(); err != nil {
		b.Fatalf("CloseWrite: %v", err)
	}
	b.wantClosed(c)
}

// Envoy lives, and forgets the connections.
func testResets(b *netBed) {
	var wg sync.WaitGroup
	for _, listener := range append([]string{"hold", "after-end", "chain"}, passing...) {
		for i := range 20 {
			c := b.dial(listener)
			wg.Go(func() {
				if i%5 > 0 {
					_, _ = io.WriteString(c, strings.Repeat("part\n", i)+"par")
				}
				if i%7 == 0 {
					_ = c.CloseWrite()
				}
				time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
				if i%2 == 0 {
					_ = c.SetLinger(0) // a reset
				}
				c.Close()
			})
		}
	}
	wg.Wait()
	if err := envoytest.Poll(patience, func() error {
		stats, err := b.envoy.Stats(`^listener\..*downstream_cx_active$`)
		if err != nil {
			return err
		}
		for name, n := range stats {
			if n > 0 && !strings.Contains(name, "admin") && !strings.Contains(name, "worker") {
				return fmt.Errorf("%d connections in %s", n, name)
			}
		}
		return b.envoy.Alive()
	}); err != nil {
		b.Errorf("connections that were reset: %v", err)
	}
}

func testNetRefused(b *netBed) {
	for _, c := range []struct {
		name, want string
		filter     m
	}{
		{"no such filter", `unknown network filter; did you mean "probe"`, envoytest.MoE.NetworkFilter("prob", nil)},
		{"unknown field", "unknown field", netProbe(m{"does": "x"})},
		{"a value that is none", "do", netProbe(m{"do": "nothing"})},
	} {
		b.Run(c.name, func(t *testing.T) {
			mark := b.envoy.Log.Mark()
			if err := b.envoy.SetListeners([]m{netListener("refused", "echo", c.filter)}); err == nil {
				t.Fatal("Envoy takes the configuration")
			}
			if log := strings.ReplaceAll(b.envoy.Log.Since(mark), `\"`, `"`); !strings.Contains(log, "configuration rejected") ||
				!strings.Contains(log, c.want) {
				t.Errorf("Envoy's log has not %q:\n%s", c.want, envoytest.Tail(log, 10))
			}
		})
	}
}

// Connections that are there when a configuration goes away end with it, in order; new ones get the new one.
func testNetPushes(b *netBed) {
	for i := range 6 {
		do := []string{"pipe", "upper", "go"}[i%3]
		if err := b.envoy.SetListeners([]m{netListener("pushes", "echo", netProbe(m{"do": do}))}); err != nil {
			b.Fatalf("e.SetListeners: %v", err)
		}
		text := "some text\n"
		want := text
		if do == "upper" {
			want = strings.ToUpper(text)
		}
		if err := envoytest.Poll(patience, func() error {
			if got := b.exchange("pushes", text, func() int { return 3 }); got != want {
				return fmt.Errorf("the client gets %q, want %q", got, want)
			}
			return nil
		}); err != nil {
			b.Errorf("configuration %d (%s): %v", i, do, err)
		}
		b.dial("pushes") // stays, and says nothing
	}
}

// boxed is a network filter in the box.
func boxed(name string, config m) m {
	return envoytest.MoE.NetworkFilter(name, envoytest.Document(envoytest.Struct, config))
}

// boxListeners have the network filters in the box.
func boxListeners() []m {
	routed := netListener("routed", "echo", boxed("sniroute", m{
		"routes": a{m{"names": a{"*.other.example"}, "cluster": "other"}}, "default": "echo",
	}))
	routed["listener_filters"] = a{m{"name": "tls", "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
	}}}
	return []m{
		netListener("guarded", "echo", boxed("redisguard", m{"deny": a{"FLUSHALL"}})),
		netListener("closing", "echo", boxed("redisguard", m{"deny": a{"FLUSHALL"}, "close": true})),
		netListener("denied", "echo", boxed("ipallow", m{"deny": a{"127.0.0.0/8"}})),
		netListener("allowed", "echo", boxed("ipallow", m{"allow": a{"127.0.0.0/8"}})),
		netListener("two", "echo", boxed("connlimit", m{"perAddress": 2})),
		routed,
	}
}

func testNetBox(b *netBed) {
	all := func() int { return 1 << 20 }
	const get, flush = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "*1\r\n$8\r\nflushall\r\n"
	for _, c := range []struct{ name, listener, text, want string }{
		{"redisguard", "guarded", get + flush + get, get + "*1\r\n$17\r\nREFUSED_BY_POLICY\r\n" + get},
		{"ipallow", "allowed", "x", "x"},
	} {
		b.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, (&netBed{t, b.envoy}).exchange(c.listener, c.text, all)); diff != "" {
				t.Errorf("what came back (-want +got):\n%s", diff)
			}
		})
	}
	b.Run("redisguard closes", func(t *testing.T) {
		c := (&netBed{t, b.envoy}).dial("closing")
		_, _ = io.WriteString(c, flush)
		if p, err := io.ReadAll(c); string(p) != "-ERR the command is refused\r\n" {
			t.Errorf("the client gets %q, %v; want an error, and the end", p, err)
		}
	})
	b.Run("ipallow denies", func(t *testing.T) {
		(&netBed{t, b.envoy}).wantRefused("denied", "")
	})
	b.Run("sniroute without a name", func(t *testing.T) {
		c := (&netBed{t, b.envoy}).dial("routed")
		const text = "plain text" // an end at once would be one before the TLS inspector has looked
		_, _ = io.WriteString(c, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
			t.Errorf("the client gets %q, %v; want %q", got, err, text)
		}
	})
	b.Run("sniroute", func(t *testing.T) {
		c := (&netBed{t, b.envoy}).dial("routed")
		_ = tls.Client(c, &tls.Config{ServerName: "www.other.example"}).Handshake() // with a server that speaks no TLS
		(&logBed{t, b.envoy}).counted(`^cluster\.other\.upstream_cx_total$`, 2)     // that of before, and this one
	})
	b.Run("connlimit", func(t *testing.T) {
		b := &netBed{t, b.envoy}
		open := []*net.TCPConn{b.dial("two"), b.dial("two")}
		for _, c := range open {
			if _, err := io.WriteString(c, "x"); err != nil {
				t.Fatalf("writing: %v", err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatalf("reading: %v", err)
			}
		}
		b.wantRefused("two", "")
		open[0].Close()
		if err := envoytest.Poll(patience, func() error {
			c, err := b.tryDial("two")
			if err != nil {
				return err
			}
			defer c.Close()
			_, _ = io.WriteString(c, "x")
			_, err = io.ReadFull(c, make([]byte, 1))
			return err
		}); err != nil {
			t.Errorf("a connection after another has gone: %v", err)
		}
	})
}
