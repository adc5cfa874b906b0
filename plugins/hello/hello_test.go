package hello

import (
	"net/http"
	"strings"
	"testing"

	"mosn.io/moe/framework/filter"
	"mosn.io/moe/framework/filtertest"
	"mosn.io/moe/plugins/internal/plugintest"
)

func TestHello(t *testing.T) {
	h := filtertest.New(t, &Hello{Header: "X-ExtProc-Hello", Value: "Hello from ext_proc"})
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-extproc-hello", "from the upstream")
		w.WriteHeader(204)
	})
	r := h.Get("/")
	if got := r.Header.Values("x-extproc-hello"); len(got) != 1 || got[0] != "Hello from ext_proc" {
		t.Errorf("got %q", got)
	}
	if r.Status != 204 || r.Upstream.Header.Get("x-extproc-hello") != "" {
		t.Error("it is the response that gets the header, and nothing else of it changes")
	}
}

// As the operator writes it, with defaults.
func TestConfiguration(t *testing.T) {
	r := filtertest.New(t, filtertest.Config{Name: "hello", JSON: `{}`}).Get("/")
	if got := r.Header.Get("x-extproc-hello"); got != "Hello from ext_proc" {
		t.Errorf("got %q", got)
	}
}

func TestRefused(t *testing.T) {
	for want, json := range map[string]string{
		"header:": `{header: ""}`, ":status": `{header: ":status"}`, "empty": `{value: ""}`, "line break": `{value: "a\nb"}`,
	} {
		t.Run(want, func(t *testing.T) {
			if err := new(filtertest.Host).Load(t, filtertest.Config{Name: "hello", JSON: json}); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("new(filtertest.Host).Load(…): got error %v, want one with %q", err, want)
			}
		})
	}
}

func BenchmarkHello(b *testing.B) {
	p := &Hello{Header: "x-extproc-hello", Value: "Hello from ext_proc"}
	plugintest.BenchResponse(b, func(s filter.Stream, h filter.ResponseHeaders) { p.OnResponseHeaders(s, h, false) })
}
