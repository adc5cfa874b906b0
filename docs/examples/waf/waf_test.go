package waf

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"mosn.io/moe/framework/filtertest"
)

func rules(in ...string) *WAF {
	w := &WAF{BodyLimit: 12}
	for _, in := range in {
		w.Rules = append(w.Rules, Rule{ID: "no-" + in, Pattern: regexp.MustCompile("evil"), In: in})
	}
	return w
}

func TestHeaders(t *testing.T) {
	h := filtertest.New(t, rules("responseHeaders"))
	h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("x-a", "evil") })
	if r := h.Get("/evil"); r.Status != 403 || r.Header.Get("x-a") != "" || r.Upstream == nil {
		t.Error("a response header", r.Status)
	}
	h = filtertest.New(t, rules("requestHeaders"))
	for path, want := range map[string]int{"/good": 200, "/evil": 403, "/%65vil": 403, "/?a=%65vil": 403} {
		t.Run(path, func(t *testing.T) {
			if got := h.Get(path).Status; got != want {
				t.Errorf("%s: h.Get(path).Status = %d, want %d", path, got, want)
			}
		})
	}
	if r := h.Get("/", "x-evil", "1"); r.Status != 403 || r.Upstream != nil {
		t.Error("a header's name", r.Status)
	}
	if !strings.Contains(h.Log(), "rules=[no-requestHeaders]") {
		t.Errorf("h.Log() = %q, want it to contain %q", h.Log(), "rules=[no-requestHeaders]")
	}
}

func TestBodies(t *testing.T) {
	for chunk := range 5 {
		w := rules("requestBody", "responseBody")
		h := filtertest.New(t, w)
		h.Chunk = chunk
		if r := h.Post("/", "an evil word"); r.Status != 403 || r.Upstream != nil {
			t.Error("request", r.Status)
		}
		if r := h.Post("/", "a good word and more"); r.Body != "a good word and more" || r.Status != 200 {
			t.Errorf("r.Body = %q, want %q; r.Status = %d, want 200", r.Body, "a good word and more", r.Status)
		}
		if chunk > 0 { // in one chunk, all of it is there at once
			if r := h.Post("/", "a word that is evil"); r.Status != 200 {
				t.Error("past the limit", r.Status)
			}
		}
		h.Upstream = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "an evil word") })
		if r := h.Get("/"); r.Status != 403 || r.Body != "" {
			t.Error("response", r.Status, r.Body)
		}
		if got := h.Metric("hits", "no-requestBody") + h.Metric("hits", "no-responseBody"); got != 2 {
			t.Error("counted", got)
		}
	}
}

func TestDetectionOnly(t *testing.T) {
	w := rules("requestHeaders", "requestBody")
	w.DetectionOnly = true
	h := filtertest.New(t, w)
	if r := h.Post("/evil", "evil"); r.Status != 200 || r.Sent != "evil" {
		t.Errorf("r.Status = %d, want 200; r.Sent = %q, want %q", r.Status, r.Sent, "evil")
	}
	if !strings.Contains(h.Log(), "no-requestHeaders no-requestBody") {
		t.Errorf("h.Log() = %q, want it to contain %q", h.Log(), "no-requestHeaders no-requestBody")
	}
}

func TestRefused(t *testing.T) {
	for _, limit := range []string{`"-1"`, "0", `"1TiB"`} {
		t.Run(limit, func(t *testing.T) {
			config := filtertest.Config{Name: "waf", JSON: `{"bodyLimit": ` + limit + `}`}
			err := new(filtertest.Host).Load(t, config)
			if err == nil || !strings.Contains(err.Error(), "bodyLimit") {
				t.Errorf("Load(bodyLimit: %s) = %v, want an error that names bodyLimit", limit, err)
			}
		})
	}
}
