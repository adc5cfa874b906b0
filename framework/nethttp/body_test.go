package nethttp_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
)

// requestBodies are ways to treat a request's body, and what becomes of it.
var requestBodies = map[string]struct {
	f    func(http.ResponseWriter, *http.Request, http.Handler)
	want func(string) string
}{
	"pass": {pass, same},
	"wrap": {shout, strings.ToUpper},
	"read all, replace": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader("<" + string(b) + ">"))
		r.ContentLength = int64(len(b) + 2)
		next.ServeHTTP(w, r)
	}, func(s string) string { return "<" + s + ">" }},
	"read all, replace in a copy": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b, _ := io.ReadAll(r.Body)
		r2 := r.Clone(r.Context())
		r2.Body = io.NopCloser(bytes.NewReader(b))
		next.ServeHTTP(w, r2)
	}, same},
	"peek": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b := make([]byte, 3)
		n, _ := io.ReadFull(r.Body, b)
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(b[:n]), r.Body), r.Body}
		next.ServeHTTP(w, r)
	}, same},
	"eat some": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		io.ReadFull(r.Body, make([]byte, 3))
		next.ServeHTTP(w, r)
	}, func(s string) string { return s[min(3, len(s)):] }},
	"drop": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Body = http.NoBody
		next.ServeHTTP(w, r)
	}, func(string) string { return "" }},
	"replace unread": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Body = io.NopCloser(strings.NewReader("other"))
		next.ServeHTTP(w, r)
	}, func(string) string { return "other" }},
	"limit": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		http.MaxBytesHandler(next, 1<<20).ServeHTTP(w, r)
	}, same},
}

// responseBodies are ways to treat a response's body, and what becomes of it.
var responseBodies = map[string]struct {
	f    func(http.ResponseWriter, *http.Request, http.Handler)
	want func(string) string
}{
	"pass": {pass, same},
	"wrap": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&shouter{w}, r)
	}, strings.ToUpper},
	"buffer": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, vs := range rec.Result().Header {
			w.Header()[k] = vs
		}
		w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()+2))
		w.WriteHeader(rec.Code)
		fmt.Fprintf(w, "<%s>", rec.Body)
	}, func(s string) string { return "<" + s + ">" }},
	"append": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&headerHook{w, func() { w.Header().Del("Content-Length") }}, r)
		io.WriteString(w, "<!-- end -->")
	}, func(s string) string { return s + "<!-- end -->" }},
	"replace": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(discard{http.Header{}}, r)
		io.WriteString(w, "mine")
	}, func(string) string { return "mine" }},
	"gzip": {zip, same},
	"time out": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		http.TimeoutHandler(next, 5e9, "").ServeHTTP(w, r)
	}, same},
}

func same(s string) string { return s }

// shouter writes in capitals.
type shouter struct{ http.ResponseWriter }

func (s *shouter) Write(p []byte) (int, error) { return s.ResponseWriter.Write(bytes.ToUpper(p)) }
func (s *shouter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// headerHook calls f before the header is settled.
type headerHook struct {
	http.ResponseWriter
	f func()
}

func (h *headerHook) WriteHeader(status int) {
	h.f()
	h.ResponseWriter.WriteHeader(status)
}

// zip is a compressor as they come: it decides by the size of the first bytes, and can be flushed.
func zip(w http.ResponseWriter, r *http.Request, next http.Handler) {
	z := &zipper{ResponseWriter: w, status: 200}
	defer z.close()
	next.ServeHTTP(z, r)
}

type zipper struct {
	http.ResponseWriter
	status  int
	first   []byte
	z       *gzip.Writer
	decided bool
}

func (z *zipper) WriteHeader(status int) { z.status = status }

func (z *zipper) Write(p []byte) (int, error) {
	if z.decided {
		return z.to().Write(p)
	}
	if z.first = append(z.first, p...); len(z.first) >= 20 {
		z.decide(true)
	}
	return len(p), nil
}

func (z *zipper) decide(big bool) {
	z.decided = true
	if big {
		z.Header().Set("Content-Encoding", "gzip")
		z.Header().Del("Content-Length")
		z.z = gzip.NewWriter(z.ResponseWriter)
	}
	z.ResponseWriter.WriteHeader(z.status)
	z.to().Write(z.first)
}

func (z *zipper) to() io.Writer {
	if z.z != nil {
		return z.z
	}
	return z.ResponseWriter
}

func (z *zipper) Flush() {
	if z.z != nil {
		z.z.Flush()
		http.NewResponseController(z.ResponseWriter).Flush()
	}
}

func (z *zipper) close() {
	if !z.decided {
		z.decide(false)
	}
	if z.z != nil {
		z.z.Close()
	}
}

// echo is a plugin beside the middleware, so that it is tested before and after one that waits for bodies.
type whole struct{}

func (whole) OnRequest(filter.Stream, filter.RequestHeaders, filter.Body) filter.Action {
	return filter.Continue
}

func (whole) OnResponse(filter.Stream, filter.ResponseHeaders, filter.Body) filter.Action {
	return filter.Continue
}

func init() { filter.Register[whole]("whole", filter.Observe) }

func TestBodies(t *testing.T) {
	for _, body := range []string{"", "a", "hello world", strings.Repeat("0123456789abcdef", 8000)} {
		for _, chunk := range []int{0, 3, 40000} {
			if chunk > 0 && chunk < 1000 && len(body) > 1000 {
				continue
			}
			for _, trailer := range []bool{false, true} {
				for in, req := range requestBodies {
					for out, res := range responseBodies {
						name := fmt.Sprintf("%s/%s/%d in %d, trailers %v", in, out, len(body), chunk, trailer)
						bodies(t, name, body, chunk, trailer, handler(req.f), handler(res.f), req.want, res.want)
					}
				}
			}
		}
	}
}

func bodies(t *testing.T, name, body string, chunk int, trailer bool, in, out *hook, up, down func(string) string) {
	plugins := [][]any{{in, out}, {out, in}, {&whole{}, in, out}, {in, out, &whole{}}}
	h := filtertest.New(t, plugins[len(name)%len(plugins)]...)
	h.Chunk = chunk
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trailer {
			w.Header().Set("Trailer", "x-t")
			defer w.Header().Set("x-t", "1")
		}
		io.WriteString(w, body)
	})
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if trailer {
		r.Trailer = http.Header{"X-T": {"1"}}
	}
	res := h.Do(r)
	got := res.Body
	if res.Header.Get("content-encoding") == "gzip" {
		z, err := gzip.NewReader(strings.NewReader(got))
		if err != nil {
			t.Fatalf("gzip.NewReader: %v", err)
		}
		b, _ := io.ReadAll(z)
		got = string(b)
	}
	if res.Status != 200 || res.Sent != up(body) || got != down(body) || trailer && res.Trailer.Get("x-t") != "1" {
		t.Fatalf("%s: status %d, reset %q, sent %.50q, got %.50q, trailer %v", name, res.Status, res.Reset, res.Sent, got,
			res.Trailer)
	}
}
