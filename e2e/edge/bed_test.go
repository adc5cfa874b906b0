// Package edge runs real Envoys with the configurations that `moe run --print-config` prints for a moe.yaml, and sends
// them what hostile clients at the edge would.
package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/internal/bootstrap"
	"mosn.io/moe/internal/echo"
	"mosn.io/moe/internal/envoy"
	"mosn.io/moe/internal/moefile"
)

// onEnvoys runs f on each Envoy of the matrix, with the test module.
func onEnvoys(t *testing.T, f func(t *testing.T, s *site)) {
	bins, err := envoytest.Find()
	if err != nil {
		t.Fatalf("envoytest.Find: %v", err)
	}
	module := module(t)
	for _, bin := range bins {
		t.Run(bin.Version, func(t *testing.T) { f(t, &site{bin: bin, module: module}) })
	}
}

var built struct {
	once sync.Once
	path string
}

// module returns the path of the test module, which is built once for the package.
func module(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		envoytest.Module(t, moduleDir)
		built.path = filepath.Join(moduleDir, "libmoe.so")
	})
	if built.path == "" {
		t.Fatal("building the test module failed in an earlier test")
	}
	return built.path
}

// site is an Envoy binary and a module with which tests run moe.yaml files.
type site struct {
	bin    envoytest.Binary
	module string
}

// log collects Envoy's log.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// running is an Envoy with the configuration of a moe.yaml.
type running struct {
	t    *testing.T
	p    *envoy.Process
	addr string // of the listener moe; "" if there is none
	log  *log
}

// run starts an Envoy with the configuration that moe run prints for text. The upstream echo is moe run's echo server.
func (s *site) run(t *testing.T, text string) *running {
	t.Helper()
	return s.runIn(t, text, "", false)
}

// runIn is like run, but writes the resources to files in dir unless dir is "". With static, it writes only the
// certificates, like moe run.
func (s *site) runIn(t *testing.T, text, dir string, static bool) *running {
	t.Helper()
	file, err := moefile.Parse([]byte(text), moefile.CheckFile, moefile.Dynmod)
	if err != nil {
		t.Fatalf("moefile.Parse: %v\n%s", err, text)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	t.Cleanup(func() { ln.Close() })
	go echo.Serve(ln)
	o := file.Bootstrap("127.0.0.1:0", ln.Addr().String())
	o.Dir, o.Static = dir, static
	if dir != "" {
		writeResources(t, o)
	}
	b, err := bootstrap.New(o)
	if err != nil {
		t.Fatalf("bootstrap.New: %v", err)
	}
	config, err := bootstrap.YAML(b)
	if err != nil {
		t.Fatalf("bootstrap.YAML: %v", err)
	}
	r := &running{t: t, log: &log{}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r.p, err = envoy.Start(ctx, envoy.Options{
		Path: s.bin.Path, Config: config, Module: s.module, Concurrency: 1, Log: r.log, Stdout: io.Discard,
		LogLevel: "warning", Args: []string{"--component-log-level", "dynamic_modules:info"},
	})
	if err != nil {
		t.Fatalf("envoy.Start: %v\n%s", err, config)
	}
	t.Cleanup(func() {
		if err := r.p.Stop(); err != nil {
			t.Errorf("stopping Envoy: %v", err)
		}
		if t.Failed() {
			t.Logf("Envoy's log:\n%s", envoytest.Tail(r.log.String(), 40))
		}
	})
	r.addr = r.listener(bootstrap.Name)
	return r
}

// writeResources replaces the files that Envoy watches, by renames.
func writeResources(t *testing.T, o bootstrap.Options) {
	t.Helper()
	_, r, err := bootstrap.Build(o)
	if err != nil {
		t.Fatalf("bootstrap.Build: %v", err)
	}
	if _, err := r.Write(o.Dir); err != nil {
		t.Fatalf("writing the resources: %v", err)
	}
}

// listener returns the address of the listener of that name, or "" if there is none.
func (r *running) listener(name string) string {
	addr, _ := r.p.Listener(r.t.Context(), name)
	return addr
}

// answer is a response, with the request that the echo server saw if it was the one that answered.
type answer struct {
	status int
	header http.Header
	body   string
	seen   *echo.Seen
}

// dial connects to the listener, from the given local address, or from any if it is "".
func (r *running) dial(from string) net.Conn {
	r.t.Helper()
	d := net.Dialer{Timeout: 10 * time.Second}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatalf("dialing Envoy: %v", err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// get sends a GET with exactly these bytes as its path. It dials from the given local address, if any. headers are names
// and values in turn.
func (r *running) get(from, path string, header ...string) answer {
	r.t.Helper()
	c := r.dial(from)
	text := "GET " + path + " HTTP/1.1\r\nhost: edge.test\r\nconnection: close\r\n"
	for i := 0; i+1 < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	if _, err := io.WriteString(c, text+"\r\n"); err != nil {
		r.t.Fatalf("sending a request: %v", err)
	}
	return r.read(c)
}

// read reads a response.
func (r *running) read(c net.Conn) answer {
	r.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		r.t.Fatalf("no response: %v", err)
	}
	return r.answer(resp)
}

func (r *running) answer(resp *http.Response) answer {
	r.t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatalf("reading a response: %v", err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if seen := new(echo.Seen); json.Unmarshal(body, seen) == nil && seen.Path != "" {
		a.seen = seen
	}
	return a
}

// wants fails the test if the answer's status is not status.
func (a answer) wants(t *testing.T, what string, status int) {
	t.Helper()
	if a.status != status {
		t.Errorf("%s: got status %d and %.200q, want %d", what, a.status, a.body, status)
	}
}

func (a answer) String() string { return fmt.Sprintf("%d %.200q", a.status, a.body) }
