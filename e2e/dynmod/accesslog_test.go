package dynmod

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mosn.io/moe/e2e/client"
	"mosn.io/moe/e2e/conformance"
	"mosn.io/moe/e2e/envoytest"
	"mosn.io/moe/e2e/upstream"
)

// logBed is an Envoy whose listeners log to Go.
type logBed struct {
	*testing.T
	envoy *envoytest.Envoy
}

// logger is an access logger with a configuration.
func logger(name string, config m) m {
	return envoytest.MoE.AccessLog("go", name, envoytest.Document(envoytest.Struct, config))
}

// file is where a logger of this bed writes.
func (b *logBed) file(name string) string { return filepath.Join(b.envoy.Dir, name) }

// serve has Envoy serve one listener, whose streams go to loggers.
func (b *logBed) serve(loggers ...any) error {
	l := conformance.OwnListener("l", a{
		m{"match": m{"path": "/none"}, "route": m{"cluster": "nothing"}, "name": "to-none"},
		m{"match": m{"path": "/direct"}, "direct_response": m{"status": 418, "body": m{"inline_string": "tea"}}},
	}, m{"name": "metadata", "typed_config": m{
		"@type":    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
		"metadata": a{m{"metadata_namespace": "probe", "value": m{"text": "a\"b", "number": 1.5, "truth": true}}},
	}})
	hcm := l["filter_chains"].(a)[0].(m)["filters"].(a)[0].(m)["typed_config"].(m)
	hcm["access_log"] = a(loggers)
	hcm["route_config"].(m)["validate_clusters"] = false
	return b.envoy.SetListeners([]m{l})
}

func (b *logBed) mustServe(loggers ...any) {
	b.Helper()
	if err := b.serve(loggers...); err != nil {
		b.Fatalf("serving a listener with access loggers: %v", err)
	}
	client.CloseIdle() // connections of the listener before
}

func (b *logBed) addr() string {
	b.Helper()
	addr, err := b.envoy.ListenerAddress("l")
	if err != nil {
		b.Fatalf("e.ListenerAddress: %v", err)
	}
	return addr
}

// get sends a request for path.
func (b *logBed) get(path string, header ...string) {
	b.Helper()
	if _, err := client.Do(b.addr(), client.Request{Path: path, Header: header}); err != nil {
		b.Fatalf("GET %s: %v", path, err)
	}
}

// lines waits for n lines of a file.
func (b *logBed) lines(name string, n int) (all []m) {
	b.Helper()
	if err := envoytest.Poll(patience, func() error {
		text, err := os.ReadFile(b.file(name))
		if err != nil {
			return err
		}
		all = nil
		for line := range strings.Lines(string(text)) {
			var v m
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				return fmt.Errorf("%w in %q", err, line)
			}
			all = append(all, v)
		}
		if len(all) < n {
			return fmt.Errorf("%d lines in %s, want %d", len(all), name, n)
		}
		return nil
	}); err != nil {
		b.Fatalf("waiting for lines of %s: %v", name, err)
	}
	return all
}

// pick returns some members of a line.
func pick(line m, names ...string) m {
	some := m{}
	for _, name := range names {
		if v, ok := line[name]; ok {
			some[name] = v
		}
	}
	return some
}

// TestAccessLog has Go log what Envoy's access logs see.
func TestAccessLog(t *testing.T) {
	conformance.OnEnvoys(t, &Host{}, nil, envoytest.Options{}, func(t *testing.T, e *envoytest.Envoy, _ *upstream.Server) {
		for _, c := range []struct {
			name string
			run  func(*logBed)
		}{
			{"lines of the plugin accesslog", testLines},
			{"every field", testFields},
			{"an entry ends with Log, and is of one thread", testEntryEnds},
			{"a panic", testLoggerPanics},
			{"bad configurations", testLoggerRefused},
			{"configurations change under load", testLoggerPushes},
		} {
			t.Run(c.name, func(t *testing.T) { c.run(&logBed{t, e}) })
		}
	})
}

