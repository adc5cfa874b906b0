package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"mosn.io/moe/e2e/upstream"
)

// TestClientAddress: x-forwarded-for decides only if the connection comes from a proxy that the moe.yaml trusts.
func TestClientAddress(t *testing.T) {
	const inner = "plugins: [{name: iprestriction, config: {allow: [10.0.0.0/8]}}]\nlisten: 127.0.0.1:0\n"
	const forged = "10.0.0.1"
	const warning = "clients can choose the address"
	type request struct {
		name, from, xff string
		want            int
	}
	for _, c := range []struct {
		name, config string
		requests     []request
	}{
		{name: "by default", requests: []request{
			{name: "without a header", want: 403},
			{name: "a forged address", xff: forged, want: 403},
			{name: "two forged addresses", xff: forged + ", " + forged, want: 403},
		}},
		{name: "trusted networks", config: "trustedProxies: [127.0.0.2, 127.1.0.0/16]", requests: []request{
			{name: "from a client", from: "127.0.0.3", xff: forged, want: 403},
			{name: "from a client without a header", from: "127.0.0.3", want: 403},
			{name: "from a proxy", from: "127.0.0.2", xff: forged, want: 200},
			{name: "from a proxy in a network", from: "127.1.2.3", xff: forged, want: 200},
			{name: "from a proxy behind a proxy", from: "127.0.0.2", xff: forged + ", 127.1.2.3", want: 200},
			{name: "from a proxy to which a client has forged it", from: "127.0.0.2", xff: forged + ", 192.0.2.1", want: 403},
			{name: "from a proxy without a header", from: "127.0.0.2", want: 403},
		}},
		{name: "trusted hops", config: "trustedHops: 1", requests: []request{
			{name: "through a proxy", xff: forged, want: 200},
			{name: "a forged one through a proxy", xff: forged + ", 192.0.2.1", want: 403},
			{name: "without a header", want: 403},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEnvoys(t, func(t *testing.T, s *site) {
				e := s.run(t, inner+c.config)
				for _, r := range c.requests {
					var header []string
					if r.xff != "" {
						header = []string{"x-forwarded-for", r.xff}
					}
					a := e.get(r.from, "/", header...)
					a.wants(t, r.name, r.want)
					if a.seen != nil && strings.Count(a.seen.Headers["x-forwarded-for"], ",") != 1+strings.Count(r.xff, ",") {
						t.Errorf("%s: the upstream sees x-forwarded-for %q, want the one sent and one more address", r.name,
							a.seen.Headers["x-forwarded-for"])
					}
				}
				if strings.Contains(e.log.String(), warning) {
					t.Errorf("the log has %q, want no warning: clients cannot choose their address", warning)
				}
			})
		})
	}
}

// TestOtherSpellings: a route that disables the guard for one path does not let any spelling of another path past it.
func TestOtherSpellings(t *testing.T) {
	const config = `
listen: 127.0.0.1:0
plugins: [{name: iprestriction, config: {deny: [127.0.0.0/8]}}]
routes:
- match: {prefix: /public/}
  plugins: [{name: iprestriction, disabled: true}]
`
	spellings := []string{
		"/admin", "/public/../admin", "/public/%2e%2e/admin", "/public/.%2e/admin", "/public/%2E%2E/admin",
		"/public/..%2fadmin", "/public/..%2Fadmin", "/public/..%5cadmin", "/public%2f..%2fadmin", "/public/..\\admin",
		"//admin", "/public//../admin", "/public//..//admin", "/public/./../admin", "/public/x/../../admin",
		"/public/..;/admin", "/public/../../../admin", "/public/..%2f..%2fadmin", "/public/%2e%2e%2fadmin",
	}
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, config)
		e.get("", "/public/a").wants(t, "the public path", 200)
		for _, path := range spellings {
			a := e.get("", path)
			for range 3 { // follow redirects
				if a.status != 307 {
					break
				}
				a = e.get("", a.header.Get("location"))
			}
			if a.seen != nil && !strings.HasPrefix(clean(a.seen.Path), "/public/") {
				t.Errorf("%s: the upstream got %s, want it denied", path, a.seen.Path)
			}
			if a.status != 403 && a.status != 400 && a.seen == nil {
				t.Errorf("%s: got %v, want it denied", path, a)
			}
		}
	})
}

// clean returns the path as the most lenient upstream would read it.
func clean(path string) string {
	path = strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/").Replace(path)
	var out []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			out = out[:max(len(out)-1, 0)]
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// TestHosts: a route for a host matches every spelling of the host.
func TestHosts(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, `
listen: 127.0.0.1:0
plugins: [{name: iprestriction, config: {deny: [127.0.0.0/8]}, disabled: true}]
routes:
- match: {host: admin.test}
  plugins: [{name: iprestriction, disabled: false}]
`)
		for host, want := range map[string]int{
			"admin.test": 403, "ADMIN.test": 403, "admin.test:80": 403, "admin.test.": 403, "admin.test.:80": 403,
			"other.test": 200,
		} {
			c := e.dial("")
			fmt.Fprintf(c, "GET / HTTP/1.1\r\nhost: %s\r\n\r\n", host)
			e.read(c).wants(t, host, want)
		}
	})
}

