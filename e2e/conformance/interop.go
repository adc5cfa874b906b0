package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/websocket"
	"mosn.io/moe/e2e/client"
)

// interopScenarios are protocols other than plain HTTP.
func interopScenarios() []Scenario {
	return append(grpcScenarios(), tunnelScenarios()...)
}

const pings = 50

func tunnelScenarios() []Scenario {
	var out []Scenario
	for name, chain := range map[string]M{
		"streamed": Chain(Probe("p", "request_headers", "set x-seen ${req.upgrade}", "response_headers", "set x-seen 1",
			"request_body", "if 1 0", "response_body", "if 1 0")),
		"piped": Chain(Probe("p", "request_headers", "pipe copy", "response_headers", "set x-seen 1; pipe copy")),
		"async": Chain(Probe("p", "request_headers", "go; sleep 1ms", "request_body", "go", "response_headers", "go; set x-seen 1", "response_body", "go")),
		"waiting": Chain(Probe("p", "request_headers", "waitbody", "request", "set x-body '${bodylen} ${complete}'",
			"response_headers", "set x-seen 1; waitbody", "response", "set x-body '${bodylen}'")),
		"unseen": Chain(ProbeOf("probeheaders", "p", "response_headers", "set x-seen 1")),
	} {
		out = append(out, Scenario{Name: "websocket: ping-pong, " + name, Run: func(b *Bed) { webSocket(b, chain) }})
	}
	return append(out,
		Scenario{Name: "websocket: refused before the upgrade", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "reply 403 'not by websocket'"))})
			raw, err := client.Raw(ln.Addr, "GET /ws HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n"+
				"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n", time.Second)
			if err != nil || !strings.HasPrefix(raw, "HTTP/1.1 403 ") || !strings.HasSuffix(raw, "not by websocket") {
				b.Errorf("got %q %v", raw, err)
			}
		}},
		Scenario{Name: "websocket: a body beside the upgrade", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "waitbody", "request", "set x-seen 1"))})
			raw, err := client.Raw(ln.Addr, "POST /echo HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\n"+
				"Content-Length: 5\n\nhello", 2*time.Second)
			if err != nil || !strings.HasPrefix(raw, "HTTP/1.1 400 ") {
				b.Errorf("got %q %v, want 400", raw, err)
			}
		}},
		Scenario{Name: "websocket: the client leaves", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(ProbeOf("probestream", "s"), Probe("p", "request_headers", "pipe copy"))})
			before := b.Live()
			ws := dialWebSocket(b, ln)
			websocket.Message.Send(ws, "hello")
			ws.Close()
			CompletedAll(b, before)
		}},
		Scenario{Name: "CONNECT: a tunnel over HTTP/1.1", Run: func(b *Bed) { connect(b, false) }},
		Scenario{Name: "CONNECT: a tunnel over HTTP/2", Run: func(b *Bed) { connect(b, true) }},
		Scenario{Name: "HTTP/1.0", Run: func(b *Bed) {
			ln := b.Listen(Listen{
				HCM:   M{"http_protocol_options": M{"accept_http_10": true}},
				Chain: Chain(Probe("p", "response_headers", "set x-seen ${attr.request.protocol}", "response_body", "body upper")),
			})
			raw, err := client.Raw(ln.Addr, "GET /body/hello HTTP/1.0\nHost: x\n\n", 5*time.Second)
			if err != nil {
				b.Fatal(err)
			}
			Contains(b, "answer", raw, "x-seen: HTTP/1.0")
			Contains(b, "answer", raw, "HELLO")
		}},
		Scenario{Name: "HTTP/1.1: pipelined and kept alive", Run: func(b *Bed) {
			ln := b.Listen(Listen{Chain: Chain(Probe("p", "request_headers", "go; set x-a 1", "response_headers", "set x-seen ${req.x-n}"))})
			raw, err := client.Raw(ln.Addr, "GET /body/one HTTP/1.1\nHost: x\nx-n: 1\n\nPOST /body/two HTTP/1.1\nHost: x\nx-n: 2\n"+
				"Content-Length: 4\n\nbodyGET /body/three HTTP/1.1\nHost: x\nx-n: 3\nConnection: close\n\n", 5*time.Second)
			if err != nil {
				b.Fatal(err)
			}
			for i := range 3 {
				Contains(b, "answers", raw, fmt.Sprintf("x-seen: %d", i+1))
			}
			Contains(b, "answers", raw, "three")
		}},
	)
}

