package envoy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// direct answers every request by itself, on ports that the kernel chooses.
const direct = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: test
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]
          http_filters:
          - {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
`

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestServeAndStop(t *testing.T) {
	ctx := t.Context()
	var log buffer
	p, err := Start(ctx, Options{Config: []byte(direct), Concurrency: 1, Log: Prefix(&log, "envoy| ")})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	defer p.Stop()
	addr, err := p.Listener(ctx, "main")
	if err != nil {
		t.Fatalf("p.Listener: %v", err)
	}
	resp, err := http.Get("http://" + addr + "/")
	if err != nil {
		t.Fatalf("http.Get: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(b) != "hello" {
		t.Fatalf("body %q, error %v", b, err)
	}
	if n, err := p.Stat(ctx, "http.test.downstream_rq_2xx"); err != nil || n != 1 {
		t.Errorf("2xx: %d, error %v", n, err)
	}
	if _, err := p.Listener(ctx, "other"); err == nil {
		t.Error("a listener that is not there was found")
	}
	if _, err := p.Get(ctx, "/nothing"); err == nil {
		t.Error("got no error for 404")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind", p.dir)
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "envoy| ") {
			t.Errorf("no prefix: %q", line)
		}
	}
	if !strings.Contains(log.String(), "starting main dispatch loop") {
		t.Errorf("the log is not there: %q", log.String())
	}
}

// TestNoAdminAddress has a folder where Envoy would write its admin address: Envoy serves, and nobody can ask it.
func TestNoAdminAddress(t *testing.T) {
	p, err := prepare(Options{Config: []byte(direct), Concurrency: 1})
	if err != nil {
		t.Fatalf("prepare: %v", err)
	}
	if err := os.Mkdir(p.adminFile(), 0o700); err != nil {
		t.Fatalf("os.Mkdir: %v", err)
	}
	began := time.Now()
	_, err = p.start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "admin address") {
		t.Errorf("start: got error %v, want one about the admin address", err)
	}
	if took := time.Since(began); took >= p.options.StartTimeout {
		t.Errorf("start took %v, want less than the timeout of %v", took, p.options.StartTimeout)
	}
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("%s was left behind (error %v)", p.dir, err)
	}
}

func TestStartFails(t *testing.T) {
	for _, c := range []struct {
		name, config, want string
		options            Options
	}{
		{"bad configuration", "static_resources: {listeners: 7}", "listeners", Options{}},
		{"no such module", direct, "dynamic module: stat", Options{Module: "/nowhere/libmoe.so"}},
		{"no such binary", direct, "/nowhere/envoy", Options{Path: "/nowhere/envoy"}},
		{"never ready", direct, "not ready within", Options{StartTimeout: time.Nanosecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Config = []byte(c.config)
			p, err := Start(t.Context(), c.options)
			if err == nil {
				p.Stop()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func TestStartIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Start(ctx, Options{Config: []byte(direct)}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
}

func TestEndsByItself(t *testing.T) {
	p, err := Start(t.Context(), Options{Config: []byte(direct), Concurrency: 1})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	p.Signal(syscall.SIGKILL)
	if err := p.Err(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v", err)
	}
	if err := p.Stop(); err == nil {
		t.Error("Stop hides that it had ended before")
	}
}

// acting is a script that does something, and before that writes an admin address like Envoy does, of a listener of
// ours.
func acting(t *testing.T, does string) (script string) {
	t.Helper()
	script = filepath.Join(t.TempDir(), "envoy")
	server := &http.Server{Addr: "127.0.0.1:0", Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "LIVE")
	})}
	ln := listen(t)
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	sh := "#!/bin/sh\n" + does + "\nwhile [ \"$1\" != --admin-address-path ]; do shift; done\necho " + ln.Addr().String() +
		" >\"$2\"\nwhile :; do sleep 0.05; done\n"
	if err := os.WriteFile(script, []byte(sh), 0o700); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	return script
}

func TestStubbornProcess(t *testing.T) {
	script := acting(t, "trap '' TERM")
	p, err := Start(t.Context(), Options{Path: script, StopTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("error %v", err)
	}
}

// A process that exits cleanly on SIGTERM counts as stopped, even if its pipes stay open.
func TestHeldPipes(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	p, err := Start(t.Context(), Options{Path: acting(t, "trap 'exit 0' TERM\nsleep 60 &\necho $! >"+pid)})
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	err = p.Stop()
	text, readErr := os.ReadFile(pid)
	child, convErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if readErr != nil || convErr != nil {
		t.Fatalf("os.ReadFile: %v; strconv.Atoi: %v", readErr, convErr)
	}
	if killErr := syscall.Kill(child, syscall.SIGKILL); killErr != nil {
		t.Errorf("who held the pipes is gone: %v", killErr)
	}
	if err != nil {
		t.Errorf("p.Stop: %v", err)
	}
}

func TestValidate(t *testing.T) {
	if err := Validate(t.Context(), Options{Config: []byte(direct)}); err != nil {
		t.Errorf("Validate: %v", err)
	}
	if err := Validate(t.Context(), Options{Config: []byte(`{"node": {"id": "x"}}`)}); err != nil {
		t.Errorf("JSON: %v", err)
	}
	err := Validate(t.Context(), Options{Config: []byte(strings.Replace(direct, "stat_prefix", "stat_prefax", 1))})
	if err == nil || !strings.Contains(err.Error(), "stat_prefax") {
		t.Errorf("error %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Setenv("ENVOY", "")
	root := t.TempDir()
	write := func(path, text string, mode os.FileMode) string {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatalf("os.MkdirAll: %v", err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatalf("os.WriteFile: %v", err)
		}
		return path
	}
	write("go.mod", "module mosn.io/moe\n", 0o600)
	old := write(".envoy/1.9.0/envoy", "#!/bin/sh\n", 0o700)
	later := write(".envoy/1.40.0/envoy", "#!/bin/sh\n", 0o700)
	mine := write("mine", "#!/bin/sh\n", 0o700)
	t.Chdir(filepath.Join(root, ".envoy"))
	if diff := cmp.Diff([]string{old, later}, Installed(root)); diff != "" {
		t.Errorf("Installed (-want +got):\n%s", diff)
	}
	check := func(explicit, want string) {
		t.Helper()
		if got, err := Find(explicit); err != nil || got != want {
			t.Errorf("Find(%q) = %q, %v; want %q", explicit, got, err, want)
		}
	}
	check("", later)
	def := write(".envoy/"+DefaultVersion+"/envoy", "#!/bin/sh\n", 0o700)
	check("", def)
	t.Setenv("ENVOY", mine)
	check("", mine)
	check(def, def)
	if _, err := Find(filepath.Join(root, "nothing")); err == nil || !strings.Contains(err.Error(), "--envoy") {
		t.Errorf("error %v", err)
	}
	if _, err := exec.LookPath("sh"); err == nil {
		t.Setenv("ENVOY", "sh")
		if got, err := Find(""); err != nil || !filepath.IsAbs(got) {
			t.Errorf("a name of PATH: %q, %v", got, err)
		}
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := newLines(func(line []byte) { got = append(got, string(line)) })
	write := func(part string) {
		if n, err := io.WriteString(w, part); n != len(part) || err != nil {
			t.Fatalf("io.WriteString(w, part) = %d, want %d; io.WriteString: %v", n, len(part), err)
		}
	}
	write("a")
	write("b\nc")
	write("\n\nd")
	write(strings.Repeat("e", maxLine))
	want := []string{"ab\n", "c\n", "\n", "d" + strings.Repeat("e", maxLine)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func listen(t *testing.T) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	return ln
}
