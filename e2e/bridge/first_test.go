package bridge

import (
	"io"
	"net/http"
	"testing"

	"mosn.io/moe/e2e/client"
)

func TestPassthrough(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{plugin: "passthrough", answer: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "x-end")
			io.Copy(w, r.Body)
			w.Header().Set("x-end", "yes")
		}})
		for range 20 {
			r := s.do(t, client.Request{Path: "/", Chunks: []string{"hello", " world"}, Trailer: []string{"x-t", "1"}})
			equal(t, "body", "hello world", r.Body)
			equal(t, "trailer", "yes", r.Trailer.Get("x-end"))
			equal(t, "the upstream's trailer", "1", s.last(t).Trailer.Get("x-t"))
		}
	})
}

func TestHeaders(t *testing.T) {
	onEnvoys(t, func(t *testing.T, b *bed) {
		s := b.serve(t, listen{
			plugin: "headers", config: m{"set": "filter"},
			routes: a{to("/route", m{"typed_per_filter_config": forRoute("headers", m{"set": "route"})}), to("/")},
			answer: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-remove", "1") },
		})
		for _, c := range []struct{ path, set string }{
			{"/", "filter"},
			{"/?async", "filter"},
			{"/route", "route"},
			{"/route?async", "route"},
		} {
			t.Run(c.path, func(t *testing.T) {
				for range 10 {
					r := s.do(t, client.Request{Path: c.path, Header: []string{"x-was", "there"}})
					equal(t, "x-response", c.set, r.Header.Get("x-response"))
					equal(t, "x-remove", "", r.Header.Get("x-remove"))
					h := s.last(t).Header
					equal(t, "x-got", "there", h.Get("x-got"))
					equal(t, "x-set", c.set, h.Get("x-set"))
					equal(t, "x-was", "", h.Get("x-was"))
					if len(h["X-Added"]) != 2 {
						t.Errorf("x-added is %q", h["X-Added"])
					}
				}
			})
		}
	})
}
