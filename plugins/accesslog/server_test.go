package accesslog

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"mosn.io/moe/framework/accesslog"
	"mosn.io/moe/framework/accesslog/accesslogtest"
	"mosn.io/moe/plugins/internal/outbound"
)

// entries logs n entries, whose paths are /0, /1 and so on, to what conf says, and waits until they are out.
func entries(t *testing.T, conf string, n int) {
	t.Helper()
	l, err := accesslogtest.New[Logger](t, conf)
	if err != nil {
		t.Fatalf("accesslogtest.New: %v", err)
	}
	for i := range n {
		accesslogtest.Entry{
			Event: accesslog.DownstreamEnd, Times: accesslog.Times{Start: time.Unix(1e9, 0), End: time.Second},
			Numbers: map[accesslog.NumberField]uint64{accesslog.ResponseCode: 200},
			RequestHeaders: [][2]string{
				{":method", "GET"},
				{":path", "/" + strconv.Itoa(i) + "?q=1"},
				{":authority", "example.com"},
				{"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
			},
		}.Log(l)
	}
	l.Flush()
}

// pathsOf returns the paths of lines.
func pathsOf(t *testing.T, lines string) (paths []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var v struct{ Path string }
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("json.Unmarshal of %q: %v", line, err)
		}
		paths = append(paths, v.Path)
	}
	return paths
}

// collector is a server that keeps bodies and answers by its script, and 200 after it.
type collector struct {
	mu      sync.Mutex
	bodies  []string
	headers []http.Header
	script  []int
}

// ServeHTTP is that of http.Handler.
func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	if len(c.script) > 0 {
		status := c.script[0]
		c.script = c.script[1:]
		w.WriteHeader(status)
		return
	}
	c.bodies = append(c.bodies, string(body))
}

// has reports whether so many lines have come.
func (c *collector) has(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Count(strings.Join(c.bodies, ""), "\n") >= n
}

func TestHTTPOutput(t *testing.T) {
	for _, c := range []struct {
		name   string
		script []int
		want   []string
	}{
		{name: "taken at once", want: []string{"/0?q=1", "/1?q=1", "/2?q=1"}},
		{name: "taken at the third attempt", script: []int{503, 429}, want: []string{"/0?q=1", "/1?q=1", "/2?q=1"}},
		{name: "refused for good", script: []int{400}},
		{name: "a redirect is not followed", script: []int{307}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to := &collector{script: c.script}
			server := httptest.NewServer(to)
			defer server.Close()
			entries(t, "output: "+server.URL+"/logs\nserver: {headers: {authorization: Bearer secret}}", 3)
			for deadline := time.Now().Add(30 * time.Second); !to.has(len(c.want)) && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond) // a server that is tried again takes longer than a flush
			}
			to.mu.Lock()
			defer to.mu.Unlock()
			if diff := cmp.Diff(c.want, pathsOf(t, strings.Join(to.bodies, ""))); diff != "" {
				t.Errorf("the paths (-want +got):\n%s", diff)
			}
			if got := to.headers[0].Get("authorization") + to.headers[0].Get("content-type"); got != "Bearer secretapplication/x-ndjson" {
				t.Errorf("authorization and content-type are %q", got)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		limit, want int
	}{
		{name: "all fits", lines: "a\nb\n", limit: 4, want: 4},
		{name: "whole lines", lines: "aa\nbb\ncc\n", limit: 7, want: 6},
		{name: "one line that is too long", lines: "aaaa\nb\n", limit: 2, want: 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := split([]byte(c.lines), c.limit); got != c.want {
				t.Errorf("split(%q, %d) = %d, want %d", c.lines, c.limit, got, c.want)
			}
		})
	}
}

