package accesslog

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	moeconfig "mosn.io/moe/framework/config"
	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	_ "mosn.io/moe/plugins/cel"
	"mosn.io/moe/plugins/internal/plugintest"
	"mosn.io/moe/plugins/internal/redact"
)

// config logs to a file of the test.
func config(t testing.TB) *AccessLog {
	return &AccessLog{Output: filepath.Join(t.TempDir(), "access.log"), Buffer: 1 << 20}
}

type message struct {
	Bytes             int
	Headers, Trailers map[string][]string
}

type entry struct {
	Time                               time.Time
	Method, Scheme, Host, Path         string
	Status                             int
	Complete                           bool
	Duration                           *float64 `json:"duration_ms"`
	Request_ms                         *float64
	First                              *float64 `json:"first_byte_ms"`
	Protocol, Flags, Details, Consumer string
	ID                                 string `json:"request_id"`
	Route, Cluster, Downstream         string
	Upstream                           string
	Fields                             map[string]string
	Request, Response                  message
}

// read closes the plugin and returns its lines.
func read(t testing.TB, p *AccessLog) (entries []entry) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatalf("p.Close: %v", err)
	}
	text, err := os.ReadFile(p.Output)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var e entry
		d := json.NewDecoder(strings.NewReader(line))
		if err := d.Decode(&e); err != nil || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%v in %q", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

// one logs one stream.
func one(t *testing.T, p *AccessLog, change func(*filtertest.Host), r *http.Request, more ...any) entry {
	t.Helper()
	h := filtertest.New(t, append([]any{p}, more...)...)
	if change != nil {
		change(h)
	}
	h.Do(r)
	es := read(t, p)
	if len(es) != 1 {
		t.Fatalf("%d lines", len(es))
	}
	return es[0]
}

func TestLine(t *testing.T) {
	for chunk := range 3 {
		before := time.Now().Truncate(time.Millisecond)
		r := httptest.NewRequest("POST", "/path?q=1", strings.NewReader("hello"))
		r.Header = http.Header{"X-Two": {"1", "2"}, "Accept": {"*/*"}}
		r.Trailer = http.Header{"X-Sum": {"5"}}
		p := config(t)
		p.Fields = map[string]string{"tenant": "%REQ(x-two)%", "code": "%RESPONSE_CODE%"}
		e := one(t, p, func(h *filtertest.Host) {
			h.Chunk = chunk
			h.Attrs = map[filter.Attr]string{
				filter.AttrSourceAddress: "192.0.2.1:5", filter.AttrUpstreamAddress: "192.0.2.2:80", filter.AttrProtocol: "HTTP/2",
				filter.AttrRouteName: "r", filter.AttrClusterName: "c", filter.AttrRequestID: "id", filter.AttrResponseFlags: "32800",
				filter.AttrCodeDetails: "via_upstream",
			}
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("trailer", "x-end")
				w.Header().Set("content-type", "text/plain")
				w.WriteHeader(201)
				w.Write([]byte("hello world"))
				w.Header().Set("x-end", "1")
			})
		}, r, &plugintest.Probe{Request: func(s filter.Stream, _ filter.RequestHeaders) {
			s.SetConsumer(&filter.Consumer{Name: "tom"})
		}})
		if e.Time.Before(before) || e.Time.After(time.Now()) {
			t.Error("time", e.Time)
		}
		for name, ms := range map[string]*float64{"all": e.Duration, "request": e.Request_ms, "first": e.First} {
			t.Run(name, func(t *testing.T) {
				if ms == nil || *ms < 0 || *ms > *e.Duration {
					t.Errorf("%s: ms = nil, want a value; *ms = %v, want at least 0, and at most %v",
						name, *ms, *e.Duration)
				}
			})
		}
		if e.Request.Headers["content-length"] != nil {
			delete(e.Request.Headers, "content-length")
		}
		e.Time, e.Duration, e.Request_ms, e.First = time.Time{}, nil, nil, nil
		delete(e.Response.Headers, "trailer")
		want := entry{
			Method: "POST", Scheme: "http", Host: "example.com", Path: "/path?q=1", Status: 201, Complete: true,
			Protocol: "HTTP/2", Flags: "UF,URX", Details: "via_upstream", Consumer: "tom", ID: "id", Route: "r",
			Cluster: "c", Downstream: "192.0.2.1:5", Upstream: "192.0.2.2:80",
			Fields: map[string]string{"tenant": "1", "code": "201"},
			Request: message{
				5,
				map[string][]string{"x-two": {"1", "2"}, "accept": {"*/*"}},
				map[string][]string{"x-sum": {"5"}},
			},
			Response: message{
				11,
				map[string][]string{"content-type": {"text/plain"}},
				map[string][]string{"x-end": {"1"}},
			},
		}
		if diff := cmp.Diff(want, e); diff != "" {
			t.Errorf("chunks of %d: the entry (-want +got):\n%s", chunk, diff)
		}
	}
}

