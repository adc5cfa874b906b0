package nethttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/framework/nethttp"
)

// counted counts what is wrapped, for how many requests.
type counted struct {
	Header string `json:"header"`
}

var wraps, served atomic.Int32

func (c *counted) Wrap(next http.Handler) http.Handler {
	wraps.Add(1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		w.Header().Set(c.Header, "1")
		next.ServeHTTP(w, r)
	})
}

func (c *counted) Validate() error {
	if c.Header == "" {
		return fmt.Errorf("header: is missing")
	}
	return nil
}

func init() { nethttp.Register[counted]("counted", filter.Observe) }

func TestWrappedOnce(t *testing.T) {
	wraps.Store(0)
	served.Store(0)
	h := filtertest.New(t, filtertest.Config{Name: "counted", JSON: `{"header": "x-n"}`})
	for range 5 {
		if r := h.Get("/"); r.Header.Get("x-n") != "1" {
			t.Fatalf(`r.Header.Get("x-n") = %q, want %q: %v`, r.Header.Get("x-n"), "1", r.Header)
		}
	}
	if wraps.Load() != 1 || served.Load() != 5 {
		t.Errorf("wraps.Load() = %d, want 1; served.Load() = %d, want 5", wraps.Load(), served.Load())
	}
}

// What middleware changes of the request goes on, and nothing else does.
func TestRequestChanges(t *testing.T) {
	h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r2 := r.Clone(r.Context())
		r2.Method, r2.Host, r2.URL.RawQuery = "PUT", "other", "x=y"
		r2.Header.Set("X-New", "1")
		r2.Header.Add("X-Two", "b")
		r2.Header.Del("X-Old")
		r2.Header.Set("Connection", "close")
		http.StripPrefix("/api", next).ServeHTTP(w, r2)
	}))
	r := h.Get("/api/a%2Fb?q", "x-old", "1", "x-two", "a", "x-kept", "1")
	u := r.Upstream
	if u.Method != "PUT" || u.Host != "other" || u.URL.String() != "/a%2Fb?x=y" || u.Header.Get("x-new") != "1" ||
		len(u.Header.Values("x-two")) != 2 || u.Header.Get("x-old") != "" || u.Header.Get("x-kept") != "1" ||
		u.Header.Get("connection") != "" {
		t.Errorf("the upstream gets %s %s %s %v, want the handler's request", u.Method, u.Host, u.URL, u.Header)
	}
}

func TestOwnAnswers(t *testing.T) {
	const plain = "text/plain; charset=utf-8"
	big := strings.Repeat("0123456789abcdef", 20000)
	for name, c := range map[string]struct {
		f          http.HandlerFunc
		status     int
		body, kind string
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 200, "", ""},
		"error": {func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no", http.StatusForbidden)
		}, 403, "no\n", plain},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login", http.StatusFound)
		}, 302, "", ""},
		"sniffed": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html>hi")
		}, 200, "<html>hi", "text/html; charset=utf-8"},
		"big": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, big) }, 200, big, plain},
		"in pieces": {func(w http.ResponseWriter, r *http.Request) {
			for p := range chunks(big, 1000) {
				io.WriteString(w, p)
			}
		}, 200, big, plain},
		"echo": {func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, 200, big, plain},
		"early hints": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(201)
		}, 201, "", ""},
		"no content": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				t.Errorf(`io.WriteString(w, "x"): got error %v, want %v`, err, http.ErrBodyNotAllowed)
			}
		}, 204, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { c.f(w, r) }))
			h.Chunk = 7777
			method, body := "GET", ""
			if name == "echo" {
				method, body = "POST", big
			}
			req, _ := http.NewRequest(method, "http://a/", strings.NewReader(body))
			req.RequestURI = "/"
			r := h.Do(req)
			if r.Status != c.status || c.body != "" && r.Body != c.body || r.Upstream != nil ||
				c.kind != "" && r.Header.Get("content-type") != c.kind {
				t.Errorf("%d %v, %d bytes, reset %q", r.Status, r.Header, len(r.Body), r.Reset)
			}
		})
	}
}

// An answer to a body that could not be read to its end is not a whole answer.
func TestEchoTooLarge(t *testing.T) {
	w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, _ http.Handler) { io.Copy(w, r.Body) }))
	w.request("POST", "/", false)
	for range 40 {
		w.data(request, strings.Repeat("x", 64<<10), false)
	}
	w.data(request, "", true)
	w.until("the reset", func() bool { return w.reset != "" })
}

func chunks(s string, n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			k := min(n, len(s))
			if !yield(s[:k]) {
				return
			}
			s = s[k:]
		}
	}
}

func TestBodilessResponses(t *testing.T) {
	text := handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		io.WriteString(w, "")
	})
	for _, status := range []int{204, 304} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWire(t, text)
			w.request("GET", "/", true)
			w.untilEnd(request)
			w.respond(fmt.Sprint(status), true, "etag", "e")
			w.untilEnd(response)
			if w.get(response, ":status") != fmt.Sprint(status) || w.get(response, "etag") != "e" || w.body[response].Len() > 0 {
				t.Errorf("status %d: the response is %v with %q, want no body", status, w.headers[response], w.body[response].String())
			}
		})
	}
	w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		io.WriteString(w, "a body for GET only")
	}))
	w.request("HEAD", "/", true)
	w.untilEnd(request)
	w.respond("200", true, "content-length", "1234")
	w.untilEnd(response)
	if w.get(response, "content-length") != "1234" || w.body[response].Len() > 0 {
		t.Errorf("the response is %v with %q, want content-length 1234 and no body", w.headers[response], w.body[response].String())
	}
}

