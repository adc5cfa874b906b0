package dynmod

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// udpBed has an Envoy with UDP listeners, and a server behind them.
type udpBed struct {
	*testing.T
	envoy *envoytest.Envoy
	up    *udpServer
}

// udpServer sends back what it gets.
type udpServer struct {
	conn net.PacketConn

	mu  sync.Mutex
	got []string
}

func startUDP(t *testing.T) *udpServer {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.ListenPacket: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	s := &udpServer{conn: c}
	go func() {
		p := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			s.mu.Lock()
			if s.got = append(s.got, string(p[:n])); len(s.got) > 1000 {
				s.got = s.got[500:]
			}
			s.mu.Unlock()
			_, _ = c.WriteTo(p[:n], from)
		}
	}()
	return s
}

// has reports whether the server has got a datagram with that text.
func (s *udpServer) has(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.got, text)
}

// udpListener is a listener of UDP with filters before udp_proxy.
func udpListener(name string, most int, filters ...m) m {
	all := a{}
	for _, f := range filters {
		all = append(all, f)
	}
	address := envoytest.Address("127.0.0.1:0")
	address["socket_address"].(m)["protocol"] = "UDP"
	sizes := m{"max_rx_datagram_size": most}
	return m{
		"name": name, "address": address, "udp_listener_config": m{"downstream_socket_config": sizes},
		"listener_filters": append(all, m{"name": "proxy", "typed_config": m{
			"@type":       "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig",
			"stat_prefix": name, "upstream_socket_config": sizes,
			"matcher": m{"on_no_match": m{"action": m{"name": "route", "typed_config": m{
				"@type": "type.googleapis.com/envoy.extensions.filters.udp.udp_proxy.v3.Route", "cluster": "udp",
			}}}},
		}}),
	}
}

// udpProbe is the UDP filter of the probes.
func udpProbe(config m) m {
	return envoytest.MoE.UDPFilter("probe", envoytest.Document(envoytest.Struct, config))
}