func TestRedact(t *testing.T) {
	secrets := func() *http.Request {
		r := httptest.NewRequest("GET", "/p?a=1&k%65y=geheim&key=geheim&b=2&key", nil)
		for _, name := range append(slices.Clone(redact.Always), "x-api-key") {
			r.Header.Add(name, "geheim")
			r.Header.Add(name, "geheim")
		}
		return r
	}
	answer := func(h *filtertest.Host) {
		h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("set-cookie", "geheim")
		})
	}
	p := config(t)
	p.Redact, p.RedactQuery = []string{"X-API-Key"}, []string{"key"}
	e := one(t, p, answer, secrets())
	for _, name := range append(slices.Clone(redact.Always), "x-api-key") {
		if diff := cmp.Diff([]string{"[redacted]", "[redacted]"}, e.Request.Headers[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if e.Path != "/p?a=1&k%65y=[redacted]&key=[redacted]&b=2&key" {
		t.Errorf("e.Path = %q, want %q", e.Path, "/p?a=1&k%65y=[redacted]&key=[redacted]&b=2&key")
	}
	text, err := os.ReadFile(p.Output)
	if err != nil || strings.Contains(string(text), "geheim") {
		t.Errorf("os.ReadFile: %v; text = %q, want it without %q: %s", err, string(text), "geheim", text)
	}

	p = config(t)
	p.Reveal = []string{"Cookie"}
	e = one(t, p, answer, secrets())
	if !slices.Equal(e.Request.Headers["cookie"], []string{"geheim", "geheim"}) ||
		e.Request.Headers["authorization"][0] != redact.Hidden || e.Response.Headers["set-cookie"][0] != redact.Hidden {
		t.Errorf("got request %v and response %v, want cookie as it came, authorization and set-cookie hidden",
			e.Request.Headers, e.Response.Headers)
	}
}

// What another plugin denies is logged, with the reply as the client got it.
func TestReply(t *testing.T) {
	e := one(t, config(t), nil, httptest.NewRequest("GET", "/", nil), &deny{})
	if e.Status != 403 || !e.Complete || e.Response.Bytes != 6 || e.Upstream != "" {
		t.Errorf("got %+v, want a complete 403 with 6 bytes and no upstream", e)
	}
}

type deny struct{}

func (*deny) OnRequestHeaders(filter.Stream, filter.RequestHeaders, bool) filter.Action {
	return filter.Reply(403, "denied")
}

func init() { filter.Register[deny]("deny", filter.Authn) }

// A stream that the client leaves is logged as far as it came.
func TestReset(t *testing.T) {
	for after, status := range map[string]int{
		"request headers": 0, "request body": 0, "response headers": 200, "response body": 200,
	} {
		t.Run(after, func(t *testing.T) {
			e := one(t, config(t), func(h *filtertest.Host) {
				h.Leave = func(now string) bool { return now == after }
				h.Chunk = 1
			}, httptest.NewRequest("POST", "/", strings.NewReader("body")))
			if e.Complete || e.Status != status || e.Duration == nil || (e.First != nil) != (status == 200) {
				t.Errorf("after %s: %+v", after, e)
			}
			if after == "response body" && e.Response.Bytes != 1 {
				t.Errorf("after the first byte: %d bytes", e.Response.Bytes)
			}
		})
	}
}

// As the operator writes it, with defaults.
func TestConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	h := filtertest.New(t, filtertest.Config{Name: "accesslog", JSON: "output: " + path + "\nredact: [x-key]"})
	h.Get("/", "x-key", "geheim")
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), `"x-key":["[redacted]"]`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("time.Now().After(deadline) = true, want false: %v, %s", err, text)
		}
	}
	for conf, want := range map[string]string{`buffer: 1KiB`: "buffer", `buffer: some`: "buffer", `output: ""`: "output"} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "accesslog", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: new(filtertest.Host).Load(…): got error %v, want one with %q", conf, err, want)
			}
		})
	}
}