// What no HTTP filter sees is logged too, and what is secret is hidden.
func testLines(b *logBed) {
	b.mustServe(logger("accesslog", m{
		"output": b.file("lines.log"), "redact": a{"x-secret"}, "redactQuery": a{"token"},
		"metadata": a{m{"namespace": "probe", "path": "text", "as": "said"}},
	}))
	b.get("/echo?token=hidden&a=1", "x-secret", "hidden", "authorization", "Bearer hidden", "x-plain", "seen")
	b.get("/none")
	b.get("/direct")
	if _, err := client.Raw(b.addr(), "NOT HTTP\n\n", patience); err != nil {
		b.Fatalf("client.Raw: %v", err)
	}
	lines := b.lines("lines.log", 4)
	var got []m
	for _, l := range lines {
		got = append(got, pick(l, "event", "method", "path", "status", "flags", "details", "route", "cluster", "metadata"))
	}
	want := []m{
		{
			"event": "DownstreamEnd", "method": "GET", "path": "/echo?token=[redacted]&a=1", "status": 200.0, "details": "via_upstream",
			"cluster": "up", "metadata": m{"said": `a"b`},
		},
		{
			"event": "DownstreamEnd", "method": "GET", "path": "/none", "status": 503.0, "flags": "NC", "details": "cluster_not_found",
			"route": "to-none", "metadata": m{"said": `a"b`},
		},
		{
			"event": "DownstreamEnd", "method": "GET", "path": "/direct", "status": 418.0, "details": "direct_response",
			"metadata": m{"said": `a"b`},
		},
		{
			"event": "DownstreamEnd", "status": 400.0, "flags": "DPE",
			"details": "http1.codec_error",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("lines (-want +got):\n%s", diff)
	}
	if text, err := json.Marshal(lines); err != nil || strings.Contains(string(text), "hidden") {
		b.Errorf("json.Marshal: %v; a secret is in %s", err, text)
	}
	headers := lines[0]["request"].(m)["headers"].(m)
	if diff := cmp.Diff([]any{"seen"}, headers["x-plain"]); diff != "" {
		b.Errorf("x-plain (-want +got):\n%s", diff)
	}
}

// testFields asks for every field that an entry can have.
func testFields(b *logBed) {
	b.mustServe(logger("probe", m{"output": b.file("fields.log"), "do": "fields"}))
	b.get("/echo", "x-probe", "1")
	line := b.lines("fields.log", 1)[0]
	there := []string{
		"downstream_remote_address", "downstream_local_address", "downstream_direct_remote_address", "upstream_remote_address",
		"upstream_local_address", "connection_id", "upstream_connection_id", "request_headers_bytes",
		"response_headers_bytes", "times", "bytes", "request_id",
	}
	for _, name := range there {
		if line[name] == nil {
			b.Errorf("%s is missing in %v", name, line)
		}
	}
	want := m{
		"response_code": 200.0, "protocol": "HTTP/1.1", "upstream_cluster": "up", "upstream_protocol": "HTTP/1.1",
		"x-probe": "1", "metadata text": `a"b`, "response_code_details": "via_upstream", "attempt_count": 1.0,
	}
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	if diff := cmp.Diff(want, pick(line, names...)); diff != "" {
		b.Errorf("fields (-want +got):\n%s", diff)
	}
	times := line["times"].(m)
	if end := times["End"].(float64); end <= 0 || times["FirstUpstreamSent"].(float64) > end {
		b.Errorf("times %v, want the request sent before the end", times)
	}
	if headers := line["headers"].(m); headers[":path"] != "/echo" || headers["response :status"] != "200" {
		b.Errorf("headers %v, want :path and :status", headers)
	}
}

func testEntryEnds(b *logBed) {
	b.mustServe(
		logger("probe", m{"output": b.file("late.log"), "do": "late"}),
		logger("probe", m{"output": b.file("elsewhere.log"), "do": "elsewhere"}),
	)
	for range 20 {
		b.get("/echo", "x-probe", "1")
	}
	for _, line := range b.lines("late.log", 20) {
		if late := line["late"].(m); len(late) > 0 {
			b.Errorf("entries that are over tell %v", late)
		}
	}
	for _, line := range b.lines("elsewhere.log", 20) {
		if found := line["elsewhere"].(m); len(found) > 0 || line["here"].(float64) == 0 {
			b.Errorf("another goroutine finds %v, and the logger's own %v fields", found, line["here"])
		}
	}
}

func testLoggerPanics(b *logBed) {
	mark := b.envoy.Log.Mark()
	b.mustServe(
		logger("probe", m{"output": b.file("none.log"), "do": "panic"}),
		logger("accesslog", m{"output": b.file("after.log")}),
	)
	for range 3 {
		b.get("/echo")
	}
	if n := len(b.lines("after.log", 3)); n != 3 {
		b.Errorf("%d lines of the logger beside the one that panics, want 3", n)
	}
	if err := envoytest.Poll(patience, func() error { // Envoy's log takes a way of its own
		if n := b.envoy.Log.Count(mark, "panic in Log of the access logger probe"); n != 3 {
			return fmt.Errorf("%d panics in Envoy's log, want 3", n)
		}
		return nil
	}); err != nil {
		b.Errorf("waiting for panics: %v", err)
	}
	b.counted(`moe\.accesslog\.panics;logger=probe$`, 3)
	b.counted(`moe\.probe\.entries$`, 3)
}

// counted waits until a metric is want or more.
func (b *logBed) counted(re string, want int64) {
	b.Helper()
	if err := envoytest.Poll(patience, func() error {
		stats, err := b.envoy.Stats(re)
		if err != nil {
			return err
		}
		for _, n := range stats {
			if n >= want {
				return nil
			}
		}
		return fmt.Errorf("got %v, want %d", stats, want)
	}); err != nil {
		b.Errorf("the metric %s: %v", re, err)
	}
}

// What is wrong is refused, with words, and what there was goes on.
func testLoggerRefused(b *logBed) {
	b.mustServe(logger("accesslog", m{"output": b.file("good.log")}))
	for _, c := range []struct {
		name, want string
		logger     m
	}{
		{"no such logger", `unknown access logger; did you mean "accesslog"`, logger("acceslog", nil)},
		{"unknown field", "outptu", logger("accesslog", m{"outptu": "x"})},
		{"a folder that is not there", "output: lstat", logger("accesslog", m{"output": b.file("no/such/folder/x")})},
	} {
		b.Run(c.name, func(t *testing.T) {
			mark := b.envoy.Log.Mark()
			if err := b.serve(c.logger); err == nil {
				t.Fatal("Envoy takes the configuration")
			}
			if log := strings.ReplaceAll(b.envoy.Log.Since(mark), `\"`, `"`); !strings.Contains(log, "configuration rejected") ||
				!strings.Contains(log, c.want) {
				t.Errorf("Envoy's log has not %q:\n%s", c.want, envoytest.Tail(log, 10))
			}
		})
	}
	b.get("/echo")
	b.lines("good.log", 1)
}

// Every request is logged, while configurations replace one another.
func testLoggerPushes(b *logBed) {
	const pushes = 10
	push := func(i int) {
		b.mustServe(logger("accesslog", m{"output": b.file("pushes.log"), "buffer": 1<<20 + i}))
	}
	push(0)
	addr := b.addr()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var mu sync.Mutex
	answered := 0
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				to := addr
				mu.Unlock()
				if r, err := client.Do(to, client.Request{}); err == nil && r.Status == 200 {
					mu.Lock()
					answered++
					mu.Unlock()
				}
				addr2, err := b.envoy.ListenerAddress("l")
				if err == nil {
					mu.Lock()
					addr = addr2
					mu.Unlock()
				}
			}
		})
	}
	for i := range pushes {
		push(i + 1)
	}
	close(stop)
	wg.Wait()
	if n := len(b.lines("pushes.log", answered)); n < answered {
		b.Errorf("%d lines, want the %d requests that were answered", n, answered)
	}
}