// dial makes a socket of a client's, for a listener.
func (b *udpBed) dial(listener string) *net.UDPConn {
	b.Helper()
	var addr string
	if err := envoytest.Poll(patience, func() (err error) {
		addr, err = b.envoy.ListenerAddress(listener)
		return err
	}); err != nil {
		b.Fatalf("e.ListenerAddress: %v", err)
	}
	c, err := net.Dial("udp", addr)
	if err != nil {
		b.Fatalf("net.Dial: %v", err)
	}
	b.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// until sends text, again and again as datagrams get lost, until an answer comes that satisfies.
func (b *udpBed) until(c net.Conn, text string, satisfies func(answer string) bool) {
	b.Helper()
	b.answers(func() net.Conn { return c }, text, satisfies)
}

// eventually is until with a new socket each time, for a listener that has just changed: its address may, too.
func (b *udpBed) eventually(listener, text string, satisfies func(answer string) bool) {
	b.Helper()
	b.answers(func() net.Conn { return b.dial(listener) }, text, satisfies)
}

func (b *udpBed) answers(from func() net.Conn, text string, satisfies func(answer string) bool) {
	b.Helper()
	p, last := make([]byte, 1<<16), "no answer"
	if err := envoytest.Poll(patience, func() error {
		c := from()
		if _, err := c.Write([]byte(text)); err != nil {
			return err // that of an earlier one
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for {
			n, err := c.Read(p)
			if err != nil {
				return fmt.Errorf("%w; the last answer is %.100q", err, last)
			}
			if last = string(p[:n]); satisfies(last) {
				return nil
			}
		}
	}); err != nil {
		b.Errorf("for %d bytes, %.100q: %v", len(text), text, err)
	}
}

// want sends text until an answer comes, which must be the one that is wanted.
func (b *udpBed) want(c net.Conn, text, answer string) {
	b.Helper()
	b.until(c, text, func(got string) bool {
		if got != answer {
			b.Errorf("the answer to %d bytes, %.100q, has %d: %.100q; want %.100q", len(text), text, len(got), got, answer)
		}
		return true
	})
}

// counted waits until a metric is at least want.
func (b *udpBed) counted(re string, want int64) {
	b.Helper()
	(&logBed{b.T, b.envoy}).counted(re, want)
}

// lives has the datagrams of a client pass.
func (b *udpBed) lives() {
	b.Helper()
	if err := b.envoy.Alive(); err != nil {
		b.Fatalf("e.Alive: %v", err)
	}
	b.want(b.dial("pass"), "are you there", "are you there")
}

// TestUDP has Go see datagrams, on real Envoys.
func TestUDP(t *testing.T) {
	conformance.OnEnvoys(t, &Host{}, nil, envoytest.Options{}, func(t *testing.T, e *envoytest.Envoy, _ *upstream.Server) {
		up := startUDP(t)
		if err := e.SetClusters([]m{
			envoytest.Cluster("udp", false, up.conn.LocalAddr().String()), envoytest.Cluster("dns", false, startDNS(t)),
		}); err != nil {
			t.Fatalf("e.SetClusters: %v", err)
		}
		if err := e.SetListeners(udpListeners()); err != nil {
			t.Fatalf("e.SetListeners: %v", err)
		}
		for _, c := range []struct {
			name string
			run  func(*udpBed)
		}{
			{"datagrams pass", testUDPPasses},
			{"datagrams end", testUDPEnds},
			{"what a filter makes", testUDPMakes},
			{"what a filter knows", testUDPFacts},
			{"datagrams to others", testUDPSends},
			{"panics", testUDPPanics},
			{"datagrams that are too long", testUDPTooLong},
			{"floods", testUDPFlood},
			{"a DNS gateway", testDNSGateway},
			{"bad configurations", testUDPBadConfig},
			{"configurations change under datagrams", testUDPPushes},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(&udpBed{t, e, up}) })
		}
	})
}

func udpListeners() []m {
	const most = 65535
	reply := udpListener("reply", most, udpProbe(m{"do": "reply", "text": "answer"}))
	alone := udpListener("alone", most, udpProbe(m{"do": "reply", "text": "alone"}))
	alone["listener_filters"] = alone["listener_filters"].(a)[:1]
	return []m{
		udpListener("pass", most, udpProbe(m{})),
		udpListener("drop", most, udpProbe(m{"do": "drop"})),
		udpListener("replace", most, udpProbe(m{"do": "replace", "text": "other"})),
		udpListener("chain", most, udpProbe(m{"do": "replace", "text": "first"}), udpProbe(m{"do": "users"}), udpProbe(m{"do": "facts"})),
		reply, alone,
		udpListener("facts", most, udpProbe(m{"do": "facts"})),
		udpListener("send", most, udpProbe(m{"do": "send"})),
		udpListener("users", most, udpProbe(m{"do": "users"})),
		udpListener("panic", most, udpProbe(m{"do": "panic"})),
		udpListener("short", 1000, udpProbe(m{"do": "facts"})),
		dnsListener(),
	}
}

func testUDPPasses(b *udpBed) {
	for _, n := range []int{1, 512, 1500, 9000, 65507} {
		for _, listener := range []string{"pass", "users"} {
			b.Run(fmt.Sprintf("%s %d bytes", listener, n), func(t *testing.T) {
				b := &udpBed{t, b.envoy, b.up}
				text := strings.Repeat("0123456789", n/10+1)[:n]
				b.until(b.dial(listener), text, func(answer string) bool {
					if answer != text && (listener != "users" || answer != "from elsewhere") {
						t.Errorf("the answer has %d bytes: %.100q", len(answer), answer)
					}
					return answer == text
				})
			})
		}
	}
	b.counted(`moe\.probe\.datagrams$`, 1)
}