// A Content-Length that a handler does not keep to never reaches the client.
func TestContentLength(t *testing.T) {
	for name, write := range map[string]string{"short": "abc", "long": "abcdefgh"} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				next.ServeHTTP(discard{http.Header{}}, r)
				w.Header().Set("Content-Length", "5")
				_, err := io.WriteString(w, write)
				if (err == http.ErrContentLength) != (name == "long") {
					t.Errorf("err == http.ErrContentLength = %v, want %v: %v",
						(err == http.ErrContentLength), (name == "long"), err)
				}
			}))
			w.request("GET", "/", true)
			w.untilEnd(request)
			w.respond("200", true)
			w.untilEnd(response)
			if name == "short" && !strings.Contains(w.reset, "abort") || name == "long" && w.body[response].String() != "abcde" {
				t.Errorf("%s: reset %q, body %q; want an abort of the short one, and abcde of the long", name, w.reset, w.body[response].String())
			}
		})
	}
	w := newWire(t, handler(pass))
	w.request("GET", "/", true)
	w.untilEnd(request)
	w.respond("200", false, "content-length", "4")
	w.data(response, "ab", false)
	w.data(response, "cd", true)
	w.untilEnd(response)
	if w.get(response, "content-length") != "4" || w.body[response].String() != "abcd" {
		t.Errorf(`w.get(response, "content-length") = %q, want %q; w.body[response].String() = %q, want %q: %v`,
			w.get(response, "content-length"), "4", w.body[response].String(), "abcd", w.headers[response])
	}
}

func TestMaxBytes(t *testing.T) {
	h := filtertest.New(t, &hook{func(next http.Handler) http.Handler { return http.MaxBytesHandler(next, 10) }})
	for n, status := range map[int]int{0: 200, 10: 200, 11: 413, 5000: 413} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			for _, chunk := range []int{0, 3} {
				t.Run(fmt.Sprint(chunk), func(t *testing.T) {
					h.Chunk = chunk
					if r := h.Post("/", strings.Repeat("x", n)); r.Status != status {
						t.Errorf("%d bytes in %d: %d", n, chunk, r.Status)
					}
				})
			}
		})
	}
}

// TestLoggingWrapper is the middleware that everybody writes first.
func TestLoggingWrapper(t *testing.T) {
	var log bytes.Buffer
	h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		l := &logged{ResponseWriter: w}
		defer func() { fmt.Fprintf(&log, "%s %s %d %d\n", r.Method, r.URL.Path, l.status, l.n) }()
		next.ServeHTTP(l, r)
	}))
	h.Post("/a", "12345")
	if log.String() != "POST /a 200 5\n" {
		t.Errorf("log.String() = %q, want %q", log.String(), "POST /a 200 5\n")
	}
}

type logged struct {
	http.ResponseWriter
	status, n int
}

func (l *logged) WriteHeader(status int) {
	l.status = status
	l.ResponseWriter.WriteHeader(status)
}

func (l *logged) Write(p []byte) (int, error) {
	n, err := l.ResponseWriter.Write(p)
	l.n += n
	return n, err
}

// Misuse is answered, and harms nobody.
func TestMisuse(t *testing.T) {
	t.Run("hijack", func(t *testing.T) {
		h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
				t.Error("hijacked")
			}
			next.ServeHTTP(w, r)
		}))
		if r := h.Get("/"); r.Status != 200 {
			t.Errorf("r.Status = %d, want 200", r.Status)
		}
	})
	t.Run("next twice", func(t *testing.T) {
		h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(discard{http.Header{}}, r)
			next.ServeHTTP(w, r)
		}))
		if r := h.Get("/"); r.Status != 500 || !strings.Contains(h.Log(), "second time") {
			t.Errorf("r.Status = %d, want 500; h.Log() = %q, want it to contain %q", r.Status, h.Log(), "second time")
		}
	})
	t.Run("another context", func(t *testing.T) {
		h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r.WithContext(context.Background()))
		}))
		if r := h.Get("/"); r.Status != 500 {
			t.Errorf("r.Status = %d, want 500", r.Status)
		}
	})
	t.Run("panic in Wrap", func(t *testing.T) {
		h := filtertest.New(t, &hook{func(next http.Handler) http.Handler { panic("bang") }})
		h.AllowsBugs = true
		if r := h.Get("/"); r.Status != 500 || !strings.Contains(strings.Join(h.Bugs(), " "), "bang") {
			t.Errorf(`r.Status = %d, want 500; strings.Join(h.Bugs(), " ") = %q, want it to contain %q: %q`,
				r.Status, strings.Join(h.Bugs(), " "), "bang", h.Bugs())
		}
	})
	t.Run("bad status", func(t *testing.T) {
		h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) { w.WriteHeader(7) }))
		h.AllowsBugs = true
		if r := h.Get("/"); r.Status != 500 {
			t.Errorf("r.Status = %d, want 500", r.Status)
		}
	})
	t.Run("write afterwards", func(t *testing.T) {
		var kept http.ResponseWriter
		h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) { kept = w }))
		h.Get("/")
		if _, err := kept.Write([]byte("x")); err == nil {
			t.Error("written")
		}
		http.NewResponseController(kept).Flush()
	})
}

// A handler may wait in another goroutine than the one that it was called on.
func TestNextElsewhere(t *testing.T) {
	h := filtertest.New(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		done := make(chan bool)
		go func() {
			defer close(done)
			next.ServeHTTP(w, r)
		}()
		<-done
	}))
	if r := h.Post("/", "x"); r.Status != 200 || r.Body != "x" {
		t.Errorf("r.Status = %d, want 200; r.Body = %q, want %q", r.Status, r.Body, "x")
	}
}