func TestOTLPOutput(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "edge")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=a%20b,broken,service.name=other")
	to := &collector{}
	server := httptest.NewServer(to)
	defer server.Close()
	entries(t, "output: otlp+"+server.URL, 2)
	to.mu.Lock()
	defer to.mu.Unlock()
	got := map[string]string{}
	var records []*logsv1.LogRecord
	for _, body := range to.bodies {
		var data logsv1.LogsData
		if err := proto.Unmarshal([]byte(body), &data); err != nil {
			t.Fatalf("proto.Unmarshal: %v", err)
		}
		for _, r := range data.GetResourceLogs() {
			for _, a := range r.GetResource().GetAttributes() {
				got[a.GetKey()] = a.GetValue().GetStringValue()
			}
			records = append(records, r.GetScopeLogs()[0].GetLogRecords()...)
		}
	}
	if len(records) != 2 {
		t.Fatalf("%d records, want 2", len(records))
	}
	r := records[1]
	for _, a := range r.GetAttributes() {
		got[a.GetKey()] = a.GetValue().GetStringValue()
		if n := a.GetValue().GetIntValue(); n != 0 {
			got[a.GetKey()] = strconv.FormatInt(n, 10)
		}
	}
	got["trace"] = fmt.Sprintf("%x-%x-%d", r.GetTraceId(), r.GetSpanId(), r.GetFlags())
	got["time"] = time.Unix(0, int64(r.GetTimeUnixNano())).UTC().Format(time.RFC3339)
	got["body"] = pathsOf(t, r.GetBody().GetStringValue())[0]
	want := map[string]string{
		"service.name": "edge", "deployment.environment": "a b", "http.request.method": "GET", "url.path": "/1",
		"url.query": "q=1", "server.address": "example.com", "http.response.status_code": "200", "http.request.body.size": "",
		"http.response.body.size": "", "trace": "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
		"time": "2001-09-09T01:46:40Z", "body": "/1?q=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestPartial(t *testing.T) {
	success := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 3)
	for _, c := range []struct {
		name   string
		answer []byte
		want   int
	}{
		{"three refused", protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), success), 3},
		{"nothing", nil, 0},
		{"no number", protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), nil), 0},
		{"garbage", []byte{0xff, 0xff}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := partial(c.answer); got != c.want {
				t.Errorf("partial(%x) = %d, want %d", c.answer, got, c.want)
			}
		})
	}
}

func FuzzPartial(f *testing.F) {
	f.Add([]byte{0x0a, 2, 8, 3})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if n := partial(answer); n < 0 {
			t.Errorf("partial(%x) = %d, want 0 or more", answer, n)
		}
	})
}

// syslogServer reads what comes over connections, or in datagrams, until the test ends.
type syslogServer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *syslogServer) copy(r io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		s.mu.Lock()
		s.text.Write(buffer[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *syslogServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go s.copy(c)
	}
}

// messages waits for n messages, which it takes out of their frames.
func (s *syslogServer) messages(t *testing.T, n int) (all []string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		text := s.text.String()
		s.mu.Unlock()
		all = regexp.MustCompile(`<134>1 [^<]*`).FindAllString(text, -1)
		if len(all) >= n {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages in %q, want %d", len(all), text, n)
		}
	}
}

var syslogMessage = regexp.MustCompile(`^<134>1 2001-09-09T01:46:40\.000Z \S+ moe \d+ access - (\{.*\})(?:\d+ )?$`)

