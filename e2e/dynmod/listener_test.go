package dynmod

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// acceptListener is a listener of TCP with filters in Go before its filter chain.
func acceptListener(name string, filters ...m) m {
	l := netListener(name, "echo")
	all := a{}
	for _, f := range filters {
		all = append(all, f)
	}
	l["listener_filters"] = all
	l["listener_filters_timeout"] = "2s"
	return l
}

// acceptProbe is the listener filter of the probes.
func acceptProbe(config m) m {
	return envoytest.MoE.ListenerFilter("probe", envoytest.Document(envoytest.Struct, config))
}

// fileLog is an access log that writes one line a connection.
func fileLog(path, format string) m {
	return m{"name": "file", "typed_config": m{
		"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
		"path":  path, "log_format": m{"text_format_source": m{"inline_string": format + "\n"}},
	}}
}

// accepting are the probes that let connections pass, and panicking those that panic. waking need Envoy to be woken by Go.
var (
	accepting = []string{"pass", "peek", "go", "users"}
	panicking = []string{"new", "accept", "data", "go"}
	waking    = []string{"go", "users", "chain"}
)

// wakes reports whether Envoy can be woken.
func (b *netBed) wakes() bool { return !strings.HasPrefix(b.envoy.Binary.Version, "1.38.") }

// TestListener has Go see connections before they are accepted, on real Envoys.
func TestListener(t *testing.T) {
	conformance.OnEnvoys(t, &Host{}, nil, envoytest.Options{}, func(t *testing.T, e *envoytest.Envoy, _ *upstream.Server) {
		b := &netBed{t, e}
		if err := e.SetClusters([]m{
			envoytest.Cluster("echo", false, tcpUpstream(t, echo)), envoytest.Cluster("other", false, tcpUpstream(t, other)),
		}); err != nil {
			t.Fatalf("e.SetClusters: %v", err)
		}
		if err := e.SetListeners(acceptListeners(b)); err != nil {
			t.Fatalf("e.SetListeners: %v", err)
		}
		for _, c := range []struct {
			name string
			run  func(*netBed)
		}{
			{"bytes pass", testAcceptPasses},
			{"refusals", testAcceptRefuses},
			{"what Envoy knows", testAcceptFacts},
			{"a filter chain by what the filter found", testAcceptName},
			{"another listener by the address", testAcceptHandoff},
			{"panics", testAcceptPanics},
			{"clients that say too little", testAcceptSilence},
			{"resets at any time", testAcceptResets},
			{"listener filters in the box", testAcceptBox},
			{"bad configurations", testAcceptBadConfig},
			{"configurations change under connections", testAcceptPushes},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(&netBed{t, e}) })
		}
	})
}

func acceptListeners(b *netBed) []m {
	refused := acceptListener("refuse", acceptProbe(m{"do": "refuse"}))
	refused["access_log"] = a{fileLog(b.file("refused.log"), "%CONNECTION_TERMINATION_DETAILS%")}
	facts := acceptListener("facts", acceptProbe(m{"do": "facts"}))
	tcpOf(facts)["access_log"] = a{fileLog(b.file("known.log"), strings.Join([]string{
		"%DOWNSTREAM_REMOTE_ADDRESS%", "%DOWNSTREAM_LOCAL_ADDRESS%", "%DYNAMIC_METADATA(probe:text)%",
		"%DYNAMIC_METADATA(probe:number)%", "%FILTER_STATE(probe.state:PLAIN)%", "%TLS_JA3_FINGERPRINT%", "%TLS_JA4_FINGERPRINT%",
	}, " "))}
	name := acceptListener("name", acceptProbe(m{"do": "name"}))
	matched := netListener("matched", "other")["filter_chains"].(a)[0].(m)
	matched["filter_chain_match"] = m{
		"server_names": a{"other.example"}, "transport_protocol": "tls", "application_protocols": a{"two"},
	}
	name["filter_chains"] = append(name["filter_chains"].(a), matched)
	impatient := acceptListener("impatient", acceptProbe(m{"do": "peek"}))
	impatient["listener_filters_timeout"] = "0.2s"
	goesOn := acceptListener("goes-on", acceptProbe(m{"do": "peek"}))
	goesOn["listener_filters_timeout"], goesOn["continue_on_listener_filters_timeout"] = "0.2s", true
	listeners := []m{
		refused, facts, name, impatient, goesOn,
		acceptListener("late", acceptProbe(m{"do": "late"})),
		acceptListener("drain", acceptProbe(m{"do": "drain"})),
		acceptListener("chain", acceptProbe(m{"do": "drain"}), acceptProbe(m{"do": "go"}), acceptProbe(m{"do": "peek"})),
		acceptListener("panic-close", acceptProbe(m{"do": "panic", "in": "close"})),
	}
	listeners = append(listeners, acceptBoxListeners(b)...)
	for _, do := range accepting {
		listeners = append(listeners, acceptListener(do, acceptProbe(m{"do": do})))
	}
	for _, in := range panicking {
		listeners = append(listeners, acceptListener("panic-"+in, acceptProbe(m{"do": "panic", "in": in})))
	}
	return listeners
}