func TestMembersThatAreNotKnownAreLeftOut(t *testing.T) {
	p := config(t)
	one(t, p, nil, httptest.NewRequest("GET", "/", nil))
	text, err := os.ReadFile(p.Output)
	if err != nil {
		t.Fatalf("os.ReadFile: %v", err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatalf("json.Unmarshal: %v", err)
	}
	want := []string{
		"complete", "duration_ms", "first_byte_ms", "host", "method", "path", "request", "request_ms",
		"response", "scheme", "status", "time",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(m))); diff != "" {
		t.Errorf("the names (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(string(text), `{"time":"`) {
		t.Errorf("text = %q, want the prefix %q: %s", string(text), `{"time":"`, text)
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for want, p := range map[string]any{
		"output: must be":       filtertest.Config{Name: "accesslog", JSON: `{output: ""}`},
		"buffer: must be 64KiB": &AccessLog{Output: stdout, Buffer: 10},
		"redact[0]":             &AccessLog{Output: stdout, Buffer: 1 << 20, Redact: []string{"a b"}},
		"reveal[0]: x is":       &AccessLog{Output: stdout, Buffer: 1 << 20, Reveal: []string{"x"}},
		"redactQuery[0]":        &AccessLog{Output: stdout, Buffer: 1 << 20, RedactQuery: []string{""}},
		"fields.x: position 0":  &AccessLog{Output: stdout, Buffer: 1 << 20, Fields: map[string]string{"x": "%X%"}},
		"is a directory":        &AccessLog{Output: dir, Buffer: 1 << 20},
		"no such file":          &AccessLog{Output: filepath.Join(dir, "none", "a.log"), Buffer: 1 << 20},
	} {
		t.Run(want, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, p)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// linesOf runs requests through the plugin, and returns what it has written.
func linesOf(t *testing.T, config string, requests ...*http.Request) (text string, h *filtertest.Host) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "access.log")
	h = &filtertest.Host{Upstream: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.Header.Get("x-status"))
		w.WriteHeader(max(200, status))
	})}
	p := &AccessLog{}
	raw, err := moeconfig.Parse([]byte(config))
	if err != nil {
		t.Fatalf("parsing %s: %v", config, err)
	}
	raw.(map[string]any)["output"] = output
	if err := (&moeconfig.Decoder{Plugin: "accesslog"}).Decode(raw, p); err != nil {
		t.Fatalf("decoding %s: %v", config, err)
	}
	if err := h.Load(t, p); err != nil {
		t.Fatalf("loading the plugin: %v", err)
	}
	for _, r := range requests {
		h.Do(r)
	}
	if err := p.Close(); err != nil {
		t.Fatalf("p.Close: %v", err)
	}
	b, err := os.ReadFile(output)
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("os.ReadFile: %v", err)
	}
	return string(b), h
}