// What a filter ends does not reach the upstream; what the same client sends after it does.
func testUDPEnds(b *udpBed) {
	b.Run("drop", func(t *testing.T) {
		b := &udpBed{t, b.envoy, b.up}
		c := b.dial("drop")
		for range 10 {
			if _, err := c.Write([]byte("drop this")); err != nil {
				t.Fatalf("c.Write: %v", err)
			}
		}
		b.want(c, "and pass this", "and pass this")
		if b.up.has("drop this") {
			t.Error("the upstream has got what the filter drops")
		}
	})
	b.Run("reply", func(t *testing.T) {
		b := &udpBed{t, b.envoy, b.up}
		b.want(b.dial("reply"), "for the filter", "answer")
		b.lives()
		if b.up.has("for the filter") {
			t.Error("the upstream has got what the filter answers")
		}
	})
}

func testUDPMakes(b *udpBed) {
	for _, c := range []struct{ name, listener, answer string }{
		{"in its place", "replace", "other"},
		{"an answer", "reply", "answer"},
		{"an answer where nothing follows", "alone", "alone"},
	} {
		b.Run(c.name, func(t *testing.T) {
			b := &udpBed{t, b.envoy, b.up}
			b.want(b.dial(c.listener), "some text", c.answer)
		})
	}
}

func testUDPFacts(b *udpBed) {
	c := b.dial("facts")
	b.want(c, "12345", fmt.Sprintf("%v %v 5", c.LocalAddr(), c.RemoteAddr()))
	b.want(c, "", fmt.Sprintf("%v %v 0", c.LocalAddr(), c.RemoteAddr())) // to which udp_proxy pays no heed
	c = b.dial("chain")                                                  // whose first filter replaces
	facts := fmt.Sprintf("%v %v 5", c.LocalAddr(), c.RemoteAddr())
	b.until(c, "1234567", func(answer string) bool { return answer == facts })
}

// A filter sends to others, too, from the listener's address.
func testUDPSends(b *udpBed) {
	c, other := b.dial("send"), b.dial("send")
	to := other.LocalAddr().String()
	p := make([]byte, 100)
	if err := envoytest.Poll(patience, func() error {
		b.until(c, to, func(answer string) bool { return answer == "sent" })
		_ = other.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, err := other.Read(p)
		if got := string(p[:n]); err != nil || got != "to "+to {
			return fmt.Errorf("the other client gets %q, %v", got, err)
		}
		return nil
	}); err != nil {
		b.Errorf("a datagram to another: %v", err)
	}
	b.until(c, "nowhere", func(answer string) bool { return strings.HasPrefix(answer, "nowhere: ") })
}

