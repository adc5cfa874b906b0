package opa

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/authztest"
)

func remoteConfig(url, more string) string {
	return "remote: {url: '" + url + "/v1/data/moe/allow?x=geheim', token: geheim}\ntimeout: 20s\n" + more
}

// Answers of a server, and what becomes of them.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		status  int
		log     string
	}{
		{"allow", say(`{"result": true}`), 200, ""},
		{"deny", say(`{"result": false}`), 403, "denied"},
		{"object", say(`{"result": {"allow": false, "status": 429}, "decision_id": "x"}`), 429, "denied"},
		{"undefined", say(`{}`), 403, "undefined"},
		{"null", say(`{"result": null}`), 403, "undefined"},
		{"string", say(`{"result": "true"}`), 403, "neither"},
		{"list", say(`[true]`), 403, "not a JSON object"},
		{"bare", say(`true`), 403, "not a JSON object"},
		{"twice", say(`{"result": true}{"result": true}`), 403, "not a JSON object"},
		{"no JSON", say(`<html>geheim</html>`), 403, "not a JSON object"},
		{"nothing", say(``), 403, "not a JSON object"},
		{"cut", say(`{"result": true`), 403, "not a JSON object"},
		{"deep", say(strings.Repeat(`{"result":`, 100_000)), 403, "not a JSON object"},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"result": true, "x": "`)
			for range 1 << 12 {
				io.WriteString(w, strings.Repeat("x", 1<<10))
			}
			io.WriteString(w, `"}`)
		}, 403, "too long"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}, 403, "too long"},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"result": true}`, 500) }, 403, "answers 500"},
		{"accepted", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			io.WriteString(w, `{"result": true}`)
		}, 403, "answers 202"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/allow", http.StatusFound) }, 403, "answers 302"},
		{"reset", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, 403, "no decision"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			h := authztest.Load(t, alice, "opa", remoteConfig(server.URL, ""))
			if r := h.Get("/", "authorization", "geheim"); r.Status != c.status || !strings.Contains(h.Log(), c.log) {
				t.Errorf("r.Status = %d, want %d; h.Log() = %q, want it to contain %q",
					r.Status, c.status, h.Log(), c.log)
			}
			if strings.Contains(h.Log(), "geheim") {
				t.Errorf("h.Log() = %q, want it without %q", h.Log(), "geheim")
			}
		})
	}
}

func say(answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }
}

func TestRemoteRequest(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	conns := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var doc struct{ Input map[string]map[string]any }
		err := json.NewDecoder(r.Body).Decode(&doc)
		mu.Lock()
		defer mu.Unlock()
		conns[r.RemoteAddr] = true
		seen = append(seen, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("Authorization"), " ",
			r.Header.Get("Content-Type"), " ", doc.Input["request"]["path"], " ", doc.Input["consumer"]["name"], " ", err))
		io.WriteString(w, `{"result": true}`)
	}))
	defer server.Close()
	h := authztest.Load(t, alice, "opa", remoteConfig(server.URL, ""))
	for range 3 {
		if r := h.Get("/a//b"); r.Status != 200 {
			t.Errorf("r.Status = %d, want 200: %q", r.Status, h.Log())
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 3 || seen[0] != "POST /v1/data/moe/allow Bearer geheim application/json /a/b alice <nil>" || len(conns) != 1 {
		t.Errorf("got %q over %d connections, want 3 alike over one", seen, len(conns))
	}
}

func TestServerThatIsSlow(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	for more, want := range map[string]int{"": 403, "errorStatus: 503": 503, "failOpen: true": 200, "shadow: true": 200} {
		t.Run(fmt.Sprintf("%q", more), func(t *testing.T) {
			config := strings.Replace(remoteConfig(server.URL, more), "timeout: 20s", "timeout: 20ms", 1)
			h := authztest.Load(t, nil, "opa", config)
			if r := h.Get("/"); r.Status != want || h.Metric("failed") != 1 || !strings.Contains(h.Log(), "in time") {
				t.Errorf(`%q: r.Status = %d, want %d; h.Metric("failed") = %d, want 1; h.Log() = %q, want it to contain %q`,
					more, r.Status, want, h.Metric("failed"), h.Log(), "in time")
			}
		})
	}
}

func TestServerThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	address := l.Addr().String()
	l.Close()
	h := authztest.Load(t, nil, "opa", remoteConfig("http://"+address, ""))
	if r := h.Get("/"); r.Status != 403 || strings.Contains(r.Body, address) || strings.Contains(h.Log(), "geheim") {
		t.Errorf("r.Status = %d, want 403; r.Body = %q, want it without %q; h.Log() = %q, want it without %q",
			r.Status, r.Body, address, h.Log(), "geheim")
	}
}

// Over a cluster of Envoy's.
func TestCluster(t *testing.T) {
	h := &filtertest.Host{Clusters: map[string]http.RoundTripper{"opa": roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"result": true}`)), Request: r}, nil
	})}}
	config := "remote: {url: 'http://opa.example/v1/data/moe/allow', cluster: opa}\ntimeout: 20s"
	if err := h.Load(t, filtertest.Config{Name: "opa", JSON: config}); err != nil {
		t.Fatalf("h.Load: %v", err)
	}
	if r := h.Get("/"); r.Status != 200 {
		t.Errorf("r.Status = %d, want 200: %q", r.Status, h.Log())
	}
	err := (&filtertest.Host{Lacks: filter.CanCallout}).Load(t, filtertest.Config{Name: "opa", JSON: config})
	if err == nil || !strings.Contains(err.Error(), "remote.cluster") {
		t.Errorf("(&filtertest.Host{Lacks: filter.CanCallout}).Load(…): got error %v, want one with %q",
			err, "remote.cluster")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