func TestOnly(t *testing.T) {
	for _, c := range []struct {
		name, only, path, status string
		want                     bool
	}{
		{name: "a status", only: `[{statuses: ["404"]}]`, status: "404", want: true},
		{name: "another", only: `[{statuses: ["404"]}]`, status: "403"},
		{name: "a range", only: `[{statuses: ["400-404", 5xx]}]`, status: "403", want: true},
		{name: "a class", only: `[{statuses: ["400-404", 5xx]}]`, status: "599", want: true},
		{name: "neither", only: `[{statuses: ["400-404", 5xx]}]`, status: "405"},
		{name: "two conditions", only: `[{statuses: [5xx], prefix: /a}]`, path: "/b", status: "500"},
		{name: "two selections", only: `[{statuses: [5xx]}, {prefix: /b}]`, path: "/b", status: "200", want: true},
		{name: "fast", only: `[{slowerThan: 1h}]`},
		{name: "slow", only: `[{slowerThan: 1ns}]`, want: true},
		{name: "complete", only: `[{incomplete: true}]`},
		{name: "none of a hundred", only: `[{percentage: 0.0000001}]`},
		{name: "errors, and none of the others", only: `[{statuses: [5xx]}, {percentage: 0.0000001}]`, status: "500", want: true},
		{name: "an expression", only: `[{when: "request.path.startsWith('/b')"}]`, path: "/b", want: true},
		{name: "an expression that fails", only: `[{when: "int(request.query['n'][0]) > 0"}]`, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.path == "" {
				c.path = "/"
			}
			text, h := linesOf(t, `{only: `+c.only+`}`, filtertest.NewRequest("GET", c.path, "", "x-status", c.status))
			if got := text != ""; got != c.want || h.Metric("skipped") != map[bool]int64{false: 1}[c.want] {
				t.Errorf("got %q, skipped = %d; want a line: %v", text, h.Metric("skipped"), c.want)
			}
		})
	}
}

func TestTextLine(t *testing.T) {
	const line = `{line: '%REQ(:method)% "%REQ(:path)%" %RESPONSE_CODE% [%REQ(authorization)%] %REQ(x-none)% "%REQ(x-a)%" %QUERY_PARAM(token)% %PATH(NQ)% %QUERY_PARAMS% %REQ(x-none?cookie)%', redactQuery: [token]}`
	text, _ := linesOf(t, line, filtertest.NewRequest("GET", "/p?token=geheim&a=1", "", "authorization", "Bearer geheim",
		"x-a", "a\"b\x1b[31m\u2028", "cookie", "s=geheim"))
	want := `GET "/p?token=[redacted]&a=1" 200 [[redacted]] - "a\"b\u001b[31m\u2028" [redacted] /p token=[redacted]&a=1 [redacted]` + "\n"
	if text != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
}

func TestPatternsAndOmit(t *testing.T) {
	text, _ := linesOf(t, `{redactPatterns: ['\d{4}-\d{4}'], omit: [X-Noise], fields: {card: "%REQ(x-card)%"}}`,
		filtertest.NewRequest("GET", "/pay/1234-5678?c=1234-5678", "", "x-card", "no 1234-5678, 8765-4321!", "x-noise", "loud", "referer", "/x?1234-5678"))
	if strings.Contains(text, "1234") || strings.Contains(text, "8765") || strings.Contains(text, "noise") {
		t.Errorf("got %s, want neither the numbers nor x-noise", text)
	}
	if n := strings.Count(text, redact.Hidden); n != 7 {
		t.Errorf("got %s with %d values redacted, want 7", text, n)
	}
}

func TestSelectionRefused(t *testing.T) {
	for conf, want := range map[string]string{
		`{only: [{statuses: [abc]}]}`: "only[0].statuses[0]", `{only: [{statuses: ["500-400"]}]}`: "ends before", `{only: [{statuses: [6xx]}]}`: "only[0].statuses[0]",
		`{only: [{percentage: 101}]}`: "only[0].percentage", `{only: [{slowerThan: -1s}]}`: "only[0].slowerThan", `{only: [{path: a}]}`: "only[0].path",
		`{line: "%NO%"}`: "line: position 0", `{line: a, fields: {a: b}}`: "fields: are for JSON", `{redactPatterns: [a*]}`: "redactPatterns[0]",
		`{omit: [":path"]}`: "omit[0]",
	} {
		t.Run(conf, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "accesslog", JSON: conf})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}