// tcpOf is the configuration of a listener's tcp_proxy.
func tcpOf(l m) m {
	return l["filter_chains"].(a)[0].(m)["filters"].(a)[0].(m)["typed_config"].(m)
}

func testAcceptPasses(b *netBed) {
	text := strings.Repeat("one\ntwo, three\n", 10) + "the end"
	for _, listener := range append([]string{"drain", "chain"}, accepting...) {
		for name, piece := range map[string]func() int{
			"in one piece":       func() int { return 1 << 20 },
			"one byte at a time": func() int { time.Sleep(time.Millisecond); return 1 },
		} {
			b.Run(listener+" "+name, func(t *testing.T) {
				b := &netBed{t, b.envoy}
				if slices.Contains(waking, listener) && !b.wakes() {
					b.wantRefused(listener, "")
					return
				}
				sent := text
				if listener == "drain" || listener == "chain" {
					sent = "HEADER: " + text
				}
				if diff := cmp.Diff(text, b.say(listener, sent, piece)); diff != "" {
					t.Errorf("what came back (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// say sends text in pieces, and returns what comes back. It ends its side only then: Envoy closes what ends before its
// listener filters have decided.
func (b *netBed) say(listener, text string, piece func() int) string {
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
	}()
	got := make([]byte, len(strings.TrimPrefix(text, "HEADER: ")))
	if n, err := io.ReadFull(c, got); err != nil {
		b.Errorf("reading from %s: %v after %d bytes", listener, err, n)
	}
	return string(got)
}

func testAcceptRefuses(b *netBed) {
	for _, listener := range []string{"refuse", "late"} {
		b.Run(listener, func(t *testing.T) {
			(&netBed{t, b.envoy}).wantRefused(listener, "")
		})
	}
	b.Run("drain", func(t *testing.T) {
		b := &netBed{t, b.envoy}
		c := b.dial("drain")
		_, _ = io.WriteString(c, "no header")
		b.wantClosed(c)
	})
	b.wantLine("refused.log", "moe.probe: as told")
}

// wantLine waits for the first line of a file, and compares it.
func (b *netBed) wantLine(file, want string) {
	b.Helper()
	if line := b.firstLine(file); line != want {
		b.Errorf("%s begins with %q, want %q", file, line, want)
	}
}

// firstLine waits for the first line of a file.
func (b *netBed) firstLine(file string) (line string) {
	b.Helper()
	if err := envoytest.Poll(patience, func() error {
		text, err := os.ReadFile(b.file(file))
		if err != nil {
			return err
		}
		var whole bool
		if line, _, whole = strings.Cut(string(text), "\n"); !whole {
			return fmt.Errorf("%q has no end", line)
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for %s: %v", file, err)
	}
	return line
}

func testAcceptFacts(b *netBed) {
	c := b.dial("facts")
	_, _ = io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		b.Errorf("reading: %v", err)
	}
	c.Close()
	b.wantLine("known.log", "192.0.2.1:1234 [2001:db8::1]:5678 told 7 set three four")
}

func testAcceptName(b *netBed) {
	if p, err := io.ReadAll(b.dial("name")); string(p) != "the other\n" {
		b.Errorf("the client gets %q, %v; want what the other cluster says", p, err)
	}
}

func testAcceptHandoff(b *netBed) {
	to, err := b.envoy.ListenerAddress("name") // whose filter chain says something of its own
	if err != nil {
		b.Fatalf("e.ListenerAddress: %v", err)
	}
	all := append(acceptListeners(b), acceptListener("handoff", acceptProbe(m{"do": "handoff", "to": to})))
	if err := b.envoy.SetListeners(all); err != nil {
		b.Fatalf("e.SetListeners: %v", err)
	}
	if p, err := io.ReadAll(b.dial("handoff")); string(p) != "the other\n" {
		b.Errorf("the client gets %q, %v; want what the listener says to which the connection goes", p, err)
	}
}

// A panic closes its connection, is counted, and harms no other.
func testAcceptPanics(b *netBed) {
	for _, in := range panicking {
		b.Run(in, func(t *testing.T) {
			(&netBed{t, b.envoy}).wantRefused("panic-"+in, "x")
		})
	}
	b.dial("panic-close").Close()
	if err := envoytest.Poll(patience, func() error {
		want := len(panicking) // and OnClose
		if b.wakes() {
			want++ // the function of Go
		}
		if n := b.envoy.Log.Count(0, "panic in .* of the listener filter probe"); n < want {
			return fmt.Errorf("%d panics in Envoy's log, want %d", n, want)
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for panics: %v", err)
	}
	b.say("pass", "x", func() int { return 1 })
	(&logBed{b.T, b.envoy}).counted(`moe\.listener\.panics;filter=probe$`, 1)
}

// Envoy's own patience ends the wait, and the filter hears of it.
func testAcceptSilence(b *netBed) {
	for _, said := range []string{"", "abc"} {
		b.Run(fmt.Sprintf("%d bytes", len(said)), func(t *testing.T) {
			b := &netBed{t, b.envoy}
			c := b.dial("impatient")
			_, _ = io.WriteString(c, said)
			b.wantClosed(c)
		})
	}
	b.Run("it goes on", func(t *testing.T) {
		c := (&netBed{t, b.envoy}).dial("goes-on")
		got := make([]byte, 3)
		_, _ = io.WriteString(c, "abc")
		if _, err := io.ReadFull(c, got); err != nil || string(got) != "abc" {
			t.Errorf("the client gets %q, %v; want what it has sent", got, err)
		}
	})
	(&logBed{b.T, b.envoy}).counted(`moe\.probe\.closes$`, 1)
}

// Envoy lives, and forgets the connections.
func testAcceptResets(b *netBed) {
	var wg sync.WaitGroup
	for _, listener := range append([]string{"drain", "chain", "late", "impatient"}, accepting...) {
		for i := range 20 {
			c, err := b.tryDial(listener)
			if err != nil {
				continue
			}
			wg.Go(func() {
				_, _ = io.WriteString(c, "HEADER: "[:i%9])
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
		stats, err := b.envoy.Stats(`^listener\..*downstream_(cx|pre_cx)_active$`)
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

func testAcceptBadConfig(b *netBed) {
	for _, c := range []struct {
		name, want string
		filter     m
	}{
		{"no such filter", `unknown listener filter; did you mean "probe"`, envoytest.MoE.ListenerFilter("prob", nil)},
		{"unknown field", "unknown field", acceptProbe(m{"does": "x"})},
	} {
		b.Run(c.name, func(t *testing.T) {
			mark := b.envoy.Log.Mark()
			if err := b.envoy.SetListeners([]m{acceptListener("bad", c.filter)}); err == nil {
				t.Fatal("Envoy takes the configuration")
			}
			if log := strings.ReplaceAll(b.envoy.Log.Since(mark), `\"`, `"`); !strings.Contains(log, "configuration rejected") ||
				!strings.Contains(log, c.want) {
				t.Errorf("Envoy's log has not %q:\n%s", c.want, envoytest.Tail(log, 10))
			}
		})
	}
}

// Connections that wait when a configuration goes away end with it; new ones get the new one.
func testAcceptPushes(b *netBed) {
	for i := range 4 {
		do := []string{"peek", "users"}[i%2]
		if !b.wakes() {
			do = "peek"
		}
		if err := b.envoy.SetListeners([]m{acceptListener("pushes", acceptProbe(m{"do": do}))}); err != nil {
			b.Fatalf("e.SetListeners: %v", err)
		}
		for range 5 {
			waiting := []net.Conn{b.dial("pushes"), b.dial("pushes")} // and say nothing
			if got := b.say("pushes", "some text", func() int { return 3 }); got != "some text" {
				b.Errorf("configuration %d (%s): the client gets %q", i, do, got)
			}
			waiting[0].Close()
		}
	}
	if err := b.envoy.Alive(); err != nil {
		b.Errorf("e.Alive: %v", err)
	}
}

// acceptBoxed is a listener filter in the box.
func acceptBoxed(name string, config m) m {
	return envoytest.MoE.ListenerFilter(name, envoytest.Document(envoytest.Struct, config))
}

// acceptBoxListeners have the listener filters in the box.
func acceptBoxListeners(b *netBed) []m {
	trusting := acceptListener("trusting", acceptBoxed("proxyprotocol", m{
		"trusted": a{"127.0.0.0/8"}, "tlvs": a{m{"type": 2, "key": "host"}},
	}), acceptBoxed("clienthello", m{}))
	tcpOf(trusting)["access_log"] = a{fileLog(b.file("proxied.log"), "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% "+
		"%DYNAMIC_METADATA(moe.proxyprotocol:host)%")}
	hello := acceptListener("hello", acceptBoxed("clienthello", m{"require": true, "filterState": true}))
	tcpOf(hello)["access_log"] = a{fileLog(b.file("hello.log"), "%REQUESTED_SERVER_NAME% %DYNAMIC_METADATA(moe.clienthello:alpn)% "+
		"%FILTER_STATE(moe.clienthello.ja4:PLAIN)% %TLS_JA4_FINGERPRINT% %TLS_JA3_FINGERPRINT%")}
	matched := netListener("matched", "other")["filter_chains"].(a)[0].(m)
	matched["filter_chain_match"] = m{"server_names": a{"*.other.example"}, "transport_protocol": "tls"}
	chosen := acceptListener("chosen", acceptBoxed("clienthello", m{}))
	chosen["filter_chains"] = append(chosen["filter_chains"].(a), matched)
	return []m{trusting, hello, chosen, acceptListener("untrusting", acceptBoxed("proxyprotocol", m{"trusted": a{"192.0.2.0/24"}}))}
}

func testAcceptBox(b *netBed) {
	for name, piece := range map[string]func() int{
		"in one piece": func() int { return 1 << 20 }, "one byte at a time": func() int { time.Sleep(time.Millisecond); return 1 },
	} {
		b.Run("proxyprotocol "+name, func(t *testing.T) {
			c := (&netBed{t, b.envoy}).dial("trusting")
			go func() {
				const header = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x18\xc0\x00\x02\x01\xc6\x33\x64\x02\x12\x34\x01\xbb\x02\x00\x09a.example"
				for rest := header + "hello"; rest != ""; {
					n := min(piece(), len(rest))
					if _, err := io.WriteString(c, rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Errorf("the client gets %q, %v; want what it has sent behind the header", got, err)
			}
			c.Close()
		})
	}
	b.wantLine("proxied.log", "192.0.2.1:4660 198.51.100.2:443 a.example")
	for listener, text := range map[string]string{
		"untrusting": "PROXY UNKNOWN\r\n", "trusting": "PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n", "hello": "GET / HTTP/1.1\r\n\r\n",
	} {
		b.Run(listener+" refuses", func(t *testing.T) { (&netBed{t, b.envoy}).wantRefused(listener, text) })
	}
	b.Run("clienthello", func(t *testing.T) {
		b := &netBed{t, b.envoy}
		c := b.dial("hello")
		conf := &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}}
		_ = tls.Client(c, conf).Handshake() // with a server that sends it back
		c.Close()
		text := b.firstLine("hello.log")
		parts := strings.Fields(text)
		if len(parts) != 5 || parts[0] != "www.example.com" || parts[1] != "h2" || parts[2] != parts[3] ||
			!strings.HasPrefix(parts[2], "t13d") || len(parts[4]) != 32 {
			t.Errorf("the log has %q", text)
		}
	})
	b.Run("clienthello chooses the filter chain", func(t *testing.T) {
		c := (&netBed{t, b.envoy}).dial("chosen")
		if err := tls.Client(c, &tls.Config{ServerName: "www.other.example"}).Handshake(); err == nil ||
			!strings.Contains(err.Error(), "does not look like a TLS handshake") {
			t.Errorf("the handshake ends with %v, want an answer of the other cluster", err)
		}
	})
}
