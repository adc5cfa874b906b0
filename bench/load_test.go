package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nserver: envoy\r\ncontent-length: 3\r\ndate: now\r\n\r\n"
	for _, c := range []struct {
		in         string
		body, size int
		err        string
	}{
		{"", 0, 0, ""},
		{head[:len(head)-1], 0, 0, ""},
		{head, len(head), len(head) + 3, ""},
		{head + "ok\n", len(head), len(head) + 3, ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 38, 38, ""},
		{"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", 0, 0, "status 200"},
		{"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 0, 0, "without content-length"},
		{"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n", 0, 0, "wrong content-length"},
		{"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", 0, 0, "wrong content-length"},
		{"HTTP/1.1 200 OK\r\n\r\ncontent-length: 3\r\n", 0, 0, "without content-length"},
	} {
		t.Run(c.in, func(t *testing.T) {
			body, size, err := parse([]byte(c.in))
			if body != c.body || size != c.size || (err == nil) != (c.err == "") {
				t.Errorf("parse(%q) = %d, %d and error %v, want %d, %d and error %q",
					c.in, body, size, err, c.body, c.size, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("parse(%q): got error %v, want one with %q", c.in, err, c.err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"))
	f.Add([]byte("HTTP/1.1 200 \r\ncontent-length: \r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		body, size, err := parse(p)
		if body < 0 || size < body || body > len(p) || err != nil && size != 0 {
			t.Errorf("parse(%q) = body of %d, size %d and error %v, want sizes within the text, and none with an error",
				p, body, size, err)
		}
	})
}

// serve answers every request with h until the test is over.
func serve(t *testing.T, h http.HandlerFunc) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestClientCounts(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1000)
	port := serve(t, echo)
	for _, depth := range []int{1, 3} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			c, err := dial(port, 8, depth, 16<<10, post("/", body), body)
			if err != nil {
				t.Fatalf("dial: %v", err)
			}
			for _, want := range []int{1, 100, 1000} {
				t.Run(fmt.Sprint(want), func(t *testing.T) {
					n, err := c.run(func(done int) bool { return done < want })
					if err != nil || n < want || n > want+2*8*depth || n%depth != 0 {
						t.Errorf("%d responses, %v; want %d and those in flight", n, err, want)
					}
				})
			}
			c.close()
		})
	}
}

func TestClientErrors(t *testing.T) {
	once := func(int) bool { return false }
	for _, c := range []struct {
		name string
		size int
		h    http.HandlerFunc
		want string
	}{
		{"body", 4096, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("other")) }, "not that of its request"},
		{"status", 4096, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "status 200"},
		{"size", 32, echo, "longer than 32 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := dial(serve(t, c.h), 1, 1, c.size, post("/", []byte("hello")), []byte("hello"))
			if err != nil {
				t.Fatalf("dial: %v", err)
			}
			if _, err = k.run(once); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: k.run(once): got error %v, want one with %q", c.name, err, c.want)
			}
			k.close()
		})
	}
	if _, err := dial(1, 1, 1, 16, nil, nil); err == nil {
		t.Error("connected to port 1")
	}
}
