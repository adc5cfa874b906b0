package extproc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
	"mosn.io/moe/internal/envoy"
)

// printed returns the configuration that moe extproc prints for a server that runs with the same file.
func printed(t *testing.T, binary, config, server string, flags ...string) m {
	t.Helper()
	file := filepath.Join(t.TempDir(), "moe.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	args := append([]string{"extproc", "-c", file, "--print-config", "--address", server, "--envoy-admin", "127.0.0.1:0"}, flags...)
	cmd := exec.Command(binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cmd.Output: %v", err)
	}
	var doc m
	if err := yaml.Unmarshal(out, &doc); err != nil {
		t.Fatalf("yaml.Unmarshal: %v", err)
	}
	return doc
}

// manager is the connection manager of a printed configuration.
func manager(doc m) m {
	listener := doc["static_resources"].(m)["listeners"].(a)[0].(m)
	return listener["filter_chains"].(a)[0].(m)["filters"].(a)[0].(m)["typed_config"].(m)
}

// run starts an Envoy with a configuration and returns its listener's address.
func run(t *testing.T, bin envoytest.Binary, doc m) string {
	t.Helper()
	config, err := json.Marshal(doc)
	if err != nil {
		t.Fatalf("json.Marshal: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := envoy.Start(ctx, envoy.Options{Path: bin.Path, Config: config, Concurrency: 1, Log: io.Discard, Stdout: io.Discard})
	if err != nil {
		t.Fatalf("envoy.Start: %v", err)
	}
	t.Cleanup(func() { p.Stop() })
	addr, err := p.Listener(ctx, "moe")
	if err != nil {
		t.Fatalf("p.Listener: %v", err)
	}
	return addr
}

// TestPrinted runs Envoys with what --print-config prints, as it is: requests and tunnels pass the plugins.
func TestPrinted(t *testing.T) {
	binary := moe(t)
	up, err := upstream.Start()
	if err != nil {
		t.Fatalf("upstream.Start: %v", err)
	}
	t.Cleanup(up.Close)
	config := "listen: 127.0.0.1:0\nupstream: http://" + up.Addr + "\nplugins:\n- name: hello\n"
	server := startMoe(t, binary, config)
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	for _, bin := range bins {
		for _, body := range []string{"auto", "full"} {
			t.Run(bin.Version+"/body "+body, func(t *testing.T) {
				doc := printed(t, binary, config, server.addr, "--body", body)
				hcm := manager(doc)
				// CONNECT needs a route that lets it, which is the operator's to add.
				host := hcm["route_config"].(m)["virtual_hosts"].(a)[0].(m)
				host["routes"] = append(a{m{"match": m{"connect_matcher": m{}}, "route": m{
					"cluster": "moe", "upgrade_configs": a{m{"upgrade_type": "CONNECT", "connect_config": m{}}},
				}}}, host["routes"].(a)...)
				addr := run(t, bin, doc)
				r, err := client.Do(addr, client.Request{Path: "/mirror", Body: "body"})
				if err != nil || r.Status != 200 || r.Body != "body" {
					t.Errorf("client.Do: got %+v and error %v, want r.Status 200; want r.Body %q", r, err, "body")
				}
				greeted(t, "a request", r.Header)
				webSocket(t, addr)
				connect(t, addr)
			})
		}
	}
}

func greeted(t *testing.T, what string, h http.Header) {
	t.Helper()
	if got := h.Get("x-extproc-hello"); got != "Hello from ext_proc" {
		t.Errorf("%s: the plugin sets %q", what, got)
	}
}

func dialTunnel(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("net.Dial: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c, bufio.NewReader(c)
}

// webSocket sends a frame and expects it back.
func webSocket(t *testing.T, addr string) {
	t.Helper()
	c, in := dialTunnel(t, addr)
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://x/\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != 101 {
		t.Errorf("websocket: %v %v", r, err)
		return
	}
	greeted(t, "a websocket", r.Header)
	for range 3 {
		io.WriteString(c, "\x81\x82\x00\x00\x00\x00hi") // one frame of text, masked with zeroes
		got := make([]byte, 4)
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, []byte("\x81\x02hi")) {
			t.Errorf("websocket: %q %v", got, err)
			return
		}
	}
}

// connect speaks HTTP through a tunnel.
func connect(t *testing.T, addr string) {
	t.Helper()
	c, in := dialTunnel(t, addr)
	io.WriteString(c, "CONNECT tunnel.test:80 HTTP/1.1\r\nHost: tunnel.test:80\r\n\r\n")
	r, err := http.ReadResponse(in, &http.Request{Method: "CONNECT"})
	if err != nil || r.StatusCode != 200 {
		t.Errorf("CONNECT: %v %v", r, err)
		return
	}
	greeted(t, "a tunnel", r.Header)
	for i := range 3 {
		fmt.Fprintf(c, "GET /body/through-%d HTTP/1.1\r\nHost: inner.test\r\n\r\n", i)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Errorf("http.ReadResponse: %v", err)
			return
		}
		if p, err := io.ReadAll(r.Body); string(p) != fmt.Sprintf("through-%d", i) {
			t.Errorf("through the tunnel: %q %v", p, err)
		}
	}
}
