package sse

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func TestSSE(t *testing.T) {
	for chunk := range 5 {
		for sent, want := range map[string]string{
			"data: a\n\ndata: b\n\ndata: c\n\n": "data: a\n\ndata: b\n\nevent: count\ndata: 2\n\ndata: c\n\n",
			"data: a\r\n\r\ndata: b\r\n\r\n":    "data: a\n\ndata: b\n\nevent: count\ndata: 2\n\n",
			"\n\n\ndata: a\nid: 1\n\n":          "\n\n\ndata: a\nid: 1\n\n",
			"":                                  "",
		} {
			t.Run(fmt.Sprintf("%q", sent), func(t *testing.T) {
				h := filtertest.New(t, &SSE{Every: 2})
				h.Chunk = chunk
				h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("content-type", "text/event-stream; charset=utf-8")
					io.WriteString(w, sent)
				})
				if r := h.Get("/"); r.Body != want || r.Header.Get("content-length") != "" && sent != "" {
					t.Errorf("chunks of %d: got %q, want %q", chunk, r.Body, want)
				}
			})
		}
	}
}

func TestOther(t *testing.T) {
	h := filtertest.New(t, &SSE{Every: 1})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/plain")
		io.WriteString(w, "data: a\n\n")
	})
	if r := h.Get("/"); r.Body != "data: a\n\n" || r.Header.Get("content-length") != "9" {
		t.Errorf(`r.Body = %q, want %q; r.Header.Get("content-length") = %q, want %q`,
			r.Body, "data: a\n\n", r.Header.Get("content-length"), "9")
	}
}

// A line that never ends is not kept whole.
func TestLongLine(t *testing.T) {
	h := filtertest.New(t, &SSE{Every: 1})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "text/event-stream")
		io.WriteString(w, strings.Repeat("x", maxLine+1))
	})
	if r := h.Get("/"); r.Reset == "" {
		t.Errorf("r.Reset is empty: %d, %d", r.Status, len(r.Body))
	}
}

func TestRefused(t *testing.T) {
	if new(filtertest.Host).Load(t, &SSE{Every: -1}) == nil {
		t.Error("every -1 is accepted")
	}
}
