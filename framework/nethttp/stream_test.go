package nethttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/internal/core"
	"mosn.io/moe/framework/nethttp"
)

const (
	request  = core.Request
	response = core.Response
)

// upper is a body in capitals.
type upper struct{ io.ReadCloser }

func (u upper) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	copy(p, bytes.ToUpper(p[:n]))
	return n, err
}

func shout(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r.Body = upper{r.Body}
	next.ServeHTTP(w, r)
}

var ways = map[string]func(http.ResponseWriter, *http.Request, http.Handler){"as it is": pass, "wrapped": shout}

func TestRequestBodyStreams(t *testing.T) {
	for name, f := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, handler(f))
			w.request("POST", "/", false)
			w.data(request, "AB", false)
			w.untilSent(request, "AB")
			w.data(request, "CD", false)
			w.untilSent(request, "ABCD")
			w.data(request, "EF", true)
			w.untilEnd(request)
			w.untilSent(request, "ABCDEF")
			w.respond("200", true)
			w.untilEnd(response)
		})
	}
}

// A handler that reads before next holds the headers, and what it has read is not kept for it.
func TestReadBeforeNext(t *testing.T) {
	read := make(chan string, 9)
	w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b := make([]byte, 2)
		for range 2 {
			io.ReadFull(r.Body, b)
			read <- string(b)
		}
		next.ServeHTTP(w, r)
	}))
	w.request("POST", "/", false, "content-length", "7")
	w.data(request, "ab", false)
	if s := <-read; s != "ab" || w.headers[request] != nil {
		t.Fatalf("read = %q, want %q; w.headers[request] = %v, want nil", s, "ab", w.headers[request])
	}
	w.data(request, "cde", false)
	w.untilSent(request, "e")
	if got := w.get(request, "content-length"); got != "" {
		t.Errorf("content-length %s is kept", got)
	}
	w.data(request, "fg", true)
	w.untilSent(request, "efg")
	w.untilEnd(request)
}

func TestResponseStreams(t *testing.T) {
	w := newWire(t, handler(pass), handler(pass))
	w.request("GET", "/", true)
	w.untilEnd(request)
	w.respond("200", false, "content-type", "text/event-stream")
	w.until("headers", func() bool { return w.get(response, ":status") == "200" })
	for _, s := range []string{"a", "b", "c"} {
		w.data(response, s, false)
		w.until(s, func() bool { return strings.HasSuffix(w.body[response].String(), s) })
	}
	w.data(response, "d", true)
	w.untilEnd(response)
	w.untilSent(response, "abcd")
}

// Both directions are open at once, as in gRPC.
func TestBothDirections(t *testing.T) {
	for name, f := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWire(t, handler(f))
			w.request("POST", "/", false, "content-type", "application/grpc", "te", "trailers")
			w.respond("200", false, "content-type", "application/grpc")
			for i, s := range []string{"A", "B", "C"} {
				w.data(request, s, false)
				w.untilSent(request, "ABC"[:i+1])
				w.data(response, s, false)
				w.untilSent(response, "ABC"[:i+1])
			}
			w.trailers(request, "x-end", "1")
			w.untilEnd(request)
			w.trailers(response, "grpc-status", "0")
			w.untilEnd(response)
			if w.trailer[response].Get("grpc-status") != "0" || w.trailer[request].Get("x-end") != "1" {
				t.Errorf("the trailers are %v, want x-end 1 and grpc-status 0", w.trailer)
			}
		})
	}
}

// The upstream may answer in full while the client is still sending.
func TestAnswerBeforeRequestEnds(t *testing.T) {
	w := newWire(t, handler(shout))
	w.request("POST", "/", false)
	w.data(request, "a", false)
	w.untilSent(request, "A")
	w.respond("403", false)
	w.data(response, "no", true)
	w.untilEnd(response)
	w.untilSent(response, "no")
}

func TestTrailersChange(t *testing.T) {
	w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body := r.Body
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(body, readFunc(func() { r.Trailer.Set("x-req", r.Trailer.Get("x-req")+"!") })), body}
		next.ServeHTTP(w, r)
		w.Header().Set(http.TrailerPrefix+"x-res", "changed")
	}))
	w.request("POST", "/", false)
	w.data(request, "a", false)
	w.trailers(request, "x-req", "1")
	w.untilEnd(request)
	w.respond("200", false)
	w.data(response, "b", false)
	w.trailers(response, "x-res", "1", "x-other", "2")
	w.untilEnd(response)
	res := w.trailer[response]
	if w.trailer[request].Get("x-req") != "1!" || res.Get("x-res") != "changed" || res.Get("x-other") != "2" {
		t.Errorf("the trailers are %v, want those that the handler has changed", w.trailer)
	}
}

