package edge

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mosn.io/moe/cmd/moe/cli"
	_ "mosn.io/moe/plugins/hello"
)

// watched is a serving moe run --watch whose file a test edits, and the requests that it lost.
type watched struct {
	t    *testing.T
	file string
	url  string
	log  *log
	out  *log // what it prints

	stop context.CancelFunc
	done chan error

	requests, lost atomic.Int64
	firstLost      atomic.Value
}

// startWatch runs moe run --watch in this process, with more flags and a file that holds text, and waits until it serves.
func startWatch(t *testing.T, s *site, text func(listen string) string, flags ...string) *watched {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	listen := ln.Addr().String()
	ln.Close()
	w := &watched{
		t: t, file: filepath.Join(t.TempDir(), "moe.yaml"), url: "http://" + listen, log: &log{}, out: &log{},
		done: make(chan error, 1),
	}
	w.write(text(listen))
	c := cli.New()
	c.SetArgs(append([]string{
		"run", "--watch", "-c", w.file, "--envoy", s.bin.Path, "--module", s.module, "--concurrency", "2",
	}, flags...))
	c.SetOut(w.out)
	c.SetErr(w.log)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.done <- c.ExecuteContext(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.done; err != nil {
			t.Errorf("moe run --watch: got error %v at its end, want none", err)
		}
		if t.Failed() {
			text := w.log.String()
			t.Logf("moe's log:\n%s", text[max(0, len(text)-8000):])
		}
	})
	w.until("moe run to serve", func() bool { return strings.Contains(w.log.String(), "moe: serving ") })
	return w
}

// write replaces the file by a rename, as editors do.
func (w *watched) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file+".new", []byte(text), 0o600); err != nil {
		w.t.Fatalf("os.WriteFile: %v", err)
	}
	if err := os.Rename(w.file+".new", w.file); err != nil {
		w.t.Fatalf("os.Rename: %v", err)
	}
}

func (w *watched) until(what string, ok func() bool) {
	w.t.Helper()
	for start := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-w.done:
			w.done <- err
			w.t.Fatalf("moe run ended with %v while waiting for %s", err, what)
		default:
		}
		if time.Since(start) > time.Minute {
			w.t.Fatalf("waited a minute for %s", what)
		}
	}
}

// value returns the header that the plugin hello sets for a path. If the request fails, it counts as lost and value
// returns "".
func (w *watched) value(c *http.Client, path string) string {
	w.requests.Add(1)
	resp, err := c.Get(w.url + path)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", resp.StatusCode)
		}
	}
	if err != nil {
		w.lost.Add(1)
		w.firstLost.CompareAndSwap(nil, err.Error())
		return ""
	}
	return resp.Header.Get("x-hello")
}

// load sends requests for the paths on persistent and on new connections until stop is called.
func (w *watched) load(paths ...string) (stop func()) {
	var group sync.WaitGroup
	over := make(chan struct{})
	for i := range 4 {
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: i == 0}, Timeout: time.Minute}
		group.Go(func() {
			defer c.CloseIdleConnections()
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				default:
					w.value(c, paths[n%len(paths)])
				}
			}
		})
	}
	return func() {
		close(over)
		group.Wait()
	}
}

// stream is a request in flight: its body and the response's are still open.
type stream struct {
	t  *testing.T
	in *io.PipeWriter
	r  *bufio.Reader
}

func (w *watched) stream() *stream {
	w.t.Helper()
	body, in := io.Pipe()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/stream", body)
	if err != nil {
		w.t.Fatalf("http.NewRequest: %v", err)
	}
	request.Header.Set("x-echo-body", "stream")
	go io.WriteString(in, "first\n") // the response starts with the first bytes of the body
	resp, err := http.DefaultClient.Do(request)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("opening a stream: got %v and error %v, want status 200", resp, err)
	}
	w.t.Cleanup(func() { resp.Body.Close() })
	s := &stream{t: w.t, in: in, r: bufio.NewReader(resp.Body)}
	s.expect("first")
	return s
}

func (s *stream) expect(want string) {
	s.t.Helper()
	if line, err := s.r.ReadString('\n'); err != nil || line != want+"\n" {
		s.t.Fatalf("the stream in flight: got %q and error %v, want %q", line, err, want)
	}
}