// TestRequestsOutOfBounds: Envoy itself answers requests that exceed the limits on size or time.
func TestRequestsOutOfBounds(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, "listen: 127.0.0.1:0\nplugins: [{name: hello}]\nhttp: {requestHeadersTimeout: 1s}\n")
		var many []string
		for i := range 101 {
			many = append(many, fmt.Sprintf("x-%d", i), "a")
		}
		e.get("", "/", many...).wants(t, "101 headers", 431)
		e.get("", "/", many[:180]...).wants(t, "90 headers", 200)
		e.get("", "/", "x-large", strings.Repeat("a", 61<<10)).wants(t, "a header of 61 KiB", 431)
		e.get("", "/", "x-large", strings.Repeat("a", 50<<10)).wants(t, "a header of 50 KiB", 200)
		e.get("", "/", "x_user", "root").wants(t, "an underscore in a header's name", 400)

		begin, c := time.Now(), e.dial("")
		io.WriteString(c, "GET / HTTP/1.1\r\nhost: edge.test\r\n")
		go func() {
			for i := 0; ; i++ { // one header at a time, as an attacker does to hold a connection
				time.Sleep(200 * time.Millisecond)
				if _, err := fmt.Fprintf(c, "x-%d: a\r\n", i); err != nil {
					return
				}
			}
		}()
		e.read(c).wants(t, "a client that sends headers slowly", 408)
		if d := time.Since(begin); d < 900*time.Millisecond || d > 10*time.Second {
			t.Errorf("a client that sends headers slowly: got an answer after %v, want one after about 1 s", d)
		}
	})
}

// TestConnections: Envoy closes connections beyond the limit, and the admin page still answers.
func TestConnections(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, "listen: 127.0.0.1:0\nplugins: [{name: hello}]\nlimits: {maxConnections: 2}\n")
		for i := range 2 {
			c := e.dial("")
			io.WriteString(c, "GET / HTTP/1.1\r\nhost: edge.test\r\n\r\n")
			e.read(c).wants(t, fmt.Sprintf("connection %d", i), 200)
		}
		c := e.dial("")
		io.WriteString(c, "GET / HTTP/1.1\r\nhost: edge.test\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			t.Errorf("a third connection: got %s, want it closed", resp.Status)
		}
		if _, err := e.p.Get(t.Context(), "/ready"); err != nil {
			t.Errorf("the admin page at the limit of connections: got error %v, want an answer", err)
		}
	})
}

// TestHealthyStreams: time-outs end idle streams, and leave active ones alone, however long they take.
func TestHealthyStreams(t *testing.T) {
	up, err := upstream.Start()
	if err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(up.Close)
	onEnvoys(t, func(t *testing.T, s *site) {
		e := s.run(t, "listen: 127.0.0.1:0\nupstream: http://"+up.Addr+"\nplugins: [{name: hello}]\n"+
			"http: {requestHeadersTimeout: 500ms, streamIdleTimeout: 1s, idleTimeout: 1s, maxConnectionDuration: 1s}\n")
		t.Run("a download that goes on for 3 s", func(t *testing.T) {
			t.Parallel()
			e.get("", "/bytes?n=60&chunk=10&pause=500ms").wants(t, "it", 200)
		})
		t.Run("an upload that goes on for 3 s", func(t *testing.T) {
			t.Parallel()
			c := e.dial("")
			io.WriteString(c, "POST /echo HTTP/1.1\r\nhost: edge.test\r\ncontent-length: 6\r\nconnection: close\r\n\r\n")
			for range 6 {
				time.Sleep(500 * time.Millisecond)
				io.WriteString(c, "a")
			}
			e.read(c).wants(t, "it", 200)
		})
		t.Run("a WebSocket that goes on for 3 s", func(t *testing.T) {
			t.Parallel()
			c, in := webSocket(t, e)
			for range 6 {
				time.Sleep(500 * time.Millisecond)
				io.WriteString(c, "\x81\x82\x00\x00\x00\x00hi") // one frame of text, masked with zeroes
				got := make([]byte, 4)
				if _, err := io.ReadFull(in, got); err != nil || string(got) != "\x81\x02hi" {
					t.Fatalf("an echoed frame: got %q and error %v, want the text that was sent", got, err)
				}
			}
		})
		t.Run("a silent WebSocket", func(t *testing.T) {
			t.Parallel()
			c, in := webSocket(t, e)
			c.SetDeadline(time.Now().Add(15 * time.Second))
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("got error %v, want the connection closed", err)
			}
		})
		t.Run("a silent upstream", func(t *testing.T) {
			t.Parallel()
			e.get("", "/hang").wants(t, "it", 504)
		})
	})
}

// webSocket opens a WebSocket connection.
func webSocket(t *testing.T, e *running) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := e.dial("")
	in := bufio.NewReader(c)
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://x/\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != 101 {
		t.Fatalf("a WebSocket: got %v and error %v, want 101", r, err)
	}
	return c, in
}