func TestSyslogOutput(t *testing.T) {
	cert := httptest.NewUnstartedServer(nil)
	cert.StartTLS()
	defer cert.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatalf("os.WriteFile: %v", err)
	}
	tcp := func(t *testing.T, s *syslogServer) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("net.Listen: %v", err)
		}
		t.Cleanup(func() { l.Close() })
		go s.accept(l)
		return "syslog+tcp://" + l.Addr().String()
	}
	for _, c := range []struct {
		name   string
		listen func(*testing.T, *syslogServer) string // returns the configuration's output, and more
	}{
		{"tcp", tcp},
		{"tls", func(t *testing.T, s *syslogServer) string {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: cert.TLS.Certificates})
			if err != nil {
				t.Fatalf("tls.Listen: %v", err)
			}
			t.Cleanup(func() { l.Close() })
			go s.accept(l)
			return "syslog+tls://" + l.Addr().String() + "\nserver: {caFile: " + ca + "}"
		}},
		{"udp", func(t *testing.T, s *syslogServer) string {
			l, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatalf("net.ListenPacket: %v", err)
			}
			t.Cleanup(func() { l.Close() })
			go s.copy(l.(*net.UDPConn))
			return "syslog+udp://" + l.LocalAddr().String()
		}},
		{"unix", func(t *testing.T, s *syslogServer) string {
			path := filepath.Join(t.TempDir(), "log")
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
			if err != nil {
				t.Fatalf("net.ListenUnixgram: %v", err)
			}
			t.Cleanup(func() { l.Close() })
			go s.copy(l)
			return "syslog+unix://" + path
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s syslogServer
			entries(t, "output: "+c.listen(t, &s), 3)
			var paths []string
			for _, m := range s.messages(t, 3) {
				parts := syslogMessage.FindStringSubmatch(m)
				if parts == nil {
					t.Fatalf("%q is not a message", m)
				}
				paths = append(paths, pathsOf(t, parts[1])...)
			}
			if diff := cmp.Diff([]string{"/0?q=1", "/1?q=1", "/2?q=1"}, paths); diff != "" {
				t.Errorf("the paths (-want +got):\n%s", diff)
			}
		})
	}
}

// The length before a message over TCP is that of its bytes.
func TestSyslogFrames(t *testing.T) {
	client, server := net.Pipe()
	defer server.Close()
	o := &syslogOutput{network: "tcp", timeout: time.Second, host: "h", conn: client}
	go func() {
		_ = o.send([]byte("{\"time\":\"t\",\"ü\":1}\n"), func(int) {})
		client.Close()
	}()
	text, err := io.ReadAll(server)
	if err != nil {
		t.Fatalf("io.ReadAll: %v", err)
	}
	length, rest, _ := strings.Cut(string(text), " ")
	if n, err := strconv.Atoi(length); err != nil || n != len(rest) || !strings.HasSuffix(rest, `"ü":1}`) {
		t.Errorf("got %q, want %d as the length", text, len(rest))
	}
}

// lostOf sends lines and returns the numbers of those that are lost.
func lostOf(to remote, lines string) (lost []int, err error) {
	err = to.send([]byte(lines), func(line int) { lost = append(lost, line) })
	return lost, err
}

// A server that is gone loses all that it was sent, and what waits to try again ends with the output.
func TestServerGone(t *testing.T) {
	server := httptest.NewServer(&collector{})
	address := server.URL
	server.Close()
	o, err := openHTTP(mustURL(t, address), &Server{})
	if err != nil {
		t.Fatalf("openHTTP: %v", err)
	}
	time.AfterFunc(20*time.Millisecond, o.abort)
	lost, err := lostOf(o, "{}\n{}\n")
	if diff := cmp.Diff([]int{0, 1}, lost); diff != "" {
		t.Errorf("the lines that are lost (-want +got):\n%s", diff)
	}
	if err == nil || strings.Contains(err.Error(), address) {
		t.Errorf("got error %v, want one without the address", err)
	}
}

