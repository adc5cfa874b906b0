package cache

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// recorder makes an http.Response of what a handler writes.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *recorder) response() *http.Response {
	return &http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(&r.body)}
}

// Whatever is in Cache-Control, what is read of it is in there.
func FuzzControl(f *testing.F) {
	f.Add(`max-age=60, private="a, b", x="\"", no-cache`)
	f.Add(`max-age="60`)
	f.Add(`,,=,"`)
	f.Add(`a=?1, b="x\\"", max-age=60`)
	f.Fuzz(func(t *testing.T, v string) {
		c := parseControl([]string{v})
		for _, d := range c {
			if !isToken(d.name) {
				t.Errorf("%q has a directive %q, want a token", v, d.name)
			}
		}
		if d, ok := parseTargeted([]string{v}); ok && (len(d) == 0 || d[0].name == "" || !strings.Contains(v, d[0].name)) {
			t.Errorf("%q is targeted with %+v, want what is in it", v, d)
		}
		if age, _ := c.seconds("max-age"); age < 0 || age > 1<<31*time.Second {
			t.Errorf("%q has max-age %v, want 0 to 2^31 seconds", v, age)
		}
		for _, n := range c.fields("private") {
			if !isToken(n) {
				t.Errorf("%q is private about %q, want a token", v, n)
			}
		}
	})
}

// A range is within the body.
func FuzzRange(f *testing.F) {
	f.Add("bytes=1-2", 10)
	f.Add("bytes=-5", 3)
	f.Add("bytes=9223372036854775807-", 3)
	f.Fuzz(func(t *testing.T, v string, n int) {
		n = max(0, n)
		if first, last, kind := byteRange([]string{v}, n); kind == satisfiable && (first < 0 || first > last || last >= n) {
			t.Errorf("%q of %d bytes: got %d to %d, want a part of it", v, n, first, last)
		}
	})
}