// TestWatch makes fifty edits: valid ones go live, invalid ones are reported with their places, no request is lost, and a
// stream that began before the edits goes on.
func TestWatch(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		var listen string
		text := func(value, routes string) string {
			return "listen: " + listen + "\nplugins:\n- name: hello\n  config: {header: x-hello, value: " + value + "}\n" + routes
		}
		w := startWatch(t, s, func(addr string) string { listen = addr; return text("begin", "") })
		client := &http.Client{Timeout: time.Minute}
		if got := w.value(client, "/"); got != "begin" {
			t.Fatalf("before any edit: got %q, want \"begin\"", got)
		}
		stream, stop := w.stream(), w.load("/load")
		bad := 0
		for i := range 50 {
			value := fmt.Sprintf("v%d", i)
			switch {
			case i%5 == 4:
				bad++
				w.write(text(value, "routes:\n- {plugins: [{name: hello, config: {valeu: x}}]}\n"))
				w.until("the report of a bad edit", func() bool {
					return strings.Count(w.log.String(), "the configuration before goes on") == bad
				})
				want := "moe: " + w.file + ":6:37: routes[0].plugins[0].config.valeu: unknown field"
				if !strings.Contains(w.log.String(), want) {
					t.Errorf("edit %d: the log lacks %q", i, want)
				}
				if got, want := w.value(client, "/"), fmt.Sprintf("v%d", i-1); got != want {
					t.Errorf("after the invalid edit %d: got %q, want the previous %q", i, got, want)
				}
			case i%2 == 0:
				w.write(text(value, ""))
				w.until("edit "+value, func() bool { return w.value(client, "/") == value })
			default: // with a route
				w.write(text(value, "routes:\n- match: {prefix: /own}\n  plugins: [{name: hello, config: {value: own-"+value+"}}]\n"))
				w.until("edit "+value, func() bool { return w.value(client, "/") == value })
				w.until("the route of "+value, func() bool { return w.value(client, "/own") == "own-"+value })
			}
			go io.WriteString(stream.in, value+"\n")
			stream.expect(value)
		}
		stop()
		if n := w.lost.Load(); n > 0 {
			t.Errorf("%d of %d requests were lost; the first: %v", n, w.requests.Load(), w.firstLost.Load())
		}
		t.Logf("%d requests", w.requests.Load())
		stream.in.Close()
	})
}

// TestWatchWithoutGap: plugins and routes change together, and so do upstreams and routes, in all directions: what a route
// configures is removed, added, and handed from the filter to the route and back. No request meets one without the other.
func TestWatchWithoutGap(t *testing.T) {
	up := servers(t, 2)
	onEnvoys(t, func(t *testing.T, s *site) {
		// Each file is a whole configuration, with what the plugin says at / and at /own.
		files := []struct{ text, root, own string }{
			{root: "filter", own: "route", text: `
plugins: [{name: hello, config: {header: x-hello, value: filter}}]
routes: [{match: {prefix: /own}, upstream: a, plugins: [{id: hello, config: {value: route}}]}]
upstreams: [{name: a, endpoints: ["` + up[0] + `"]}]
upstream: echo
`},
			{root: "other", own: "other", text: `
plugins: [{name: hello, id: other, config: {header: x-hello, value: other}}]
routes: [{match: {prefix: /own}, upstream: b}]
upstreams: [{name: b, endpoints: ["` + up[1] + `"]}]
upstream: echo
`},
			{root: "", own: "alone", text: `
plugins: [{name: hello, id: aside, config: {header: x-aside, value: aside}}]
routes: [{match: {prefix: /own}, upstream: c, plugins: [{name: hello, config: {header: x-hello, value: alone}}]}]
upstreams: [{name: c, endpoints: ["` + strings.Replace(up[0], "127.0.0.1", "localhost", 1) + `"]}]
upstream: c
`},
		}
		var head string
		w := startWatch(t, s, func(listen string) string {
			head = "listen: " + listen + "\nhttp: {requestHeadersTimeout: 1s}"
			return head + files[0].text
		})
		client := &http.Client{Timeout: time.Minute}
		stop := w.load("/own", "/load")
		for i, n := range []int{1, 0, 2, 1, 2, 0, 1, 0} {
			f, last := files[n], func() int { return strings.Count(w.log.String(), "what the edit has removed") }
			before := last()
			w.write(head + f.text)
			w.until(fmt.Sprintf("edit %d", i), func() bool {
				return w.value(client, "/") == f.root && w.value(client, "/own") == f.own
			})
			if i%3 == 2 { // the other edits come while the one before still has a step to go
				w.until("the last step", func() bool { return last() > before })
			}
		}
		stop()
		if n := w.lost.Load(); n > 0 {
			t.Errorf("%d of %d requests were lost; the first: %v", n, w.requests.Load(), w.firstLost.Load())
		}
		t.Logf("%d requests", w.requests.Load())
	})
}

// moe run reports a change that takes effect only at the next start.
func TestWatchReportsWhatWaits(t *testing.T) {
	onEnvoys(t, func(t *testing.T, s *site) {
		w := startWatch(t, s, func(listen string) string {
			return "listen: " + listen + "\nplugins: [{name: hello, config: {header: x-hello, value: a}}]\n"
		})
		text, err := os.ReadFile(w.file)
		if err != nil {
			t.Fatalf("os.ReadFile: %v", err)
		}
		w.write(string(text) + "limits: {maxConnections: 77}\n")
		w.until("the report", func() bool { return strings.Contains(w.log.String(), "waits for the next start") })
	})
}