type readFunc func()

func (f readFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestOwnAnswerStreams(t *testing.T) {
	more := make(chan string)
	w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		for s := range more {
			io.WriteString(w, s)
			http.NewResponseController(w).Flush()
		}
	}))
	w.request("GET", "/", true)
	more <- "a"
	w.untilSent(response, "a")
	more <- "b"
	w.untilSent(response, "ab")
	close(more)
	w.untilEnd(response)
	if w.headers[request] != nil {
		t.Error("the request went on")
	}
}

// A handler that answers while its request waits for more body, or for the upstream.
func TestAnswerOutsideOfTurns(t *testing.T) {
	go1 := make(chan bool)
	t.Run("body", func(t *testing.T) {
		w := newWire(t, handler(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			go r.Body.Read(make([]byte, 1))
			<-go1
			http.Error(w, "enough", http.StatusTeapot)
		}))
		w.request("POST", "/", false)
		time.Sleep(10 * time.Millisecond)
		go1 <- true
		w.untilEnd(response)
		if w.get(response, ":status") != "418" {
			t.Errorf(`w.get(response, ":status") = %q, want %q: %v`, w.get(response, ":status"), "418", w.headers)
		}
	})
	timeout := &hook{func(next http.Handler) http.Handler {
		return http.TimeoutHandler(next, 30*time.Millisecond, "slow")
	}}
	t.Run("headers", func(t *testing.T) {
		w := newWire(t, timeout)
		w.request("GET", "/", true)
		w.untilEnd(response)
		if w.get(response, ":status") != "503" || w.body[response].String() != "slow" || w.headers[request] == nil {
			t.Errorf("the headers are %v, the body %q; want the request passed on and 503 slow", w.headers, w.body[response].String())
		}
	})
	t.Run("answer", func(t *testing.T) {
		w := newWire(t, timeout)
		w.request("GET", "/", true)
		w.untilEnd(request)
		w.respond("200", false)
		w.data(response, "half", false)
		w.untilEnd(response)
		if w.get(response, ":status") != "503" || w.body[response].String() != "slow" {
			t.Errorf(`w.get(response, ":status") = %q, want %q; w.body[response].String() = %q, want %q: %v`,
				w.get(response, ":status"), "503", w.body[response].String(), "slow", w.headers)
		}
	})
	t.Run("in time", func(t *testing.T) {
		w := newWire(t, timeout)
		w.request("GET", "/", true)
		w.untilEnd(request)
		w.respond("200", false)
		w.data(response, "fast", true)
		w.untilEnd(response)
		if w.get(response, ":status") != "200" || w.body[response].String() != "fast" {
			t.Errorf(`w.get(response, ":status") = %q, want %q; w.body[response].String() = %q, want %q: %v`,
				w.get(response, ":status"), "200", w.body[response].String(), "fast", w.headers)
		}
	})
	t.Run("next's own context", func(t *testing.T) {
		w := newWire(t, &hook{func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), 20*time.Millisecond)
				defer cancel()
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		}})
		w.request("GET", "/", true)
		w.untilEnd(response)
		if w.get(response, ":status") != "504" {
			t.Errorf(`w.get(response, ":status") = %q, want %q: %v`, w.get(response, ":status"), "504", w.headers)
		}
	})
}

func TestMaxBytesWhileStreaming(t *testing.T) {
	w := newWire(t, &hook{func(next http.Handler) http.Handler { return http.MaxBytesHandler(next, 3) }})
	w.request("POST", "/", false)
	w.data(request, "abc", false)
	w.untilSent(request, "abc")
	w.data(request, "d", false)
	w.untilEnd(response)
	if w.get(response, ":status") != "413" || w.ended[request] {
		t.Errorf(`w.get(response, ":status") = %q, want %q; w.ended[request]: got true, want false: %v, %v`,
			w.get(response, ":status"), "413", w.headers, w.ended)
	}
}

func TestUpgrade(t *testing.T) {
	w := newWire(t, handler(pass))
	w.request("GET", "/", false, "connection", "upgrade", "upgrade", "websocket")
	w.untilSent(request, "")
	w.respond("101", false, "connection", "upgrade", "upgrade", "websocket")
	w.until("101", func() bool { return w.get(response, ":status") == "101" && w.get(response, "upgrade") == "websocket" })
	w.data(request, "ping", false)
	w.untilSent(request, "ping")
	w.data(response, "pong", false)
	w.untilSent(response, "pong")
}

