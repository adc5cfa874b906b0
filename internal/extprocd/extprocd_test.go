package extprocd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"mosn.io/moe/framework/host/extproc"
	_ "mosn.io/moe/plugins"
)

// log is a buffer that may be written and read at once.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) wait(t *testing.T, text string) {
	t.Helper()
	eventually(t, "a line with "+text, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.b.String(), text)
	})
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s", what)
		}
	}
}

const hello = "plugins:\n- {name: hello, config: {value: VALUE}}\n"

// write puts the file in its place whole, so that no look of the server sees a part of it.
func write(t *testing.T, file, text string) {
	t.Helper()
	next := file + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(next, file); err != nil {
		t.Fatalf("os.Rename: %v", err)
	}
}

type daemon struct {
	file, addr, admin string
	log               *log
	stop              context.CancelFunc
	done              chan error
}

func start(t *testing.T, change func(*Options)) *daemon {
	t.Helper()
	d := &daemon{file: filepath.Join(t.TempDir(), "moe.yaml"), log: &log{}, done: make(chan error, 1)}
	write(t, d.file, strings.ReplaceAll(hello, "VALUE", "one"))
	ready := make(chan struct{})
	o := Options{
		File: d.file, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Poll: 10 * time.Millisecond, Drain: 5 * time.Second,
		Server: extproc.Options{Log: slog.NewTextHandler(d.log, nil), Registry: &extproc.Registry{}},
		Ready:  func(listen, admin string) { d.addr, d.admin = listen, admin; close(ready) },
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.stop = cancel
	go func() { d.done <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-d.done:
		t.Fatalf("Run returned before it was ready: %v", err)
	}
	t.Cleanup(cancel)
	return d
}

func (d *daemon) ended(t *testing.T) {
	t.Helper()
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the server does not stop")
	}
}

func dial(t *testing.T, addr string, c credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(c))
	if err != nil {
		t.Fatalf("grpc.NewClient: %v", err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func open(t *testing.T, conn *grpc.ClientConn) extprocv3.ExternalProcessor_ProcessClient {
	t.Helper()
	s, err := extprocv3.NewExternalProcessorClient(conn).Process(t.Context())
	if err != nil {
		t.Fatalf("extprocv3.NewExternalProcessorClient(conn).Process: %v", err)
	}
	return s
}

// greeting is what the plugin hello sets.
func greeting(s extprocv3.ExternalProcessor_ProcessClient) (string, error) {
	s.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{
		ResponseHeaders: &extprocv3.HttpHeaders{Headers: &corev3.HeaderMap{
			Headers: []*corev3.HeaderValue{{Key: ":status", RawValue: []byte("200")}},
		}},
	}})
	r, err := s.Recv()
	if err != nil {
		return "", err
	}
	for _, o := range r.GetResponseHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
		if o.GetHeader().GetKey() == "x-extproc-hello" {
			return string(o.GetHeader().GetRawValue()), nil
		}
	}
	return "", nil
}

func TestReload(t *testing.T) {
	d := start(t, nil)
	conn := dial(t, d.addr, insecure.NewCredentials())
	greets := func(want string) {
		t.Helper()
		if got, err := greeting(open(t, conn)); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	greets("one")
	old := open(t, conn)
	old.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestHeaders{
		RequestHeaders: &extprocv3.HttpHeaders{EndOfStream: true},
	}})
	old.Recv()
	write(t, d.file, strings.ReplaceAll(hello, "VALUE", "two"))
	d.log.wait(t, "configuration loaded")
	greets("two")
	if got, err := greeting(old); got != "one" {
		t.Errorf("a stream from before: %q %v", got, err)
	}
	write(t, d.file, "plugins:\n- {name: hello, config: {valu: x}}\n")
	d.log.wait(t, "plugins[0].config.valu")
	greets("two")
	write(t, d.file, strings.ReplaceAll(hello, "VALUE", "three"))
	eventually(t, "third greeting", func() bool { got, _ := greeting(open(t, conn)); return got == "three" })
	syscall.Kill(syscall.Getpid(), syscall.SIGHUP)
	eventually(t, "reload on SIGHUP", func() bool {
		return strings.Contains(page(t, d.admin, "/metrics", 200), "moe_extproc_reloads_total 3")
	})
	if !strings.Contains(page(t, d.admin, "/metrics", 200), "moe_extproc_reload_failures_total 1") {
		t.Error("the failure is not counted")
	}
	d.stop()
	d.ended(t)
}

