package bodylimit

import (
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func host(t *testing.T, config string) *filtertest.Host {
	t.Helper()
	h := filtertest.New(t, filtertest.Config{Name: "bodylimit", JSON: config})
	h.Chunk = 7
	return h
}

func TestRequest(t *testing.T) {
	for _, c := range []struct {
		name, config, body string
		chunked            bool // without a content-length
		header             []string
		status             int
		details            string
	}{
		{name: "fits", config: `{request: 10}`, body: strings.Repeat("x", 10), status: 200},
		{name: "fits, chunked", config: `{request: 10}`, body: strings.Repeat("x", 10), chunked: true, status: 200},
		{name: "too large", config: `{request: 10}`, body: strings.Repeat("x", 11), status: 413, details: "moe.bodylimit.request"},
		{name: "too large, chunked", config: `{request: 10}`, body: strings.Repeat("x", 11), chunked: true, status: 413, details: "moe.bodylimit.request"},
		{name: "status and body", config: `{request: 1, status: 400, body: "no"}`, body: "xx", status: 400, details: "moe.bodylimit.request"},
		{name: "no body", config: `{request: 1, requireLength: true}`, status: 200},
		{name: "length required", config: `{requireLength: true}`, body: "x", chunked: true, status: 411, details: "moe.bodylimit.length"},
		{name: "length given", config: `{requireLength: true}`, body: "x", status: 200},
		{name: "large, without a limit", config: `{response: 2MiB}`, body: strings.Repeat("x", 1<<20), chunked: true, status: 200},
		{
			name: "an upgrade that the upstream does not take", config: `{request: 10}`, body: strings.Repeat("x", 11), chunked: true,
			header: []string{"connection", "upgrade", "upgrade", "websocket"}, status: 413, details: "moe.bodylimit.request",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.config)
			q := filtertest.NewRequest("POST", "/", c.body, c.header...)
			if c.chunked {
				q.Trailer = http.Header{"X-End": {"1"}} // without a content-length
			}
			r := h.Do(q)
			if r.Status != c.status || r.Details != c.details {
				t.Errorf("got %d %q, want %d %q", r.Status, r.Details, c.status, c.details)
			}
			if c.status != 200 && r.SentEnd {
				t.Error("the upstream has got the whole request")
			}
			name := map[string]string{"moe.bodylimit.request": "requests", "moe.bodylimit.length": "no_length"}[c.details]
			if name != "" && h.Metric(name) != 1 {
				t.Errorf("h.Metric(%q) = %d, want 1", name, h.Metric(name))
			}
		})
	}
}

func TestResponse(t *testing.T) {
	for _, c := range []struct {
		name, config, method string
		size                 int
		length               string // the content-length, "" for none
		status               int
		reset                bool
	}{
		{name: "fits", config: `{response: 10}`, size: 10, length: "10", status: 200},
		{name: "too large", config: `{response: 10}`, size: 11, length: "11", status: 502},
		{name: "another status", config: `{response: 10, responseStatus: 500}`, size: 11, length: "11", status: 500},
		{name: "too large, chunked", config: `{response: 10}`, size: 11, reset: true},
		{name: "HEAD", config: `{response: 10}`, method: "HEAD", length: "11", status: 200},
		{name: "no limit", config: `{request: 1}`, size: 1 << 20, status: 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(t, c.config)
			h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if c.length != "" {
					w.Header().Set("content-length", c.length)
				} else {
					defer w.Header().Set(http.TrailerPrefix+"X-End", "1")
				}
				_, _ = w.Write([]byte(strings.Repeat("x", c.size)))
			})
			if c.method == "" {
				c.method = "GET"
			}
			r := h.Do(filtertest.NewRequest(c.method, "/", ""))
			if r.Status != c.status || (r.Reset != "") != c.reset {
				t.Errorf("got %d, reset %q; want %d, reset: %v", r.Status, r.Reset, c.status, c.reset)
			}
			if limit := 10; c.reset && len(r.Body) > limit {
				t.Errorf("the client got %d bytes, want %d at most", len(r.Body), limit)
			}
		})
	}
}

// Once the upstream has agreed to another protocol, there is no body to count.
func TestTunnel(t *testing.T) {
	h := host(t, `{request: 10, response: 10}`)
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer w.Header().Set(http.TrailerPrefix+"X-End", "1")
		w.WriteHeader(101)
		_, _ = w.Write([]byte(strings.Repeat("x", 100)))
	})
	r := h.Do(filtertest.NewRequest("GET", "/", "", "connection", "upgrade", "upgrade", "websocket"))
	if r.Status != 101 || r.Reset != "" || len(r.Body) != 100 {
		t.Errorf("got %d with %d bytes, reset %q; want 101 with 100 bytes", r.Status, len(r.Body), r.Reset)
	}
	// A response that says 101 to a request that asked for nothing is a response like others.
	if r := h.Get("/"); r.Reset == "" {
		t.Errorf("got %d with %d bytes, want a reset", r.Status, len(r.Body))
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "give one limit", `{request: -1}`: "request", `{request: 1, status: 200}`: "status", `{response: x}`: "response",
		`{response: 1, responseStatus: 600}`: "responseStatus",
	} {
		t.Run(config, func(t *testing.T) {
			err := new(filtertest.Host).Load(t, filtertest.Config{Name: "bodylimit", JSON: config})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got error %v, want one with %q", err, want)
			}
		})
	}
}
