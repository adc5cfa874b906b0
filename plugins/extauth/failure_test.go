package extauth

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/plugins/internal/authztest"
)

// A service that is down, slow, or lies, is no decision.
func TestErrors(t *testing.T) {
	status := func(n int) http.HandlerFunc { return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) } }
	for name, f := range map[string]http.HandlerFunc{
		"the service answers 500": status(500),
		"the service answers 503": status(503),
		"the service answers 204": status(204),
		"the service answers 202": status(202),
		"EOF":                     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"too long": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(403)
			io.WriteString(w, strings.Repeat("x", maxAnswer+1))
		},
		"unexpected EOF\"": func(w http.ResponseWriter, _ *http.Request) { // it allows, and breaks off
			w.Header().Set("Content-Length", "10")
			io.WriteString(w, "short")
		},
		"unexpected EOF": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(403)
			io.WriteString(w, "short")
		},
		"response headers exceeded": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, f)
			for more, want := range map[string]int{
				"": 403, "errorStatus: 503": 503, "failOpen: true\nfailureHeader: true": 200, "failOpen: true": 200, "shadow: true\nfailureHeader: true": 200,
			} {
				t.Run(fmt.Sprintf("%q", more), func(t *testing.T) {
					h := s.load(t, "", "upstream: [x-user]\n"+more)
					r := h.Get("/?token=geheim", "x-user", "mallory", "authorization", "geheim", "x-envoy-auth-failure-mode-allowed", "no")
					if r.Status != want || h.Metric("failed") != 1 || !strings.Contains(h.Log(), name) || strings.Contains(h.Log(), "geheim") {
						t.Errorf("%s: got %d, want %d, one failure and no secret in the log:\n%s", more, r.Status, want, h.Log())
					}
					if want != 200 {
						if r.Details != "moe.extauth.error" || r.Upstream != nil {
							t.Errorf("r.Details = %q, want %q; r.Upstream = %+v, want nil",
								r.Details, "moe.extauth.error", r.Upstream)
						}
						return
					}
					up, shadow := r.Upstream.Header, strings.Contains(more, "shadow")
					if (up.Get("x-user") != "") != shadow {
						t.Error("the client forges what the service says:", up)
					}
					told := !shadow && strings.Contains(more, "failureHeader")
					if (up.Get("x-envoy-auth-failure-mode-allowed") == "true") != told {
						t.Errorf(`up.Get("x-envoy-auth-failure-mode-allowed") == "true" = %v, want %v: %v`,
							(up.Get("x-envoy-auth-failure-mode-allowed") == "true"), told, up)
					}
				})
			}
		})
	}
}

func TestServiceThatIsSlow(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h := authztest.Load(t, nil, "extauth", "url: '"+s.URL+"'\ntimeout: 20ms")
	if r := h.Get("/"); r.Status != 403 || !strings.Contains(h.Log(), "in time") {
		t.Errorf("r.Status = %d, want 403; h.Log() = %q, want it to contain %q", r.Status, h.Log(), "in time")
	}
	// It begins to answer, and never ends.
	drip := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(403)
		for r.Context().Err() == nil {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
	})
	h = authztest.Load(t, nil, "extauth", "url: '"+drip.URL+"'\ntimeout: 50ms")
	if r := h.Get("/"); r.Status != 403 || r.Details != "moe.extauth.error" {
		t.Errorf("r.Status = %d, want 403; r.Details = %q, want %q: %q",
			r.Status, r.Details, "moe.extauth.error", h.Log())
	}
}

func TestServiceThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	address := l.Addr().String()
	l.Close()
	h := authztest.Load(t, nil, "extauth", "url: 'http://"+address+"'\ntimeout: 20s")
	if r := h.Get("/"); r.Status != 403 || strings.Contains(r.Body, address) {
		t.Errorf("r.Status = %d, want 403; r.Body = %q, want it without %q", r.Status, r.Body, address)
	}
}

// One that speaks no HTTP.
func TestServiceThatIsNone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("net.Listen: %v", err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			io.WriteString(c, "HTTP/1.1 2000 OK\r\nx y: z\r\n\r\n")
			c.Close()
		}
	}()
	h := authztest.Load(t, nil, "extauth", "url: 'http://"+l.Addr().String()+"'\ntimeout: 20s")
	if r := h.Get("/"); r.Status != 403 || r.Details != "moe.extauth.error" {
		t.Errorf("r.Status = %d, want 403; r.Details = %q, want %q", r.Status, r.Details, "moe.extauth.error")
	}
}
