package ui

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"mosn.io/moe/framework/debugview"
)

func record(change func(*debugview.Record)) *debugview.Record {
	r := &debugview.Record{
		Why: "sample", Time: time.Unix(1_700_000_000, 0), Route: "api", Method: "GET", Host: "example.com", Path: "/orders",
		Status: 403, Total: 20, Plugins: 12.5, RequestID: "5f0c",
		Steps: []debugview.Step{
			{
				Plugin: "keyauth", Phase: "OnRequestHeaders", At: 0.01, Took: 0.012,
				Changed: []debugview.Change{{Name: "x-consumer", Before: -1, After: 5}, {Name: "cookie", Before: 3, After: -1}},
			},
			{Plugin: "extauth", Phase: "OnRequestHeaders", At: 5, Took: 10, Waited: 9.5},
		},
		Events: []debugview.Event{{At: 15, Kind: "reply", Plugin: "extauth", Own: true, Status: 403, Details: "moe.extauth"}},
	}
	if change != nil {
		change(r)
	}
	return r
}

// readable is what somebody reads of a page, with blanks made one.
func readable(t *testing.T, page string) string {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatalf("html.Parse: %v", err)
	}
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func contains(t *testing.T, page string, want ...string) {
	t.Helper()
	got := readable(t, page)
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the page lacks %q:\n%s", w, got)
		}
	}
}

func TestLive(t *testing.T) {
	s := New(Options{Slow: 10 * time.Millisecond})
	c := newClient(t, s)
	contains(t, c.get("/"), "No request has come yet.", "Requests a second 0", "Slow None.", "Panicked None.")
	s.Add(record(nil))
	s.Add(record(func(r *debugview.Record) {
		r.Route, r.Path, r.Status, r.Plugins, r.Events = "default", "/other", 200, 1, nil
	}))
	page := c.get("/")
	contains(t, page, "Requests 2", "Refused by plugins 50 %", "api a second", "keyauth median 0.012 ms", "Slow Time Request",
		"GET /orders 403 12.5 ms 20.0 ms api")
	if strings.Contains(readable(t, page), "GET /other") {
		t.Error("a request that is neither slow nor refused nor panicked is among those of interest")
	}
}

func TestRequests(t *testing.T) {
	s := New(Options{Slow: time.Second})
	c := newClient(t, s)
	for _, path := range []string{"/a/1", "/a/2", "/b"} {
		s.Add(record(func(r *debugview.Record) {
			r.Path, r.Route = path, "of"+path[:2]
			if path == "/b" {
				r.Events, r.Status, r.Steps = nil, 200, nil
			}
		}))
	}
	for _, q := range []struct {
		name, query string
		want        []string
	}{
		{name: "all", want: []string{"/b", "/a/2", "/a/1"}},
		{name: "an unknown kind", query: "?kind=x", want: []string{"/b", "/a/2", "/a/1"}},
		{name: "refused", query: "?kind=refused", want: []string{"/a/2", "/a/1"}},
		{name: "by path", query: "?path=/a/2", want: []string{"/a/2"}},
		{name: "by plugin", query: "?plugin=extauth", want: []string{"/a/2", "/a/1"}},
		{name: "by route", query: "?route=of/b", want: []string{"/b"}},
		{name: "none", query: "?kind=panicked"},
	} {
		t.Run(q.name, func(t *testing.T) {
			got := readable(t, c.get("/requests"+q.query))
			var found []string
			for _, word := range strings.Fields(got) {
				if strings.HasPrefix(word, "/") {
					found = append(found, word)
				}
			}
			if strings.Join(found, " ") != strings.Join(q.want, " ") {
				t.Errorf("/requests%s: got %v, want %v", q.query, found, q.want)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	s := New(Options{Slow: time.Second})
	c := newClient(t, s)
	s.Add(record(nil))
	page := c.get("/requests/1")
	contains(t, page, "GET /orders", "request id 5f0c", "keyauth OnRequestHeaders 0.012 ms +x-consumer(5) -cookie",
		"extauth OnRequestHeaders 10.0 ms, waited 9.50 ms", "extauth replies 403 moe.extauth")
	if want := `<rect class="run" x="25" width="50" height="6"/>`; !strings.Contains(page, want) {
		t.Errorf("the bar of extauth: want %s in\n%s", want, page)
	}
}

// Whatever clients choose is text, and reads as it is.
func TestHostile(t *testing.T) {
	const script = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	s := New(Options{Slow: time.Nanosecond})
	c := newClient(t, s)
	s.Add(record(func(r *debugview.Record) {
		r.Path, r.Host, r.Method, r.Route, r.RequestID = "/"+script+"\u202ecod.exe", script, script, script, script
		r.Steps[0].Plugin, r.Steps[0].Phase, r.Steps[0].Changed[0].Name = script, script, script
		r.Events[0].Details, r.Events[0].Plugin = script, script
		r.Events = append(r.Events, debugview.Event{Kind: script}, debugview.Event{Kind: "panic", Plugin: script, Details: script})
	}))
	for _, target := range []string{"/", "/requests", "/requests/1", "/requests?path=" + strings.ReplaceAll(script, " ", "+") + "&plugin=" + "%22%3E%3Cscript%3E&route=%3Cimg%3E"} {
		t.Run(target, func(t *testing.T) {
			page := c.get(target)
			doc, err := html.Parse(strings.NewReader(page))
			if err != nil {
				t.Fatalf("html.Parse: %v", err)
			}
			scripts := 0
			for n := range doc.Descendants() {
				switch {
				case n.Type != html.ElementNode:
				case n.Data == "img":
					t.Error("a client has put an image into the page")
				case n.Data == "script":
					scripts++
				}
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") {
						t.Errorf("a client has put the attribute %s into the page", a.Key)
					}
				}
			}
			if scripts != 1 {
				t.Errorf("scripts: got %d, want the page's own", scripts)
			}
			if strings.Contains(page, "\u202e") {
				t.Error("a client turns the direction of the page's text")
			}
		})
	}
}

// A page learns that there is something new, and the stream of events ends with the server.
func TestEvents(t *testing.T) {
	s := New(Options{Slow: time.Second})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	ask := func(ctx context.Context) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ln.Addr().String()+"/events", nil)
		if err != nil {
			t.Fatalf("http.NewRequest: %v", err)
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		r.AddCookie(&http.Cookie{Name: "moe-ui-" + port, Value: s.guard.session})
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("GET /events: %v", err)
		}
		return answer
	}
	answer := ask(t.Context())
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the type of events: got %q", got)
	}
	lines := bufio.NewScanner(answer.Body)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
		}
		t.Fatalf("no line %q: %v", want, lines.Err())
	}
	until("retry: 2000")
	s.Add(record(nil))
	until("data: changed")

	var others []*http.Response
	for range maxStreams - 1 {
		others = append(others, ask(t.Context()))
	}
	if full := ask(t.Context()); full.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: got status %d, want 503", full.StatusCode)
	}
	for _, o := range others {
		o.Body.Close()
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	_, _ = io.Copy(io.Discard, answer.Body) // it ends, in whatever way
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