func page(t *testing.T, addr, path string, want int) string {
	t.Helper()
	r, err := http.Get("http://" + addr + path)
	if err != nil {
		t.Fatalf("http.Get: %v", err)
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	if r.StatusCode != want {
		t.Errorf("%s: r.StatusCode = %d, want %d: %s", path, r.StatusCode, want, text)
	}
	return string(text)
}

func TestDrain(t *testing.T) {
	d := start(t, nil)
	conn := dial(t, d.addr, insecure.NewCredentials())
	s := open(t, conn)
	if _, err := greeting(s); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	h := healthv1.NewHealthClient(conn)
	for _, service := range []string{"", serviceName} {
		t.Run(fmt.Sprintf("%q", service), func(t *testing.T) {
			r, err := h.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || r.Status != healthv1.HealthCheckResponse_SERVING {
				t.Errorf("health of %q: %v %v", service, r, err)
			}
		})
	}
	watch, err := h.Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatalf("h.Watch: %v", err)
	}
	watch.Recv()
	page(t, d.admin, "/ready", 200)
	page(t, d.admin, "/live", 200)
	d.stop()
	if r, err := watch.Recv(); err != nil || r.Status != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while it stops: %v %v", r, err)
	}
	page(t, d.admin, "/ready", 503)
	s.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{
		ResponseTrailers: &extprocv3.HttpTrailers{},
	}})
	if _, err := s.Recv(); err != nil {
		t.Errorf("a stream is not let end: %v", err)
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Errorf("the stream's end: %v", err)
	}
	watch.CloseSend()
	conn.Close()
	d.ended(t)
}

func TestCutOff(t *testing.T) {
	d := start(t, func(o *Options) { o.Drain = 50 * time.Millisecond })
	s := open(t, dial(t, d.addr, insecure.NewCredentials()))
	if _, err := greeting(s); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	d.stop()
	d.ended(t)
	if _, err := s.Recv(); err == nil {
		t.Error("the stream goes on")
	}
}

func TestLimits(t *testing.T) {
	d := start(t, func(o *Options) { o.Server.FirstMessage, o.Server.MaxMessage = 50*time.Millisecond, 1000 })
	conn := dial(t, d.addr, insecure.NewCredentials())
	silent := open(t, conn)
	if _, err := silent.Recv(); status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "no message") {
		t.Errorf("a stream that says nothing: %v", err)
	}
	large := open(t, conn)
	large.Send(&extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{
		RequestBody: &extprocv3.HttpBody{Body: make([]byte, 2000)},
	}})
	if _, err := large.Recv(); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large message: %v", err)
	}
	if got, err := greeting(open(t, conn)); got != "one" {
		t.Errorf("another stream: %q %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "moe.yaml")
	write(t, file, "plugins: [{name: nonesuch}]")
	o := Options{File: file, Listen: "127.0.0.1:0", Server: extproc.Options{Log: slog.DiscardHandler}}
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "plugins[0]") {
		t.Errorf("got %v", err)
	}
	write(t, file, strings.ReplaceAll(hello, "VALUE", "one"))
	for _, bad := range []TLS{{Key: "x"}, {Cert: "none", Key: "none"}} {
		t.Run(bad.Key, func(t *testing.T) {
			o.TLS = bad
			if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "TLS") {
				t.Errorf("%+v: Run(t.Context(), o): got error %v, want one with %q", bad, err, "TLS")
			}
		})
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	names := TLS{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), ClientCA: filepath.Join(dir, "ca.crt")}
	ca.issue(t, 2, names.Cert, names.Key)
	write(t, names.ClientCA, string(ca.pem))
	d := start(t, func(o *Options) { o.TLS = names })
	mine := TLS{Cert: filepath.Join(dir, "my.crt"), Key: filepath.Join(dir, "my.key")}
	ca.issue(t, 3, mine.Cert, mine.Key)
	pair, err := tls.LoadX509KeyPair(mine.Cert, mine.Key)
	if err != nil {
		t.Fatalf("tls.LoadX509KeyPair: %v", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.pem)
	serial := int64(0)
	conf := &tls.Config{
		RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{pair},
		VerifyConnection: func(s tls.ConnectionState) error { serial = s.PeerCertificates[0].SerialNumber.Int64(); return nil },
	}
	if got, err := greeting(open(t, dial(t, d.addr, credentials.NewTLS(conf)))); got != "one" || err != nil || serial != 2 {
		t.Errorf("got %q %v, serial number %d", got, err, serial)
	}
	without := conf.Clone()
	without.Certificates = nil
	if s, err := extprocv3.NewExternalProcessorClient(dial(t, d.addr, credentials.NewTLS(without))).Process(t.Context()); err == nil {
		if _, err = greeting(s); err == nil {
			t.Error("a client without a certificate is served")
		}
	}
	write(t, names.Cert, "rubbish")
	time.Sleep(20 * time.Millisecond)
	if got, err := greeting(open(t, dial(t, d.addr, credentials.NewTLS(conf)))); got != "one" || err != nil {
		t.Errorf("with a broken file: %q %v", got, err)
	}
	d.log.wait(t, "certificates refused")
	ca.issue(t, 4, names.Cert, names.Key)
	time.Sleep(20 * time.Millisecond)
	if got, err := greeting(open(t, dial(t, d.addr, credentials.NewTLS(conf)))); got != "one" || err != nil || serial != 4 {
		t.Errorf("after the renewal: %q %v, serial number %d", got, err, serial)
	}
}