// The client goes away at any point; newWire checks that nothing stays behind.
func TestClientGoesAway(t *testing.T) {
	var broken atomic.Int32
	observe := func(f func(http.ResponseWriter, *http.Request, http.Handler)) *hook {
		return handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			whole := false
			defer func() {
				if !whole && r.Context().Err() != nil {
					broken.Add(1)
				}
			}()
			f(w, r, next)
			whole = true
		})
	}
	read := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if _, err := io.ReadAll(r.Body); !errors.Is(err, filter.ErrStreamDone) {
			t.Errorf("io.ReadAll(r.Body): got error %v, want %v", err, filter.ErrStreamDone)
		}
		panic(http.ErrAbortHandler)
	}
	write := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for {
			if _, err := io.WriteString(w, strings.Repeat("x", 9999)); err != nil {
				panic(http.ErrAbortHandler)
			}
		}
	}
	hooks := map[string]*hook{"next": observe(pass), "wrapped": observe(shout), "read": observe(read), "write": observe(write)}
	for name, h := range hooks {
		for _, stage := range []int{0, 1, 2, 3} {
			w := newWire(t, h)
			w.request("POST", "/", false)
			w.data(request, "a", false)
			if stage > 0 && (name == "next" || name == "wrapped") {
				w.until("headers", func() bool { return w.headers[request] != nil })
				w.respond("200", false)
			}
			if stage > 1 {
				w.data(response, "half", false)
			}
			if stage > 2 && name != "read" {
				w.data(request, "b", true)
			}
			time.Sleep(2 * time.Millisecond)
			w.done()
		}
	}
	for end := time.Now().Add(30 * time.Second); broken.Load() < 16 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if n := broken.Load(); n != 16 {
		t.Errorf("%d of 16 handlers were ended", n)
	}
}

func TestPanicsAndAborts(t *testing.T) {
	bang := func(v any, when string) *hook {
		return handler(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			switch when {
			case "before next":
				panic(v)
			case "upstream":
				r.Body = io.NopCloser(readFunc(func() { panic(v) }))
			}
			if when == "late" {
				next.ServeHTTP(discard{http.Header{}}, r)
				panic(v)
			}
			next.ServeHTTP(w, r)
			panic(v)
		})
	}
	for _, c := range []struct {
		name, when, status, reset string
		v                         any
	}{
		{name: "panic before next", when: "before next", status: "500", v: "bang"},
		{name: "panic in a read by the upstream", when: "upstream", status: "500", v: "bang"},
		{name: "panic late", when: "late", status: "500", v: "bang"},
		{name: "abort before next", when: "before next", reset: "abort", v: http.ErrAbortHandler},
		{name: "abort late", when: "late", reset: "abort", v: http.ErrAbortHandler},
		{name: "abort after next", when: "after", reset: "abort", v: http.ErrAbortHandler},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWire(t, bang(c.v, c.when))
			w.request("POST", "/", false)
			w.data(request, "x", true)
			if c.when == "late" || c.when == "after" {
				w.untilEnd(request)
				w.respond("200", false)
				w.data(response, "x", true)
			}
			w.untilEnd(response)
			if got := w.get(response, ":status"); c.status != "" && got != c.status || !strings.Contains(w.reset, c.reset) {
				t.Errorf("status %s, reset %q", got, w.reset)
			}
			if c.v == "bang" && !w.bugged("bang") {
				t.Error("the panic is not told", w.bugs)
			}
		})
	}
}

// discard is a ResponseWriter.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestRequestIsAServers(t *testing.T) {
	got := make(chan *http.Request, 1)
	w := newWire(t, handler(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		if s, ok := nethttp.StreamFrom(r.Context()); !ok || s.RequestHeaders().Path() != r.RequestURI {
			t.Error("no stream")
		}
		got <- r
	}))
	w.request("GET", "/a/b?c=d", true, "x-a", "1", "x-a", "2", "cookie", "k=v")
	r := <-got
	want := &http.Request{
		Method: "GET", URL: &url.URL{Path: "/a/b", RawQuery: "c=d"}, RequestURI: "/a/b?c=d", Host: "a",
		Proto: "HTTP/2.0", ProtoMajor: 2, RemoteAddr: "10.0.0.1:99", Body: http.NoBody,
		Header: http.Header{"X-A": {"1", "2"}, "Cookie": {"k=v"}}, Trailer: http.Header{},
	}
	if diff := cmp.Diff(want, r, cmpopts.IgnoreUnexported(http.Request{})); diff != "" {
		t.Errorf("the handler's request (-want +got):\n%s", diff)
	}
	if c, err := r.Cookie("k"); err != nil || c.Value != "v" {
		t.Errorf("r.Cookie: got %v and error %v, want c.Value %q", c, err, "v")
	}
	w.untilEnd(response)
}