// What one request or one line is refused for does not take others with it.
func TestOneLossAlone(t *testing.T) {
	long := strings.Repeat("x", maxRequest)
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.ListenPacket: %v", err)
	}
	defer datagrams.Close()
	for _, c := range []struct {
		name  string
		open  func() (remote, error)
		lines string
		want  []int
	}{
		{
			name: "a request that is refused", lines: long + "\n{}\n{}\n", want: []int{0},
			open: func() (remote, error) {
				server := httptest.NewServer(&collector{script: []int{413}})
				t.Cleanup(server.Close)
				return openHTTP(mustURL(t, server.URL), &Server{})
			},
		},
		{
			name: "records that are refused", lines: "{}\n{}\n{}\n", want: []int{0, 1},
			open: func() (remote, error) {
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					success := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 2)
					w.Write(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), success))
				}))
				t.Cleanup(server.Close)
				return openOTLP(mustURL(t, "otlp+"+server.URL), &Server{})
			},
		},
		{
			name: "a line that is longer than a datagram", lines: "{}\n" + strings.Repeat("x", maxDatagram) + "\n{}\n", want: []int{1},
			open: func() (remote, error) {
				return openSyslog(mustURL(t, "syslog+udp://"+datagrams.LocalAddr().String()),
					&Server{Connection: outbound.Connection{Timeout: time.Second}})
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := c.open()
			if err != nil {
				t.Fatalf("opening the output: %v", err)
			}
			defer o.Close()
			lost, err := lostOf(o, c.lines)
			if diff := cmp.Diff(c.want, lost); diff != "" || err == nil {
				t.Errorf("error %v, the lines that are lost (-want +got):\n%s", err, diff)
			}
		})
	}
}

// An output that stands still holds Envoy's threads for a second in all, however many flush.
func TestFlushIsBounded(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	l, err := accesslogtest.New[Logger](t, "output: "+server.URL)
	if err != nil {
		t.Fatalf("accesslogtest.New: %v", err)
	}
	accesslogtest.Entry{}.Log(l)
	start := time.Now()
	for range 20 {
		l.Flush()
	}
	if took := time.Since(start); took > 10*flushTimeout {
		t.Errorf("20 flushes took %v, want %v in all", took, flushTimeout)
	}
}

// The log names an output without what may be a token.
func TestNameOfOutput(t *testing.T) {
	for output, want := range map[string]string{
		"https://a.example/token?key=token": "https://a.example", "kafka+tls://b:1/topic?brokers=c:1": "kafka+tls://b:1/topic",
		"syslog+unix:///dev/log": "syslog+unix:///dev/log",
	} {
		t.Run(output, func(t *testing.T) {
			if got := nameOf(mustURL(t, output)); got != want {
				t.Errorf("nameOf = %q, want %q", got, want)
			}
		})
	}
}

func TestOutputsRefused(t *testing.T) {
	for _, c := range []struct{ name, conf, want string }{
		{"an unknown scheme", "output: ftp://a", "output: the scheme"},
		{"http elsewhere", "output: http://logs.example.com/", "output: must be https"},
		{"a password in the address", "output: https://u:geheim@a/", "must not have a user"},
		{"syslog without a port", "output: syslog+tcp://a", "SCHEME://HOST:PORT"},
		{"a socket with a host", "output: syslog+unix://a/b", "syslog+unix:///PATH"},
		{"headers of syslog", "output: syslog+udp://a:1\nserver: {headers: {a: b}}", "server.headers"},
		{"a cluster", "output: https://a/\nserver: {cluster: c}", "server.cluster"},
		{"a line break", `{output: "https://a/", server: {headers: {a: "b\nc"}}}`, "server.headers.a"},
		{"Kafka without a topic", "output: kafka://a:1", "HOST:PORT/TOPIC"},
		{"a password for Kafka in clear", "output: kafka://a:1/t\nserver: {sasl: {mechanism: plain, user: a, password: geheim}}", "server.sasl.mechanism"},
		{"SASL elsewhere", "output: https://a/\nserver: {sasl: {user: a, password: geheim}}", "server.sasl"},
		{"a server for a file", "output: /a\nserver: {}", "server: the output is not a server"},
		{"no time", "output: https://a/\nserver: {timeout: 0s}", "server.timeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := accesslogtest.New[Logger](t, c.conf)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("accesslogtest.New of %q: got error %v, want one with %q, and no password", c.conf, err, c.want)
			}
		})
	}
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatalf("url.Parse: %v", err)
	}
	return u
}