func testUDPPanics(b *udpBed) {
	c := b.dial("panic")
	if err := envoytest.Poll(patience, func() error {
		for i := range 500 {
			if _, err := c.Write([]byte(fmt.Sprintf("panic %d", i))); err != nil {
				return err
			}
		}
		stats, err := b.envoy.Stats(`moe\.udp\.panics`)
		if err != nil {
			return err
		}
		for _, n := range stats {
			if n >= 500 {
				return nil
			}
		}
		return fmt.Errorf("panics are counted as %v", stats)
	}); err != nil {
		b.Errorf("500 panics: %v", err)
	}
	b.lives()
	if b.up.has("panic 0") {
		b.Error("the upstream has got a datagram that a filter panicked with")
	}
	logged := 0
	if err := envoytest.Poll(patience, func() error {
		if logged = strings.Count(b.envoy.Log.Since(0), "panic in OnDatagram"); logged == 0 {
			return errors.New("no panic is logged")
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for the log: %v", err)
	}
	if logged >= 500 {
		b.Errorf("%d panics are logged, want a few", logged)
	}
}

// Envoy drops what is longer than the listener takes, and the filter does not see it.
func testUDPTooLong(b *udpBed) {
	c := b.dial("short")
	for _, n := range []int{1001, 1500, 65507} {
		_, _ = c.Write(make([]byte, n))
	}
	b.want(c, strings.Repeat("x", 1000), fmt.Sprintf("%v %v 1000", c.LocalAddr(), c.RemoteAddr()))
}

// Datagrams of all lengths, from many clients, to filters that do all there is to do.
func testUDPFlood(b *udpBed) {
	var clients sync.WaitGroup
	for _, listener := range []string{"pass", "replace", "reply", "send", "users", "panic", "short", "facts"} {
		c := b.dial(listener)
		clients.Go(func() {
			noise := bytes.Repeat([]byte{0xff, 0, 'x'}, 22000)
			for range 2000 {
				n := rand.IntN(2000)
				if rand.IntN(50) == 0 {
					n = rand.IntN(65507)
				}
				_, _ = c.Write(noise[:n])
			}
		})
	}
	clients.Wait()
	b.lives()
}

// Envoy takes any configuration of a UDP filter. A wrong one passes nothing, and the next good one works.
func testUDPBadConfig(b *udpBed) {
	for _, c := range []struct {
		name, listener, want, filter string
		config                       m
	}{
		{name: "no such filter", listener: "unknown", filter: "prob", config: m{}, want: `unknown UDP filter; did you mean "probe"`},
		{name: "unknown field", listener: "wrong", filter: "probe", config: m{"does": "x"}, want: "unknown field"},
	} {
		b.Run(c.name, func(t *testing.T) {
			b := &udpBed{t, b.envoy, b.up}
			mark := b.envoy.Log.Mark()
			b.push(c.listener, envoytest.MoE.UDPFilter(c.filter, envoytest.Document(envoytest.Struct, c.config)))
			if err := envoytest.Poll(patience, func() error {
				log := strings.ReplaceAll(b.envoy.Log.Since(mark), `\"`, `"`)
				if !strings.Contains(log, "all datagrams are dropped") || !strings.Contains(log, c.want) {
					return errors.New(envoytest.Tail(log, 10))
				}
				return nil
			}); err != nil {
				t.Errorf("Envoy's log has not %q: %v", c.want, err)
			}
			text := "to a bad configuration: " + c.name
			if err := envoytest.Poll(patience, func() error {
				if _, err := b.dial(c.listener).Write([]byte(text)); err != nil {
					return err
				}
				stats, err := b.envoy.Stats(`\.` + c.filter + `\.moe\.udp\.rejected`)
				for _, n := range stats {
					if n > 0 {
						return nil
					}
				}
				return errors.Join(err, fmt.Errorf("the metric is %v", stats))
			}); err != nil {
				t.Errorf("counting what is dropped: %v", err)
			}
			b.lives()
			if b.up.has(text) {
				t.Error("the upstream has got a datagram that a bad configuration let pass")
			}
			b.push(c.listener, udpProbe(m{}))
			b.eventually(c.listener, "good again", func(answer string) bool { return answer == "good again" })
		})
	}
}

// push gives Envoy the listeners, and one more with a filter.
func (b *udpBed) push(name string, filter m) {
	b.Helper()
	if err := b.envoy.SetListeners(append(udpListeners(), udpListener(name, 65535, filter))); err != nil {
		b.Fatalf("e.SetListeners: %v", err)
	}
}

// While clients send, configurations come and go; soon each is what answers.
func testUDPPushes(b *udpBed) {
	b.push("pushes", udpProbe(m{"do": "reply", "text": "0"}))
	var clients sync.WaitGroup
	end := make(chan bool)
	for range 4 {
		c := b.dial("pushes")
		clients.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					_, _ = c.Write([]byte("noise"))
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	for i := range 5 {
		version := fmt.Sprint("version ", i)
		b.push("pushes", udpProbe(m{"do": "reply", "text": version}))
		b.eventually("pushes", "which", func(answer string) bool { return answer == version })
	}
	close(end)
	clients.Wait()
	b.lives()
}