func dialWebSocket(b *Bed, ln *Listener) *websocket.Conn {
	b.Helper()
	ws, err := websocket.Dial("ws://"+ln.Addr+"/ws", "", "http://origin.test/")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ws.Close() })
	ws.SetDeadline(time.Now().Add(b.Patience))
	return ws
}

func webSocket(b *Bed, chain M) {
	ln := b.Listen(Listen{Chain: chain})
	ws := dialWebSocket(b, ln)
	for i := range pings {
		sent, got := strings.Repeat(fmt.Sprintf("ping-%d ", i), i*20+1), ""
		if err := websocket.Message.Send(ws, sent); err != nil {
			b.Fatal(err)
		}
		if err := websocket.Message.Receive(ws, &got); err != nil {
			b.Fatalf("message %d: %v", i, err)
		}
		if got != sent {
			b.Fatalf("message %d: got %s, want %s", i, short(got), short(sent))
		}
	}
	// The header shows that the plugin was there.
	var raw string
	for wait := 300 * time.Millisecond; raw == "" && wait <= b.Patience; wait *= 3 {
		raw, _ = client.Raw(ln.Addr, "GET /ws HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nOrigin: http://x/\n"+
			"Sec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n", wait)
	}
	Contains(b, "upgrade", raw, "x-seen: 1")
	Contains(b, "upgrade", raw, " 101 ")
}

// connect opens a tunnel to the upstream and speaks HTTP through it.
func connect(b *Bed, h2 bool) {
	ln := b.Listen(Listen{
		Chain: Chain(Probe("p", "request_headers", "log info 'connect ${req.x-id} ${method} ${host}'", "response_headers", "set x-seen 1",
			"request_body", "if 1 0")),
		Routes: []M{{"match": M{"connect_matcher": M{}}, "route": M{
			"cluster":         "up",
			"upgrade_configs": A{M{"upgrade_type": "CONNECT", "connect_config": M{}}},
		}}},
	})
	id := client.NewID()
	var conn io.ReadWriter
	if h2 {
		conn = connectH2(b, ln, id)
	} else {
		conn = connectH1(b, ln, id)
	}
	b.WaitLog("connect " + id + ` CONNECT tunnel\.test:80`)
	in := bufio.NewReader(conn)
	for i := range 3 {
		fmt.Fprintf(conn, "GET /body/through-%d HTTP/1.1\r\nHost: inner.test\r\n\r\n", i)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		p, err := io.ReadAll(r.Body)
		if err != nil {
			b.Fatal(err)
		}
		Equal(b, "through the tunnel", string(p), fmt.Sprintf("through-%d", i))
	}
}

func connectH1(b *Bed, ln *Listener, id string) io.ReadWriter {
	b.Helper()
	c, err := net.Dial("tcp", ln.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(b.Patience))
	fmt.Fprintf(c, "CONNECT tunnel.test:80 HTTP/1.1\r\nHost: tunnel.test:80\r\nx-id: %s\r\n\r\n", id)
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, &http.Request{Method: "CONNECT"})
	if err != nil {
		b.Fatal(err)
	}
	Equal(b, "status", r.StatusCode, 200)
	Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
	return struct {
		io.Reader
		io.Writer
	}{in, c}
}

func connectH2(b *Bed, ln *Listener, id string) io.ReadWriter {
	b.Helper()
	pr, pw := io.Pipe()
	ctx, cancel := context.WithTimeout(context.Background(), b.Patience)
	b.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "CONNECT", "http://"+ln.Addr, pr)
	if err != nil {
		b.Fatal(err)
	}
	req.Host = "tunnel.test:80"
	req.Header.Set("x-id", id)
	r, err := client.Client(true).Do(req)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.Body.Close() })
	Equal(b, "status", r.StatusCode, 200)
	Equal(b, "x-seen", r.Header.Get("x-seen"), "1")
	return struct {
		io.Reader
		io.Writer
	}{r.Body, pw}
}
